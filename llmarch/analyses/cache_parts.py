"""What caches are counted in: conventions of engines, cache dtypes, and the parts of a cache.

Sizes are bytes, lengths tokens. Versions read: vLLM 0.33.0, SGLang 0.5.23, transformers 5.23.0
(`vllm: FILE`, `sglang: FILE`, `transformers: FILE` name files of these, here and in the modules
that import this one).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from ..architecture.frozen import Frozen, frozen

Engine = Literal["ideal", "vllm", "sglang", "transformers"]
ENGINES: tuple[Engine, ...] = ("ideal", "vllm", "sglang", "transformers")
ELEMENT_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1, "int8": 1}
"""Bytes of one element, where a cache is a plain array of them."""
PER_HEAD_BITS = {"fp8_per_token_head": 8, "int8_per_token_head": 8, "int4_per_token_head": 4}
"""Bits of one element; K and V of each token and head also have a float32 scale (vllm: the Triton
backend's layout)."""
PACKED_LAYOUTS = {
    "nvfp4": "K and V of each head packed as fp4 with an fp8 scale per 16",
    "fp8_ds_mla": "MLA: fp8 latent, float32 scale per 128, bf16 rotary key; "
    "DeepSeek V4: fp8 with a byte of scale per 64, bf16 rotary dims",
    "nvfp4_ds_mla": "MLA: fp4 latent, fp8 scale per 16, fp8 rotary key",
}
CACHE_DTYPES = (*ELEMENT_BYTES, *PER_HEAD_BITS, *PACKED_LAYOUTS)


@frozen
class Convention(Frozen):
    """The rules by which the bytes of a cache are counted."""

    engine: Engine = "ideal"
    dtype: str = "bf16"
    """The dtype of keys and values, one of CACHE_DTYPES."""
    reserve: bool = True
    """Whether what vllm and sglang set aside beyond the tokens themselves is counted: pages, tokens
    in flight, a second state, a share of a pool. False keeps their layouts all the same."""

    @property
    def unquantised_dtype(self) -> str:
        """Return the dtype of what is not quantised along with keys and values.

        It is the model's own: 16 bits unless it runs in float32.
        """
        if ELEMENT_BYTES.get(self.dtype, 1) > 1:
            return self.dtype
        return "bf16"

    @property
    def has_pages(self) -> bool:
        """Return whether tokens are kept in pages."""
        return self.engine == "vllm" and self.reserve


Role = Literal["kv", "index", "conv", "state", "cross"]
"""What a part is.

kv: keys and values, or the latent in their place; with a limit, a window.
index: keys of a sparse indexer.
conv: columns of a short convolution.
state: recurrent or compressor state.
cross: keys and values of an encoder's tokens.
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
    page_tokens: int | None = None
    """Tokens of a page; only whole pages are kept. None without pages."""
    page_bytes: int = 0
    spare_pages: int = 0
    """Pages that are kept in addition to those that hold tokens."""

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
                return self._growing_bytes_at(tokens)

    def _growing_bytes_at(self, tokens: int) -> int:
        kept = tokens
        if self.most_tokens is not None:
            kept = min(tokens, self.most_tokens)
        if self.page_tokens is None:
            return int(kept / self.tokens_per_entry) * self.entry_bytes
        if kept == 0:
            return 0
        pages = -(-kept // self.page_tokens)
        return (pages + self.spare_pages) * self.page_bytes

    @property
    def bytes_per_token(self) -> Fraction:
        """Return the bytes that a token adds below any limit, a page divided over its tokens."""
        if self.law != "grow":
            return Fraction(0)
        if self.page_tokens:
            return Fraction(self.page_bytes, self.page_tokens)
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
