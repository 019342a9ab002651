"""What every inference engine answers: how it stores a cache, and what it keeps of a GPU.

An engine is one file with a subclass of `Engine` (docs/design/engines.md says how to add one). Each
names the version and the files that its rules were read from. The methods here are the rules of
`ideal`: exactly what will be read again, nothing paged, padded or replicated. Sizes are bytes,
lengths tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..cache_parts import (
    ELEMENT_BYTES,
    FIXED_ROLES,
    MODEL_DTYPE_VARIANTS,
    SHORT_DTYPES,
    CachePart,
    Convention,
    compressed_entry_bytes,
)

GIB = 2**30
REMEMBERED = 4096
"""Lengths whose bytes a pool remembers: the searches of many scenarios ask for the same ones."""


# --- what is asked ------------------------------------------------------------------------------


@frozen
class EngineOptions(Frozen):
    """Flags of an engine that change what it allocates; None leaves them to the engine."""

    batched_tokens: int | None = None
    """Tokens of one batch: vLLM's max_num_batched_tokens, SGLang's chunked_prefill_size, the
    ubatch of llama.cpp."""
    max_sequences: int | None = None
    """Sequences of one batch: vLLM's max_num_seqs, SGLang's max_running_requests."""
    prefix_caching: bool = True
    """Whether prefixes are kept for later requests."""
    block_size: int | None = None
    """Tokens of a block of the cache."""
    draft_tokens: int = 0
    """Tokens that speculative decoding drafts in one step; 0 without it."""
    batches_in_flight: int = 1
    """Batches that are scheduled and not yet settled."""
    sliding_share: float | None = None
    """SGLang: tokens of the sliding pool as a share of the full pool's."""


@frozen
class LayerParts(Frozen):
    """What one layer of the model keeps for a sequence."""

    mixer: str
    """Name of the mixer, for people."""
    index: int
    """Number of the decoder layer, by which pipeline stages are divided."""
    parts: tuple[CachePart, ...]


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


@frozen
class GPUTraits(Frozen):
    """What an engine's defaults depend on."""

    name: str = ""
    memory_bytes: int | None = None


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
    cache_dtype: str = ""
    """Dtype of the cache, if it is not the engine's own choice."""
    utilization: float | None = None
    """Share of a GPU, if it is not the engine's own default."""


# --- what is answered ---------------------------------------------------------------------------


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
        return sequences * self._sequence_bytes(tokens, stage)

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
        for part, layers in self.stages[stage].items():
            if part.role in FIXED_ROLES:
                total += layers * part.bytes_at(tokens)
        return sequences * total

    def bytes_at(self, tokens: int, sequences: int = 1, stage: int = 0) -> int:
        """Return the bytes that sequences of `tokens` tokens take in a stage."""
        cached = self.cache_bytes(tokens, sequences, stage)
        return cached + self.state_bytes(tokens, sequences, stage)

    def fits(self, rooms: Sequence[int], tokens: int, sequences: int) -> bool:
        """Return whether sequences of `tokens` tokens fit into the room of every stage."""
        return all(
            self.bytes_at(tokens, sequences, stage) <= room for stage, room in enumerate(rooms)
        )

    def capacity(self, rooms: Sequence[int], tokens: int) -> Capacity:
        """Return what the rooms of the stages hold, for sequences of `tokens` tokens."""
        concurrency = 0.0
        ratios: list[float] = []
        for stage, room in enumerate(rooms):
            one = self.bytes_at(tokens, 1, stage)
            if one:
                ratios.append(max(0, room) / one)
        if ratios:
            concurrency = min(ratios)
        return Capacity(max(0, min(rooms)), int(concurrency * tokens), concurrency)

    def largest_batch(self, rooms: Sequence[int], tokens: int) -> int:
        """Return how many sequences of `tokens` tokens fit into the rooms of the stages."""
        return int(self.capacity(rooms, tokens).concurrency)

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
    """`activations`, `graphs`, `runtime`, or `reserve`."""
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


@frozen
class ExpertTile(Frozen):
    """Channels that kernels pad routed experts to whole multiples of."""

    stream: int
    """Of the stream, or of the latent that experts work on."""
    gated: int
    """Of the width of a gated expert."""
    ungated: int
    """Of the width of an expert without a gate."""


# --- the engine ---------------------------------------------------------------------------------


class Engine:
    """An inference engine: how it stores a cache, and what it keeps of a GPU."""

    name: str
    version: str = ""
    """The version whose files were read; empty where there is none."""
    files: tuple[str, ...] = ()
    """The files that the rules were read from."""
    utilization: float = 0.9
    """The share of a GPU's memory that is filled, unless the user says another."""
    utilization_meaning: str = "weights and cache"
    """What the share holds."""
    follows_checkpoint: bool = False
    """Whether `auto` takes the dtype of the cache that the checkpoint declares."""

    # --- the layout of a layer's cache

    def check_dtype(self, dtype: str) -> None:
        """Raise ValueError if the engine does not keep a cache in the dtype."""

    def kv_heads(self, a: Architecture, mixer: Attention) -> int:
        """Return how many KV heads are cached."""
        return mixer.kv_heads

    def block_index_dtype(self, convention: Convention) -> str:
        """Return the dtype of a block index's keys."""
        if convention.dtype in ELEMENT_BYTES:
            return convention.dtype
        return convention.unquantised_dtype

    def limit_to_window(self, a: Architecture, mixer: Attention, part: CachePart) -> CachePart:
        """Return the part of a sliding window of W tokens, or of a chunk of C.

        min(T, W); of a chunk the most that it ever holds.
        """
        return replace(part, most_tokens=mixer.window or mixer.chunk)

    def sparse_dtype(self, dtype: str) -> str:
        """Return the dtype in which sparse attention keeps its cache."""
        return dtype

    def indexer_dtype(self, convention: Convention) -> str:
        """Return the dtype of a sparse indexer's keys: fp8 with a float32 scale per 128."""
        return "fp8"

    def compressed_window(self, mixer: CompressedAttention, convention: Convention) -> CachePart:
        """Return the window of DeepSeek V4's attention."""
        dtype = self.sparse_dtype(convention.dtype)
        entry = compressed_entry_bytes(mixer.head_dim, mixer.rope_dim, dtype)
        return CachePart("kv", dtype, entry, most_tokens=mixer.window, kind="sliding_latent")

    def compressor(
        self, mixer: CompressedAttention, width: int, convention: Convention
    ) -> list[CachePart]:
        """Return the tokens of the window that is being compressed.

        Each is `width` values and `width` gates in float32 for each series (CSA has two,
        overlapping), in a ring of one window, of two with two series.
        """
        channels = 2 * mixer.series * width
        ring = mixer.series * mixer.ratio
        token = 4 * channels
        return [CachePart("state", "fp32", ring * token, law="fixed", kind="ring", ring=ring)]

    def conv_columns(self, mixer: LinearAttention) -> int:
        """Return how many columns the short convolution keeps: K - 1.

        RWKV keeps the token before, for time mixing and for channel mixing.
        """
        if mixer.variant in ("rwkv4", "rwkv7"):
            return 2
        if not mixer.conv_kernel:
            return 0
        return mixer.conv_kernel - 1

    def conv_dtype(self, convention: Convention) -> str:
        """Return the dtype of the convolution's columns."""
        return convention.unquantised_dtype

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state.

        What the config says, else what the model's own code computes: float32 but for Lightning and
        mLSTM.
        """
        return configured_state_dtype(mixer) or computed_state_dtype(mixer, convention)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        return []

    # --- the command line

    launch_flags: dict[str, str] = {}
    """Flags of the command line and the option of a plan that each sets."""
    launch_programs: tuple[str, ...] = ()
    """Words by which the command line is known."""

    def launch(self, server: Launch) -> list[str]:
        """Return the words of the command that starts a server; empty if there is none."""
        return []

    # --- the memory of a GPU

    def share(self, gpu: GPUTraits, options: EngineOptions, ranks: int) -> float:
        """Return the share of a GPU that is filled, unless the user says another."""
        return self.utilization

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the tokens of one batch."""
        return options.batched_tokens or 1

    def max_sequences(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the sequences of one batch."""
        return options.max_sequences or 1

    def expert_tile(self, weight_format: str, gpu: GPUTraits) -> ExpertTile | None:
        """Return what its kernels pad experts to; None if they do not."""
        return None

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return what the engine keeps on a GPU beside weights and cache."""
        return []

    def pool(self, request: PoolRequest) -> Pool:
        """Return the pool of a rank's cache."""
        return Pool(request)


def configured_state_dtype(mixer: LinearAttention) -> str | None:
    """Return the dtype of the recurrent state that the config asks for; None without one."""
    return SHORT_DTYPES.get(mixer.state_dtype or "")


def computed_state_dtype(mixer: LinearAttention, convention: Convention) -> str:
    """Return the dtype that the model's own code computes the recurrent state in.

    Measured by tests/oracle/cache_bytes.py.
    """
    if mixer.variant in MODEL_DTYPE_VARIANTS:
        return convention.unquantised_dtype
    return "fp32"


def has_windows(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer has a sliding window or chunks."""
    for mixer in mixers:
        if isinstance(mixer, CompressedAttention):
            return True
        if isinstance(mixer, Attention) and (mixer.window or mixer.chunk):
            return True
    return False


def has_latents(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer is multi-head latent attention."""
    return any(isinstance(mixer, LatentAttention) for mixer in mixers)


def has_states(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer has a recurrent state."""
    return any(isinstance(mixer, LinearAttention) for mixer in mixers)
