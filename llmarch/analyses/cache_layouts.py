"""What one layer of each mixer keeps for one sequence, in the layout of an inference engine.

docs/cache.md says what each engine does, from which file that was read, and what `ideal` means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil

from ..architecture.layers import used_mixers
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
)
from .cache_parts import ELEMENT_BYTES, PER_HEAD_BITS, CachePart, Convention
from .cache_states import recurrent_parts

VLLM_PAGE = 16
"""Tokens of a page: CacheConfig.DEFAULT_BLOCK_SIZE (vllm/config/cache.py)."""
VLLM_LATENT_PAGE = 64
"""Tokens of a page that FlashMLA asks for (vllm: v1/attention/backends/mla/flashmla.py)."""
VLLM_IN_FLIGHT = 2 * 8192
"""Tokens scheduled and not yet settled: two batches (asynchronous scheduling) of
max_num_batched_tokens, whose default for a server on an H100 is 8,192 (vllm/config/vllm.py
max_in_flight_tokens, engine/arg_utils.py get_batch_defaults)."""
SGLANG_SHARE = Fraction(4, 5)
"""The sliding pool's tokens as a share of the full pool's: swa_full_tokens_ratio (sglang:
srt/server_args.py)."""
SGLANG_COMPRESSED_SHARE = Fraction(1, 10)
"""The same share for DeepSeek V4, by its own default (sglang:
srt/model_executor/pool_configurator.py)."""
SGLANG_POOLS = frozenset(
    ("llama4", "deepseek_v4", "gpt_oss", "mimo_v2_flash", "step3p5", "step3p7", "gemma4", "laguna")
)
"""Models that have a sliding pool at all; in others a sliding layer keeps every token (sglang:
srt/configs/model_config.py is_hybrid_swa_model)."""


def cache_parts(a: Architecture, name: str, convention: Convention) -> list[CachePart]:
    """Return what one layer of the mixer `name` keeps.

    Raises ValueError for a dtype that the mixer cannot be stored in.
    """
    mixer = a.mixers[name]
    match mixer:
        case Attention():
            return list(attention_cache_parts(a, mixer, convention))
        case LatentAttention():
            return list(latent_attention_parts(a, mixer, convention))
        case CompressedAttention():
            return list(compressed_attention_parts(mixer, convention))
        case LinearAttention():
            return linear_attention_parts(a, mixer, convention)


# --- softmax attention --------------------------------------------------------------------------


def attention_cache_parts(
    a: Architecture, mixer: Attention, convention: Convention
) -> Iterator[CachePart]:
    """Yield keys and values of the tokens that a query can see, and the keys of a block index.

    T * n_kv * (d_k + d_v) elements (vllm: v1/kv_cache_interface.py AttentionSpec; transformers:
    cache_utils.py). A layer that reads another layer's keys and values keeps none; sinks are
    weights.
    """
    if mixer.kv_from is not None:
        return
    dtype = convention.dtype
    kv_heads = cached_kv_heads(a, mixer, convention)
    entry = kv_entry_bytes(kv_heads, mixer.head_dim, mixer.v_head_dim, dtype)
    if mixer.cross_tokens is not None:
        yield CachePart("cross", dtype, entry * mixer.cross_tokens, law="fixed")
        return
    part = CachePart("kv", dtype, entry)
    if mixer.window or mixer.chunk:
        yield limit_to_window(a, mixer, part, convention)
    else:
        yield divide_into_pages(a, part, convention)
    if mixer.block_index:
        # One key, not one for each of its heads (vllm, sglang: MiniMax M3).
        index_dtype = _block_index_dtype(convention)
        key_bytes = mixer.block_index.head_dim * ELEMENT_BYTES[index_dtype]
        yield divide_into_pages(a, CachePart("index", index_dtype, key_bytes), convention)


def _block_index_dtype(convention: Convention) -> str:
    """Return the dtype of a block index's keys; vLLM and transformers do not quantise them."""
    if convention.engine in ("ideal", "sglang") and convention.dtype in ELEMENT_BYTES:
        return convention.dtype
    return convention.unquantised_dtype


def cached_kv_heads(a: Architecture, mixer: Attention, convention: Convention) -> int:
    """Return how many KV heads are cached.

    For Falcon with several KV heads, transformers repeats them to every query head before caching
    (models/falcon/modeling_falcon.py).
    """
    repeats = convention.engine == "transformers" and a.model_type == "falcon"
    if repeats and mixer.kv_heads > 1:
        return mixer.heads
    return mixer.kv_heads


def kv_entry_bytes(kv_heads: int, key_dim: int, value_dim: int, dtype: str) -> int:
    """Return the bytes of one token's keys and values. Raises ValueError for layouts of MLA."""
    elements = key_dim + value_dim
    if dtype in ELEMENT_BYTES:
        return kv_heads * elements * ELEMENT_BYTES[dtype]
    if dtype in PER_HEAD_BITS:
        two_scales = 2 * 4
        return kv_heads * (elements * PER_HEAD_BITS[dtype] // 8 + two_scales)
    if dtype == "nvfp4":
        scales = key_dim // 16 + value_dim // 16
        return kv_heads * (elements // 2 + scales)
    raise ValueError(
        f"{dtype} is a layout of MLA and of DeepSeek V4's attention, "
        "not of separate keys and values"
    )


def limit_to_window(
    a: Architecture, mixer: Attention, part: CachePart, convention: Convention
) -> CachePart:
    """Return the part of a sliding window of W tokens, or of a chunk of C.

    ideal: min(T, W); of a chunk the most that it ever holds.
    vllm: pages for W - 1 tokens (a chunk: C) and all tokens in flight, and one page more for a
        window, whose first page may be cut (SlidingWindowSpec,
        ChunkedLocalAttentionSpec.max_admission_blocks_per_request).
    sglang: a share of a pool, or every token.
    transformers: W - 1, for the next token is the W-th (cache_utils.py DynamicSlidingWindowLayer).
    """
    reach = mixer.window or mixer.chunk or 0
    match convention.engine:
        case "transformers":
            return replace(part, most_tokens=reach - 1)
        case "vllm" if convention.reserve:
            pages = divide_into_pages(a, part, convention)
            if mixer.chunk:
                return replace(pages, most_tokens=reach + VLLM_IN_FLIGHT)
            return replace(pages, most_tokens=reach - 1 + VLLM_IN_FLIGHT, spare_pages=1)
        case "sglang" if not has_sliding_pool(a):
            return part
        case "sglang" if convention.reserve:
            return replace(part, tokens_per_entry=1 / SGLANG_SHARE)
        case _:
            return replace(part, most_tokens=reach)


def has_sliding_pool(a: Architecture) -> bool:
    """Return whether SGLang keeps the sliding layers of a model in a pool of their own."""
    return a.model_type.removesuffix("_text") in SGLANG_POOLS


def latent_attention_parts(
    a: Architecture, mixer: LatentAttention, convention: Convention
) -> Iterator[CachePart]:
    """Yield MLA's latent and rotary key, and the keys of a sparse indexer.

    One of each for all heads: no factor 2, no heads (vllm: v1/kv_cache_interface.py
    MLAAttentionSpec).
    """
    dtype = convention.dtype
    if mixer.indexer:
        dtype = sparse_kernel_dtype(convention)
    entry = latent_entry_bytes(mixer.kv_lora_rank, mixer.qk_rope_head_dim, dtype)
    yield divide_into_pages(a, CachePart("kv", dtype, entry), convention)
    if mixer.indexer:
        yield divide_into_pages(a, indexer_part(mixer.indexer, convention), convention)


def sparse_kernel_dtype(convention: Convention) -> str:
    """Return the dtype in which sparse attention keeps its cache.

    FlashMLA's sparse kernels keep an fp8 cache as fp8_ds_mla (vllm:
    v1/attention/backends/mla/flashmla_sparse.py; sglang: DSA).
    """
    if convention.engine in ("vllm", "sglang") and convention.dtype == "fp8":
        return "fp8_ds_mla"
    return convention.dtype


def latent_entry_bytes(rank: int, rope_dim: int, dtype: str) -> int:
    """Return the bytes of one token's latent and rotary key.

    For 512 + 64: 1,152 in bf16, 656 as fp8_ds_mla, 352 as nvfp4_ds_mla. Raises ValueError for
    layouts of separate keys and values.
    """
    if dtype in ELEMENT_BYTES:
        return (rank + rope_dim) * ELEMENT_BYTES[dtype]
    if dtype == "fp8_ds_mla":
        scales = 4 * ceil(rank / 128)
        return rank + scales + 2 * rope_dim
    if dtype == "nvfp4_ds_mla":
        scales = rank // 16
        return rank // 2 + scales + rope_dim
    raise ValueError(f"{dtype} is a layout of separate keys and values, not of MLA's latent")


def indexer_part(indexer: Indexer, convention: Convention, every: int = 1) -> CachePart:
    """Return the lightning indexer's keys: one head, one entry every `every` tokens.

    They are fp8 with a float32 scale per 128, whatever the cache's dtype (vllm:
    DeepseekV32IndexerCache in model_executor/models/deepseek_v2.py; sglang:
    srt/mem_cache/memory_pool.py); transformers keeps them in the model's dtype.
    """
    head_dim = indexer.head_dim
    if convention.engine == "transformers":
        dtype = convention.unquantised_dtype
        entry = head_dim * ELEMENT_BYTES[dtype]
    else:
        dtype = "fp8"
        scales = 4 * ceil(head_dim / 128)
        entry = head_dim + scales
    return CachePart("index", dtype, entry, Fraction(every))


# --- pages --------------------------------------------------------------------------------------


def divide_into_pages(a: Architecture, part: CachePart, convention: Convention) -> CachePart:
    """Return the part in whole pages, if the engine has them."""
    if not convention.has_pages:
        return part
    page = compute_page_tokens(a, convention)
    return replace(part, page_tokens=page, page_bytes=page * part.entry_bytes)


def compute_page_tokens(a: Architecture, convention: Convention) -> int:
    """Return the tokens of vLLM's pages.

    With recurrent layers a page grows until it covers the whole state of a layer: by 16 tokens, by
    128 with MLA (vllm: platforms/interface.py _align_hybrid_block_size).
    """
    page = step = VLLM_PAGE
    if any(isinstance(mixer, LatentAttention) for mixer in used_mixers(a).values()):
        page, step = VLLM_LATENT_PAGE, 128
    state = _largest_state_bytes(a, convention)
    entry = largest_entry_bytes(a, convention)
    if not state or not entry:
        return page
    steps = ceil(state / (step * entry))
    return max(page, step * steps)


def _largest_state_bytes(a: Architecture, convention: Convention) -> int:
    """Return the bytes of the largest state of a recurrent layer; 0 without any."""
    sizes = [0]
    for mixer in used_mixers(a).values():
        if isinstance(mixer, LinearAttention):
            parts = recurrent_parts(a, mixer, convention)
            sizes.append(sum(part.largest_bytes for part in parts))
    return max(sizes)


def largest_entry_bytes(a: Architecture, convention: Convention) -> int:
    """Return the bytes of one token in the attention layers that need most; 0 without any."""
    without_pages = replace(convention, reserve=False)
    sizes = [0]
    for name, mixer in used_mixers(a).items():
        if isinstance(mixer, (Attention, LatentAttention)):
            parts = cache_parts(a, name, without_pages)
            sizes += [part.entry_bytes for part in parts if part.role == "kv"]
    return max(sizes)


def linear_attention_parts(
    a: Architecture, mixer: LinearAttention, convention: Convention
) -> list[CachePart]:
    """Return the convolution's columns and the recurrent state of one layer.

    vllm with prefix caching, its default for hybrids, holds two states, each padded to a page of
    attention (MambaSpec, mode align).
    """
    parts = recurrent_parts(a, mixer, convention)
    if not convention.has_pages or not parts:
        return parts
    page = compute_page_tokens(a, convention)
    page_bytes = page * largest_entry_bytes(a, convention)
    used = sum(part.entry_bytes for part in parts)
    padding = max(0, page_bytes - used)
    *others, last = parts
    padded = [*others, replace(last, entry_bytes=last.entry_bytes + padding)]
    return [replace(part, entry_bytes=2 * part.entry_bytes) for part in padded]


# --- DeepSeek V4 --------------------------------------------------------------------------------

V4_WINDOW_PAGE = 64
V4_ENTRY_PAGE = 256
"""Tokens of the pages of vLLM's DeepSeek V4, see `compressed_attention_parts`."""


def compressed_attention_parts(
    mixer: CompressedAttention, convention: Convention
) -> Iterator[CachePart]:
    """Yield a window of entries, compressed entries, an indexer's keys, the compressors' states.

    An entry is key and value at once. Sources: vllm: models/deepseek_v4/compressor.py,
    attention.py, v1/attention/backends/mla/sparse_swa.py; sglang: the same records without tensor
    parallelism (srt/model_executor/pool_configurator.py DSV4PoolConfigurator); transformers:
    models/deepseek_v4/modeling_deepseek_v4.py.
    """
    yield _compressed_window_part(mixer, convention)
    if not mixer.ratio:
        return
    dtype = sparse_kernel_dtype(convention)
    entry = compressed_entry_bytes(mixer.head_dim, mixer.rope_dim, dtype)
    entries = CachePart("kv", dtype, entry, Fraction(mixer.ratio))
    yield _divide_compressed(entries, convention)
    yield from compressor_parts(mixer, mixer.head_dim, convention)
    if mixer.indexer:
        keys = indexer_part(mixer.indexer, convention, mixer.ratio)
        yield _divide_compressed(keys, convention)
        yield from compressor_parts(mixer, mixer.indexer.head_dim, convention)


def _compressed_window_part(mixer: CompressedAttention, convention: Convention) -> CachePart:
    """Return the window; transformers keeps keys and values apart where there is nothing else."""
    dtype = sparse_kernel_dtype(convention)
    entry = compressed_entry_bytes(mixer.head_dim, mixer.rope_dim, dtype)
    part = CachePart("kv", dtype, entry, most_tokens=mixer.window)
    if convention.engine == "transformers":
        if not mixer.ratio:
            entry *= 2
        return replace(part, most_tokens=mixer.window - 1, entry_bytes=entry)
    if convention.has_pages:
        most = mixer.window - 1 + VLLM_IN_FLIGHT
        reserved = replace(part, most_tokens=most, spare_pages=1)
        return divide_into_padded_pages(reserved, V4_WINDOW_PAGE, dtype)
    if convention.engine == "sglang" and convention.reserve:
        return replace(part, most_tokens=None, tokens_per_entry=1 / SGLANG_COMPRESSED_SHARE)
    return part


def _divide_compressed(part: CachePart, convention: Convention) -> CachePart:
    """Return compressed entries or their indexer's keys in whole pages, if there are pages."""
    if not convention.has_pages:
        return part
    return divide_into_padded_pages(part, V4_ENTRY_PAGE, sparse_kernel_dtype(convention))


def compressed_entry_bytes(head_dim: int, rope_dim: int, dtype: str) -> int:
    """Return the bytes of one entry. Raises ValueError for layouts of other mixers.

    For 512: 1,024 in bf16; as fp8_ds_mla 448 in fp8, 64 rotary dims in bf16 and 7 scales of a byte,
    padded to 584.
    """
    if dtype in ELEMENT_BYTES:
        return head_dim * ELEMENT_BYTES[dtype]
    if dtype == "fp8_ds_mla":
        plain_dim = head_dim - rope_dim
        scales = ceil(plain_dim / 64)
        return 8 * ceil((plain_dim + 2 * rope_dim + scales) / 8)
    raise ValueError(f"{dtype} is not a layout of DeepSeek V4's attention")


def divide_into_padded_pages(part: CachePart, page: int, dtype: str) -> CachePart:
    """Return the part in pages of `page` tokens.

    Their bytes are padded to a multiple of 576 in the fp8_ds_mla layout, of 512 otherwise.
    """
    unit = 512
    if dtype == "fp8_ds_mla":
        unit = 576
    entries = page / part.tokens_per_entry
    units = ceil(entries * part.entry_bytes / unit)
    return replace(part, page_tokens=page, page_bytes=unit * units)


def compressor_parts(
    mixer: CompressedAttention, width: int, convention: Convention
) -> Iterator[CachePart]:
    """Yield the tokens of the window that is being compressed.

    Each is `width` values and `width` gates in float32 for each series (CSA has two, overlapping).
    The engines keep a ring of one window, of two with two series. transformers keeps the tokens of
    the unfinished window in the model's dtype, and for CSA, once a window is closed, its values and
    float32 gates for the overlap.
    """
    channels = 2 * mixer.series * width
    overlapping = mixer.series == 2
    if convention.engine == "transformers":
        dtype = convention.unquantised_dtype
        element = ELEMENT_BYTES[dtype]
        ratio = mixer.ratio
        yield CachePart("state", dtype, channels * element, most_tokens=ratio, law="cycle")
        if overlapping:
            closed = ratio * width * (element + 4)
            yield CachePart("state", dtype, closed, most_tokens=ratio, law="once")
        return
    ring = mixer.series * mixer.ratio
    token = 4 * channels
    if not convention.has_pages:
        yield CachePart("state", "fp32", ring * token, law="fixed")
        return
    most = ring - 1 + VLLM_IN_FLIGHT
    part = CachePart("state", "fp32", token, most_tokens=most, spare_pages=1)
    page = 8
    if overlapping:
        page = 4
    yield divide_into_padded_pages(part, page, sparse_kernel_dtype(convention))
