"""What a planner asks of an engine, and what it answers: flags, pools of cache, allowances.

`show` needs none of it, so it stands apart from base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import Architecture
from ..cache_parts import FIXED_ROLES, CachePart, Convention

if TYPE_CHECKING:
    from .base import LayerParts

GIB = 2**30
REMEMBERED = 4096
"""Lengths whose bytes a pool remembers: the searches of many scenarios ask for the same ones."""


@frozen
class EngineOptions(Frozen):
    """Flags of an engine that change what it allocates; None leaves them to the engine."""

    batched_tokens: int | None = None
    """Tokens of one batch: vLLM's max_num_batched_tokens, SGLang's chunked_prefill_size, the
    ubatch of llama.cpp."""
    max_sequences: int | None = None
    """Sequences of one batch: vLLM's max_num_seqs, SGLang's max_running_requests."""
    prefix_caching: bool | None = None
    """Whether prefixes are kept for later requests."""
    block_size: int | None = None
    """Tokens of a block of the cache."""
    draft_tokens: int = 0
    """Tokens that speculative decoding drafts in one step; 0 without it."""
    batches_in_flight: int | None = None
    """Batches that are scheduled and not yet settled; None: one, unless a version says more."""
    sliding_share: float | None = None
    """SGLang: tokens of the sliding pool as a share of the full pool's."""
    unified_slots: int = 1
    """llama.cpp: slots that share one stream of cells (`--kv-unified`)."""
    full_windows: bool = False
    """llama.cpp: whether windows keep every token (`--swa-full`)."""
    version: str = ""
    """The engine's version, whose rules and defaults differ; empty: the one that was read."""
    blocks: int | None = None
    """vLLM's `--num-gpu-blocks-override`: blocks of the pool, whatever the room."""
    pool_tokens: int | None = None
    """SGLang's `--max-total-tokens`: the most tokens of the pool, whatever the room."""
    graph_batch: int | None = None
    """The largest captured batch (`--cuda-graph-max-bs`, `--max-cudagraph-capture-size`)."""
    other_vocabulary: bool = False
    """Whether a draft model may have other tokens (vLLM's use_heterogeneous_vocab)."""
    offload_bytes: int = 0
    """Bytes of a GPU's layers that stay in the memory of the CPU (`--cpu-offload-gb`)."""
    cache_on_cpu: bool = False
    """llama.cpp's `-nkvo`: whether cache and states stay in the memory of the CPU."""
    split: tuple[float, ...] = ()
    """llama.cpp's `-ts`: the share of the layers that each GPU gets; empty: equal ones."""
    gpu_layers: int | None = None
    """llama.cpp's `-ngl`: layers on GPUs, the last ones, of which the output counts as one. None:
    all."""
    adapters: int = 0
    """LoRA adapters that may run in one batch (`--max-loras`); 0: none."""
    adapter_rank: int = 16
    """The largest rank of an adapter that is admitted (`--max-lora-rank`)."""


@frozen
class PoolRequest(Frozen):
    """What a pool is made for: one rank of a model."""

    architecture: Architecture
    """The share of one rank."""
    convention: Convention
    layers: tuple[LayerParts, ...]
    """All layers of the model in order, those of a drafter last."""
    options: EngineOptions
    batched_tokens: int
    """Tokens of one batch, resolved."""
    max_sequences: int
    """Sequences of one batch, resolved."""
    decode_context: int = 1
    """Ranks that divide the tokens of a sequence among them."""
    stages: tuple[range, ...] = ()
    """Layers of each pipeline stage; empty without pipeline parallelism."""
    rolled_back: int = 0
    """Drafted tokens that a recurrent state may be rolled back by: those of MTP modules or a
    head, which run beside the model's own states."""


@frozen
class GPUTraits(Frozen):
    """What an engine's defaults depend on."""

    name: str = ""
    """The kind; several in brackets: `(H100 + A100)`."""
    memory_bytes: int | None = None

    def is_any_of(self, names: tuple[str, ...]) -> bool:
        """Return whether the name of one of the kinds begins so."""
        return any(kind.startswith(names) for kind in self.kinds)

    @property
    def kinds(self) -> list[str]:
        """Return the names of the kinds."""
        return self.name.strip("()").split(" + ")


@frozen
class ShareRequest(Frozen):
    """What an engine's default share of a GPU depends on."""

    architecture: Architecture
    gpu: GPUTraits
    options: EngineOptions
    ranks: int = 1
    """Ranks of a stage, those of all groups that share experts."""
    stages: int = 1
    """Pipeline stages."""
    groups: int = 1
    """Groups with sequences of their own that share experts (attention-DP)."""
    has_decode_context: bool = False
    """Whether ranks divide the tokens of a sequence."""
    text_only: bool = False
    """Whether encoders are left out."""
    eager: bool = False
    """Whether no graphs are captured."""


@frozen
class Launch(Frozen):
    """A server to start: what its command line says."""

    model: str
    context: int
    sequences: int
    """Sequences that one group of ranks serves."""
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    decode_context: int = 1
    gpu_layers: int | None = None
    """Layers on GPUs, where others stay on the CPU; None: all."""
    cpu_expert_layers: int = 0
    """Layers, from the first on, whose routed experts stay on the CPU."""
    weight_format: str = ""
    """Format of the weights, if one was asked for."""
    offload_gib: float = 0
    """GiB of a GPU's layers that stay on the CPU."""
    cache_on_cpu: bool = False
    """Whether cache and states stay on the CPU."""
    split: tuple[float, ...] = ()
    """The share of the layers that each GPU gets; empty: equal ones."""
    on_cpu: bool = False
    """Whether there is no GPU."""
    cache_dtype: str = ""
    """Dtype of the cache, if it is not the engine's own choice."""
    utilization: float | None = None
    """Share of a GPU, if it is not the engine's own default."""
    machines: int = 1
    """Machines over which the GPUs are."""


@frozen
class Capacity(Frozen):
    """What an engine makes of the memory that is left for its cache."""

    memory_bytes: int
    """Bytes that the pool may take on one rank."""
    tokens: int
    """Tokens that the pool holds, as the engine counts them."""
    concurrency: float
    """Sequences of the whole context that the pool holds at once."""
    blocks: int | None = None
    """Blocks of the pool; None without blocks."""
    block_bytes: int | None = None
    """Bytes of a block over all layers of a rank."""
    blocks_per_sequence: int | None = None
    """Blocks that a sequence of the whole context takes."""


@frozen
class PoolGroup(Frozen):
    """Layers that an engine keeps in the same blocks."""

    kind: str
    """`full`, `mla`, `sliding`, `chunked`, `state`, `cross`."""
    layers: int
    block_tokens: int
    """Tokens of a block; 0 where a block is a whole state."""


class Pool:
    """The memory of a cache on one rank of each pipeline stage, by the rules of an engine.

    This class is the pool without blocks: each sequence takes what its layers keep.
    """

    def __init__(self, request: PoolRequest) -> None:
        self.request = request
        self.stages: list[dict[CachePart, int]] = []
        """The parts of each stage, and in how many of its layers each is."""
        for stage in request.stages or (range(len(request.layers) + 1),):
            parts: dict[CachePart, int] = {}
            for layer in request.layers:
                if not request.stages or layer.index in stage:
                    for part in layer.parts:
                        parts[part] = parts.get(part, 0) + 1
            self.stages.append(parts)
        self._sequence_bytes = lru_cache(REMEMBERED)(self._add_parts)

    def cache_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of what grows with the tokens of sequences, or is a window."""
        one = self._sequence_bytes(tokens, stage)
        return sequences * one

    def _add_parts(self, tokens: int, stage: int) -> int:
        """Return the bytes of one sequence's parts that are not fixed."""
        shared = ceil(tokens / self.request.decode_context)
        total = 0
        for part, layers in self.stages[stage].items():
            if part.role not in FIXED_ROLES:
                held = tokens
                if part.grows:
                    held = shared
                total += layers * self.part_bytes(part, held)
        return total

    def part_bytes(self, part: CachePart, tokens: int) -> int:
        """Return the bytes of one layer's part after `tokens` tokens of a sequence."""
        return part.bytes_at(tokens)

    def state_bytes(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes of what does not depend on the tokens."""
        total = 0
        parts = self.stages[stage].items()
        for part, layers in parts:
            if part.role in FIXED_ROLES:
                size = part.bytes_at(tokens)
                total += layers * size
        return sequences * total

    def bytes_at(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes that sequences of `tokens` tokens take in a stage."""
        state = self.state_bytes(tokens, sequences, stage)
        cached = self.cache_bytes(tokens, sequences, stage)
        return cached + state

    def fits(self, rooms: Sequence[int], tokens: int, sequences: int) -> bool:
        """Return whether sequences of `tokens` tokens fit into the room of every stage."""
        for stage, room in enumerate(rooms):
            if self.bytes_at(tokens, sequences, stage) > room:
                return False
        return True

    def grows_at(self, tokens: int) -> bool:
        """Return whether a sequence of `tokens` tokens takes more than one of half as many."""
        for stage in range(len(self.stages)):
            half = self.bytes_at(tokens // 2, 1, stage)
            whole = self.bytes_at(tokens, 1, stage)
            if whole > half:
                return True
        return False

    def capacity(self, rooms: Sequence[int], tokens: int) -> Capacity:
        """Return what the rooms of the stages hold, for sequences of `tokens` tokens."""
        concurrency = 0.0
        ratios: list[float] = []
        for stage, room in enumerate(rooms):
            one = self.bytes_at(tokens, 1, stage)
            if one:
                ratio = max(0, room) / one
                ratios.append(ratio)
        if ratios:
            concurrency = min(ratios)
        smallest = max(0, min(rooms))
        held = int(concurrency * tokens)
        return Capacity(smallest, held, concurrency)

    def largest_batch(self, rooms: Sequence[int], tokens: int) -> int:
        """Return how many sequences of `tokens` tokens fit into the rooms of the stages."""
        capacity = self.capacity(rooms, tokens)
        return int(capacity.concurrency)

    @property
    def groups(self) -> tuple[PoolGroup, ...]:
        """Return the groups of layers that share blocks; empty without blocks."""
        return ()

    @property
    def assumptions(self) -> list[str]:
        """Return what the figures of the pool rest on, in words."""
        return []


@frozen
class AllowancePart(Frozen):
    """One thing that an engine keeps on a GPU beside weights and cache."""

    name: str
    """`activations`, `graphs`, `runtime`, `driver`, `tables`, `adapters`, or `reserve`."""
    size: int
    """Bytes."""
    source: str
    """From where the size is known, as a phrase."""
    given: bool = False
    """Whether a user gave the size."""
    inside: bool = True
    """Whether it is taken from the share that the engine may fill."""


@frozen
class AllowanceRequest(Frozen):
    """What an allowance is estimated for: one rank of a model."""

    architecture: Architecture
    share: Architecture
    """The share of one rank."""
    weight_bytes: int
    """Bytes of the rank's weights."""
    gpu: GPUTraits
    ranks: int
    """Ranks that work on a token together."""
    batched_tokens: int
    max_sequences: int
    last_stage: bool = True
    """Whether the rank holds the head."""
    context: int = 0
    """Tokens of a sequence."""
    sequences: int = 1
    """Sequences that the ranks serve at a time."""
    stages: int = 1
    """Pipeline stages."""
    options: EngineOptions = EngineOptions()
    text_only: bool = False
    """Whether encoders are left out."""
    cpu_matrix_bytes: int = 0
    """Bytes of the largest matrix that stays on the CPU and is computed with."""


@frozen
class ExpertTile(Frozen):
    """Channels that kernels pad routed experts to whole multiples of."""

    stream: int
    """Of the stream, or of the latent that experts work on."""
    gated: int
    """Of the width of a gated expert."""
    ungated: int
    """Of the width of an expert without a gate."""


def find_most(fits: Callable[[int], bool], fitting: int, too_many: int) -> int:
    """Return the largest number that fits, found by halving.

    fits: tells whether a number fits; of those that do, all smaller ones do too.
    fitting: a number that fits.
    too_many: a larger one that does not.
    """
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(middle):
            fitting = middle
        else:
            too_many = middle
    return fitting
