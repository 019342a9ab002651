"""Neutral documents of what people read: a model, a comparison, a memory plan, evidence. No format."""
