"""Hugging Face transformers, as `generate` runs with its dynamic cache.

Read in transformers 5.23.0 and measured by running 53 tiny models (tests/oracle/cache_bytes.py).
Nothing is paged or reserved; a window's tensor holds W - 1 tokens between calls, and a convolution
keeps K columns, not K - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...architecture.schema import (
    Architecture,
    Attention,
    CompressedAttention,
    LatentAttention,
    LinearAttention,
    Mixer,
)
from ..cache_parts import ELEMENT_BYTES, CachePart, Convention, compressed_entry_bytes
from .base import Engine, attention_span, computed_state_dtype, has_states, has_windows


class Transformers(Engine):
    """Hugging Face transformers."""

    name = "transformers"
    smaller_formats = ("int8", "nf4")
    version = "5.23.0"
    cache_dtypes = ("bf16", "fp16", "fp32")
    files = ("cache_utils.py", "models/*/modeling_*.py")

    def kv_heads(self, a: Architecture, mixer: Attention) -> int:
        """Return how many KV heads are cached.

        For Falcon with several KV heads they are repeated to every query head before caching
        (models/falcon/modeling_falcon.py).
        """
        if a.model_type == "falcon" and mixer.kv_heads > 1:
            return mixer.heads
        return mixer.kv_heads

    def block_index_dtype(self, convention: Convention) -> str:
        """Return the dtype of a block index's keys: they are not quantised."""
        return convention.unquantised_dtype

    def limit_to_window(
        self, a: Architecture, mixer: Attention | LatentAttention, part: CachePart
    ) -> CachePart:
        """Return the part of a window: W - 1 tokens, for the next token is the W-th.

        transformers: cache_utils.py DynamicSlidingWindowLayer.
        """
        reach = attention_span(mixer) or 0
        earlier = reach - 1
        return replace(part, most_tokens=earlier)

    def indexer_dtype(self, convention: Convention) -> str:
        """Return the dtype of a sparse indexer's keys: the model's."""
        return convention.unquantised_dtype

    def compressed_window(self, mixer: CompressedAttention, convention: Convention) -> CachePart:
        """Return DeepSeek V4's window; keys and values are apart where there is nothing else."""
        dtype = convention.dtype
        entry = compressed_entry_bytes(mixer.head_dim, mixer.rope_dim, dtype)
        if not mixer.ratio:
            entry *= 2
        most = mixer.window - 1
        return CachePart("kv", dtype, entry, most_tokens=most, kind="sliding_latent")

    def compressor(
        self, mixer: CompressedAttention, width: int, convention: Convention
    ) -> list[CachePart]:
        """Return the tokens of the unfinished window in the model's dtype.

        For CSA, once a window is closed, also its values and float32 gates for the overlap.
        """
        channels = 2 * mixer.series * width
        dtype = convention.unquantised_dtype
        element = ELEMENT_BYTES[dtype]
        ratio = mixer.ratio
        parts = [CachePart("state", dtype, channels * element, most_tokens=ratio, law="cycle")]
        if mixer.series == 2:
            closed = ratio * width * (element + 4)
            parts.append(CachePart("state", dtype, closed, most_tokens=ratio, law="once"))
        return parts

    def conv_columns(self, mixer: LinearAttention) -> int:
        """Return how many columns the short convolution keeps: K."""
        if mixer.variant in ("rwkv4", "rwkv7"):
            return 2
        return mixer.conv_kernel or 0

    def state_dtype(self, a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
        """Return the dtype of the recurrent state: what the model's own code computes."""
        return computed_state_dtype(mixer, convention)

    def layout_assumptions(self, a: Architecture, mixers: Sequence[Mixer]) -> list[str]:
        """Return what the layout rests on besides the architecture, for a model's mixers."""
        lines: list[str] = []
        if has_windows(mixers):
            lines.append("windows hold W - 1 tokens between calls")
        if has_states(mixers):
            lines.append("K columns of each convolution, not K - 1")
        return lines
