"""Run llmarch as the extension `hf arch` of the command line of huggingface_hub."""

from llmarch.__main__ import program


def main() -> None:
    """Run llmarch with the words after `hf arch`."""
    program()
