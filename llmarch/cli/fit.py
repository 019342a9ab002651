"""The command `llmarch fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Format,
    Offline,
    Output,
    Refresh,
    complete,
    end_if_partial,
    examples,
    fail,
    find_gpu,
    load_reference,
    parse_context,
    write,
)

if TYPE_CHECKING:
    from ..analyses.advice import Advice
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
def fit(
    ref: Annotated[
        str | None,
        typer.Argument(metavar="REF", help="The model.", autocompletion=complete),
    ] = None,
    gpus: Annotated[
        str, typer.Option("--gpus", metavar="[Nx]NAME", help="Kind of GPU: H100; or 8xH100 of it.")
    ] = "H100",
    context: Annotated[
        str | None,
        typer.Option(
            "--context", metavar="TOKENS", help="Tokens of a sequence. Default: up to 128k."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", "--concurrency", min=1, help="Sequences at a time.")
    ] = 1,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Whose rules and command line.")
    ] = "vllm",
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="FORMAT", help="Format of the weights."),
    ] = None,
    kv_dtype: Annotated[
        str, typer.Option("--kv-dtype", metavar="DTYPE", help="Dtype of keys and values.")
    ] = "auto",
    utilization: Annotated[
        float | None,
        typer.Option("--utilization", min=0.01, max=1.0, help="Fraction of a GPU to fill."),
    ] = None,
    gpu_layers: Annotated[
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
    ] = None,
    line: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LINE",
            help="A command line of vllm serve, sglang.launch_server or llama-server to check.",
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
    from ..analyses.advice import advise
    from ..analyses.engines.pools import EngineOptions
    from ..analyses.launch_lines import read_launch_line
    from ..analyses.planning import PlanOptions

    number, gpu = find_gpu(gpus)
    if gpu is None:
        fail("no kind of GPU is named", "such as --gpus H100")
    named = gpus.strip()[:1].isdigit() and number is not None
    if line is not None:
        named_ref, options = read_launch_line(line)
        ref = ref or named_ref
        counts = (options.gpus or 1,)
    else:
        counts = (number or 1,) if named else ()
        options = PlanOptions(
            context=parse_context(context),
            batch=batch,
            kv_dtype=kv_dtype,
            engine=engine,
            utilization=utilization,
            engine_options=EngineOptions(gpu_layers=gpu_layers),
        )
    if ref is None:
        fail("no model is named", "name one, or a command line with --from")
    options = finish_options(options, weights, gpu)
    reading = load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
    own = reading.architecture.context_length
    if own and (options.context or 0) > own and not allow_overflow:
        fail(
            f"{reading.name}: its own context is {own:,}", "--allow-overflow plans it all the same"
        )
    advice = advise(reading, options, counts)
    write_advice(format, reading, advice, gpu)
    end_if_partial([reading])
    if check and not advice.fits:
        raise typer.Exit(DOES_NOT_FIT)


def finish_options(options: PlanOptions, weights: str | None, gpu: GPU) -> PlanOptions:
    """Return options with the kind of GPU, whose number is searched, and the weights' format."""
    from dataclasses import replace

    return replace(options, weights=weights, gpu=gpu, gpus=None)


def write_advice(format: Format, reading: Reading, advice: Advice, gpu: GPU) -> None:
    """Write the advice in a format."""
    from ..renderers import json
    from ..views.memory import fit_view
    from ..views.remarks import reading_warnings

    write(
        format,
        "memory",
        lambda: fit_view(advice, gpu.name, reading_warnings([reading])),
        lambda: json.fit(reading, advice, gpu),
    )
