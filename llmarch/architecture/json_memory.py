"""What `memory --format json` writes. Sizes are bytes, lengths are tokens."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from .json_show import CheckpointDocument, SourceDocument


class FootprintDocument(TypedDict):
    """Bytes of weights, cache and state."""

    weights: int
    """Bytes of the weights."""
    weights_bytes: int
    """The same as `weights`."""
    cache: int
    """Bytes of keys, values and latents: what grows with the context or is a window."""
    cache_bytes: int
    """The same as `cache`."""
    state: int
    """Bytes that do not depend on the context: recurrent state, convolution, compressor state, keys
    and values of an encoder."""
    state_bytes: int
    """The same as `state`."""
    total: int
    """Sum of the three."""
    total_bytes: int
    """The same as `total`."""


class DrafterDocument(TypedDict):
    """A model or a head that drafts tokens for another."""

    name: str
    """Its name for people."""
    bytes_per_gpu: int
    """Bytes of its weights on one GPU."""
    tokens: int
    """Tokens that it drafts in a step."""


class WeightsDocument(TypedDict):
    """How the weights are held in memory."""

    format: str
    """`as-stored`, or a format that was asked for: `bf16`, `fp8`, `q4_k` (docs/cache.md)."""
    source: str
    """Where the bits are known from, as a phrase."""
    bits: dict[str, float]
    """Bits of each weight by component, scales included."""
    other_bits: float
    """Bits of each weight in all other components."""
    mtp_bytes: int | None
    """Bytes of the MTP modules that the checkpoint holds besides: `show` counts them among what is
    stored. Null: their layout is not known."""
    mtp_loaded: bool
    """Whether MTP modules are loaded and part of the weights (`--speculative`)."""
    drafter: DrafterDocument | None
    """Another model, or a head, that drafts tokens; its weights are part of those of a GPU. Null:
    none."""
    encoders_loaded: bool
    """Whether encoders are loaded and part of the weights (not with `--text-only`)."""


class ParallelDocument(TypedDict):
    """How the model is divided among GPUs."""

    gpus: int
    """Number of GPUs."""
    tensor: int
    """Degree of tensor parallelism: GPUs that share one copy of the model."""
    expert: int
    """Degree of expert parallelism: GPUs that share the experts. 1: experts are cut by tensor
    parallelism like the other matrices."""
    replicas: int
    """Copies of the model, each with sequences of its own: gpus / (tensor · pipeline)."""
    pipeline: int
    """Pipeline stages, each with a part of the layers."""
    decode_context: int
    """GPUs of a tensor-parallel group that divide the tokens of a sequence among them."""


class AllowancePartDocument(TypedDict):
    """One thing that an engine keeps on a GPU beside weights and cache."""

    name: str
    """`activations`, `graphs`, `runtime`, `tables` (of RoPE, loaded with the weights) or
    `reserve`."""
    bytes: int
    """Bytes on the fullest GPU."""
    source: str
    """From where the size is known, as a phrase."""
    given: bool
    """Whether the user gave the size."""
    inside_share: bool
    """Whether it is taken from the share that the engine may fill, and so from the cache's room."""


class PoolGroupDocument(TypedDict):
    """Layers that an engine keeps in the same blocks."""

    kind: str
    """What the layers keep: `full`, `mla`, `sliding`, `sliding_mla`, `chunked`, `state`, or what
    the engine's pools are for."""
    layers: int
    """Number of layers on a GPU."""
    block_tokens: int
    """Tokens of a block."""


class PoolDocument(TypedDict):
    """What the engine makes of the memory that is left for its cache: what it prints itself."""

    memory_bytes: int
    """Bytes of the pool on one GPU ("Available KV cache memory")."""
    tokens: int
    """Tokens in the pool ("GPU KV cache size")."""
    concurrency: float
    """Sequences of the whole context that fit at once ("Maximum concurrency")."""
    concurrency_sequences: float
    """The same as `concurrency`."""
    blocks: int | None
    """Blocks of the pool. Null: the engine has none."""
    block_bytes: int | None
    """Bytes of a block over all layers of a GPU. Null: the engine has none."""
    blocks_per_sequence: int | None
    """Blocks that a sequence of the whole context takes. Null: the engine has none."""
    groups: list[PoolGroupDocument]
    """Groups of layers that share blocks."""


class FlopsDocument(TypedDict):
    """Floating-point operations of one token; a multiply-add is two."""

    total: int
    """Sum over all components."""
    total_flops: int
    """The same as `total`."""
    by_component: dict[str, int]
    """Operations by component; `attention_scores`, `indexer_scores` and `recurrence` depend on the
    context."""
    flops_by_component: dict[str, int]
    """The same as `by_component`."""


class WeightReadsDocument(TypedDict):
    """Bytes of weights that are read to decode one token."""

    batch_1: int
    """With one sequence."""
    batch_1_bytes: int
    """The same as `batch_1`."""
    batch: int
    """With the batch that was asked for: the share of each sequence."""
    batch_bytes: int
    """The same as `batch`."""


class SpeedDocument(TypedDict):
    """Bounds of time by the roofline: what memory bandwidth and peak operations allow at most."""

    decode_tokens_per_second: float
    """Most tokens a second of one sequence."""
    decode_tokens_per_second_all: float
    """Most tokens a second of all sequences of the batch together."""
    decode_bound: str
    """What limits a decoding step: `memory` or `compute`."""
    step_bytes_per_gpu: int
    """Bytes of weights, cache and state that one GPU reads in a decoding step."""
    prefill_seconds: float | None
    """Least seconds for a prompt of the whole context. Null: no peak is known for the GPU."""
    compute_type: str | None
    """Type of the peak that is taken: `bf16`, `fp8`, `int8` or `fp4`. Null: no peak is known."""
    peak_flops_per_second: float | None
    """Operations of that type that a GPU computes in a second, without sparsity."""
    bandwidth_bytes_per_second: float
    """Bytes that a GPU's memory delivers in a second."""
    experts_touched_per_layer: float | None
    """Experts of a MoE layer that a step of the batch is expected to read, if each token chooses
    evenly and by itself. Null: the model has no experts."""
    experts_per_layer: int | None
    """Routed experts of that layer. Null: the model has no experts."""


class CurvePointDocument(TypedDict):
    """One point of the cache's growth."""

    context: int
    """Tokens of each sequence."""
    context_tokens: int
    """The same as `context`."""
    cache_bytes: int
    """Bytes of cache and state on the fullest GPU, for the sequences that it serves."""


class PlanDocument(TypedDict):
    """What one model takes under the request."""

    source: SourceDocument
    """Where the model was read."""
    status: str
    """How far the config is checked, as `parameters.status` of `show`. All figures of the plan are
    the config's; in a `conflict` the checkpoint contradicts it."""
    checkpoint: CheckpointDocument | None
    """What the checkpoint stores. Null: no headers were read."""
    name: str
    """Name of the model for people."""
    context: int
    """Tokens of each sequence."""
    context_tokens: int
    """The same as `context`."""
    batch: int
    """Number of sequences at once, over all GPUs."""
    batch_sequences: int
    """The same as `batch`."""
    engine: str
    """Engine by whose rules bytes are counted: `ideal`, `transformers`, `vllm`, `sglang`,
    `llama.cpp`, `trtllm` or `mlx`."""
    engine_version: str
    """Version of the engine that the rules were read from. Empty: there is none."""
    cache_dtype: str
    """Dtype or layout of keys and values."""
    weights: WeightsDocument
    """How the weights are held in memory."""
    parallel: ParallelDocument
    """How the model is divided among GPUs."""
    one_copy: FootprintDocument
    """Bytes of one undivided copy of the model with the whole batch."""
    per_gpu: FootprintDocument
    """Bytes on the fullest GPU."""
    gpu_layers: int | None
    """Layers on GPUs as llama.cpp counts them (`-ngl`): the last ones, the output included. Null:
    all."""
    cpu_expert_layers: int
    """Layers, from the first on, whose routed experts stay on the CPU."""
    offload_bytes_per_gpu: int
    """Bytes of each GPU's layers that stay on the CPU (`--cpu-offload-gb`)."""
    cache_on_cpu: bool
    """Whether the cache stays on the CPU (`--no-kv-offload`)."""
    layer_split: list[float]
    """Part of the layers of each GPU (`--tensor-split`). Empty: equal parts."""
    adapters: int
    """Number of LoRA adapters that may run in one batch (`--adapters`)."""
    adapter_rank: int
    """Number of dims of the largest adapter that is admitted (`--adapter-rank`)."""
    cpu_cache_bytes: int
    """Bytes of cache and state of the layers that stay on the CPU."""
    cpu_weights_bytes: int
    """Bytes of the weights of one copy that stay in the memory of the CPU (`--cpu-moe`)."""
    all_gpus: FootprintDocument
    """Bytes on all GPUs together: `per_gpu` times their number."""
    gpu_bytes: int | None
    """Memory of one GPU in bytes. Null: no GPU was named."""
    utilization: float
    """Share of a GPU's memory that may be filled, as the engine means it."""
    budget_bytes: int | None
    """Bytes of one GPU that may be filled: gpu_bytes · utilization; of TensorRT-LLM, whose share is
    of what is left, weights, allowance and room. Null: no GPU was named."""
    allowance: list[AllowancePartDocument]
    """What the engine keeps on the fullest GPU beside weights and cache, part by part."""
    allowance_bytes: int
    """Bytes of the parts of the allowance that are taken from the budget."""
    room_bytes: int | None
    """Bytes that are left for the cache on the fullest GPU: budget, less weights and allowance,
    or the pool that was asked for. Negative: the weights do not fit. Null: no GPU was named."""
    room_version: str | None
    """Last version of the engine that leaves `room_bytes`, which is the least of all. Null: the one
    that was read or named."""
    room_bytes_of_version_read: int | None
    """Bytes that the version leaves that was read or named. Null: no GPU was named."""
    room_bytes_up_to_version: dict[str, int]
    """Bytes that other versions of the engine leave for the cache, by the last version that does
    so. Empty: all leave the same, or a version was named."""
    pool: PoolDocument | None
    """What the engine makes of that room. Null: no GPU was named."""
    fits: bool | None
    """Whether weights, allowance and the cache of the batch are within the budget. Null: no GPU was
    named."""
    largest_context: int | None
    """Largest context in tokens that fits at this batch; 0 if not even one token does. Null: no GPU
    was named."""
    largest_context_tokens: int | None
    """The same as `largest_context`."""
    any_context_fits: bool
    """Whether the model has no limit and a context of any length fits, since cache and state do not
    grow from some length on; `largest_context` is then the longest that was tried."""
    largest_batch: int | None
    """Largest batch that fits at this context; 0 if not even one sequence does. Null: no GPU was
    named."""
    largest_batch_sequences: int | None
    """The same as `largest_batch`."""
    context_limit: int | None
    """Context length of the model in tokens. Null: the config does not say."""
    context_limit_tokens: int | None
    """The same as `context_limit`."""
    remarks: list[str]
    """What the division leaves on several GPUs at once, as sentences."""
    assumptions: list[str]
    """What else the figures rest on, as sentences."""
    context_overflow: bool
    """Whether the context that was asked for is beyond the model's own."""
    warnings: list[str]
    """What a reader must know, as sentences: what contradicts the config, a context beyond the
    model's own, what must fit into the rest of a GPU."""
    tensor_degrees: dict[str, list[str]]
    """Usual degrees of tensor parallelism, each with the reasons why it is not possible; an empty
    list means that it is."""
    flops_per_token: FlopsDocument
    """Floating-point operations to decode one token at this context."""
    weight_bytes_read_per_token: WeightReadsDocument
    """Bytes of weights that are read to decode one token."""
    speed: SpeedDocument | None
    """Bounds of decoding and prefill. Null: no GPU was named, or its bandwidth is not known."""
    curve: list[CurvePointDocument]
    """Growth of the cache with the context; empty without `--curve`."""


class GPUDocument(TypedDict):
    """The kind of GPU that was named; of several kinds, what the least of them has."""

    name: str
    """Name of the GPU."""
    memory_bytes: int
    """Memory of one GPU in bytes."""
    source: str
    """Who states that size."""
    bandwidth_bytes_per_second: float | None
    """Bytes that its memory delivers in a second. Null: not known."""
    peak_flops_per_second: dict[str, float]
    """Operations a second by type, without sparsity. Empty: not known."""
    note: str
    """What a reader must know of the figures, as a sentence; empty if there is nothing."""


class ScenarioDocument(TypedDict):
    """One model under one request, as a flat row: a line of `--format csv`."""

    model: str
    """Name of the model for people."""
    engine: str
    """Engine by whose rules bytes are counted."""
    context_tokens: int
    """Tokens of each sequence."""
    batch_sequences: int
    """Number of sequences at once, over all GPUs."""
    gpu: str | None
    """Kind of GPU. Null: none was named."""
    gpus: int | None
    """Number of GPUs. Null: none were named."""
    weights_format: str
    """Format of the weights."""
    cache_dtype: str
    """Dtype or layout of keys and values; as it was asked for where the request is not possible."""
    not_possible: str | None
    """Why the request cannot be planned. Null: it is, and the figures follow."""
    tensor_parallel: int | None
    """Degree of tensor parallelism. Null here and below: not planned, or not known."""
    weights_bytes_per_gpu: int | None
    """Bytes of weights on the fullest GPU."""
    cache_bytes_per_gpu: int | None
    """Bytes of keys, values and latents on the fullest GPU."""
    state_bytes_per_gpu: int | None
    """Bytes on the fullest GPU that do not depend on the context."""
    engine_bytes_per_gpu: int | None
    """Bytes that the engine keeps on it within its share beside weights and cache."""
    total_bytes_per_gpu: int | None
    """Sum of the four."""
    budget_bytes_per_gpu: int | None
    """Bytes of a GPU that may be filled."""
    room_bytes_per_gpu: int | None
    """Bytes that are left for the cache on the fullest GPU."""
    least_room_bytes_per_gpu_of_versions: int | None
    """The least that any version of the engine leaves, where versions differ."""
    fits: bool | None
    """Whether the batch fits."""
    largest_context_tokens: int | None
    """Largest context that fits at this batch."""
    largest_batch_sequences: int | None
    """Largest batch that fits at this context."""
    pool_tokens: int | None
    """Tokens in the engine's pool."""
    concurrency_sequences: float | None
    """Sequences of the whole context that fit at once."""
    flops_per_token: int | None
    """Floating-point operations to decode one token."""
    decode_tokens_per_second_at_most: float | None
    """Most tokens a second of one sequence."""
    decode_tokens_per_second_all_at_most: float | None
    """Most tokens a second of all sequences."""
    prefill_seconds_at_least: float | None
    """Least seconds for a prompt of the whole context."""
    context_limit_tokens: int | None
    """Context length of the model."""
    context_overflow: bool | None
    """Whether the context that was asked for is beyond the model's own."""
    warnings: str | None
    """What a reader must know, sentences with `; ` between them. Empty: nothing."""
    remarks: str | None
    """What the division leaves on several GPUs at once, sentences with `; ` between them."""
    status: str
    """How far the config is checked, as `parameters.status` of `show`."""


class MemoryDocument(TypedDict):
    """What `llmarch memory REF... --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["memory"]
    """What this document is."""
    gpu: GPUDocument | None
    """The kind of GPU that was named. Null: none, or several scenarios."""
    models: list[PlanDocument]
    """One plan for each model; with several scenarios one for each that is possible."""
    scenarios: list[ScenarioDocument]
    """With several contexts, batches, dtypes, formats or kinds of GPUs, a row for each model and
    combination; else empty."""


class RefusalDocument(TypedDict):
    """What `memory`, `fit` and `calibrate` write for a request that is not possible (exit code 2).

    With several scenarios `memory` writes a row for each, also for one that is not possible.
    """

    schema_version: int
    """Version of this document."""
    document: Literal["refusal"]
    """What this document is."""
    not_possible: str
    """What is wrong, and where."""
    hint: str
    """What to do about it. Empty: no advice."""


class LayoutDocument(TypedDict):
    """One way to divide a model over the same number of GPUs."""

    parallel: ParallelDocument
    """The degrees."""
    largest_batch: int | None
    """Most sequences of the context that fit."""
    largest_batch_sequences: int | None
    """The same as `largest_batch`."""
    largest_context: int | None
    """Longest context in tokens that fits at the batch that was asked for."""
    largest_context_tokens: int | None
    """The same as `largest_context`."""
    room_bytes: int | None
    """Bytes that are left for the cache on the fullest GPU."""


class FitDocument(TypedDict):
    """What `llmarch fit REF --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["fit"]
    """What this document is."""
    gpu: GPUDocument
    """The kind of GPU that was named."""
    fits: bool | None
    """Whether a layout fits. Null: not known, because the checkpoint contradicts its config."""
    gpus_searched: bool
    """Whether the number of GPUs was searched: no smaller one that was tried fits."""
    launch: str
    """The command that starts the server of the best layout. Empty: the engine has none."""
    notes: list[str]
    """What a reader must know of the command line that was read (`--from`), as sentences."""
    formats_that_fit: list[str]
    """Smaller formats of weights that would fit, if this one does not."""
    gpu_layers_that_fit: int | None
    """Most layers that fit on the GPUs if the others stay on the CPU (`-ngl` of llama.cpp). Null:
    all fit, not even the output does, or the engine keeps no layers on the CPU."""
    gpu_layers_gpus: int | None
    """Number of GPUs of `gpu_layers_that_fit`. Null: it is null."""
    layouts: list[LayoutDocument]
    """Layouts that fit the same number of GPUs, the best first."""
    without_stages: LayoutDocument | None
    """The fewest GPUs with one stage, where the best layout has several. Null: it has one, or none
    fits on up to twice as many, or a number of GPUs was asked for."""
    plan: PlanDocument
    """The plan of the best layout; if none fits, of the one that comes nearest."""


class CalibratedFigureDocument(TypedDict):
    """One figure of a start-up log beside that of the plan."""

    figure: str
    """`weights`, `activations`, `graphs`, `runtime`, `room`, `cache`, `state`, `gpu`, `tokens`,
    `blocks` or `concurrency`; of one GPU."""
    unit: str
    """`bytes`, `tokens`, `blocks` or `sequences`."""
    logged: float
    """What the engine logged."""
    planned: float | None
    """What the plan has. Null: it has none without a kind of GPU."""
    planned_with_logged_room: float | None
    """What the plan has if the room for the cache is the logged one. Null: it does not follow from
    the room, or the room was not logged."""
    percent: float | None
    """By how many percent the plan is off. Null: no figure."""


class CalibrationDocument(TypedDict):
    """What `llmarch calibrate LOG --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["calibration"]
    """What this document is."""
    source: SourceDocument
    """Where the model was read."""
    name: str
    """Name of the model for people."""
    engine: str
    """The engine whose log it is."""
    engine_version_logged: str
    """Its version by the log. Empty: the log does not say."""
    engine_version_read: str
    """The version that the rules of the plan were read from."""
    model_logged: str
    """The model as the log names it. Empty: it does not."""
    context_tokens: int
    """Tokens of a sequence that both are of."""
    figures: list[CalibratedFigureDocument]
    """The figures that the log has."""
    reasons: list[str]
    """Where plan and log differ and why, as sentences."""
    failure: str
    """What the log says of a start that failed for want of memory. Empty: it did not."""
    switches: str
    """Options of `llmarch memory` with which a plan has what was logged."""
    command: str
    """The whole command."""
