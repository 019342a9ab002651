"""What one layer of each mixer keeps for one sequence, in the layout of an inference engine. Sizes in bytes, lengths in tokens.

docs/cache.md says what each engine does, from which file that was read, and what `ideal` means. Versions read: vLLM 0.33.0, SGLang 0.5.23,
transformers 5.23.0 (`vllm: FILE`, `sglang: FILE`, `transformers: FILE` below name files of these).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..architecture.layers import mixer_names
from ..architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
)

Engine = Literal["ideal", "vllm", "sglang", "transformers"]
ENGINES: tuple[Engine, ...] = ("ideal", "vllm", "sglang", "transformers")
ELEMENT_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1, "int8": 1}
"""Bytes of one element, where a cache is a plain array of them."""
PER_HEAD_BITS = {"fp8_per_token_head": 8, "int8_per_token_head": 8, "int4_per_token_head": 4}
"""Bits of one element; besides, K and V of each token and head have a float32 scale (vllm: the Triton backend's layout)."""
PACKED_LAYOUTS = {
    "nvfp4": "K and V of each head packed as fp4 with an fp8 scale per 16",
    "fp8_ds_mla": "MLA: fp8 latent, float32 scale per 128, bf16 rotary key; DeepSeek V4: fp8 with a byte of scale per 64, bf16 rotary dims",
    "nvfp4_ds_mla": "MLA: fp4 latent, fp8 scale per 16, fp8 rotary key",
}
CACHE_DTYPES = (*ELEMENT_BYTES, *PER_HEAD_BITS, *PACKED_LAYOUTS)

VLLM_PAGE, VLLM_LATENT_PAGE = 16, 64
"""Tokens of a page: CacheConfig.DEFAULT_BLOCK_SIZE; what FlashMLA asks for (vllm: config/cache.py,
v1/attention/backends/mla/flashmla.py)."""
VLLM_IN_FLIGHT = 2 * 8192
"""Tokens scheduled and not yet settled: two batches (asynchronous scheduling) of max_num_batched_tokens, whose default for a server on
an H100 is 8,192 (vllm: config/vllm.py max_in_flight_tokens, engine/arg_utils.py get_batch_defaults)."""
SGLANG_SHARE, SGLANG_COMPRESSED_SHARE = Fraction(4, 5), Fraction(1, 10)
"""The sliding pool's tokens as a share of the full pool's: swa_full_tokens_ratio, and DeepSeek V4's own default
(sglang: srt/server_args.py, srt/model_executor/pool_configurator.py)."""
SGLANG_POOLS = frozenset(
    ("llama4", "deepseek_v4", "gpt_oss", "mimo_v2_flash", "step3p5", "step3p7", "gemma4", "laguna")
)
"""Models that have a sliding pool at all; in others a sliding layer keeps every token (sglang: srt/configs/model_config.py
is_hybrid_swa_model)."""


@frozen
class Convention(Frozen):
    """By whose rules bytes are counted. `dtype`: of keys and values, one of DTYPES. `reserve` False: without what vllm and sglang set
    aside beyond the tokens themselves (pages, tokens in flight, a second state, a share of a pool), in their layouts still."""

    engine: Engine = "ideal"
    dtype: str = "bf16"
    reserve: bool = True

    @property
    def unquantised_dtype(self) -> str:
        """The dtype of what is never quantised along with keys and values: the model's own, 16 bits unless it runs in float32."""
        return self.dtype if ELEMENT_BYTES.get(self.dtype, 1) > 1 else "bf16"

    @property
    def has_pages(self) -> bool:
        return self.engine == "vllm" and self.reserve


Role = Literal["kv", "index", "conv", "state", "cross"]
"""Keys and values (or the latent in their place); keys of a sparse indexer; columns of a short convolution; recurrent or compressor
state; keys and values of an encoder's tokens. What a part with a limit holds of `kv` is its window."""


@frozen
class CachePart(Frozen):
    """One thing that a layer keeps: entries of `entry` bytes.

    `grow`: an entry every `every` tokens, of the last `most` tokens (None: of all); with `page`, whole pages of so many tokens and
    `page_bytes` each, and `spare` pages more. `fixed`: one entry, whatever was read. `cycle`: an entry for each token since the last
    multiple of `most`. `once`: one entry from the `most`-th token on.
    """

    role: Role
    dtype: str
    entry_bytes: int
    tokens_per_entry: Fraction = Fraction(1)
    most_tokens: int | None = None
    law: Literal["grow", "fixed", "cycle", "once"] = "grow"
    page_tokens: int | None = None
    page_bytes: int = 0
    spare_pages: int = 0

    def bytes_at(self, tokens: int) -> int:
        """Bytes after `tokens` tokens."""
        if self.law == "fixed":
            return self.entry_bytes
        if self.law == "cycle":
            return self.entry_bytes * (tokens % (self.most_tokens or 1))
        if self.law == "once":
            return self.entry_bytes * (tokens >= (self.most_tokens or 1))
        kept = tokens if self.most_tokens is None else min(tokens, self.most_tokens)
        if self.page_tokens is None:
            return int(kept / self.tokens_per_entry) * self.entry_bytes
        return (-(-kept // self.page_tokens) + self.spare_pages) * self.page_bytes if kept else 0

    @property
    def bytes_per_token(self) -> Fraction:
        """Bytes that a token adds before any limit is reached, pages shared out evenly."""
        if self.law != "grow":
            return Fraction(0)
        return (
            Fraction(self.page_bytes, self.page_tokens)
            if self.page_tokens
            else self.entry_bytes / self.tokens_per_entry
        )

    @property
    def grows(self) -> bool:
        return self.law == "grow" and self.most_tokens is None

    @property
    def largest_bytes(self) -> int:
        """The most it ever holds; 0 for what grows on."""
        if self.law == "cycle":
            return self.entry_bytes * ((self.most_tokens or 1) - 1)
        return 0 if self.grows else self.bytes_at(self.most_tokens or 0)


def cache_parts(a: Architecture, name: str, c: Convention) -> list[CachePart]:
    """What one layer of the mixer `name` keeps. Raises ValueError for a dtype that it can't be stored in."""
    m = a.mixers[name]
    match m:
        case Attention():
            return list(attention_parts(a, m, c))
        case LatentAttention():
            return list(latent_attention_parts(a, m, c))
        case CompressedAttention():
            return list(compressed_attention_parts(m, c))
        case LinearAttention():
            return list(linear_attention_parts(a, m, c))


# --- softmax attention --------------------------------------------------------------------------------------------


def attention_parts(a: Architecture, m: Attention, c: Convention) -> Iterator[CachePart]:
    """K and V of kv_heads heads, their own head dims, of the tokens a query can see; nothing where another layer's are read.

    T * n_kv * (d_k + d_v) elements (vllm: v1/kv_cache_interface.py AttentionSpec; transformers: cache_utils.py). Sinks are weights.
    """
    if m.kv_from is not None:
        return
    entry = kv_entry_bytes(cached_kv_heads(a, m, c), m.head_dim, m.v_head_dim, c.dtype)
    if m.cross_tokens is not None:
        yield CachePart("cross", c.dtype, entry * m.cross_tokens, law="fixed")
        return
    part = CachePart("kv", c.dtype, entry)
    reach = m.window or m.chunk
    yield divide_into_pages(a, part, c) if reach is None else limit_to_window(a, m, part, reach, c)
    if m.block_index:  # one key, not one for each of its heads (vllm, sglang: MiniMax M3)
        index = (
            c.dtype
            if c.engine in ("ideal", "sglang") and c.dtype in ELEMENT_BYTES
            else c.unquantised_dtype
        )
        yield divide_into_pages(
            a, CachePart("index", index, m.block_index.head_dim * ELEMENT_BYTES[index]), c
        )


def cached_kv_heads(a: Architecture, m: Attention, c: Convention) -> int:
    """Falcon with several KV heads: transformers repeats them to every query head before caching (models/falcon/modeling_falcon.py)."""
    return (
        m.heads
        if c.engine == "transformers" and a.model_type == "falcon" and m.kv_heads > 1
        else m.kv_heads
    )


def kv_entry_bytes(kv_heads: int, k: int, v: int, dtype: str) -> int:
    """Bytes of one token's keys and values."""
    if dtype in ELEMENT_BYTES:
        return kv_heads * (k + v) * ELEMENT_BYTES[dtype]
    if dtype in PER_HEAD_BITS:
        return kv_heads * ((k + v) * PER_HEAD_BITS[dtype] // 8 + 8)
    if dtype == "nvfp4":
        return kv_heads * ((k + v) // 2 + k // 16 + v // 16)
    raise ValueError(
        f"{dtype} is a layout of MLA and of DeepSeek V4's attention, not of separate keys and values"
    )


def limit_to_window(
    a: Architecture, m: Attention, part: CachePart, reach: int, c: Convention
) -> CachePart:
    """A sliding window or a chunk.

    ideal: min(T, W) (of a chunk the most it ever holds). vllm: pages for W - 1 (a chunk: C) and all tokens in flight, and one page more
    for a window, whose first page may be cut (SlidingWindowSpec, ChunkedLocalAttentionSpec.max_admission_blocks_per_request). sglang: a
    share of a pool, or every token. transformers: W - 1, for the next token brings the W-th (cache_utils.py DynamicSlidingWindowLayer);
    MiMo's window is exclusive of the token itself (models/mimo_v2_flash/configuration_mimo_v2_flash.py adds one).
    """
    match c.engine:
        case "transformers":
            return replace(
                part, most_tokens=reach if a.model_type == "mimo_v2_flash" else reach - 1
            )
        case "vllm" if c.reserve:
            most = (reach if m.chunk else reach - 1) + VLLM_IN_FLIGHT
            return replace(
                divide_into_pages(a, part, c), most_tokens=most, spare_pages=0 if m.chunk else 1
            )
        case "sglang" if a.model_type.removesuffix("_text") not in SGLANG_POOLS:
            return part
        case "sglang" if c.reserve:
            return replace(part, tokens_per_entry=1 / SGLANG_SHARE)
        case _:
            return replace(part, most_tokens=reach)


def latent_attention_parts(
    a: Architecture, m: LatentAttention, c: Convention
) -> Iterator[CachePart]:
    """One latent and one rotary key for all heads: no factor 2, no heads (vllm: v1/kv_cache_interface.py MLAAttentionSpec)."""
    dtype = sparse_kernel_dtype(c) if m.indexer else c.dtype
    yield divide_into_pages(
        a, CachePart("kv", dtype, latent_entry_bytes(m.kv_lora_rank, m.qk_rope_head_dim, dtype)), c
    )
    if m.indexer:
        yield divide_into_pages(a, indexer_part(m.indexer, c), c)


def sparse_kernel_dtype(c: Convention) -> str:
    """FlashMLA's sparse kernels keep an fp8 cache as fp8_ds_mla (vllm: v1/attention/backends/mla/flashmla_sparse.py; sglang: DSA)."""
    return "fp8_ds_mla" if c.engine in ("vllm", "sglang") and c.dtype == "fp8" else c.dtype


def latent_entry_bytes(rank: int, rope: int, dtype: str) -> int:
    """Bytes of one token's latent and rotary key: 1,152 for 512 + 64 in bf16, 656 as fp8_ds_mla, 352 as nvfp4_ds_mla."""
    if dtype in ELEMENT_BYTES:
        return (rank + rope) * ELEMENT_BYTES[dtype]
    if dtype == "fp8_ds_mla":
        return rank + 4 * ceil(rank / 128) + 2 * rope
    if dtype == "nvfp4_ds_mla":
        return rank // 2 + rank // 16 + rope
    raise ValueError(f"{dtype} is a layout of separate keys and values, not of MLA's latent")


def indexer_part(x: Indexer, c: Convention, every: int = 1) -> CachePart:
    """The lightning indexer's keys: one head, fp8 with a float32 scale per 128 whatever the cache's dtype (vllm: DeepseekV32IndexerCache in
    model_executor/models/deepseek_v2.py; sglang: srt/mem_cache/memory_pool.py); transformers keeps them in the model's dtype."""
    if c.engine == "transformers":
        return CachePart(
            "index",
            c.unquantised_dtype,
            x.head_dim * ELEMENT_BYTES[c.unquantised_dtype],
            Fraction(every),
        )
    return CachePart("index", "fp8", x.head_dim + 4 * ceil(x.head_dim / 128), Fraction(every))


# --- pages --------------------------------------------------------------------------------------------------------


def divide_into_pages(a: Architecture, part: CachePart, c: Convention) -> CachePart:
    """The part in whole pages, where the engine has them."""
    if not c.has_pages:
        return part
    page = compute_page_tokens(a, c)
    return replace(part, page_tokens=page, page_bytes=page * part.entry_bytes)


def compute_page_tokens(a: Architecture, c: Convention) -> int:
    """Tokens of vLLM's pages. With recurrent layers a page grows until it covers a layer's whole state: by 16 tokens, by 128 with MLA
    (vllm: platforms/interface.py _align_hybrid_block_size)."""
    plain, used = (
        replace(c, reserve=False),
        {n: a.mixers[n] for k in a.layers for n in mixer_names(a, k)},
    )
    latents = any(isinstance(m, LatentAttention) for m in used.values())
    page, step = (VLLM_LATENT_PAGE, 128) if latents else (VLLM_PAGE, VLLM_PAGE)
    states = max(
        (
            sum(p.largest_bytes for p in cache_parts(a, n, plain))
            for n, m in used.items()
            if isinstance(m, LinearAttention)
        ),
        default=0,
    )
    entry = largest_entry_bytes(a, c)
    return max(page, step * ceil(states / (step * entry))) if states and entry else page


def largest_entry_bytes(a: Architecture, c: Convention) -> int:
    """Bytes of one token in the attention layers that need most; 0 without any."""
    plain = replace(c, reserve=False)
    used = dict.fromkeys(
        n
        for k in a.layers
        for n in mixer_names(a, k)
        if isinstance(a.mixers[n], (Attention, LatentAttention))
    )
    return max(
        (p.entry_bytes for n in used for p in cache_parts(a, n, plain) if p.role == "kv"), default=0
    )


# --- DeepSeek V4 --------------------------------------------------------------------------------------------------


def compressed_attention_parts(m: CompressedAttention, c: Convention) -> Iterator[CachePart]:
    """DeepSeek V4: a window of entries that are key and value at once, compressed entries beyond it, an indexer's keys, and the
    compressor's state.

    vllm: models/deepseek_v4/compressor.py, attention.py, v1/attention/backends/mla/sparse_swa.py; sglang: the same records without tensor
    parallelism (srt/model_executor/pool_configurator.py DSV4PoolConfigurator); transformers: models/deepseek_v4/modeling_deepseek_v4.py.
    """
    dtype = sparse_kernel_dtype(c)
    entry = compressed_entry_bytes(m.head_dim, m.rope_dim, dtype)
    window = CachePart("kv", dtype, entry, most_tokens=m.window)
    if c.engine == "transformers":  # keys and values apart where there is nothing else
        window = replace(
            window, most_tokens=m.window - 1, entry_bytes=entry * (1 if m.ratio else 2)
        )
    elif c.has_pages:
        window = divide_into_padded_pages(
            replace(window, most_tokens=m.window - 1 + VLLM_IN_FLIGHT, spare_pages=1), 64, dtype
        )
    elif c.engine == "sglang" and c.reserve:
        window = replace(window, most_tokens=None, tokens_per_entry=1 / SGLANG_COMPRESSED_SHARE)
    yield window
    if m.ratio:
        entries = CachePart("kv", dtype, entry, Fraction(m.ratio))
        yield divide_into_padded_pages(entries, 256, dtype) if c.has_pages else entries
        yield from compressor_parts(m, m.head_dim, c)
        if m.indexer:
            keys = indexer_part(m.indexer, c, m.ratio)
            yield divide_into_padded_pages(keys, 256, dtype) if c.has_pages else keys
            yield from compressor_parts(m, m.indexer.head_dim, c)


def compressed_entry_bytes(dim: int, rope: int, dtype: str) -> int:
    """Bytes of one entry: 1,024 for 512 in bf16; as fp8_ds_mla 448 fp8, 64 rotary dims in bf16, 7 scales of a byte, padded to 584."""
    if dtype in ELEMENT_BYTES:
        return dim * ELEMENT_BYTES[dtype]
    if dtype == "fp8_ds_mla":
        return 8 * ceil(((dim - rope) + 2 * rope + ceil((dim - rope) / 64)) / 8)
    raise ValueError(f"{dtype} is not a layout of DeepSeek V4's attention")


def divide_into_padded_pages(part: CachePart, page: int, dtype: str) -> CachePart:
    """Pages padded to 576 bytes in the fp8_ds_mla layout, to 512 otherwise."""
    unit = 576 if dtype == "fp8_ds_mla" else 512
    return replace(
        part,
        page_tokens=page,
        page_bytes=unit * ceil(page / part.tokens_per_entry * part.entry_bytes / unit),
    )


def compressor_parts(m: CompressedAttention, dim: int, c: Convention) -> Iterator[CachePart]:
    """The tokens of the window that is being compressed, each `dim` values and `dim` gates in float32 for each series (CSA has two,
    overlapping).

    The engines keep a ring of one window (of two, with two series). transformers keeps the tokens of the unfinished window in the model's
    dtype, and for CSA, once a window is closed, its values and float32 gates for the overlap.
    """
    ring, token = m.series * m.ratio, 2 * m.series * dim * 4
    if c.engine == "transformers":
        e = ELEMENT_BYTES[c.unquantised_dtype]
        yield CachePart(
            "state", c.unquantised_dtype, 2 * m.series * dim * e, most_tokens=m.ratio, law="cycle"
        )
        if m.series == 2:
            yield CachePart(
                "state",
                c.unquantised_dtype,
                m.ratio * dim * (e + 4),
                most_tokens=m.ratio,
                law="once",
            )
    elif c.has_pages:
        page = 4 if m.series == 2 else 8
        yield divide_into_padded_pages(
            CachePart("state", "fp32", token, most_tokens=ring - 1 + VLLM_IN_FLIGHT, spare_pages=1),
            page,
            sparse_kernel_dtype(c),
        )
    else:
        yield CachePart("state", "fp32", ring * token, law="fixed")


# --- recurrent layers ---------------------------------------------------------------------------------------------


def linear_attention_parts(
    a: Architecture, m: LinearAttention, c: Convention
) -> Iterator[CachePart]:
    """Columns of the short convolution and the recurrent state; nothing depends on the number of tokens.

    Shapes: vllm: model_executor/layers/mamba/mamba_utils.py MambaStateShapeCalculator; sglang: srt/configs/mamba_utils.py; transformers
    keeps K columns, not K - 1. vllm with prefix caching, its default for hybrids, holds two states, each padded to an attention page
    (MambaSpec, mode align).
    """
    columns, dtype = count_conv_columns(m, c), choose_state_dtype(a, m, c)
    conv, state = columns * count_conv_channels(a, m), count_state_elements(a, m)
    found = (
        [
            CachePart(
                "conv", c.unquantised_dtype, conv * ELEMENT_BYTES[c.unquantised_dtype], law="fixed"
            )
        ]
        if conv
        else []
    )
    found += [CachePart("state", dtype, state * ELEMENT_BYTES[dtype], law="fixed")] if state else []
    if c.has_pages and found:
        room = largest_entry_bytes(a, c) * compute_page_tokens(a, c) - sum(
            p.entry_bytes for p in found
        )
        found = [replace(p, entry_bytes=2 * p.entry_bytes) for p in found]
        found[-1] = replace(found[-1], entry_bytes=found[-1].entry_bytes + 2 * max(0, room))
    yield from found


def count_conv_columns(m: LinearAttention, c: Convention) -> int:
    if m.variant in ("rwkv4", "rwkv7"):
        return 2  # the token before, for time and for channel mixing
    if not m.conv_kernel:
        return 0
    return m.conv_kernel if c.engine == "transformers" else m.conv_kernel - 1


def count_conv_channels(a: Architecture, m: LinearAttention) -> int:
    """Channels of the convolution: q, k and v together, in Mamba-2 x, B and C; in Mamba-1 and the gated convolution x alone."""
    if m.variant in ("rwkv4", "rwkv7"):
        return a.hidden_size
    if m.variant in ("mamba", "short_conv"):
        return m.value_heads * m.value_head_dim
    return 2 * m.key_heads * m.key_head_dim + m.value_heads * m.value_head_dim


def count_state_elements(a: Architecture, m: LinearAttention) -> int:
    """n_v * d_k * d_v; RWKV-4 a numerator, a denominator and a maximum per channel; mLSTM a normaliser and a maximum per head too."""
    if m.variant == "short_conv":
        return 0
    if m.variant == "rwkv4":
        return 3 * a.hidden_size
    matrix = m.value_heads * m.key_head_dim * m.value_head_dim
    return matrix + m.value_heads * (m.key_head_dim + 1) if m.variant == "mlstm" else matrix


FLOAT_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def choose_state_dtype(a: Architecture, m: LinearAttention, c: Convention) -> str:
    """The recurrent state's dtype: float32 where the model's own code computes it so, which is all but Lightning and mLSTM.

    vllm: what the config says (LinearAttention.state_dtype), else the model's dtype, but float32 for KDA and Nemotron-H (mamba_utils.py
    MambaStateDtypeCalculator, models/config.py); sglang: what the config says, else float32 (srt/configs/mamba_utils.py
    mamba2_state_dtype). transformers: float32 (measured: tests/oracle/cache_bytes.py). ideal: what the config says, else as transformers.
    """
    said = FLOAT_DTYPES.get(m.state_dtype or "")
    own = c.unquantised_dtype if m.variant in ("lightning", "mlstm") else "fp32"
    match c.engine:
        case "transformers":
            return own
        case "vllm":
            default = (
                "fp32"
                if m.variant in ("kda", "rwkv4", "rwkv7") or a.model_type == "nemotron_h"
                else c.unquantised_dtype
            )
            return c.unquantised_dtype if m.variant in ("lightning", "mlstm") else said or default
        case "sglang":
            return said or "fp32"
        case "ideal":
            return said or own
