"""`llmarch memory`."""

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
    load,
    write,
)

if TYPE_CHECKING:
    from ..analyses.planning import PlannedModel
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU


@app.command(
    epilog=examples(
        "llmarch memory qwen3-235b --context 32k --batch 8 --gpus 8xH100",
        "llmarch memory deepseek-v3 --kv-dtype fp8 --weights fp8 --gpus 8xH200 --tp 8 --ep 8 --engine vllm",
        "llmarch memory llama3.1-8b gemma3-27b qwen3-next --context 128k",
    )
)
def memory(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF...",
            help="One model, or several to set side by side.",
            autocompletion=complete,
        ),
    ],
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            help="Tokens of a sequence: 4096, 128k, 1M. Default: what models share.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences at a time.")] = 1,
    kv_dtype: Annotated[
        str,
        typer.Option(
            "--kv-dtype",
            metavar="DTYPE",
            help="Keys and values: bf16, fp16, fp8, fp32, fp8_ds_mla, ... (docs/cache.md).",
        ),
    ] = "bf16",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FORMAT",
            help="bf16, fp8, int4 or as-stored, which is the default.",
        ),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option("--gpus", metavar="NxNAME", help="8xH100, RTX4090, 2x24GB.")
    ] = None,
    tp: Annotated[
        int | None,
        typer.Option("--tp", min=1, help="Ranks that share the heads. Default: all GPUs."),
    ] = None,
    ep: Annotated[
        int | None,
        typer.Option(
            "--ep", min=1, help="Ranks that share the experts. Default: none, each is divided."
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="By whose rules: ideal, vllm, sglang, transformers (docs/cache.md).",
        ),
    ] = "ideal",
    utilization: Annotated[
        float,
        typer.Option(
            "--utilization",
            min=0.01,
            max=1.0,
            help="The share of a GPU that weights and cache may take.",
        ),
    ] = 0.9,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show what a model takes: weights, cache and state, on one GPU or several, and what fits."""
    from ..analyses.planning import PlanOptions, plan_models

    number, gpu = named(gpus)
    options = PlanOptions(
        tokens(context), batch, kv_dtype, weights, number, gpu, tp, ep, engine, utilization
    )
    readings = [
        load(ref, offline=offline, headers=not config_only, refresh=refresh) for ref in refs
    ]
    planned = plan_models(readings, options)
    from ..views.memory import view

    write(
        format,
        "memory",
        lambda: view(planned, gpu.name if gpu else None),
        lambda: document(readings, planned, gpu),
    )
    end_if_partial(readings)


def document(readings: list[Reading], planned: list[PlannedModel], gpu: GPU | None) -> object:
    from ..renderers import json

    return json.memory(readings, planned, gpu)


def named(gpus: str | None) -> tuple[int | None, GPU | None]:
    """How many GPUs, and which; nothing where none is named."""
    if gpus is None:
        return None, None
    from ..sources.gpus import find

    return find(gpus)


def tokens(context: str | None) -> int | None:
    from ..views import numbers

    try:
        return None if context is None else numbers.tokens(context)
    except (ValueError, OverflowError):
        fail(f"--context {context}: a number of tokens is needed", "such as 4096, 128k or 1M")
