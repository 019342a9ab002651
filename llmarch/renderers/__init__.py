"""Neutral documents as text, Markdown, JSON, SARIF, JUnit and annotations. Only renderers format."""
