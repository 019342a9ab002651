"""The command line: parse arguments, call, render, exit code; nothing else.

Each command has a file of its own and imports what it needs when it runs. Exit codes are those of
../errors.py; an error is one message on stderr.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

app = typer.Typer(
    help="Show what an LLM's architecture is, exactly, and what changed between two of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Handle the options that stand before a command."""
    if version:
        from .. import __version__
        from ..renderers.output import write_text

        write_text(f"llmarch {__version__}")
        raise typer.Exit


COMMANDS = ("cache", "check", "diff", "draw", "fit", "gpus", "lock", "memory", "rules", "show")
FILES = {name: name for name in COMMANDS} | {"list": "models", "schema": "models"}
"""The file of each command."""


def main() -> None:
    """Run the program. An error becomes one message and an exit code, never a traceback."""
    from ..errors import LlmarchError
    from .common import fail, fail_internally

    command = sys.argv[1:2]
    files = {FILES[name] for name in command if name in FILES}
    try:
        for file in files or sorted(set(FILES.values())):  # help and completion need all of them
            import_module(f".{file}", __name__)
        app(prog_name="llmarch")
    except LlmarchError as error:
        fail(error.message, error.hint, error.exit_code)
    except OSError as error:  # such as a disk that is full
        fail(str(error))
    except MemoryError:
        fail("not enough memory")
    except Exception as error:  # a fault of llmarch, which must not read as "changes"
        fail_internally(error)
