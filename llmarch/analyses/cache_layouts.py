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
ELEMENT = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1, "int8": 1}
"""Bytes of one element, where a cache is a plain array of them."""
PER_HEAD = {"fp8_per_token_head": 8, "int8_per_token_head": 8, "int4_per_token_head": 4}
"""Bits of one element; besides, K and V of each token and head have a float32 scale (vllm: the Triton backend's layout)."""
LAYOUTS = {
    "nvfp4": "K and V of each head packed as fp4 with an fp8 scale per 16",
    "fp8_ds_mla": "MLA: fp8 latent, float32 scale per 128, bf16 rotary key; DeepSeek V4: fp8 with a byte of scale per 64, bf16 rotary dims",
    "nvfp4_ds_mla": "MLA: fp4 latent, fp8 scale per 16, fp8 rotary key",
}
DTYPES = (*ELEMENT, *PER_HEAD, *LAYOUTS)

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
    def wide(self) -> str:
        """The dtype of what is never quantised along with keys and values: the model's own, 16 bits unless it runs in float32."""
        return self.dtype if ELEMENT.get(self.dtype, 1) > 1 else "bf16"

    @property
    def pages(self) -> bool:
        return self.engine == "vllm" and self.reserve


Role = Literal["kv", "index", "conv", "state", "cross"]
"""Keys and values (or the latent in their place); keys of a sparse indexer; columns of a short convolution; recurrent or compressor
state; keys and values of an encoder's tokens. What a part with a limit holds of `kv` is its window."""


@frozen
class Part(Frozen):
    """One thing that a layer keeps: entries of `entry` bytes.

    `grow`: an entry every `every` tokens, of the last `most` tokens (None: of all); with `page`, whole pages of so many tokens and
    `page_bytes` each, and `spare` pages more. `fixed`: one entry, whatever was read. `cycle`: an entry for each token since the last
    multiple of `most`. `once`: one entry from the `most`-th token on.
    """

    role: Role
    dtype: str
    entry: int
    every: Fraction = Fraction(1)
    most: int | None = None
    law: Literal["grow", "fixed", "cycle", "once"] = "grow"
    page: int | None = None
    page_bytes: int = 0
    spare: int = 0

    def at(self, tokens: int) -> int:
        """Bytes after `tokens` tokens."""
        if self.law == "fixed":
            return self.entry
        if self.law == "cycle":
            return self.entry * (tokens % (self.most or 1))
        if self.law == "once":
            return self.entry * (tokens >= (self.most or 1))
        kept = tokens if self.most is None else min(tokens, self.most)
        if self.page is None:
            return int(kept / self.every) * self.entry
        return (-(-kept // self.page) + self.spare) * self.page_bytes if kept else 0

    @property
    def rate(self) -> Fraction:
        """Bytes that a token adds before any limit is reached, pages shared out evenly."""
        if self.law != "grow":
            return Fraction(0)
        return Fraction(self.page_bytes, self.page) if self.page else self.entry / self.every

    @property
    def grows(self) -> bool:
        return self.law == "grow" and self.most is None

    @property
    def full(self) -> int:
        """The most it ever holds; 0 for what grows on."""
        if self.law == "cycle":
            return self.entry * ((self.most or 1) - 1)
        return 0 if self.grows else self.at(self.most or 0)


def parts(a: Architecture, name: str, c: Convention) -> list[Part]:
    """What one layer of the mixer `name` keeps. Raises ValueError for a dtype that it can't be stored in."""
    m = a.mixers[name]
    match m:
        case Attention():
            return list(attention(a, m, c))
        case LatentAttention():
            return list(latent(a, m, c))
        case CompressedAttention():
            return list(compressed(m, c))
        case LinearAttention():
            return list(linear(a, m, c))


# --- softmax attention --------------------------------------------------------------------------------------------


def attention(a: Architecture, m: Attention, c: Convention) -> Iterator[Part]:
    """K and V of kv_heads heads, their own head dims, of the tokens a query can see; nothing where another layer's are read.

    T * n_kv * (d_k + d_v) elements (vllm: v1/kv_cache_interface.py AttentionSpec; transformers: cache_utils.py). Sinks are weights.
    """
    if m.kv_from is not None:
        return
    entry = heads_entry(cached_heads(a, m, c), m.head_dim, m.v_head_dim, c.dtype)
    if m.cross_tokens is not None:
        yield Part("cross", c.dtype, entry * m.cross_tokens, law="fixed")
        return
    part = Part("kv", c.dtype, entry)
    reach = m.window or m.chunk
    yield paged(a, part, c) if reach is None else limited(a, m, part, reach, c)
    if m.block_index:  # one key, not one for each of its heads (vllm, sglang: MiniMax M3)
        index = c.dtype if c.engine in ("ideal", "sglang") and c.dtype in ELEMENT else c.wide
        yield paged(a, Part("index", index, m.block_index.head_dim * ELEMENT[index]), c)


def cached_heads(a: Architecture, m: Attention, c: Convention) -> int:
    """Falcon with several KV heads: transformers repeats them to every query head before caching (models/falcon/modeling_falcon.py)."""
    return (
        m.heads
        if c.engine == "transformers" and a.model_type == "falcon" and m.kv_heads > 1
        else m.kv_heads
    )


def heads_entry(kv_heads: int, k: int, v: int, dtype: str) -> int:
    """Bytes of one token's keys and values."""
    if dtype in ELEMENT:
        return kv_heads * (k + v) * ELEMENT[dtype]
    if dtype in PER_HEAD:
        return kv_heads * ((k + v) * PER_HEAD[dtype] // 8 + 8)
    if dtype == "nvfp4":
        return kv_heads * ((k + v) // 2 + k // 16 + v // 16)
    raise ValueError(
        f"{dtype} is a layout of MLA and of DeepSeek V4's attention, not of separate keys and values"
    )


def limited(a: Architecture, m: Attention, part: Part, reach: int, c: Convention) -> Part:
    """A sliding window or a chunk.

    ideal: min(T, W) (of a chunk the most it ever holds). vllm: pages for W - 1 (a chunk: C) and all tokens in flight, and one page more
    for a window, whose first page may be cut (SlidingWindowSpec, ChunkedLocalAttentionSpec.max_admission_blocks_per_request). sglang: a
    share of a pool, or every token. transformers: W - 1, for the next token brings the W-th (cache_utils.py DynamicSlidingWindowLayer);
    MiMo's window is exclusive of the token itself (models/mimo_v2_flash/configuration_mimo_v2_flash.py adds one).
    """
    match c.engine:
        case "transformers":
            return replace(part, most=reach if a.model_type == "mimo_v2_flash" else reach - 1)
        case "vllm" if c.reserve:
            most = (reach if m.chunk else reach - 1) + VLLM_IN_FLIGHT
            return replace(paged(a, part, c), most=most, spare=0 if m.chunk else 1)
        case "sglang" if a.model_type.removesuffix("_text") not in SGLANG_POOLS:
            return part
        case "sglang" if c.reserve:
            return replace(part, every=1 / SGLANG_SHARE)
        case _:
            return replace(part, most=reach)


def latent(a: Architecture, m: LatentAttention, c: Convention) -> Iterator[Part]:
    """One latent and one rotary key for all heads: no factor 2, no heads (vllm: v1/kv_cache_interface.py MLAAttentionSpec)."""
    dtype = sparse_dtype(c) if m.indexer else c.dtype
    yield paged(a, Part("kv", dtype, latent_entry(m.kv_lora_rank, m.qk_rope_head_dim, dtype)), c)
    if m.indexer:
        yield paged(a, index_part(m.indexer, c), c)


def sparse_dtype(c: Convention) -> str:
    """FlashMLA's sparse kernels keep an fp8 cache as fp8_ds_mla (vllm: v1/attention/backends/mla/flashmla_sparse.py; sglang: DSA)."""
    return "fp8_ds_mla" if c.engine in ("vllm", "sglang") and c.dtype == "fp8" else c.dtype


def latent_entry(rank: int, rope: int, dtype: str) -> int:
    """Bytes of one token's latent and rotary key: 1,152 for 512 + 64 in bf16, 656 as fp8_ds_mla, 352 as nvfp4_ds_mla."""
    if dtype in ELEMENT:
        return (rank + rope) * ELEMENT[dtype]
    if dtype == "fp8_ds_mla":
        return rank + 4 * ceil(rank / 128) + 2 * rope
    if dtype == "nvfp4_ds_mla":
        return rank // 2 + rank // 16 + rope
    raise ValueError(f"{dtype} is a layout of separate keys and values, not of MLA's latent")


def index_part(x: Indexer, c: Convention, every: int = 1) -> Part:
    """The lightning indexer's keys: one head, fp8 with a float32 scale per 128 whatever the cache's dtype (vllm: DeepseekV32IndexerCache in
    model_executor/models/deepseek_v2.py; sglang: srt/mem_cache/memory_pool.py); transformers keeps them in the model's dtype."""
    if c.engine == "transformers":
        return Part("index", c.wide, x.head_dim * ELEMENT[c.wide], Fraction(every))
    return Part("index", "fp8", x.head_dim + 4 * ceil(x.head_dim / 128), Fraction(every))


# --- pages --------------------------------------------------------------------------------------------------------


def paged(a: Architecture, part: Part, c: Convention) -> Part:
    """The part in whole pages, where the engine has them."""
    if not c.pages:
        return part
    page = page_tokens(a, c)
    return replace(part, page=page, page_bytes=page * part.entry)


def page_tokens(a: Architecture, c: Convention) -> int:
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
            sum(p.full for p in parts(a, n, plain))
            for n, m in used.items()
            if isinstance(m, LinearAttention)
        ),
        default=0,
    )
    entry = largest_entry(a, c)
    return max(page, step * ceil(states / (step * entry))) if states and entry else page


def largest_entry(a: Architecture, c: Convention) -> int:
    """Bytes of one token in the attention layers that need most; 0 without any."""
    plain = replace(c, reserve=False)
    used = dict.fromkeys(
        n
        for k in a.layers
        for n in mixer_names(a, k)
        if isinstance(a.mixers[n], (Attention, LatentAttention))
    )
    return max((p.entry for n in used for p in parts(a, n, plain) if p.role == "kv"), default=0)


# --- DeepSeek V4 --------------------------------------------------------------------------------------------------


def compressed(m: CompressedAttention, c: Convention) -> Iterator[Part]:
    """DeepSeek V4: a window of entries that are key and value at once, compressed entries beyond it, an indexer's keys, and the
    compressor's state.

    vllm: models/deepseek_v4/compressor.py, attention.py, v1/attention/backends/mla/sparse_swa.py; sglang: the same records without tensor
    parallelism (srt/model_executor/pool_configurator.py DSV4PoolConfigurator); transformers: models/deepseek_v4/modeling_deepseek_v4.py.
    """
    dtype = sparse_dtype(c)
    entry = compressed_entry(m.head_dim, m.rope_dim, dtype)
    window = Part("kv", dtype, entry, most=m.window)
    if c.engine == "transformers":  # keys and values apart where there is nothing else
        window = replace(window, most=m.window - 1, entry=entry * (1 if m.ratio else 2))
    elif c.pages:
        window = in_pages(replace(window, most=m.window - 1 + VLLM_IN_FLIGHT, spare=1), 64, dtype)
    elif c.engine == "sglang" and c.reserve:
        window = replace(window, most=None, every=1 / SGLANG_COMPRESSED_SHARE)
    yield window
    if m.ratio:
        entries = Part("kv", dtype, entry, Fraction(m.ratio))
        yield in_pages(entries, 256, dtype) if c.pages else entries
        yield from compressor(m, m.head_dim, c)
        if m.indexer:
            keys = index_part(m.indexer, c, m.ratio)
            yield in_pages(keys, 256, dtype) if c.pages else keys
            yield from compressor(m, m.indexer.head_dim, c)


def compressed_entry(dim: int, rope: int, dtype: str) -> int:
    """Bytes of one entry: 1,024 for 512 in bf16; as fp8_ds_mla 448 fp8, 64 rotary dims in bf16, 7 scales of a byte, padded to 584."""
    if dtype in ELEMENT:
        return dim * ELEMENT[dtype]
    if dtype == "fp8_ds_mla":
        return 8 * ceil(((dim - rope) + 2 * rope + ceil((dim - rope) / 64)) / 8)
    raise ValueError(f"{dtype} is not a layout of DeepSeek V4's attention")


def in_pages(part: Part, page: int, dtype: str) -> Part:
    """Pages padded to 576 bytes in the fp8_ds_mla layout, to 512 otherwise."""
    unit = 576 if dtype == "fp8_ds_mla" else 512
    return replace(part, page=page, page_bytes=unit * ceil(page / part.every * part.entry / unit))


def compressor(m: CompressedAttention, dim: int, c: Convention) -> Iterator[Part]:
    """The tokens of the window that is being compressed, each `dim` values and `dim` gates in float32 for each series (CSA has two,
    overlapping).

    The engines keep a ring of one window (of two, with two series). transformers keeps the tokens of the unfinished window in the model's
    dtype, and for CSA, once a window is closed, its values and float32 gates for the overlap.
    """
    ring, token = m.series * m.ratio, 2 * m.series * dim * 4
    if c.engine == "transformers":
        e = ELEMENT[c.wide]
        yield Part("state", c.wide, 2 * m.series * dim * e, most=m.ratio, law="cycle")
        if m.series == 2:
            yield Part("state", c.wide, m.ratio * dim * (e + 4), most=m.ratio, law="once")
    elif c.pages:
        page = 4 if m.series == 2 else 8
        yield in_pages(
            Part("state", "fp32", token, most=ring - 1 + VLLM_IN_FLIGHT, spare=1),
            page,
            sparse_dtype(c),
        )
    else:
        yield Part("state", "fp32", ring * token, law="fixed")


# --- recurrent layers ---------------------------------------------------------------------------------------------


def linear(a: Architecture, m: LinearAttention, c: Convention) -> Iterator[Part]:
    """Columns of the short convolution and the recurrent state; nothing depends on the number of tokens.

    Shapes: vllm: model_executor/layers/mamba/mamba_utils.py MambaStateShapeCalculator; sglang: srt/configs/mamba_utils.py; transformers
    keeps K columns, not K - 1. vllm with prefix caching, its default for hybrids, holds two states, each padded to an attention page
    (MambaSpec, mode align).
    """
    columns, dtype = conv_columns(m, c), state_dtype(a, m, c)
    conv, state = columns * conv_width(a, m), state_elements(a, m)
    found = [Part("conv", c.wide, conv * ELEMENT[c.wide], law="fixed")] if conv else []
    found += [Part("state", dtype, state * ELEMENT[dtype], law="fixed")] if state else []
    if c.pages and found:
        room = largest_entry(a, c) * page_tokens(a, c) - sum(p.entry for p in found)
        found = [replace(p, entry=2 * p.entry) for p in found]
        found[-1] = replace(found[-1], entry=found[-1].entry + 2 * max(0, room))
    yield from found


def conv_columns(m: LinearAttention, c: Convention) -> int:
    if m.variant in ("rwkv4", "rwkv7"):
        return 2  # the token before, for time and for channel mixing
    if not m.conv_kernel:
        return 0
    return m.conv_kernel if c.engine == "transformers" else m.conv_kernel - 1


def conv_width(a: Architecture, m: LinearAttention) -> int:
    """Channels of the convolution: q, k and v together, in Mamba-2 x, B and C; in Mamba-1 and the gated convolution x alone."""
    if m.variant in ("rwkv4", "rwkv7"):
        return a.hidden_size
    if m.variant in ("mamba", "short_conv"):
        return m.value_heads * m.value_head_dim
    return 2 * m.key_heads * m.key_head_dim + m.value_heads * m.value_head_dim


def state_elements(a: Architecture, m: LinearAttention) -> int:
    """n_v * d_k * d_v; RWKV-4 a numerator, a denominator and a maximum per channel; mLSTM a normaliser and a maximum per head too."""
    if m.variant == "short_conv":
        return 0
    if m.variant == "rwkv4":
        return 3 * a.hidden_size
    matrix = m.value_heads * m.key_head_dim * m.value_head_dim
    return matrix + m.value_heads * (m.key_head_dim + 1) if m.variant == "mlstm" else matrix


FLOAT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def state_dtype(a: Architecture, m: LinearAttention, c: Convention) -> str:
    """The recurrent state's dtype: float32 where the model's own code computes it so, which is all but Lightning and mLSTM.

    vllm: what the config says (LinearAttention.state_dtype), else the model's dtype, but float32 for KDA and Nemotron-H (mamba_utils.py
    MambaStateDtypeCalculator, models/config.py); sglang: what the config says, else float32 (srt/configs/mamba_utils.py
    mamba2_state_dtype). transformers: float32 (measured: tests/oracle/cache_bytes.py). ideal: what the config says, else as transformers.
    """
    said = FLOAT.get(m.state_dtype or "")
    own = c.wide if m.variant in ("lightning", "mlstm") else "fp32"
    match c.engine:
        case "transformers":
            return own
        case "vllm":
            default = (
                "fp32"
                if m.variant in ("kda", "rwkv4", "rwkv7") or a.model_type == "nemotron_h"
                else c.wide
            )
            return c.wide if m.variant in ("lightning", "mlstm") else said or default
        case "sglang":
            return said or "fp32"
        case "ideal":
            return said or own
