"""`python -m llmarch`."""

from .cli import main

main()
