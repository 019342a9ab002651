"""`python -m llmarch`."""

from .cli import program

program()
