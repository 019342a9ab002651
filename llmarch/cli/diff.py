"""The command `llmarch diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import AdapterAlone
from . import app
from .check import FailOn, Ignored, ReportFormat
from .check import write_report as emit
from .common import (
    ConfigOnly,
    Format,
    Offline,
    Output,
    Refresh,
    end_if_partial,
    examples,
    fail,
    file_option,
    inspect_or_adapter,
    inspect_references,
    models_argument,
    write,
    write_document,
)
from .pictures import figure_drawings, picture_format, print_sketch, write_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.adapters.reading import AdapterReading
    from ..checkpoint.reading import Observation, Reading
    from ..compare.report import Report


@app.command(
    epilog=examples(
        "llmarch diff deepseek-v3 kimi-k2",
        "llmarch diff org/model@v1 org/model@main --exit-code",
        "llmarch diff org/base org/fine-tune --fail-on behaviour --ignore vocabulary-changed",
        "llmarch diff llama3-8b olmo2-7b gemma2-9b --all",
        "llmarch diff ./lora-v1 ./lora-v2 --base qwen3-8b",
    )
)
def diff(
    refs: Annotated[
        list[str],
        models_argument("Two models, or more for a comparison matrix.", "REF REF..."),
    ],
    sketch: Annotated[
        bool, typer.Option("--sketch", help="Print sketches of the blocks first.")
    ] = False,
    output: Annotated[
        str | None,
        file_option("Write the figure too (.svg, .png, .pdf, .html), or the answer (.json, .md)."),
    ] = None,
    format: Output = Format.text,
    everything: Annotated[bool, typer.Option("--all", help="Show equal facts too.")] = False,
    rules: Annotated[
        bool,
        typer.Option("--rules", help="Add what each difference breaks, and the rule that says so."),
    ] = False,
    brief: Annotated[
        bool,
        typer.Option("--brief", help="JSON on one line: changes and main figures alone."),
    ] = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="Exit with 1 if there are differences, or a checkpoint contradicts its config.",
        ),
    ] = False,
    fail_on: FailOn = None,
    ignore: Ignored = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="REF",
            help="The base model of two PEFT adapters. Default: what each names.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show how two models differ, or compare several."""
    if len(refs) < 2:
        fail("diff needs two models or more", "llmarch diff deepseek-v3 kimi-k2")
    suffix = picture_format(output)
    try:
        readings = inspect_references(
            refs, offline=offline, headers=not config_only, refresh=refresh, config_suffices=True
        )
    except AdapterAlone:
        if fail_on or ignore or sketch or output is not None or len(refs) != 2:
            raise
        found = [
            inspect_or_adapter(
                ref, base=base, offline=offline, headers=not config_only, refresh=refresh
            )
            for ref in refs
        ]
        if write_adapter_diff(found, format) and exit_code:
            raise typer.Exit(1) from None
        end_if_partial(found)
        return
    if base is not None:
        fail("--base is for adapters; none of these is one")
    from ..compare.unstated import with_unstated_facts

    readings = with_unstated_facts(readings)
    if output is not None:
        write_picture(figure_drawings(readings, suffix), output)
    if sketch and not format.is_document:
        print_sketch(readings, fenced=format is Format.markdown)
    from ..views.comparison import compare_any

    compared = compare_any(readings, everything, rules)
    verdict = judged(readings, fail_on, ignore or []) if fail_on or ignore else None
    if brief and format.is_document:
        write_document(Format.ndjson, document(readings, verdict, brief))
    else:
        write(format, "comparison", lambda: compared, lambda: document(readings, verdict))
    if verdict is not None:
        if not format.is_document:
            emit(verdict, ReportFormat(format), "-")
        raise typer.Exit(verdict.exit_code)
    if exit_code and (compared.conflicts or compared.changed):
        raise typer.Exit(1)
    end_if_partial(readings)


def write_adapter_diff(
    found: Sequence[Reading | Observation | AdapterReading], format: Format
) -> bool:
    """Write how two adapters differ; return whether they do.

    Ends the program if one of the two is a model.
    """
    from ..checkpoint.adapters.reading import AdapterReading
    from ..compare.adapters import compare_adapters
    from ..renderers import json
    from ..views.adapter import adapter_diff_table

    old, new = found
    if not isinstance(old, AdapterReading) or not isinstance(new, AdapterReading):
        fail(
            "an adapter is compared with an adapter, a model with a model",
            "llmarch show ADAPTER --base MODEL tells whether they fit",
        )
    changes = compare_adapters(old, new)
    write(
        format,
        "table",
        lambda: adapter_diff_table(old, new, changes),
        lambda: json.adapter_comparison(old, new, changes),
    )
    return bool(changes)


def judged(
    readings: Sequence[Reading | Observation], fail_on: str | None, ignore: list[str]
) -> Report:
    """Compare each of the other models with the first, by the rules of `check`.

    readings: the models.
    fail_on: severity from which changes fail, None for that of the project.
    ignore: rules that are ignored, besides those of the project.
    """
    from ..compare.check import make_report, project_policy
    from ..compare.gate import judge
    from ..compare.lock import make_entry
    from ..sources.identity import identify_files

    for r in readings:
        identify_files(r.raw)
    policy = project_policy().with_options(fail_on, ignore)
    old, *others = map(make_entry, readings)
    return make_report(tuple(judge(old, new, policy) for new in others), policy)


def document(
    readings: Sequence[Reading | Observation], verdict: Report | None, brief: bool = False
) -> object:
    """Return the JSON document of a comparison, with the verdict if one was asked for.

    brief: whether it has changes and figures alone.
    """
    from ..renderers import json

    compared = json.brief_comparison(readings) if brief else json.comparison(readings)
    if verdict is None:
        return compared
    return compared | {"check": json.report(verdict)}
