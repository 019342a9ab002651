"""What `memory --format json` writes. Sizes are bytes, lengths are tokens."""

from __future__ import annotations

from typing_extensions import TypedDict

from .json_show import CheckpointDocument, SourceDocument


class FootprintDocument(TypedDict):
    """Bytes of weights, cache and state."""

    weights: int
    """Bytes of the weights."""
    cache: int
    """Bytes of keys, values and latents: what grows with the context or is a window."""
    state: int
    """Bytes that do not depend on the context: recurrent state, convolution, compressor state, keys
    and values of an encoder."""
    total: int
    """Sum of the three."""


class WeightsDocument(TypedDict):
    """How the weights are held in memory."""

    format: str
    """`as-stored`, `bf16`, `fp8` or `int4`."""
    source: str
    """Where the bits are known from, as a phrase."""
    bits: dict[str, float]
    """Bits of each weight by component, scales included."""
    other_bits: float
    """Bits of each weight in all other components."""


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
    """Copies of the model, each with sequences of its own: gpus / tensor."""


class FlopsDocument(TypedDict):
    """Floating-point operations of one token; a multiply-add is two."""

    total: int
    """Sum over all components."""
    by_component: dict[str, int]
    """Operations by component; `attention_scores`, `indexer_scores` and `recurrence` depend on the
    context."""


class WeightReadsDocument(TypedDict):
    """Bytes of weights that are read to decode one token."""

    batch_1: int
    """With one sequence."""
    batch: int
    """With the batch that was asked for: the share of each sequence."""


class CurvePointDocument(TypedDict):
    """One point of the cache's growth."""

    context: int
    """Tokens of each sequence."""
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
    batch: int
    """Number of sequences at once, over all GPUs."""
    engine: str
    """Convention by which cache bytes are counted: `ideal`, `vllm`, `sglang` or `transformers`."""
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
    all_gpus: FootprintDocument
    """Bytes on all GPUs together: `per_gpu` times their number."""
    gpu_bytes: int | None
    """Memory of one GPU in bytes. Null: no GPU was named."""
    utilization: float
    """Share of a GPU's memory that weights and cache may fill."""
    budget_bytes: int | None
    """Bytes of one GPU that may be filled: gpu_bytes · utilization. Null: no GPU was named."""
    fits: bool | None
    """Whether `per_gpu` is within the budget. Null: no GPU was named."""
    largest_context: int | None
    """Largest context in tokens that fits at this batch; 0 if not even one token does. Null: no GPU
    was named."""
    largest_batch: int | None
    """Largest batch that fits at this context; 0 if not even one sequence does. Null: no GPU was
    named."""
    context_limit: int | None
    """Context length of the model in tokens. Null: the config does not say."""
    remarks: list[str]
    """What the division leaves on several GPUs at once, as sentences."""
    assumptions: list[str]
    """What else the figures rest on, as sentences."""
    tensor_degrees: dict[str, list[str]]
    """Usual degrees of tensor parallelism, each with the reasons why it is not possible; an empty
    list means that it is."""
    flops_per_token: FlopsDocument
    """Floating-point operations to decode one token at this context."""
    weight_bytes_read_per_token: WeightReadsDocument
    """Bytes of weights that are read to decode one token."""
    curve: list[CurvePointDocument]
    """Growth of the cache with the context."""


class GPUDocument(TypedDict):
    """The kind of GPU that was named."""

    name: str
    """Name of the GPU."""
    memory_bytes: int
    """Memory of one GPU in bytes."""
    source: str
    """Who states that size."""


class MemoryDocument(TypedDict):
    """What `llmarch memory REF... --format json` writes."""

    schema_version: int
    """Version of this document."""
    gpu: GPUDocument | None
    """The kind of GPU that was named. Null: none."""
    models: list[PlanDocument]
    """One plan for each model."""
