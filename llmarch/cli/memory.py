"""The command `llmarch memory`."""

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
    load_reference,
    write,
)

if TYPE_CHECKING:
    from ..analyses.planning import PlannedModel
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU


@app.command(
    epilog=examples(
        "llmarch memory qwen3-235b --context 32k --batch 8 --gpus 8xH100",
        "llmarch memory deepseek-v3 --kv-dtype fp8 --gpus 8xH200 --ep 8",
        "llmarch memory qwen3-30b-a3b --engine vllm --gpus 2xRTX4090 --tp 2",
        "llmarch memory llama3.1-8b gemma3-27b qwen3-next --context 128k",
    )
)
def memory(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF...",
            help="One model, or several to compare.",
            autocompletion=complete,
        ),
    ],
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            help="Tokens of a sequence: 4096, 128k, 1M. Default: what all models have, up to 128k.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences at a time.")] = 1,
    kv_dtype: Annotated[
        str,
        typer.Option(
            "--kv-dtype",
            metavar="DTYPE",
            help="Dtype of keys and values: bf16, fp16, fp8, fp32, ... (docs/cache.md).",
        ),
    ] = "bf16",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FORMAT",
            help="Format of the weights: bf16, fp8, int4, as-stored (default).",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option("--gpus", metavar="NxNAME", help="Number and kind: 8xH100, RTX4090, 2x24GB."),
    ] = None,
    tp: Annotated[
        int | None,
        typer.Option("--tp", min=1, help="Degree of tensor parallelism. Default: all GPUs."),
    ] = None,
    ep: Annotated[
        int | None,
        typer.Option(
            "--ep",
            min=1,
            help="Degree of expert parallelism. Default: 1, experts are split like the rest.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Whose cache layout: ideal, vllm, sglang, transformers (docs/cache.md).",
        ),
    ] = "ideal",
    utilization: Annotated[
        float,
        typer.Option(
            "--utilization",
            min=0.01,
            max=1.0,
            help="Fraction of a GPU's memory for weights and cache.",
        ),
    ] = 0.9,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show the memory that weights, cache and state take on GPUs."""
    from ..analyses.planning import PlanOptions, plan_models

    number, gpu = find_gpu(gpus)
    options = PlanOptions(
        parse_context(context), batch, kv_dtype, weights, number, gpu, tp, ep, engine, utilization
    )
    readings = [
        load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
        for ref in refs
    ]
    planned = plan_models(readings, options)
    from ..views.memory import memory_view

    write(
        format,
        "memory",
        lambda: memory_view(planned, gpu.name if gpu else None, conflict_warnings(readings)),
        lambda: memory_document(readings, planned, gpu),
    )
    end_if_partial(readings)


def conflict_warnings(readings: list[Reading]) -> list[str]:
    """Return what contradicts each config, with the model's name where there are several."""
    from ..views.conflict import conflict_lines

    warnings: list[str] = []
    for reading in readings:
        prefix = f"{reading.name}: " if len(readings) > 1 else ""
        warnings += [f"{prefix}{line}" for line in conflict_lines(reading)]
    return warnings


def memory_document(
    readings: list[Reading], planned: list[PlannedModel], gpu: GPU | None
) -> object:
    """Return the JSON document of plans."""
    from ..renderers import json

    return json.memory(readings, planned, gpu)


def find_gpu(gpus: str | None) -> tuple[int | None, GPU | None]:
    """Return how many GPUs are asked for, and which; None for both without the option."""
    if gpus is None:
        return None, None
    from ..sources.gpus import parse_gpus

    return parse_gpus(gpus)


def parse_context(context: str | None) -> int | None:
    """Return the tokens that `--context` means. Ends the program for text that is no number."""
    if context is None:
        return None
    from ..views import numbers

    try:
        return numbers.tokens(context)
    except (ValueError, OverflowError):
        fail(f"--context {context} is not a number of tokens", "such as 4096, 128k or 1M")
