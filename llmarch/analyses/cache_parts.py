"""What caches are counted in: cache dtypes, the entries of each layout, and the parts of a cache.

Sizes are bytes, lengths tokens. `vllm: FILE`, `sglang: FILE`, `transformers: FILE` name files of
the versions that `engines/` says were read.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from ..errors import ImpossiblePlan

ELEMENT_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1, "int8": 1}
"""Bytes of one element, where a cache is a plain array of them."""
GGML_BLOCK = 32
"""Elements of a block of the ggml types below (llama.cpp: ggml/src/ggml-common.h)."""
GGML_BLOCK_BYTES = {"q8_0": 34, "q5_1": 24, "q5_0": 22, "q4_1": 20, "q4_0": 18, "iq4_nl": 18}
"""Bytes of a block of elements with its scale, where a cache is rows of such blocks."""
PER_HEAD_BITS = {"fp8_per_token_head": 8, "int8_per_token_head": 8, "int4_per_token_head": 4}
"""Bits of one element; K and V of each token and head also have a float32 scale (vllm: the Triton
backend's layout)."""
PACKED_LAYOUTS = {
    "nvfp4": "K and V of each head packed as fp4 with an fp8 scale per 16",
    "fp8_ds_mla": "MLA: fp8 latent, float32 scale per 128, bf16 rotary key; "
    "DeepSeek V4: fp8 with a byte of scale per 64, bf16 rotary dims",
    "nvfp4_ds_mla": "MLA: fp4 latent, fp8 scale per 16, fp8 rotary key",
}
SPARSE_LAYOUTS = ("fp8_ds_mla", "nvfp4_ds_mla")
"""Layouts of MLA that the kernels of sparse attention have (vllm: v1/attention/backends/mla/
flashmla_sparse.py)."""
CACHE_DTYPES = (*ELEMENT_BYTES, *PER_HEAD_BITS, *PACKED_LAYOUTS, *GGML_BLOCK_BYTES)
SHORT_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""The short names of the dtypes that configs name."""
DTYPE_WORDS = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "f32": "fp32",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_inc": "fp8",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "fp8_e4m3fn": "fp8",
    "f8": "fp8",
}
"""What engines and checkpoints call the dtypes of a cache, and our name of each."""
MODEL_DTYPE_VARIANTS = ("lightning", "mlstm")
"""Recurrent variants whose own code keeps the state in the model's dtype."""


@frozen
class Convention(Frozen):
    """The rules by which the bytes of a cache are counted."""

    engine: str = "ideal"
    """Name of the engine, one of `engines.ENGINES`."""
    dtype: str = "bf16"
    """The dtype of keys and values, one of CACHE_DTYPES."""
    other_values: str = ""
    """The dtype of values where it is not that of keys; empty: it is."""

    @property
    def values_dtype(self) -> str:
        """Return the dtype of values."""
        return self.other_values or self.dtype

    @property
    def words(self) -> str:
        """Return the dtypes of keys and values: `q8_0`, `q8_0/fp16`."""
        if self.values_dtype == self.dtype:
            return self.dtype
        return f"{self.dtype}/{self.values_dtype}"

    @property
    def unquantised_dtype(self) -> str:
        """Return the dtype of what is not quantised along with keys and values.

        It is the model's own: 16 bits unless it runs in float32.
        """
        if ELEMENT_BYTES.get(self.dtype, 1) > 1:
            return self.dtype
        return "bf16"


Role = Literal["kv", "index", "conv", "state", "cross"]
"""What a part is.

kv: keys and values, or the latent in their place; with a limit, a window.
index: keys of a sparse indexer.
conv: columns of a short convolution.
state: recurrent or compressor state.
cross: keys and values of an encoder's tokens.
"""
FIXED_ROLES: tuple[Role, ...] = ("conv", "state", "cross")
"""Roles of parts whose size does not depend on the number of tokens."""
PartKind = Literal["full", "latent", "sliding", "chunked", "sliding_latent", "ring", "recurrent"]
"""What engines that divide a cache into blocks ask of a part.

full: keys and values of every token.
latent: one vector for every token, or for every few.
sliding, chunked: keys and values of a window or a chunk.
sliding_latent: a window of vectors.
ring: the tokens that a compressor is working on.
recurrent: a state, or the columns of a convolution.
"""


@frozen
class CachePart(Frozen):
    """One thing that a layer keeps for a sequence: entries of `entry_bytes`."""

    role: Role
    dtype: str
    entry_bytes: int
    tokens_per_entry: Fraction = Fraction(1)
    most_tokens: int | None = None
    law: Literal["grow", "fixed", "cycle", "once"] = "grow"
    """When entries are kept.

    grow: one every `tokens_per_entry` tokens, of the last `most_tokens` tokens (None: of all).
    fixed: one, whatever was read.
    cycle: one for each token since the last multiple of `most_tokens`.
    once: one from token `most_tokens` on.
    """
    kind: PartKind = "full"
    form: tuple[int, ...] = ()
    """What tells layers of equal bytes apart: KV heads, dims of a key, dims of a value."""
    ring: int = 0
    """Tokens of the ring that a fixed part holds; 0 for others."""

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes after `tokens` tokens."""
        limit = self.most_tokens or 1
        match self.law:
            case "fixed":
                return self.entry_bytes
            case "cycle":
                return self.entry_bytes * (tokens % limit)
            case "once":
                return self.entry_bytes * (tokens >= limit)
            case "grow":
                kept = tokens
                if self.most_tokens is not None:
                    kept = min(tokens, self.most_tokens)
                every = self.tokens_per_entry
                return kept * every.denominator // every.numerator * self.entry_bytes

    @property
    def bytes_per_token(self) -> Fraction:
        """Return the bytes that a token adds below any limit."""
        if self.law != "grow":
            return Fraction(0)
        return self.entry_bytes / self.tokens_per_entry

    @property
    def grows(self) -> bool:
        """Return whether the part grows without limit."""
        return self.law == "grow" and self.most_tokens is None

    @property
    def largest_bytes(self) -> int:
        """Return the most bytes that the part ever holds; 0 if it grows without limit."""
        if self.grows:
            return 0
        if self.law == "cycle":
            return self.entry_bytes * ((self.most_tokens or 1) - 1)
        return self.bytes_at(self.most_tokens or 0)


# --- the bytes of an entry ----------------------------------------------------------------------


def row_bytes(elements: int, dtype: str) -> int | None:
    """Return the bytes of a row of elements in a plain or ggml dtype; None in other dtypes."""
    if dtype in ELEMENT_BYTES:
        return elements * ELEMENT_BYTES[dtype]
    if dtype in GGML_BLOCK_BYTES:
        return ceil(elements / GGML_BLOCK) * GGML_BLOCK_BYTES[dtype]
    return None


def kv_entry_bytes(
    kv_heads: int, key_dim: int, value_dim: int, dtype: str, values_dtype: str = ""
) -> int:
    """Return the bytes of one token's keys and values. Raises ImpossiblePlan for layouts of MLA.

    values_dtype: dtype of the values; empty: that of the keys.
    """
    elements = key_dim + value_dim
    keys = row_bytes(kv_heads * key_dim, dtype)
    values = row_bytes(kv_heads * value_dim, values_dtype or dtype)
    if keys is not None and values is not None:
        return keys + values
    if dtype in PER_HEAD_BITS:
        two_scales = 2 * 4
        numbers = elements * PER_HEAD_BITS[dtype] // 8
        return kv_heads * (numbers + two_scales)
    if dtype == "nvfp4":
        scales = key_dim // 16 + value_dim // 16
        numbers = elements // 2
        return kv_heads * (numbers + scales)
    raise ImpossiblePlan(
        f"{dtype} is a layout of MLA and of DeepSeek V4's attention, "
        "not of separate keys and values"
    )


def latent_entry_bytes(rank: int, rope_dim: int, dtype: str) -> int:
    """Return the bytes of one token's latent and rotary key.

    For 512 + 64: 1,152 in bf16, 656 as fp8_ds_mla, 352 as nvfp4_ds_mla. Raises ImpossiblePlan for
    layouts of separate keys and values.
    """
    plain = row_bytes(rank + rope_dim, dtype)
    if plain is not None:
        return plain
    if dtype == "fp8_ds_mla":
        scales = 4 * ceil(rank / 128)
        return rank + scales + 2 * rope_dim
    if dtype == "nvfp4_ds_mla":
        scales = rank // 16
        return rank // 2 + scales + rope_dim
    raise ImpossiblePlan(f"{dtype} is a layout of separate keys and values, not of MLA's latent")


def compressed_entry_bytes(head_dim: int, rope_dim: int, dtype: str) -> int:
    """Return the bytes of one entry of DeepSeek V4.

    Raises ImpossiblePlan for layouts of other mixers.

    For 512: 1,024 in bf16; as fp8_ds_mla 448 in fp8, 64 rotary dims in bf16 and 7 scales of a byte,
    padded to 584.
    """
    plain = row_bytes(head_dim, dtype)
    if plain is not None:
        return plain
    if dtype == "fp8_ds_mla":
        plain_dim = head_dim - rope_dim
        scales = ceil(plain_dim / 64)
        used = plain_dim + 2 * rope_dim + scales
        return 8 * ceil(used / 8)
    raise ImpossiblePlan(f"{dtype} is not a layout of DeepSeek V4's attention")
