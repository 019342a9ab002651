"""The command `llmarch duplicates`: models with the same architecture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from ..renderers.output import write_text
from . import app
from .common import ConfigOnly, Format, Offline, Output, examples, fail, models_argument, write
from .scan import FORMAT_OF_SUFFIX, ScanFormat, named_references, read_rows_of


@app.command(
    epilog=examples(
        "llmarch duplicates models.parquet",
        "llmarch duplicates ./models --format json",
        "llmarch duplicates qwen.ndjson ./my-model",
    )
)
def duplicates(
    refs: Annotated[
        list[str],
        models_argument("Files of rows that `scan` has written, or models as `scan` takes them."),
    ],
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
) -> None:
    """Group models by their architecture: those with the same facts, whatever their names."""
    from ..scanning.duplicates import group_by_fingerprint
    from ..views.duplicates import duplicates_summary, duplicates_table

    options = {"offline": offline, "headers": not config_only, "refresh": False}
    found = group_by_fingerprint(all_rows(refs, options))
    if not found["compared"] and not found["without_fingerprint"]:
        fail("there are no rows")
    if found["groups"] or format.is_document:
        write(format, "table", lambda: duplicates_table(found), lambda: found)
    summary = duplicates_summary(found)
    if format is Format.markdown:
        write_text(summary)
    elif not format.is_document:
        from ..renderers import text

        text.sentence(summary)


def all_rows(words: Iterable[str], options: dict[str, bool]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of files, and those of models, which are read now."""
    models: list[str] = []
    for word in words:
        path = Path(word)
        if path.suffix.lower() in FORMAT_OF_SUFFIX and path.is_file():
            yield from scanned_rows(path)
        else:
            models.append(word)
    if models:
        yield from read_rows_of(named_references(models, []), options, processes=0)


def scanned_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file that `scan` has written. Raises ConfigError for another one."""
    from ..renderers.rows import not_a_row, parse_csv, parse_ndjson
    from ..sources.row_files import read_rows

    form = FORMAT_OF_SUFFIX[path.suffix.lower()]
    if form is ScanFormat.parquet:
        from ..renderers.parquet import read_parquet

        yield from read_parquet(path)
        return
    parse = parse_csv if form is ScanFormat.csv else parse_ndjson
    lines = parse(read_rows(path), str(path))
    for number, (_, row) in enumerate(lines, 1):
        if "fingerprint" not in row or "reference" not in row:
            raise not_a_row(str(path), number)
        yield row
