"""The command `llmarch show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..renderers.output import write_text
from . import app
from .common import (
    ConfigOnly,
    Format,
    Offline,
    Output,
    Refresh,
    bundled_readings,
    end_if_partial,
    examples,
    fail,
    inspect_or_adapter,
    models_argument,
    write,
    write_document,
)
from .completion import complete_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.adapters.reading import AdapterReading
    from ..checkpoint.reading import Observation, Reading
    from ..views.documents import Sheet
    from ..views.likeness import Likeness


@app.command(
    epilog=examples(
        "llmarch show qwen3-235b",
        "llmarch show Qwen/Qwen3-8B@main --format json",
        "llmarch show qwen3-8b --brief --json",
        "llmarch show ./checkpoint --tensors",
        "llmarch show qwen3-8b llama3.1-8b",
        "jq .text_config config.json | llmarch show -",
        "llmarch show gemma3-27b --explain mixers.sliding.window",
        "llmarch show kimi-linear --new",
        "llmarch show ./lora --base qwen3-8b",
    )
)
def show(
    refs: Annotated[
        list[str],
        models_argument(
            "Models: bundled aliases, org/name[@revision], Hub URLs, folders, files, or - for a "
            "config from standard input."
        ),
    ],
    format: Output = Format.text,
    layers: Annotated[bool, typer.Option("--layers", help="Add a table of every layer.")] = False,
    tensors: Annotated[
        bool,
        typer.Option("--tensors", help="Add a table of the tensors, folded by name pattern."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Add a table of every fact with its path.")
    ] = False,
    sketch: Annotated[
        bool, typer.Option("--sketch", help="Print a sketch of the blocks first.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="PATH",
            help="Show what a fact means and where it comes from: mixers.full.rope, kv_heads.",
            autocompletion=complete_paths,
        ),
    ] = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Add what no older bundled model has, and the nearest of them."),
    ] = False,
    brief: Annotated[
        bool,
        typer.Option(
            "--brief",
            help="Only facts and main figures, without evidence; JSON is a line of about 2 kB.",
        ),
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="REF",
            help="The base model of a PEFT adapter. Default: what the adapter names.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model's architecture is.

    A PEFT adapter is shown on its base.
    """
    found = [
        inspect_or_adapter(
            ref, base=base, offline=offline, headers=not config_only, refresh=refresh
        )
        for ref in refs
    ]
    from ..checkpoint.reading import Observation, Reading

    readings = [r for r in found if isinstance(r, Reading | Observation)]
    if len(readings) < len(found):
        if explain is not None or new or sketch or everything or brief:
            fail("--explain, --new, --sketch, --all and --brief are for models, not for adapters")
        tables = [name for name, wanted in (("layers", layers), ("tensors", tensors)) if wanted]
        write_found(found, format, tables)
    elif base is not None:
        fail("--base is for adapters; none of these is one")
    elif explain is not None:
        write_explanations(readings, explain, format)
    else:
        if sketch and not format.is_document:
            from .pictures import print_sketch

            print_sketch(readings, fenced=format is Format.markdown)
        asked = {"layers": layers, "tensors": tensors, "facts": everything}
        names = [name for name, wanted in asked.items() if wanted]
        if brief:
            write_brief(readings, format)
            end_if_partial(readings)
            return
        places = {id(r): place_among_bundled(r) for r in readings if new}
        if format.is_document:
            documents = [show_document(r, places.get(id(r))) for r in readings]
            write_documents(documents, format)
        else:
            for r in readings:
                sheet = pages(r, names, places.get(id(r)))
                write(format, "sheet", lambda sheet=sheet: sheet, lambda: None)
    end_if_partial(found)


def write_found(
    found: Sequence[Reading | Observation | AdapterReading],
    format: Format,
    tables: Sequence[str],
) -> None:
    """Write models and adapters, one after the other, with the tables of these names."""
    if format.is_document:
        write_documents([document_of(r) for r in found], format)
        return
    for r in found:
        sheet = sheet_of(r, tables)
        write(format, "sheet", lambda sheet=sheet: sheet, lambda: None)


def document_of(r: Reading | Observation | AdapterReading) -> dict[str, Any]:
    """Return the JSON document of a model or an adapter."""
    from ..checkpoint.adapters.reading import AdapterReading
    from ..renderers import json

    if isinstance(r, AdapterReading):
        return json.adapter_document(r)
    return show_document(r)


def sheet_of(r: Reading | Observation | AdapterReading, tables: Sequence[str]) -> Sheet:
    """Return the first screen of a model or an adapter, with the tables of these names."""
    from ..checkpoint.adapters.reading import AdapterReading
    from ..views.adapter import adapter_sheet, adapter_table, adapter_tensor_table

    if not isinstance(r, AdapterReading):
        return pages(r, tables)
    sheet = adapter_sheet(r)
    if "layers" in tables:
        sheet.tables.append(adapter_table(r.groups))
    if "tensors" in tables:
        sheet.tables.append(adapter_tensor_table(r))
    return sheet


def write_explanations(
    readings: Sequence[Reading | Observation], path: str, format: Format
) -> None:
    """Write the facts of each model at a path, with what they mean and their evidence."""
    from ..views import evidence

    explained = [evidence.explain(r, path) for r in readings]
    if format.is_document:
        from ..architecture.documents import document_head

        head = document_head("evidence")
        documents = [{**head, **evidence.explanation_document(one)} for one in explained]
        write_documents(documents, format)
        return
    for r, one in zip(readings, explained, strict=True):
        if len(readings) > 1:
            write_text(f"\n## {r.name}\n" if format is Format.markdown else f"\n  {r.name}")
        table = evidence.explanation_table(one)
        write(format, "table", lambda table=table: table, lambda: None)


def write_documents(documents: list[dict[str, Any]], format: Format) -> None:
    """Write the JSON document of one model, or a list of those of several."""
    write_document(format, documents[0] if len(documents) == 1 else documents)


def write_brief(readings: Sequence[Reading | Observation], format: Format) -> None:
    """Write the facts of each model without evidence; JSON is a line for each model."""
    from ..views.brief import brief_document, brief_table

    if format.is_document:
        write_document(Format.ndjson, [brief_document(r) for r in readings])
        return
    for r in readings:
        write(format, "table", lambda r=r: brief_table(r), lambda: None)


def place_among_bundled(reading: Reading | Observation) -> Likeness:
    """Return where a model stands among the bundled ones. Ends the program for an observed one."""
    from ..checkpoint.reading import Observation
    from ..views.likeness import likeness

    if isinstance(reading, Observation):
        fail(f"--new needs all facts of a model: {reading.why}")
    return likeness(reading, bundled_readings())


def show_document(reading: Reading | Observation, place: Likeness | None = None) -> dict[str, Any]:
    """Return the JSON document of a model, with what is new in it if that was asked for."""
    from ..renderers import json

    document = json.model_document(reading)
    if place is None:
        return document
    from ..views.likeness import news_record

    return {**document, "news": news_record(place)}


def pages(
    reading: Reading | Observation, tables: Sequence[str], place: Likeness | None = None
) -> Sheet:
    """Return the first screen of a model, with the tables of these names below it.

    place: where it stands among the bundled ones, to say what is new in it; None: do not.
    """
    from ..checkpoint.reading import Observation

    if isinstance(reading, Observation):
        from ..views import inferred

        sheet = inferred.inferred_sheet(reading)
        sheet.tables.extend(inferred.INFERRED_TABLES[name](reading) for name in tables)
        return sheet
    from ..views import model

    sheet = model.model_sheet(reading)
    if place is not None:
        from ..views.likeness import news_lines

        sheet.lines.extend(news_lines(place))
    if tables:
        from ..views.tables import MODEL_TABLES

        sheet.tables.extend(MODEL_TABLES[name](reading) for name in tables)
    return sheet
