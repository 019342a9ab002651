"""The command `llmarch memory`."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from . import app
from .common import (
    DOCUMENT_FORMATS,
    ConfigOnly,
    Format,
    GpuLayers,
    Offline,
    Refresh,
    end_if_partial,
    examples,
    fail,
    file_option,
    find_gpu,
    finite,
    inspect_reference,
    load_reference,
    models_argument,
    parse_context,
    with_json_refusals,
    write,
)
from .completion import complete_cache_dtypes, complete_engines, complete_gpus, complete_weights
from .pictures import picture_format, write_picture

if TYPE_CHECKING:
    from ..analyses.drafting import Drafter
    from ..analyses.planning import PlannedModel
    from ..analyses.scenarios import Scenario
    from ..checkpoint.reading import Reading
    from ..sources.gpus import GPU


THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
"""A number with commas between its thousands."""


class MemoryFormat(StrEnum):
    """How to write plans."""

    text = "text"
    json = "json"
    ndjson = "ndjson"
    markdown = "markdown"
    csv = "csv"


@app.command(
    epilog=examples(
        "llmarch memory qwen3-235b --context 32k --batch 8 --gpus 8xH100",
        "llmarch memory deepseek-v3 --kv-dtype fp8 --gpus 8xH200 --ep 8",
        "llmarch memory qwen3-30b-a3b --engine vllm --gpus 2xRTX4090 --tp 2",
        "llmarch memory llama3.1-8b gemma3-27b qwen3-next --context 128k",
        "llmarch memory deepseek-v3 --gpus 8xH200 -o memory.svg",
        "llmarch memory qwen3-32b --context 8k,32k,128k --batch 1,16 --gpus 2xH100,4xL40S -f csv",
    )
)
@with_json_refusals
def memory(
    refs: Annotated[
        list[str],
        models_argument("One model, or several to compare."),
    ],
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            help="Tokens of a sequence: 4096, 128k, 1M. Default: what all models have, up to 128k. "
            "Several, with commas: each is planned; so for --batch, --kv-dtype, --weights, --gpus.",
        ),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", metavar="N", help="Sequences at a time.")] = "1",
    kv_dtype: Annotated[
        str,
        typer.Option(
            "--kv-dtype",
            metavar="DTYPE",
            help="Dtype of keys and values: auto (the engine's own choice), bf16, fp8, q8_0, "
            "q8_0/f16 for unlike ones (llama.cpp), ... "
            "(docs/cache.md).",
            autocompletion=complete_cache_dtypes,
        ),
    ] = "auto",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FORMAT",
            help="Format of the weights: as-stored (default), bf16, fp8, int4, mxfp4, nvfp4, nf4, "
            "q4_k_m, ... (docs/cache.md).",
            autocompletion=complete_weights,
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            metavar="NxNAME",
            help="Number and kind: 8xH100, RTX4090, 2x24GB.",
            autocompletion=complete_gpus,
        ),
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
            help="Whose rules: ideal, transformers, vllm, sglang, llama.cpp, trtllm, mlx "
            "(docs/cache.md); vllm@0.12 for the rules of another version.",
            autocompletion=complete_engines,
        ),
    ] = "ideal",
    utilization: Annotated[
        float | None,
        typer.Option(
            "--utilization",
            "--gpu-memory-utilization",
            "--mem-fraction-static",
            min=0.01,
            max=1.0,
            callback=finite,
            help="Fraction of a GPU's memory that may be filled. Default: the engine's own, "
            "or 0.9.",
        ),
    ] = None,
    pp: Annotated[
        int | None, typer.Option("--pp", min=1, help="Pipeline stages. Default: 1.")
    ] = None,
    dp: Annotated[
        int | None,
        typer.Option(
            "--dp",
            min=1,
            help="Groups of ranks with sequences of their own (attention-DP with --ep). "
            "Default: what the GPUs leave.",
        ),
    ] = None,
    dcp: Annotated[
        int | None,
        typer.Option(
            "--dcp", min=1, help="Ranks that divide the tokens of a sequence. Default: 1."
        ),
    ] = None,
    max_num_batched_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-num-batched-tokens",
            "--chunked-prefill-size",
            "--ubatch-size",
            min=1,
            metavar="TOKENS",
            help="Tokens of one batch. Default: the engine's own for the GPU.",
        ),
    ] = None,
    max_num_seqs: Annotated[
        int | None,
        typer.Option(
            "--max-num-seqs",
            "--max-running-requests",
            min=1,
            help="Sequences of one batch. Default: the engine's own for the GPU.",
        ),
    ] = None,
    prefix_caching: Annotated[
        bool | None,
        typer.Option(
            "--prefix-caching/--no-prefix-caching",
            help="Whether prefixes are kept for later requests. Default: the engine's own.",
        ),
    ] = None,
    block_size: Annotated[
        int | None,
        typer.Option(
            "--block-size", min=1, metavar="TOKENS", help="Tokens of a block of the cache."
        ),
    ] = None,
    async_scheduling: Annotated[
        bool | None,
        typer.Option(
            "--async-scheduling/--no-async-scheduling",
            help="Whether a second batch is scheduled while one runs (vLLM): windows are reserved "
            "for both. Default: yes with a version from 0.26 on, else no.",
        ),
    ] = None,
    speculative: Annotated[
        str | None,
        typer.Option(
            "--speculative",
            metavar="METHOD[:REF][:N]",
            help="Draft N tokens (1) in a step: mtp with the model's own MTP modules, draft:REF "
            "with another model, eagle:REF with a head. Their weights and cache, a state a token.",
        ),
    ] = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Load no encoders of images or sounds.")
    ] = False,
    cpu_moe: Annotated[
        int,
        typer.Option(
            "--cpu-moe",
            "--n-cpu-moe",
            min=0,
            metavar="N",
            help="Keep the routed experts of the first N layers on the CPU (llama.cpp).",
        ),
    ] = 0,
    gpu_layers: GpuLayers = None,
    cpu_offload_gb: Annotated[
        float,
        typer.Option(
            "--cpu-offload-gb",
            min=0,
            callback=finite,
            metavar="GIB",
            help="GiB of each GPU's layers that stay on the CPU (vLLM, SGLang).",
        ),
    ] = 0,
    adapters: Annotated[
        int,
        typer.Option(
            "--adapters",
            "--max-loras",
            min=0,
            metavar="N",
            help="LoRA adapters that may run in one batch; the engine sets memory aside for them.",
        ),
    ] = 0,
    adapter_rank: Annotated[
        int,
        typer.Option(
            "--adapter-rank",
            "--max-lora-rank",
            min=1,
            metavar="R",
            help="The largest rank of an adapter that is admitted. Default: 16, as in vLLM.",
        ),
    ] = 16,
    tensor_split: Annotated[
        str | None,
        typer.Option(
            "--tensor-split",
            metavar="N0,N1,...",
            help="Part of the layers of each GPU: 3,1 (llama.cpp). Default: equal parts.",
        ),
    ] = None,
    no_kv_offload: Annotated[
        bool,
        typer.Option("--no-kv-offload", help="Keep the cache on the CPU (llama.cpp)."),
    ] = False,
    activations: Annotated[
        str | None,
        typer.Option(
            "--activations", metavar="SIZE", help="Peak activations: 2GiB. Default: an estimate."
        ),
    ] = None,
    graphs: Annotated[
        str | None,
        typer.Option(
            "--graphs",
            metavar="SIZE",
            help="Captured graphs: 500MiB, or 0 for eager mode. Default: an estimate.",
        ),
    ] = None,
    reserve: Annotated[
        str | None,
        typer.Option(
            "--reserve",
            metavar="SIZE",
            help="All that is kept beside weights and cache, in place of the estimates.",
        ),
    ] = None,
    kv_cache_memory: Annotated[
        str | None,
        typer.Option(
            "--kv-cache-memory",
            "--kv-cache-memory-bytes",
            metavar="SIZE",
            help="The cache's pool on a GPU: 15.58GiB. Default: what is left.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        file_option("Write charts too (.svg, .png, .pdf, .html), or the answer (.json, .csv)."),
    ] = None,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Write the cache's growth with the context into the JSON."),
    ] = False,
    format: Annotated[
        MemoryFormat, typer.Option("--format", "-f", help="Output format.")
    ] = MemoryFormat.text,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Show the memory that weights, cache and state take on GPUs."""
    from ..analyses.adapter_slots import check_rank
    from ..analyses.engines.pools import EngineOptions
    from ..analyses.launch_options import parse_split
    from ..analyses.memory import Reserve
    from ..analyses.planning import PlanOptions, plan_models
    from ..analyses.scenarios import Choices, plan_scenarios

    if output is not None:
        picture_format(output)
    if adapters:
        check_rank(engine.partition("@")[0], adapter_rank)
    choices = Choices(
        contexts=tuple(parse_context(part) for part in split_contexts(context)),
        batches=tuple(parse_batch(part) for part in split_list(batch)),
        kv_dtypes=tuple(part or "auto" for part in split_list(kv_dtype)),
        weights=tuple(split_list(weights)),
        gpus=tuple(find_gpu(part) for part in split_list(gpus)),
    )
    speculation = parse_speculation(speculative)
    options = PlanOptions(
        tensor=tp,
        expert=ep,
        engine=engine,
        utilization=utilization,
        pipeline=pp,
        data=dp,
        decode_context=dcp,
        engine_options=EngineOptions(
            batched_tokens=max_num_batched_tokens,
            max_sequences=max_num_seqs,
            prefix_caching=prefix_caching,
            block_size=block_size,
            batches_in_flight=None if async_scheduling is None else 1 + async_scheduling,
            draft_tokens=speculation.tokens,
            gpu_layers=gpu_layers,
            offload_bytes=int(cpu_offload_gb * 2**30),
            cache_on_cpu=no_kv_offload,
            split=parse_split(tensor_split),
            adapters=adapters,
            adapter_rank=adapter_rank,
        ),
        reserve=Reserve(
            activations=parse_size("--activations", activations),
            graphs=parse_size("--graphs", graphs),
            whole=parse_size("--reserve", reserve),
        ),
        pool_bytes=parse_size("--kv-cache-memory", kv_cache_memory),
        speculative=speculation.mtp,
        text_only=text_only,
        cpu_expert_layers=cpu_moe,
    )
    readings = [
        load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
        for ref in refs
    ]
    from ..views.headings import with_different_names

    readings = with_different_names(readings)
    if speculation.drafter:
        drafter = read_drafter(speculation.drafter, readings[0], offline=offline, refresh=refresh)
        options = replace(options, drafter=drafter)
    if choices.count > 1 or format is MemoryFormat.csv:
        if output is not None:
            fail("charts show one scenario", "name one context, batch, format and kind of GPU")
        scenarios = plan_scenarios(readings, choices.combine(options), curve)
        write_scenarios(format, readings, list(scenarios))
        end_if_partial(readings)
        return
    (options,) = choices.combine(options)
    gpu = options.gpu
    is_document = format.value in DOCUMENT_FORMATS
    planned = plan_models(readings, options, curve or not is_document)
    gpu_name = gpu.name if gpu else None
    if output is not None:
        from ..layout.charts import chart_drawing
        from ..views.charts import memory_charts

        write_picture([chart_drawing(memory_charts(planned, gpu_name))], output)
    from ..views.memory import memory_view
    from ..views.remarks import reading_warnings

    write(
        Format(format.value),
        "memory",
        lambda: memory_view(planned, gpu_name, [*reading_warnings(readings), *gpu_notes(gpu)]),
        lambda: memory_document(readings, planned, gpu),
    )
    end_if_partial(readings)


def split_list(text: str | None) -> list[str | None]:
    """Return the parts of an option between commas; one None without the option."""
    if text is None:
        return [None]
    parts = [part.strip() for part in text.split(",")]
    return list(dict.fromkeys(part for part in parts if part)) or [text]


def split_contexts(text: str | None) -> list[str | None]:
    """Return the contexts between commas; `131,072` is one."""
    if text is not None and THOUSANDS.fullmatch(text):
        return [text]
    return split_list(text)


def parse_batch(text: str | None) -> int:
    """Return the sequences that `--batch` means. Ends the program for text that is not a number."""
    if text is None or not text.isdecimal() or not 0 < int(text[:20]) < 10**12:
        fail(f"--batch {text} is not a number of sequences", "such as 1, 64, or 1,8,64 for several")
    return int(text)


def write_scenarios(
    format: MemoryFormat, readings: list[Reading], scenarios: list[Scenario]
) -> None:
    """Write the plans of several scenarios: a table, CSV with units in its names, or JSON."""
    if format is MemoryFormat.csv:
        from ..renderers.csv import rows_text
        from ..renderers.output import write_text
        from ..views.scenarios import scenario_row

        rows = [scenario_row(scenario, readings[scenario.number]) for scenario in scenarios]
        write_text(rows_text(rows), "json")
        return
    from ..views.scenarios import scenarios_table

    write(
        Format(format.value),
        "table",
        lambda: scenarios_table(scenarios, readings),
        lambda: scenarios_document(readings, scenarios),
    )


def scenarios_document(readings: list[Reading], scenarios: list[Scenario]) -> object:
    """Return the JSON document of scenarios."""
    from ..renderers import json

    return json.scenarios(readings, scenarios)


def gpu_notes(gpu: GPU | None) -> list[str]:
    """Return what a reader must know of a kind of GPU."""
    if gpu is None or not gpu.note:
        return []
    return [gpu.note]


def memory_document(
    readings: list[Reading], planned: list[PlannedModel], gpu: GPU | None
) -> object:
    """Return the JSON document of plans."""
    from ..renderers import json

    return json.memory(readings, planned, gpu)


def parse_size(option: str, text: str | None) -> int | None:
    """Return the bytes that an option means. Ends the program for text that is not a size."""
    if text is None:
        return None
    from ..views import numbers

    try:
        return numbers.size_bytes(text)
    except (ValueError, OverflowError):
        fail(f"{option} {text} is not a size", "such as 1.5GiB, 800MB or 0")


class Speculation(NamedTuple):
    """What `--speculative` says."""

    mtp: bool = False
    """Whether the model's own MTP modules draft."""
    drafter: str = ""
    """The reference of another model, or of a head; empty if none is named."""
    tokens: int = 0


DRAFT_METHODS = ("draft", "eagle", "eagle3")
"""Methods of `--speculative` that name another model or a head."""


def parse_speculation(text: str | None) -> Speculation:
    """Return what `--speculative` says. Ends the program for another method."""
    if text is None:
        return Speculation()
    method, _, rest = text.partition(":")
    method = method.lower()
    ref, _, digits = rest.rpartition(":")
    if method == "mtp" and (rest or "1").isdecimal() and int(rest or 1):
        return Speculation(mtp=True, tokens=int(rest or 1))
    if not digits.isdecimal():
        ref, digits = rest, "1"
    if method not in DRAFT_METHODS or not ref or not int(digits):
        fail(
            f"--speculative {text} is not known",
            "such as mtp:3, eagle:ORG/HEAD:3, or draft:qwen3-0.6b:5 for five tokens a step",
        )
    return Speculation(drafter=ref, tokens=int(digits))


def read_drafter(
    ref: str, target: Reading, format: str | None = None, *, offline: bool, refresh: bool
) -> Drafter:
    """Return a drafter: a model whose facts are known, or a head by its tensors and config.

    format: how a model's weights are held; None: as stored.
    """
    from ..analyses.drafting import Drafter, draft_head
    from ..analyses.planning import resolve_requested_weights
    from ..checkpoint.reading import Observation

    reading = inspect_reference(ref, offline=offline, headers=True, refresh=refresh)
    if isinstance(reading, Observation):
        return draft_head(reading, target.architecture)
    weights = resolve_requested_weights(reading, format)
    return Drafter(reading.name, reading.architecture, weights)
