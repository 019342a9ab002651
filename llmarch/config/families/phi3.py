"""Phi-3, 3.5-mini, 4 and 4-mini: Llama's blocks with q, k, v in one matrix and gate, up in another.

The minis have LongRoPE.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    for key in ("attention_bias", "mlp_bias", "lm_head_bias"):
        c.expect(key, False)
    for key in ("full_attn_mod", "interpolate_factor"):
        c.expect(key, 1)
    c.ignore("original_max_position_embeddings")  # read with the scaling
    window = _effective_window(c)
    name = "sliding"
    if window.value is None:
        name = "full"

    return blocks.decoder(
        c,
        mixers={name: blocks.attention(c, window=window)},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, name), "dense"),
    )


def _effective_window(c: ConfigKeys) -> Sourced:
    """Read the window, which has no effect if it is no less than the context."""
    window = c.optional(c.size, "sliding_window")
    context = c.size("max_position_embeddings")
    if window.value is None:
        return window
    if window.value < context.value:
        return window

    key = window.evidence.ref
    reason = f"{key} {window.value:,} is no less than the context"
    return derived(None, reason)


FAMILY = Family(
    name="phi3",
    title="Phi-3 and 4",
    ref=modeling("phi3"),
    read=read,
    naming=tensors.Naming(
        blocks={s.Attention: tensors.fused_attention_parts(), s.Dense: tensors.fused_dense_parts()}
    ),
    defaults={
        "phi3": {
            "hidden_act": "silu",
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "sliding_window": None,
            "original_max_position_embeddings": 4096,
        },
    },
    config_class={"phi3": "Phi3Config"},
)
