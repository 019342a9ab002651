"""Adapters: what they state and store, against the modules of their base model."""
