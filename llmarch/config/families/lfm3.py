"""LFM3: short convolutions on half of the layers, full and sliding gated GQA on the others."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_LAYER_TYPES = {**blocks.SLIDING, "conv": "linear"}


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _attention_layers(c)
    readers = {"full": _full, "sliding": _sliding, "linear": blocks.short_conv}
    step = blocks.pre_norm_step
    if c.flag("use_sandwich_norm").value:
        step = blocks.sandwich_step
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns={"dense": blocks.dense(c, activation="silu")},
        norms={"rms": blocks.rms_norm(c, "norm_eps")},
        **blocks.layer_wiring(layers, "dense", step),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer; without a list, of four layers one is full and one slides."""
    listed = blocks.listed_layers(c, _LAYER_TYPES)
    if listed.value is not None:
        return listed

    def mixer(i: int) -> str:
        if i % 4 == 2:
            return "full"
        return "sliding" if i % 4 == 0 and i > 0 else "linear"

    return blocks.pattern_of(c, mixer, derived(None, "full on layers 2, 6, ..., sliding on 4, 8"))


def _full(c: ConfigKeys) -> Draft:
    """Read attention over everything, which rotates the first share of the pairs of a head."""
    dim = blocks.read_head_dim(c)
    return _attention(c, rope=blocks.proportional_rope(c, dim, "full_attention"))


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    dim = blocks.read_head_dim(c)
    rope = blocks.proportional_rope(c, dim, "sliding_attention")
    return _attention(c, rope=rope, window=c.size("sliding_window"))


def _attention(c: ConfigKeys, **facts: Any) -> Draft:
    """Read what both share."""
    gated = c.flag("use_attention_gate")
    gate = same_evidence("head" if gated.value else None, gated)
    norm = draft(s.QKNorm, scope="head")
    return blocks.attention(c, qk_norm=norm, gate=gate, **blocks.attention_biases(c), **facts)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    norms: tuple[str, ...] = ("operator_norm", "ffn_norm")
    steps = a.layer_kinds[a.layers[0]].steps
    if steps[0].branches[0].post_norm:
        norms = ("operator_norm", "post_operator_norm", "ffn_norm", "post_ffn_norm")
    return tensors.Naming(
        final_norm="model.embedding_norm",
        norms=norms,
        blocks={
            s.Attention: tensors.split_attention_parts(gate="gate_proj"),
            s.LinearAttention: tensors.short_conv_parts,
            s.Dense: tensors.dense_parts("feed_forward", "w1", "w3", "w2"),
        },
    )


FAMILY = Family(
    name="lfm3",
    title="LFM3",
    ref=modeling("lfm3"),
    read=read,
    naming=_naming,
    conversions={
        "lfm3": tensors.Conversion(
            renames=(tensors.Rename(r"\.self_attn\.gate_proj\.", ".self_attn.g_proj."),)
        )
    },
    defaults={
        "lfm3": {
            "attention_bias": False,
            "conv_L_cache": 7,
            "conv_bias": False,
            "head_dim": 128,
            "max_position_embeddings": 128000,
            "norm_eps": 1e-5,
            "num_key_value_heads": 4,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {
                    "rope_type": "proportional",
                    "rope_theta": 1000000.0,
                    "partial_rotary_factor": 0.5,
                },
            },
            "sliding_window": 256,
            "tie_word_embeddings": True,
            "use_attention_gate": True,
            "use_sandwich_norm": True,
        },
    },
    config_class={"lfm3": "Lfm3Config"},
)
