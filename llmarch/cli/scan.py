"""The command `llmarch scan`: many models, a row each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..renderers.output import write_text
from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    examples,
    fail,
    file_option,
    finite,
    models_argument,
)

if TYPE_CHECKING:
    from ..architecture.json_scan import ScanRowDocument
    from ..scanning.written import RowLine, ScanCounts

MODELS_OF_ONE_PROCESS = 200
"""Up to so many models are read by one process: starting others takes longer."""
MakeRows = Callable[[list[str]], Iterator["ScanRowDocument"]]
"""Reads models and gives their rows."""


class ScanFormat(StrEnum):
    """How to write the rows."""

    ndjson = "ndjson"
    json = "json"
    csv = "csv"
    parquet = "parquet"


FORMAT_OF_SUFFIX = {
    ".ndjson": ScanFormat.ndjson,
    ".jsonl": ScanFormat.ndjson,
    ".csv": ScanFormat.csv,
    ".parquet": ScanFormat.parquet,
}


@app.command(
    epilog=examples(
        "llmarch scan ./models -o models.parquet",
        "llmarch scan --author Qwen --limit 200 -o qwen.ndjson",
        "llmarch scan -r refs.txt --config-only -o rows.csv",
        "find . -name config.json | llmarch scan - > rows.ndjson",
    )
)
def scan(
    refs: Annotated[
        list[str] | None,
        models_argument(
            "Models as `show` takes them, folders to search for models, or - for references from "
            "standard input, one on each line.",
            "[REF...]",
        ),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(
            "--references",
            "-r",
            metavar="FILE",
            help="Read the models of a file too: one on each line, # begins a comment. Repeatable.",
        ),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            "--author", metavar="NAME", help="Models of a user or organisation. Repeatable."
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search", metavar="TEXT", help="Models on the Hub with this text in their names."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Of these only models with this task on the Hub: text-generation.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="Models of --author and --search at most, the most downloaded ones.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        file_option(
            "The file of rows: .ndjson, .csv or .parquet. The same command continues a scan that "
            "was ended. Default: standard output."
        ),
    ] = None,
    format: Annotated[
        ScanFormat | None,
        typer.Option(
            "--format",
            "-f",
            help="Format of the rows; json is a list, for standard output alone. Default: by the "
            "file's name, else ndjson.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Scan anew what the file has rows of.")
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry", help="Read again what could not be read, or only in part, in an earlier run."
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0.01,
            metavar="N",
            help="Requests to the Hub a second at most, of all models together.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="Processes that read models on this machine. Default: one a core.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Read many models and write a row for each: facts, counts, findings, fingerprint."""
    import gc

    gc.enable()  # a long run, other than those of most commands
    form = chosen_format(output, format)
    finite(rate)
    named = named_references(refs or [], references or [])
    named += listed_repositories(author or [], search or [], task, limit)
    if not named and (author or search):
        fail("the Hub lists no such model", "look at --author, --search and --task")
    if not named:
        fail("no model is named", "give REF, a folder, -r FILE, --author or --search")
    named = list(dict.fromkeys(named))

    def rows(remaining: list[str]) -> Iterator[ScanRowDocument]:
        number = processes_for(remaining, processes)
        options = {"offline": offline, "headers": not config_only, "refresh": refresh}
        return read_rows_of(remaining, options, number, rate)

    try:
        if output is None:
            counts = write_rows_to_stdout(named, rows, form)
        else:
            counts = continue_file(
                output, form, named, rows, headers=not config_only, overwrite=overwrite, retry=retry
            )
    except KeyboardInterrupt:
        hint = None if output is None else "the same command goes on where this one ended"
        fail("interrupted", hint, code=130)
    if counts.exit_code:
        raise typer.Exit(counts.exit_code)


# What is read


def named_references(words: Iterable[str], files: Iterable[str]) -> list[str]:
    """Return the references that the command line names; folders of models are searched."""
    from ..sources.row_files import read_rows

    found: list[str] = []
    for word in words:
        if word == "-":
            found += listed_lines(sys.stdin)
        else:
            found += references_of(word)
    for file in files:
        if file == "-":
            found += listed_lines(sys.stdin)
            continue
        if not Path(file).is_file():
            fail(f"{file}: no such file")
        found += listed_lines(read_rows(Path(file)))
    return found


def references_of(word: str) -> list[str]:
    """Return the references that one word names: several where it is a folder of models."""
    from ..sources.references import is_folder_in_place, is_path
    from ..sources.walking import find_models, find_models_in_place, is_folder

    if is_folder_in_place(word):
        return list(find_models_in_place(word)) or [word]
    if not is_folder(word):
        return [word]
    models = list(find_models(word))
    if not models and is_path(word):
        fail(f"{word}: no model was found there", "is it a folder with models?")
    return models or [word]


def listed_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the references of lines; what follows a blank and `#` is a comment."""
    for line in lines:
        text, _, _ = f" {line}".partition(" #")
        if text.strip():
            yield text.strip()


def listed_repositories(
    authors: list[str], searches: list[str], task: str | None, limit: int | None
) -> list[str]:
    """Return the repositories of users and organisations, and those with a text in their names."""
    if not authors and not searches:
        if task is not None or limit is not None:
            fail("--task and --limit are for --author and --search")
        return []
    from ..sources.hub.listing import list_repositories

    return list_repositories(authors, searches, task=task, most=limit)


def processes_for(references: list[str], asked: int | None) -> int:
    """Return how many other processes read models on this machine; 0 is none."""
    import os

    from ..scanning.run import is_remote

    if asked is None:
        asked = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if asked is None or asked < 2:
        return 0
    local = 0
    for reference in references:
        local += not is_remote(reference)
        if local > MODELS_OF_ONE_PROCESS:
            return asked
    return 0


def read_rows_of(
    references: list[str], options: dict[str, bool], processes: int, rate: float | None = None
) -> Iterator[ScanRowDocument]:
    """Yield the rows of models, and show on stderr how far the scan is."""
    from functools import partial

    import llmarch

    from ..renderers.progress import scan_progress
    from ..scanning.run import ScanWorkers, scan_rows
    from ..scanning.speed import ScanSpeed

    read = partial(llmarch.inspect, **options, config_suffices=True)
    workers = ScanWorkers(processes=processes, rate=rate)
    speed = ScanSpeed(len(references))
    errors = 0
    with scan_progress(speed) as update:
        for row in scan_rows(references, read, headers=options["headers"], workers=workers):
            yield row
            speed.count()
            errors += row["status"] == "error"
            update(errors)


# What is written


def chosen_format(output: str | None, format: ScanFormat | None) -> ScanFormat:
    """Return the format of the rows. Ends the program for one that cannot be written so."""
    if format is None:
        suffix = Path(output or "rows.ndjson").suffix.lower()
        if suffix not in FORMAT_OF_SUFFIX:
            fail(f"{output} does not end in .ndjson, .csv or .parquet", "give --format")
        format = FORMAT_OF_SUFFIX[suffix]
    if format is ScanFormat.parquet:
        from ..renderers.parquet import check_parquet

        check_parquet()
        if output is None:
            fail("Parquet is written to a file", "give -o FILE")
    if format is ScanFormat.json and output is not None:
        fail("a file of rows grows line by line, which JSON cannot", "give --format ndjson")
    return format


def write_rows_to_stdout(named: list[str], rows: MakeRows, form: ScanFormat) -> ScanCounts:
    """Write the rows to standard output as they come."""
    from ..renderers.rows import csv_head
    from ..scanning.written import ScanCounts

    counts = ScanCounts()
    line_of = line_writer(form)
    if form is ScanFormat.csv:
        write_text(csv_head(), "json", end="")
    comma, end = "", ""
    if form is ScanFormat.json and len(named) > 1:
        comma, end = ",", "]\n"
        write_text("[", end="")
    for row in rows(named):
        separator = comma if counts.models else ""
        counts.add(row["exit_code"])
        write_text(separator + line_of(row), "json", end="")
    write_text(end, end="")
    return counts


def line_writer(form: ScanFormat) -> Callable[[Any], str]:
    """Return what makes the line of a row; of a Parquet file's rows until it is written too."""
    from ..renderers.rows import csv_line, ndjson_line

    return csv_line if form is ScanFormat.csv else ndjson_line


def continue_file(
    output: str,
    form: ScanFormat,
    named: list[str],
    rows: MakeRows,
    *,
    headers: bool,
    overwrite: bool,
    retry: bool,
) -> ScanCounts:
    """Write a file of rows, or what one lacks of them."""
    from ..scanning.written import ScanCounts, check_same_scan, remaining_references
    from ..sources.project import exclusive

    path = Path(output)
    growing = growing_file(path, form)
    counts = ScanCounts()
    with exclusive(output):
        prepare_file(path, growing, form, overwrite=overwrite, retry=retry)
        before: list[str] = []
        for _, row in written_rows(growing, form):
            if not before:
                check_same_scan(row, output, headers=headers)
            before.append(row.reference)
            counts.add(row.exit_code)
        remaining = remaining_references(named, before)
        append_rows(growing, form, rows(remaining), counts)
        if form is ScanFormat.parquet:
            finish_parquet(path, growing)
    write_text(scan_summary(output, counts, len(before)), error=True)
    return counts


def growing_file(path: Path, form: ScanFormat) -> Path:
    """Return the file that grows during a scan; a Parquet file is made at the end, of another."""
    if form is ScanFormat.parquet:
        return path.with_name(f"{path.name}.unfinished.ndjson")
    return path


def prepare_file(
    path: Path, growing: Path, form: ScanFormat, *, overwrite: bool, retry: bool
) -> None:
    """Leave whole lines in the file that grows: those that are not read again."""
    from ..scanning.written import kept_lines
    from ..sources.row_files import drop_unfinished_line, remove, replace_rows

    if not path.parent.is_dir():
        fail(f"{path.parent}: no such folder")
    if overwrite:
        remove(growing)
        remove(path)
        return
    drop_unfinished_line(growing)
    if form is ScanFormat.parquet and path.exists() and not growing.exists():
        from ..renderers.parquet import read_parquet
        from ..renderers.rows import ndjson_line

        replace_rows(growing, map(ndjson_line, read_parquet(path)))
    if retry and growing.exists():
        from ..renderers.rows import csv_head

        head = [csv_head()] if form is ScanFormat.csv else []
        kept = kept_lines(written_rows(growing, form))
        replace_rows(growing, chain_lines(head, kept))


def chain_lines(*parts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of several parts."""
    for part in parts:
        yield from part


def written_rows(path: Path, form: ScanFormat) -> Iterator[RowLine]:
    """Yield the rows that a file has, with their lines."""
    from ..renderers.rows import not_a_row, parse_csv, parse_ndjson
    from ..scanning.written import row_essentials
    from ..sources.row_files import read_rows

    parse = parse_csv if form is ScanFormat.csv else parse_ndjson
    lines = parse(read_rows(path), str(path))
    for number, (line, row) in enumerate(lines, 1):
        try:
            yield line, row_essentials(row)
        except (KeyError, ValueError):
            raise not_a_row(str(path), number) from None


def append_rows(
    path: Path, form: ScanFormat, rows: Iterable[ScanRowDocument], counts: ScanCounts
) -> None:
    """Append rows to a file as they come."""
    from ..renderers.rows import csv_head
    from ..sources.row_files import appending

    line_of = line_writer(form)
    is_new = not path.exists() or path.stat().st_size == 0
    with appending(path) as append:
        if is_new and form is ScanFormat.csv:
            append(csv_head())
        for row in rows:
            append(line_of(row))
            counts.add(row["exit_code"])


def finish_parquet(path: Path, growing: Path) -> None:
    """Make the Parquet file of the rows, and remove the file that has grown."""
    from ..renderers.parquet import write_parquet
    from ..renderers.rows import parse_ndjson
    from ..sources.row_files import read_rows, remove

    lines = parse_ndjson(read_rows(growing), str(growing))
    write_parquet((row for _, row in lines), path)
    remove(growing)


def scan_summary(output: str, counts: ScanCounts, before: int) -> str:
    """Return the line that says what the file has: `rows.csv: 2,000 models, 3 errors`."""
    from ..views import numbers

    words = [numbers.plural(counts.models, "model")]
    if before:
        words.append(f"{before:,} read before")
    if counts.errors:
        words.append(numbers.plural(counts.errors, "error"))
    if counts.partial:
        words.append(f"{counts.partial:,} read in part")
    return f"{output}: {', '.join(words)}"
