"""The commands `llmarch list` and `llmarch schema`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from ..renderers.output import write_text
from . import app
from .common import DOCUMENT_FORMATS, Format, examples, write


class ListFormat(StrEnum):
    """How to write the list."""

    text = "text"
    csv = "csv"
    json = "json"
    ndjson = "ndjson"
    markdown = "markdown"


def complete_names(incomplete: str) -> list[str]:
    """Return the columns and facts whose last name in a list begins so, for the shell."""
    from ..views.model_list import fact_names

    before, comma, last = incomplete.rpartition(",")
    sign = "-" if last.startswith("-") else ""
    typed = last.removeprefix("-").lower()
    start = f"{before}{comma}{sign}"
    return [start + name for name in fact_names() if name.startswith(typed)]


def complete_attention(incomplete: str) -> list[str]:
    """Return the kinds of attention that begin so, for the shell."""
    from ..sources.aliases import bundled_models

    kinds = {kind for entry in bundled_models().values() for kind in entry["attention"]}
    return sorted(kind for kind in kinds if kind.startswith(incomplete.lower()))


@app.command(
    "list",
    epilog=examples(
        "llmarch list",
        "llmarch list qwen --sort -total",
        "llmarch list --attention mla --moe",
        'llmarch list --where "moe.experts >= 128 and attention == mla"',
        "llmarch list --columns alias,released,kv_heads,rope.theta --format csv",
    ),
)
def list_models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]", help="Only models with this text in alias, name or family."
        ),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only models that meet a condition over columns and facts: == != < <= > >= "
            "and or not ( ); a fact is named by the last parts of its path.",
        ),
    ] = None,
    attention: Annotated[
        str | None,
        typer.Option(
            "--attention",
            help="Only models with this attention: mha, gqa, mqa, mla, sliding, linear, ...",
            autocompletion=complete_attention,
        ),
    ] = None,
    moe: Annotated[
        bool | None,
        typer.Option("--moe/--dense", help="Only mixtures of experts, or only dense models."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="NAMES",
            help="Order by columns or facts, such as released or -total (largest first). "
            "Default: alias.",
            autocompletion=complete_names,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="Columns to show, separated by commas: those of the list, recipe, repo_id, "
            "family, model_type, vision, and any fact.",
            autocompletion=complete_names,
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Print the aliases alone.")] = False,
    format: Annotated[
        ListFormat, typer.Option("--format", "-f", help="Output format.")
    ] = ListFormat.text,
) -> None:
    """List the bundled models with their main facts."""
    from .. import load
    from ..sources.aliases import bundled_models
    from ..views import model_list

    models = model_list.BundledModels(bundled_models(), lambda alias: load(alias).architecture)
    chosen = model_list.select_models(models, name, attention, moe, condition)
    if sort is not None:
        chosen = model_list.sort_models(models, chosen, sort)
    shown = None if columns is None else model_list.split_names(columns)
    for column in shown or ():
        model_list.check_name(models, column)
    if not chosen:
        write_text("no bundled model matches; `llmarch list` shows all", error=True)
    if names and format is ListFormat.text:
        if chosen:
            write_text("\n".join(entry["alias"] for entry in chosen))
        return
    if names:
        shown = ["alias"]
    if format is ListFormat.csv:
        write_rows(model_list.model_records(models, chosen, shown or model_list.DEFAULT_COLUMNS))
        return
    if not chosen and format.value not in DOCUMENT_FORMATS:
        return
    write(
        Format(format.value),
        "listing",
        lambda: model_list.model_listing(models, chosen, shown),
        lambda: model_list.list_document(models, chosen, shown),
    )


def write_rows(records: list[dict[str, Any]]) -> None:
    """Write records as CSV."""
    from ..renderers.csv import rows_text
    from ..views.model_list import flat_record

    if records:
        write_text(rows_text(list(map(flat_record, records))), "json")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the documents of --format json."""
    from ..architecture.json_schema import json_schema
    from ..renderers import json

    write_text(json.json_text(json_schema()), "json")
