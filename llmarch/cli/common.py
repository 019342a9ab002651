"""What commands share: options, reading with a progress bar, output formats, errors."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache, partial, wraps
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from ..renderers.output import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..checkpoint.adapters.reading import AdapterReading
    from ..checkpoint.reading import Observation, Reading
    from ..sources.gpus import GPU
    from ..sources.progress import Progress

PARTIAL = 4
"""The exit code for a checkpoint that was read only in part."""


class Format(StrEnum):
    """How to write the answer."""

    text = "text"
    json = "json"
    ndjson = "ndjson"
    markdown = "markdown"

    @property
    def is_document(self) -> bool:
        """Return whether a program reads it: JSON, or JSON a line."""
        return self.value in DOCUMENT_FORMATS


DOCUMENT_FORMATS = ("json", "ndjson")
"""Formats that programs read."""


def examples(*lines: str) -> str:
    """Return an epilog of one example a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def complete(incomplete: str) -> list[str]:
    """Return the aliases of bundled models that begin so, for the shell."""
    from ..sources.aliases import bundled_models

    return [alias for alias in bundled_models() if alias.startswith(incomplete.lower())]


def models_argument(
    help: str, metavar: str = "REF...", completed: Callable[[str], list[str]] = complete
) -> Any:
    """Return the argument that names models, which the shell completes."""
    return typer.Argument(metavar=metavar, help=help, autocompletion=completed)


def file_option(help: str) -> Any:
    """Return the option that names the file to write."""
    return typer.Option("--output", "-o", metavar="FILE", help=help)


Ref = Annotated[
    str,
    models_argument(
        "A bundled alias, org/name[@revision], a Hub URL, a folder, a file, or - for a config from "
        "standard input.",
        "REF",
    ),
]
Output = Annotated[
    Format,
    typer.Option(
        "--format", "-f", help="Output format; --json is --format json, ndjson an object a line."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not use the network.")]
ConfigOnly = Annotated[
    bool, typer.Option("--config-only", help="Read only the config, no tensor headers.")
]
GpuLayers = Annotated[
    int | None,
    typer.Option(
        "--gpu-layers",
        "--n-gpu-layers",
        "-ngl",
        min=0,
        metavar="N",
        help="Keep the last N layers on GPUs, the others on the CPU (llama.cpp; the output "
        "counts as one). Default: all.",
    ),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Read tensor headers again instead of from the cache.")
]


def write(
    format: Format,
    kind: Literal["sheet", "comparison", "table", "listing", "memory"],
    view: Callable[[], Any],
    document: Callable[[], Any],
) -> None:
    """Write an answer to standard output.

    format: the output format.
    kind: what the view is; renderers have a function of this name.
    view: makes the view, for text and Markdown.
    document: makes the document, for JSON.
    """
    if format.is_document:
        write_document(format, document())
    elif format is Format.markdown:
        from ..renderers import markdown

        write_text(getattr(markdown, kind)(view()).removesuffix("\n"), "markup")
    else:
        from ..renderers import text

        getattr(text, kind)(view())


def write_document(format: Format, document: Any) -> None:
    """Write a JSON document, or a list of them: as one text, or a line for each model."""
    from ..renderers import json

    make_text = json.json_lines if format is Format.ndjson else json.json_text
    text = make_text(document)
    if text:
        write_text(text, "json")


def with_json_refusals(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that writes a request that is not possible as JSON, if asked for JSON.

    The error goes on, so that stderr and the exit code are those of every error.
    """

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        from ..errors import PlanError

        try:
            command(*args, **options)
        except PlanError as error:
            if options.get("format") in DOCUMENT_FORMATS:
                from ..renderers import json

                write_document(Format(options["format"]), json.refusal(error))
            raise

    return run


def end_if_partial(readings: Iterable[Reading | Observation | AdapterReading]) -> None:
    """Exit with 4 if a checkpoint could be read only in part."""
    if any(r.status == "partial" or r.raw.partial for r in readings):
        raise typer.Exit(PARTIAL)


def inspect_reference(
    ref: str, *, offline: bool, headers: bool, refresh: bool, config_suffices: bool = False
) -> Reading | Observation:
    """Read a model as `llmarch.inspect` does, with a progress bar if stderr is a terminal."""
    import llmarch

    read = partial(
        llmarch.inspect,
        ref,
        offline=offline,
        headers=headers,
        refresh=refresh,
        meanwhile=import_renderers,
        config_suffices=config_suffices,
    )
    is_one_of_several = current_thread() is not main_thread()
    if "/" not in ref or is_one_of_several or not sys.stderr.isatty():
        return read()
    from ..renderers.progress import bar

    with bar() as progress:
        return read(progress=progress)


def inspect_or_adapter(
    ref: str, *, base: str | None, offline: bool, headers: bool, refresh: bool
) -> Reading | Observation | AdapterReading:
    """Read a model or a PEFT adapter, with a progress bar if stderr is a terminal.

    base: the base of an adapter; None: what it names.
    """
    import llmarch

    read = partial(
        llmarch.inspect_any,
        ref,
        base=base,
        offline=offline,
        headers=headers,
        refresh=refresh,
        meanwhile=import_renderers,
    )
    if "/" not in ref or not sys.stderr.isatty():
        return read()
    from ..renderers.progress import bar

    with bar() as progress:
        return read(progress=progress)


def inspect_references(
    refs: Iterable[str],
    *,
    offline: bool,
    headers: bool,
    refresh: bool,
    config_suffices: bool = False,
) -> list[Reading | Observation]:
    """Read models one after the other, as `inspect_reference` does."""
    return [
        inspect_reference(
            ref,
            offline=offline,
            headers=headers,
            refresh=refresh,
            config_suffices=config_suffices,
        )
        for ref in refs
    ]


@contextmanager
def models_bar() -> Generator[Progress]:
    """Yield what shows how many of several models or files are done, if stderr is a terminal."""
    if not sys.stderr.isatty():
        from ..sources.progress import ignore_progress

        yield ignore_progress
        return
    from ..renderers.progress import bar

    with bar(at_once=False) as progress:
        yield progress


def import_renderers() -> None:
    """Import what most commands need to show an answer; called while the network is slow."""
    from ..renderers import text  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from ..views import model  # noqa: F401  # pyright: ignore[reportUnusedImport]


def load_reference(ref: str, *, offline: bool, headers: bool, refresh: bool) -> Reading:
    """Read a model of which all facts are known.

    Ends the program for a model that no family reads: it cannot be compared or planned for.
    """
    from ..checkpoint.reading import Observation

    reading = inspect_reference(ref, offline=offline, headers=headers, refresh=refresh)
    if isinstance(reading, Observation):
        fail(reading.why, f"llmarch show {ref} shows what its tensors prove")
    return reading


@cache
def bundled_readings() -> list[Reading]:
    """Return all bundled models, which takes half a second."""
    from .. import load
    from ..sources.aliases import bundled_models

    return [load(alias) for alias in bundled_models()]


def find_gpu(gpus: str | None) -> tuple[int | None, GPU | None]:
    """Return how many GPUs are asked for, and which; None for both without the option."""
    if gpus is None:
        return None, None
    from ..sources.gpus import parse_gpus

    return parse_gpus(gpus)


def finite(value: float | None) -> float | None:
    """Return a number of the command line; not a number lies within every limit.

    Raises typer.BadParameter for nan and infinities.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def parse_context(context: str | None) -> int | None:
    """Return the tokens that `--context` means. Ends the program for text that is not a number."""
    if context is None:
        return None
    from ..views import numbers

    try:
        return numbers.tokens(context)
    except (ValueError, OverflowError):
        fail(f"--context {context} is not a number of tokens", "such as 4096, 128k or 1M")


def fail(message: str, hint: str | None = None, code: int = 2) -> NoReturn:
    """Print one message on stderr and end the program.

    message: what is wrong.
    hint: what to do about it.
    code: the exit code.
    """
    from ..errors import printable

    lines = [printable(line) for line in message.split("\n")]
    if hint:
        lines += [f"  {printable(line)}" for line in hint.split("\n")]
    text = "\n".join(lines)
    write_text(f"error: {text}", error=True)
    raise SystemExit(code)


def fail_internally(error: Exception) -> NoReturn:
    """Print that llmarch itself failed, and where, and end the program."""
    from traceback import extract_tb

    from .. import __version__
    from ..errors import INTERNAL

    place = "its start"
    frames = extract_tb(error.__traceback__)
    if frames:
        file = "/".join(frames[-1].filename.replace("\\", "/").rsplit("/", 2)[-2:])
        place = f"{file}, line {frames[-1].lineno}"
    fail(
        f"llmarch {__version__} failed: {type(error).__name__}: {error} ({place})",
        "This is a fault of llmarch. Please report it, with the command and the config.",
        INTERNAL,
    )
