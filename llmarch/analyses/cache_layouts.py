"""What one layer of each mixer keeps for one sequence, in the layout of an inference engine.

The rules of each engine are in `engines/`; docs/cache.md says from which file each was read, and
what `ideal` means.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..errors import ImpossiblePlan
from .cache_parts import (
    SPARSE_LAYOUTS,
    CachePart,
    Convention,
    compressed_entry_bytes,
    kv_entry_bytes,
    latent_entry_bytes,
    row_bytes,
)
from .cache_states import recurrent_parts
from .engines import engine_of


def cache_parts(a: Architecture, name: str, convention: Convention) -> list[CachePart]:
    """Return what one layer of the mixer `name` keeps.

    Raises ImpossiblePlan for a dtype that the mixer cannot be stored in.
    """
    mixer = a.mixers[name]
    return mixer_cache_parts(a, mixer, convention)


def mixer_cache_parts(a: Architecture, mixer: Mixer, convention: Convention) -> list[CachePart]:
    """Return what one layer of a mixer keeps. Raises ImpossiblePlan as `cache_parts` does."""
    match mixer:
        case Attention():
            return list(attention_cache_parts(a, mixer, convention))
        case LatentAttention():
            return list(latent_attention_parts(a, mixer, convention))
        case CompressedAttention():
            return list(compressed_attention_parts(mixer, convention))
        case LinearAttention():
            return recurrent_parts(a, mixer, convention)


def attention_cache_parts(
    a: Architecture, mixer: Attention, convention: Convention
) -> Iterator[CachePart]:
    """Yield keys and values of the tokens that a query can see, and the keys of a block index.

    T * n_kv * (d_k + d_v) elements (vllm: v1/kv_cache_interface.py AttentionSpec; transformers:
    cache_utils.py). A layer that reads another layer's keys and values keeps none, unless the
    engine allocates for every layer; sinks are weights.
    """
    engine = engine_of(convention.engine)
    if mixer.kv_from is not None and not engine.keeps_shared_layers:
        return
    dtype = convention.dtype
    kv_heads = engine.kv_heads(a, mixer)
    values = convention.values_dtype
    entry = kv_entry_bytes(kv_heads, mixer.head_dim, mixer.v_head_dim, dtype, values)
    form = (kv_heads, mixer.head_dim, mixer.v_head_dim)
    if mixer.cross_tokens is not None:
        yield CachePart("cross", dtype, entry * mixer.cross_tokens, law="fixed", form=form)
    elif mixer.window:
        part = CachePart("kv", dtype, entry, kind="sliding", form=form)
        yield engine.limit_to_window(a, mixer, part)
    elif mixer.chunk:
        part = CachePart("kv", dtype, entry, kind="chunked", form=form)
        yield engine.limit_to_window(a, mixer, part)
    else:
        yield CachePart("kv", dtype, entry, form=form)
    if mixer.kv_conv:
        channels = (mixer.kv_conv - 1) * mixer.kv_heads * (mixer.head_dim + mixer.v_head_dim)
        channels += 2 * ((a.residual.conv_kernel or 1) - 1) * a.hidden_size  # of both blocks
        size = row_bytes(channels, convention.unquantised_dtype) or 0
        yield CachePart("conv", convention.unquantised_dtype, size, law="fixed", kind="ring")
    if mixer.conv_kernels:
        first, second = mixer.conv_kernels
        columns = first + second - 2
        channels = (mixer.heads + mixer.kv_heads) * mixer.head_dim
        halves = mixer.kv_heads * mixer.v_head_dim // 2
        size = row_bytes(columns * channels + halves, convention.unquantised_dtype) or 0
        yield CachePart("conv", convention.unquantised_dtype, size, law="fixed", kind="ring")
    if mixer.block_index:
        # One key, not one for each of its heads (vllm, sglang: MiniMax M3).
        index_dtype = engine.block_index_dtype(convention)
        key_bytes = engine.block_index_bytes(mixer, convention)
        yield CachePart("index", index_dtype, key_bytes, kind="latent")


def latent_attention_parts(
    a: Architecture, mixer: LatentAttention, convention: Convention
) -> Iterator[CachePart]:
    """Yield MLA's latent and rotary key, and the keys of a sparse indexer.

    One of each for all heads: no factor 2, no heads (vllm: v1/kv_cache_interface.py
    MLAAttentionSpec).
    """
    dtype = convention.dtype
    leads = int(mixer.indexer is not None)
    engine = engine_of(convention.engine)
    if mixer.indexer or mixer.index_from:
        dtype = engine.sparse_dtype(dtype)
    elif dtype in SPARSE_LAYOUTS and engine.has_sparse_layouts:
        raise ImpossiblePlan(f"{engine.name} has {dtype} for sparse attention alone")
    entry = latent_entry_bytes(mixer.kv_lora_rank, mixer.qk_rope_head_dim, dtype)
    if mixer.window:
        part = CachePart("kv", dtype, entry, kind="sliding_latent", form=(leads,))
        yield engine.limit_to_window(a, mixer, part)
        return
    yield CachePart("kv", dtype, entry, kind="latent", form=(leads,))
    if mixer.indexer:
        yield indexer_part(mixer.indexer, convention)


def indexer_part(indexer: Indexer, convention: Convention, every: int = 1) -> CachePart:
    """Return the lightning indexer's keys: one head, one entry every `every` tokens.

    They are fp8 with a float32 scale per 128, whatever the cache's dtype (vllm:
    DeepseekV32IndexerCache in model_executor/models/deepseek_v2.py; sglang:
    srt/mem_cache/memory_pool.py); transformers keeps them in the model's dtype.
    """
    head_dim = indexer.head_dim
    dtype = engine_of(convention.engine).indexer_dtype(convention)
    entry = row_bytes(head_dim, dtype) or 0
    if dtype == "fp8":
        entry += 4 * ceil(head_dim / 128)
    return CachePart("index", dtype, entry, Fraction(every), kind="latent")


def compressed_attention_parts(
    mixer: CompressedAttention, convention: Convention
) -> Iterator[CachePart]:
    """Yield a window of entries, compressed entries, an indexer's keys, the compressors' states.

    An entry is key and value at once. Sources: vllm: models/deepseek_v4/compressor.py,
    attention.py, v1/attention/backends/mla/sparse_swa.py; sglang: the same records without tensor
    parallelism (srt/model_executor/pool_configurator.py DSV4PoolConfigurator); transformers:
    models/deepseek_v4/modeling_deepseek_v4.py.
    """
    engine = engine_of(convention.engine)
    yield engine.compressed_window(mixer, convention)
    if not mixer.ratio:
        return
    dtype = engine.sparse_dtype(convention.dtype)
    entry = compressed_entry_bytes(mixer.head_dim, mixer.rope_dim, dtype)
    yield CachePart("kv", dtype, entry, Fraction(mixer.ratio), kind="latent")
    yield from engine.compressor(mixer, mixer.head_dim, convention)
    if mixer.indexer:
        yield indexer_part(mixer.indexer, convention, mixer.ratio)
        yield from engine.compressor(mixer, mixer.indexer.head_dim, convention)
