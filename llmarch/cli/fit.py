"""The command `llmarch fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import app
from .common import (
    ConfigOnly,
    Format,
    GpuLayers,
    Offline,
    Output,
    Refresh,
    end_if_partial,
    examples,
    fail,
    find_gpu,
    finite,
    load_reference,
    models_argument,
    parse_context,
    with_json_refusals,
    write,
)
from .completion import complete_cache_dtypes, complete_engines, complete_gpus, complete_weights

if TYPE_CHECKING:
    from ..analyses.advice import Advice
    from ..analyses.launch_lines import LaunchLine
    from ..analyses.planning import PlanOptions
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU

DOES_NOT_FIT = 5
"""The exit code of `--check` for a model that does not fit, or of which that is not known."""


@app.command(
    epilog=examples(
        "llmarch fit qwen3-235b --gpus H100 --context 32k --batch 16",
        "llmarch fit deepseek-v3 --gpus 8xH200 --engine sglang",
        "llmarch fit --from 'vllm serve Qwen/Qwen3-8B -tp 2 --max-model-len 32k' --gpus L40S",
    )
)
@with_json_refusals
def fit(
    ref: Annotated[
        str | None,
        models_argument("The model.", "REF"),
    ] = None,
    gpus: Annotated[
        str,
        typer.Option(
            "--gpus",
            metavar="[Nx]NAME",
            help="Kind of GPU: H100; or 8xH100 of it.",
            autocompletion=complete_gpus,
        ),
    ] = "H100",
    context: Annotated[
        str | None,
        typer.Option(
            "--context", metavar="TOKENS", help="Tokens of a sequence. Default: up to 128k."
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", "--concurrency", min=1, help="Sequences at a time. Default: 1."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Whose rules and command line. Default: vllm.",
            autocompletion=complete_engines,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FORMAT",
            help="Format of the weights.",
            autocompletion=complete_weights,
        ),
    ] = None,
    kv_dtype: Annotated[
        str,
        typer.Option(
            "--kv-dtype",
            metavar="DTYPE",
            help="Dtype of keys and values.",
            autocompletion=complete_cache_dtypes,
        ),
    ] = "auto",
    utilization: Annotated[
        float | None,
        typer.Option(
            "--utilization",
            min=0.01,
            max=1.0,
            callback=finite,
            help="Fraction of a GPU to fill.",
        ),
    ] = None,
    gpu_layers: GpuLayers = None,
    line: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LINE",
            help="A command line of vllm serve, sglang.launch_server, llama-server or "
            "trtllm-serve to check.",
        ),
    ] = None,
    allow_overflow: Annotated[
        bool,
        typer.Option("--allow-overflow", help="Allow a context beyond the model's own."),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 5 unless it fits.")] = False,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Find the fewest GPUs and the layout in which a model fits, and the command to start it."""
    from dataclasses import replace

    from ..analyses.advice import advise
    from ..analyses.engines.pools import EngineOptions
    from ..analyses.launch_lines import read_launch_line
    from ..analyses.planning import PlanOptions
    from ..errors import PlanError

    number, gpu = find_gpu(gpus)
    if gpu is None:
        fail("no kind of GPU is named", "such as --gpus H100")
    named = gpus.strip()[:1].isdigit() and number is not None
    counts = (number or 1,) if named else ()
    options = PlanOptions(
        context=parse_context(context),
        batch=batch or 1,
        kv_dtype=kv_dtype,
        engine=engine or "vllm",
        utilization=utilization,
        weights=weights,
        engine_options=EngineOptions(gpu_layers=gpu_layers),
    )
    read = None
    if line is not None:
        read = read_launch_line(line)
        ref = ref or read.model
        said = {
            "context": options.context,
            "batch": batch,
            "utilization": utilization,
            "weights": weights,
            "kv_dtype": None if kv_dtype == "auto" else kv_dtype,
        }
        options = options_of_line(read, said, engine, gpu_layers)
        counts = gpus_of_line(options, number if named else None)
    if ref is None:
        fail("no model is named", "name one, or a command line with --from")
    options = replace(options, gpu=gpu, gpus=None)
    reading = load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
    notes: list[str] = []
    if read is not None:
        notes = read.notes
        reading = extend_context(reading, read, notes)
        options = finish_line(read, options, reading, notes, offline=offline, refresh=refresh)
        if read.said.fits_context:
            shortest = advise(reading, replace(options, context=1), counts)
            if shortest.plan.any_context_fits:
                notes.append("the command line asks for the longest context that fits: any does")
            else:
                longest = shortest.plan.largest_context or reading.architecture.context_length
                options = replace(options, context=longest)
                notes.append("the context is the longest that fits, as the command line asks")
    own = reading.architecture.context_length
    if own and (options.context or 0) > own and not allow_overflow:
        raise PlanError(
            f"{reading.name}: its own context is {own:,}", "--allow-overflow plans it all the same"
        )
    advice = advise(reading, options, counts)
    if read is not None:
        advice = replace(advice, launch=(line or "").strip(), notes=tuple(notes))
    write_advice(format, reading, advice, gpu)
    end_if_partial([reading])
    if check and not advice.fits:
        raise typer.Exit(DOES_NOT_FIT)


def options_of_line(
    read: LaunchLine, said: dict[str, Any], engine: str | None, gpu_layers: int | None
) -> PlanOptions:
    """Return the options of a command line, with what the user says besides in their place.

    said: by name; None is not said.

    Raises PlanError for another engine.
    """
    from dataclasses import replace

    from ..errors import PlanError

    options = read.options
    if engine is not None and engine_named(engine) != options.engine:
        raise PlanError(
            f"the command line is of {options.engine}, not of {engine}", "leave --engine out"
        )
    given = {name: value for name, value in said.items() if value is not None}
    options = replace(options, **given)
    if gpu_layers is not None:
        engine_options = replace(options.engine_options, gpu_layers=gpu_layers)
        options = replace(options, engine_options=engine_options)
    return options


def engine_named(name: str) -> str:
    """Return an engine's own name. Ends the program with the known ones for another."""
    from ..analyses.planning import parse_engine

    return parse_engine(name).name


def gpus_of_line(options: PlanOptions, number: int | None) -> tuple[int, ...]:
    """Return the number of GPUs that a command line takes.

    number: GPUs that there are, if the user says so. Some engines take all of them.

    Raises PlanError if the line needs more.
    """
    from ..analyses.planning import parse_engine
    from ..errors import PlanError

    needed = options.gpus or 1
    if parse_engine(options.engine).takes_all_gpus:
        return (number or max(1, len(options.engine_options.split)),)
    if number is not None and needed > number:
        raise PlanError(
            f"the command line needs {needed} GPUs, --gpus names {number}", "name as many"
        )
    return (needed,)


def extend_context(reading: Reading, read: LaunchLine, notes: list[str]) -> Reading:
    """Return a reading with the context that a command line gives the model, and say so."""
    from dataclasses import replace

    a, extension = reading.architecture, read.said.extension
    if extension is None or not a.context_length:
        return reading
    context = extension.context(a.context_length)
    if context == a.context_length:
        return reading
    notes.append(f"the command line makes the model's own context {context:,} tokens")
    return replace(reading, architecture=replace(a, context_length=context))


def finish_line(
    read: LaunchLine,
    options: PlanOptions,
    reading: Reading,
    notes: list[str],
    *,
    offline: bool,
    refresh: bool,
) -> PlanOptions:
    """Return options with what follows from the model: its context, drafter, and loaded format.

    notes: gets a sentence where a draft model's file is not here.
    """
    from dataclasses import replace

    from ..analyses.planning import parse_engine
    from .memory import read_drafter

    a, said = reading.architecture, read.said
    if options.context is None:
        options = replace(options, context=a.context_length)
    if options.weights is None and said.online_format and a.quantization is None:
        options = replace(options, weights=said.online_format)
    if said.drafter.endswith(".gguf") and not Path(said.drafter).is_file():
        notes.append(f"{said.drafter} is not here: nothing is planned for what drafts")
    elif said.drafter:
        drafter = read_drafter(
            said.drafter, reading, said.drafter_format, offline=offline, refresh=refresh
        )
        options = replace(options, drafter=drafter)
    if parse_engine(options.engine).takes_all_gpus:
        options = replace(options, pipeline=None, tensor=1)
    return options


def write_advice(format: Format, reading: Reading, advice: Advice, gpu: GPU) -> None:
    """Write the advice in a format."""
    from ..renderers import json
    from ..views.memory import fit_view
    from ..views.remarks import reading_warnings

    write(
        format,
        "memory",
        lambda: fit_view(advice, gpu.name, [*reading_warnings([reading]), *advice.notes]),
        lambda: json.fit(reading, advice, gpu),
    )
