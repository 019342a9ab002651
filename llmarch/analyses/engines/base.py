"""What every inference engine answers: how it stores a cache, and what it keeps of a GPU.

An engine is one file with a subclass of `Engine` (docs/design/engines.md says how to add one). Each
names the version and the files that its rules were read from. The methods here are the rules of
`ideal`: exactly what will be read again, nothing paged, padded or replicated. Sizes are bytes,
lengths tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...architecture.frozen import Frozen, frozen
from ...architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
    Quantization,
)
from ...errors import ImpossiblePlan
from ..cache_parts import (
    ELEMENT_BYTES,
    MODEL_DTYPE_VARIANTS,
    SHORT_DTYPES,
    CachePart,
    Convention,
    compressed_entry_bytes,
)

if TYPE_CHECKING:
    from ..sharding import Placement
    from ..weight_formats import Weights
    from .pools import (
        AllowancePart,
        AllowanceRequest,
        EngineOptions,
        ExpertTile,
        GPUTraits,
        Launch,
        Pool,
        PoolRequest,
        ShareRequest,
    )


@frozen
class LayerParts(Frozen):
    """What one layer of the model keeps for a sequence."""

    mixer: str
    """Name of the mixer, for people."""
    index: int
    """Number of the decoder layer, by which pipeline stages are divided."""
    parts: tuple[CachePart, ...]


FLOAT_FORMATS = {
    "bf16": ("--dtype", "bfloat16"),
    "fp16": ("--dtype", "float16"),
    "fp32": ("--dtype", "float32"),
}
"""Words of a command line for the formats that are a dtype of torch."""


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
    shares_the_rest: bool = False
    """Whether the share is of what weights and all else leave free, and is of the cache alone."""
    smaller_formats: tuple[str, ...] = ("fp8", "nvfp4", "int4")
    """Formats of weights that are tried where the stored one does not fit."""
    weight_formats: tuple[str, ...] = ()
    """Formats of weights that it loads; empty: any."""
    online_formats: dict[str, tuple[str, ...]] = {}
    """Formats that it makes of a checkpoint in 16 bits as it loads it, and the words of its command
    line for each."""
    formats_not_loaded: tuple[str, ...] = ()
    """Formats of weights that other versions may load, the one that was read does not."""
    cache_dtypes: tuple[str, ...] = ()
    """Dtypes in which it keeps a cache; empty: any."""
    has_sparse_layouts: bool = False
    """Whether packed layouts of MLA are those of sparse attention alone."""
    splits_cache_dtype: bool = False
    """Whether keys and values may have dtypes of their own."""
    default_cache_dtype: str = ""
    """The dtype of the cache without an option; empty: what the model's own dtype is."""
    draft_cache_dtype: str = ""
    """The dtype of the cache of what drafts; empty: that of the model's."""
    follows_checkpoint: bool = False
    """Whether `auto` takes the dtype of the cache that the checkpoint declares."""

    has_version_rules: bool = False
    """Whether its rules are known of other versions as well."""
    other_versions: tuple[str, ...] = ()
    """The last versions that kept other memory beside weights and cache, the oldest first."""
    needs_equal_vocabularies: bool = False
    """Whether a draft model must have as many tokens as the model."""
    keeps_shared_layers: bool = False
    """Whether layers that read another layer's keys and values have room for their own as well."""
    draft_tokens: int = 1
    """Tokens that MTP modules draft in a step, unless a command line says another number."""
    counts_checked_tokens: bool = False
    """Whether its command line counts the tokens that a step checks, one more than are drafted."""
    casts_float32: bool = False
    """Whether weights in 32 bits are loaded in 16, unless 32 are asked for."""
    divides_experts_across_groups: bool = False
    """Whether groups with sequences of their own divide the experts among them."""
    divides_by_layers: bool = False
    """Whether several GPUs get layers each, unless the user says otherwise."""
    has_stages: bool = False
    """Whether a server can divide layers into pipeline stages."""
    has_ranks: bool = True
    """Whether a server can divide layers over ranks, experts among them, and serve groups."""
    has_groups: bool = True
    """Whether its command line starts groups of ranks with sequences of their own."""
    has_decode_context: bool = False
    """Whether ranks can divide the tokens of a sequence (decode context parallelism)."""
    takes_all_gpus: bool = False
    """Whether a server takes every GPU that there is, whatever its command line says."""
    has_slots: bool = False
    """Whether the context of its command line is that of all slots together, and encoders are a
    file of their own."""
    has_block_checks: bool = False
    """Whether it refuses ranks that hold no whole blocks of quantised weights."""
    keeps_experts_on_cpu: bool = False
    """Whether routed experts of some layers may stay in the memory of the CPU."""
    offloads_weights: bool = False
    """Whether weights of each GPU's layers may stay in the memory of the CPU."""
    keeps_layers_on_cpu: bool = False
    """Whether layers may stay in the memory of the CPU."""

    # --- the layout of a layer's cache

    def check_dtype(self, dtype: str) -> None:
        """Raise ImpossiblePlan if the engine does not keep a cache in the dtype."""
        if self.cache_dtypes and dtype not in self.cache_dtypes:
            known = ", ".join(self.cache_dtypes)
            raise ImpossiblePlan(f"{self.name} keeps no cache in {dtype}; it has {known}")

    def auto_cache_dtype(self, a: Architecture, gpu: GPUTraits) -> str:
        """Return the dtype of the cache that the engine chooses for a model and kind of GPU.

        Empty: by the rules of all models.
        """
        return ""

    def kv_heads(self, a: Architecture, mixer: Attention) -> int:
        """Return how many KV heads are cached."""
        return mixer.kv_heads

    def block_index_bytes(self, mixer: Attention, convention: Convention) -> int:
        """Return the bytes of a token in a block index: one key, not one for each head."""
        index = mixer.block_index
        if index is None:
            return 0
        dtype = self.block_index_dtype(convention)
        return index.head_dim * ELEMENT_BYTES[dtype]

    def block_index_dtype(self, convention: Convention) -> str:
        """Return the dtype of a block index's keys."""
        if convention.dtype in ELEMENT_BYTES:
            return convention.dtype
        return convention.unquantised_dtype

    def limit_to_window(
        self, a: Architecture, mixer: Attention | LatentAttention, part: CachePart
    ) -> CachePart:
        """Return the part of a sliding window of W tokens, or of a chunk of C.

        min(T, W); of a chunk the most that it ever holds.
        """
        reach = attention_span(mixer)
        return replace(part, most_tokens=reach)

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
        configured = configured_state_dtype(mixer)
        if configured:
            return configured
        return computed_state_dtype(mixer, convention)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        return []

    # --- the command line

    launch_flags: dict[str, str] = {}
    """Flags of the command line and the option of a plan that each sets."""
    launch_programs: tuple[str, ...] = ()
    """Programs and modules by which the command line is known."""
    launch_others: tuple[str, ...] = ()
    """Commands of the programs that start no server."""
    launch_images: tuple[str, ...] = ()
    """Parts of names of container images whose entry point is the server."""
    launch_positional: bool = False
    """Whether the model may stand without a flag."""
    launch_suffixes: bool = False
    """Whether numbers may be written as `32k`."""
    launch_switches: frozenset[str] = frozenset()
    """Flags of `launch_flags` that take no value."""
    machine_note: str = ""
    """What else the command on several machines needs, as the end of a sentence."""
    launch_abbreviates: bool = False
    """Whether the beginning of a flag that no other begins with stands for it (argparse)."""
    launch_harmless: tuple[str, ...] = ()
    """Regular expressions of flags, without dashes, that change no memory of weights and cache."""
    log_sign: str = ""
    """A regular expression that only this engine's logs match; empty if none can be read."""
    log_patterns: tuple[tuple[str, str], ...] = ()
    """What a start-up log says, as (figure, regular expression).

    Figures are those of analyses/calibration.py. The first group is the number, a second one its
    unit, further pairs are added; of `concurrency` the first group is the tokens of a request, the
    second the number.
    """
    log_keeps_last: bool = False
    """Whether of figures and settings that a log repeats the last ones count: those before are of
    a trial."""
    log_sums: tuple[str, ...] = ()
    """Figures of which a log has several that are added, as of several caches."""
    log_failures: tuple[str, ...] = ()
    """Regular expressions of what a log says of a start that failed for want of memory."""
    log_settings: tuple[str, ...] = ()
    """Regular expressions of what a start-up log repeats of the command line: (name, value)."""
    log_options: dict[str, str] = {}
    """Names in the log and the option of a plan that each is, where no flag is called so."""

    def settle_log(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Return the figures of a log by the names of a plan's."""
        return dict(figures)

    def launch(self, server: Launch) -> list[str]:
        """Return the words of the command that starts a server; empty if there is none."""
        return []

    def machine_words(self, server: Launch) -> str:
        """Return what the command on each of several machines says besides; empty without such.

        Variables of the shell stand for what differs: NODE_RANK from 0 on, and MASTER_ADDR.
        """
        return ""

    # --- the memory of a GPU

    def convert_weights(self, quantization: Quantization, weights: Weights) -> Weights:
        """Return what it makes of a checkpoint's quantised weights as it loads them.

        Raises ImpossiblePlan if it reads no such checkpoint.
        """
        return weights

    def checks_columns(self, a: Architecture) -> bool:
        """Return whether queries, keys and values of a rank must be whole blocks each."""
        return False

    def is_newer(self, version: str) -> bool:
        """Return whether a version is newer than the one that was read."""
        return False

    def versions_that_load(self, a: Architecture) -> list[str]:
        """Return those of the other versions that load a model, the oldest first."""
        return list(self.other_versions)

    def resolve_options(
        self, a: Architecture, options: EngineOptions, context: int
    ) -> EngineOptions:
        """Return options with the defaults that depend on the version, model and context."""
        return options

    def share(self, request: ShareRequest) -> float:
        """Return the share of a GPU that is filled, unless the user says another."""
        return self.utilization

    def batched_tokens(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the tokens of one batch."""
        return options.batched_tokens or 1

    def max_sequences(self, gpu: GPUTraits, options: EngineOptions) -> int:
        """Return the sequences of one batch."""
        return options.max_sequences or 1

    def placement(
        self, a: Architecture, stages: int, gpu: GPUTraits, options: EngineOptions
    ) -> Placement:
        """Return which pipeline stage holds which layers, the embedding, the head and encoders."""
        from ..sharding import usual_placement

        return usual_placement(len(a.layers), stages)

    def expert_tile(self, weight_format: str, gpu: GPUTraits) -> ExpertTile | None:
        """Return what its kernels pad experts to; None if they do not."""
        return None

    def allowance(self, request: AllowanceRequest) -> list[AllowancePart]:
        """Return what the engine keeps on a GPU beside weights and cache."""
        return []

    def pool(self, request: PoolRequest) -> Pool:
        """Return the pool of a rank's cache."""
        from .pools import Pool

        return Pool(request)


def configured_state_dtype(mixer: LinearAttention) -> str | None:
    """Return the dtype of the recurrent state that the config asks for; None without one."""
    configured = mixer.state_dtype or ""
    return SHORT_DTYPES.get(configured)


def computed_state_dtype(mixer: LinearAttention, convention: Convention) -> str:
    """Return the dtype that the model's own code computes the recurrent state in.

    Measured by tests/oracle/cache_bytes.py.
    """
    if mixer.variant in MODEL_DTYPE_VARIANTS:
        return convention.unquantised_dtype
    return "fp32"


def attention_span(mixer: Attention | LatentAttention) -> int | None:
    """Return the length of a window or of a chunk; None without either."""
    if isinstance(mixer, LatentAttention):
        return mixer.window
    return mixer.window or mixer.chunk


def has_windows(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer has a sliding window or chunks."""
    for mixer in mixers:
        if isinstance(mixer, CompressedAttention):
            return True
        if isinstance(mixer, (Attention, LatentAttention)) and attention_span(mixer):
            return True
    return False


def has_latents(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer is multi-head latent attention."""
    return any(isinstance(mixer, LatentAttention) for mixer in mixers)


def has_states(mixers: Sequence[Mixer]) -> bool:
    """Return whether a mixer has a recurrent state."""
    return any(isinstance(mixer, LinearAttention) for mixer in mixers)
