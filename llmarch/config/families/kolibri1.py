"""Kolibri 1 (Aleph Alpha): sandwich norms, QK-norm, RoPE on sliding layers alone, MoE throughout.

Experts are chosen by their logits and a bias on these; the weights are sigmoids of the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.sliding_layers(c, lambda i: (i + 1) % 5 != 0, "full on every 5th layer")
    mixers = blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"moe": _moe(c)},
        **blocks.layer_wiring(layers, "moe", blocks.sandwich_step),
    )


def _attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read what both kinds of attention share."""
    return blocks.attention(c, qk_norm=draft(s.QKNorm, scope="head"), **facts)


def _full(c: ConfigKeys) -> Draft:
    """Read attention over everything; without a window in the config it has RoPE too."""
    if c.optional(c.size, "sliding_window").value is None:
        return _attention(c)
    return _attention(c, rope=None)


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    return _attention(c, window=c.size("sliding_window"))


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE and its shared expert."""
    normalized = c.flag("norm_topk_prob")
    router = draft(s.Router, scoring="sigmoid_chosen", selection_bias=True, normalized=normalized)
    width = c.size("shared_expert_intermediate_size")
    return blocks.moe(c, router, shared_experts=1, shared_width=width)


def _moe_parts(f: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of the MoE, whose selection bias is in a module of its own."""
    bias = "moe.router.expert_bias"
    for part in tensors.moe_parts(selection_bias=bias)(f, hidden):
        if part.name.endswith(bias):
            yield replace(part, name=bias)
        else:
            yield part


FAMILY = Family(
    name="kolibri1",
    title="Kolibri",
    ref=modeling("kolibri1"),
    read=read,
    naming=tensors.Naming(
        norms=("input_layernorm", "post_attn_norm", "post_attention_layernorm", "post_ffn_norm"),
        blocks={s.MoE: _moe_parts},
    ),
    conversions={
        "kolibri1": tensors.Conversion(
            renames=(
                tensors.Rename(r"moe\.router\.expert_bias", "mlp.gate.e_score_correction_bias"),
                tensors.Rename(r"post_attn_norm", "post_self_attn_layernorm"),
                tensors.Rename(r"post_ffn_norm", "post_mlp_layernorm"),
            ),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "kolibri1": {
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 262144,
            "moe_intermediate_size": 512,
            "norm_topk_prob": False,
            "num_experts": 384,
            "num_experts_per_tok": 6,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "shared_expert_intermediate_size": 512,
            "sliding_window": 513,
            "tie_word_embeddings": False,
        },
    },
    config_class={"kolibri1": "Kolibri1Config"},
)
