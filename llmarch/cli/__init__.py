"""The command line: parse arguments, call, render, exit code; nothing else.

Each command has a file of its own and imports what it needs when it runs. Exit codes are those of
../errors.py; an error is one message on stderr.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class Program(typer.Typer):
    """A program whose commands write their answers into files too."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Return what adds a command; see `typer.Typer.command`."""
        if "cls" not in options:
            from .answer_file import AnswerCommand

            options["cls"] = AnswerCommand
        return super().command(name, **options)


def make_app() -> typer.Typer:
    """Return the program without its commands."""
    made = Program(
        help="Show what an LLM's architecture is, exactly, and what changed between two of them. "
        "`llmarch REF` is `llmarch show REF`.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback(invoke_without_command=True)(top)
    return made


def top(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.")
    ] = False,
) -> None:
    """Handle the options that stand before a command."""
    if version:
        from .. import __version__
        from ..renderers.output import write_text

        write_text(f"llmarch {__version__}")
        raise typer.Exit


app = make_app()
"""The program, to which the file of each command adds it."""
COMPLETION = "_LLMARCH_COMPLETE"
"""The variable by which a shell asks for completions."""
COMMANDS = {
    "show": "Show what a model's architecture is.",
    "diff": "Show how two models differ, or compare several.",
    "draw": "Draw a model's architecture, or several side by side with what differs marked.",
    "report": "Write a page about a model, or several: figure, facts, memory, findings.",
    "card": "Write the section of a model card about the architecture, with a badge and a figure.",
    "gallery": "Write a static site of models: cards, filters, comparisons, a timeline.",
    "memory": "Show the memory that weights, cache and state take on GPUs.",
    "fit": "Find the fewest GPUs and the layout in which a model fits, and the command to "
    "start it.",
    "check": "Check models against their lock entries or another model.",
    "lock": "Pin models in a lock file, for `check` to compare with later.",
    "log": "List the commits of a repository that changed the architecture, and what each changed.",
    "scan": "Read many models and write a row for each: facts, counts, findings, fingerprint.",
    "duplicates": "Group models by their architecture: those with the same facts, whatever their "
    "names.",
    "list": "List the bundled models with their main facts.",
    "like": "Show the bundled models whose design is nearest to a model's, and how they differ.",
    "explain": "Explain a term, fact, rule or line: what it is, why, who has it and who had it "
    "first.",
    "rules": "List the rules of differences, or explain one.",
    "calibrate": "Compare what an engine logged when it started with what llmarch plans for it.",
    "gpus": "List the GPUs, Macs and cloud instances that --gpus knows.",
    "mcp": "Serve the Model Context Protocol on standard input and output, for agents.",
    "cache": "Show or empty the cache of tensor headers.",
    "schema": "Print the JSON Schema of the documents of --format json.",
}
"""The commands in the order in which people need them, with the first sentence of their help.

The list of commands is printed from here, so that `--help` need not import them all.
"""
WITHOUT_FORMAT = ("draw", "report", "card", "gallery", "lock", "mcp", "schema")
"""Commands that have no --format."""
FILES = {name: name for name in COMMANDS} | {"list": "models", "schema": "models"}
"""The file of each command."""


def main() -> None:
    """Run the program. An error becomes one message and an exit code, never a traceback."""
    from ..errors import LlmarchError
    from .common import fail, fail_internally

    try:
        arguments = sys.argv[1:]
        if COMPLETION not in os.environ:
            arguments = full_arguments(arguments)
        program = app_for(arguments)
        program(arguments, prog_name="llmarch")
    except LlmarchError as error:
        fail(error.message, error.hint, error.exit_code)
    except OSError as error:  # such as a disk that is full
        fail(str(error))
    except MemoryError:
        fail("not enough memory")
    except Exception as error:  # a fault of llmarch, which must not read as "changes"
        fail_internally(error)


def full_arguments(arguments: list[str]) -> list[str]:
    """Return the words of the command line without abbreviations.

    `llmarch REF` is `llmarch show REF`, and --json is --format json. Raises UnknownReference for a
    word that is more like a command than a model.
    """
    first = arguments[0] if arguments else ""
    if not first or (first.startswith("-") and first != "-"):
        return arguments
    if first not in COMMANDS:
        check_not_misspelled(first)
        arguments = ["show", *arguments]
    if arguments[0] in WITHOUT_FORMAT:
        return arguments
    found: list[str] = []
    for i, word in enumerate(arguments):
        if word == "--":
            return found + arguments[i:]
        found.append("--format=json" if word == "--json" else word)
    return found


def check_not_misspelled(word: str) -> None:
    """Raise UnknownReference for a word that names no model and looks like a command."""
    from ..errors import UnknownReference, did_you_mean, similar_names
    from ..sources.references import parse_reference

    near = similar_names(word.lower(), COMMANDS)
    if not near:
        return
    try:
        parse_reference(word)
    except UnknownReference as error:
        hint = did_you_mean(f"llmarch {name}" for name in near)
        raise UnknownReference(f"there is no command {word}", hint) from error


def app_for(arguments: list[str]) -> typer.Typer:
    """Return the program with the command that is called.

    It has all of them for completion, and their names and summaries for the list of commands.
    """
    asks_for_list = not arguments or arguments[0] in ("-h", "--help")
    if asks_for_list and COMPLETION not in os.environ:
        listing = make_app()
        for name, summary in COMMANDS.items():
            add = listing.command(name, cls=TyperCommand, help=summary, short_help=summary)
            add(_not_imported)
        return listing
    files = {FILES[name] for name in arguments[:1] if name in FILES}
    for file in files or dict.fromkeys(FILES[name] for name in COMMANDS):
        import_module(f".{file}", __name__)
    return app


def _not_imported() -> None:
    """Stand for a command in the list of commands."""
