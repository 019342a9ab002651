"""Falcon-H1: Mamba-2 and attention side by side in each layer, then an MLP, with many factors."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import FactError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("num_logits_to_keep", "attn_layer_indices", "mamba_use_mlp", "layer_types")
    c.ignore("mlp_expansion_factor", "rescale_prenorm_residual", "attention_dropout")
    gate, down = _factors(c, "mlp_multipliers", 2)
    mlp = blocks.dense(c, bias=c.flag("mlp_bias"), gate_scale=gate)
    linear = draft(
        s.Branch,
        block="mixers.linear",
        input_scale=c.number("ssm_in_multiplier"),
        scale=c.number("ssm_out_multiplier"),
    )
    full = draft(
        s.Branch,
        block="mixers.full",
        input_scale=c.number("attention_in_multiplier"),
        scale=c.number("attention_out_multiplier"),
    )
    ffn = draft(s.Branch, block="ffns.dense", pre_norm="rms", scale=down)
    steps = [
        draft(s.Step, branches=[linear, full], pre_norm="rms"),
        draft(s.Step, branches=[ffn]),
    ]
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, scale=c.number("embedding_multiplier")),
        head=draft(s.Head, scale=c.number("lm_head_multiplier")),
        mixers={"linear": _mamba2(c), "full": _attention(c)},
        ffns={"dense": mlp},
        layer_kinds={"parallel": draft(s.LayerKind, steps=steps)},
        layers=blocks.every_layer(c, "parallel"),
    )


def _factors(c: ConfigKeys, key: str, count: int) -> list[Sourced]:
    """Read a list of constant factors; without one they are 1."""
    given = c.items(key, default=None, entry=(int, float))
    values = given.value or [1.0] * count
    if len(values) != count:
        raise FactError(f"{key} has {len(values)} numbers of {count}")
    return [same_evidence(float(value), given) for value in values]


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA; the factor of the keys is one of the scores."""
    dim = blocks.read_head_dim(c)
    key = c.number("key_multiplier").value
    scale = derived(key * dim.value**-0.5, "key_multiplier / sqrt(head_dim)")
    return blocks.attention(c, scale=scale, **blocks.attention_biases(c))


def _mamba2(c: ConfigKeys) -> Draft:
    """Read Mamba-2, whose gate multiplies the output before or after its norm, if it has one."""
    width = c.size("mamba_d_ssm", default=None)
    if width.value is None:
        width = blocks.expanded_width(c)
    c.ignore("mamba_expand")
    normed = c.flag("mamba_rms_norm")
    gate_first: Any = False
    if normed.value:
        order = c.flag("mamba_norm_before_gate")
        gate_first = same_evidence(not order.value, order)
    c.ignore("mamba_norm_before_gate")
    scales = _factors(c, "ssm_multipliers", 5)
    numbers = [scale.value for scale in scales]
    plain = all(number == 1 for number in numbers)
    return blocks.mamba2(
        c,
        width,
        output_norm=normed,
        output_bias=c.flag("projectors_bias"),
        gate_first=gate_first,
        input_scales=same_evidence(None if plain else numbers, scales[0]),
    )


FAMILY = Family(
    name="falcon_h1",
    title="Falcon-H1",
    ref=modeling("falcon_h1"),
    read=read,
    naming=tensors.Naming(
        final_norm="model.final_layernorm",
        norms=("input_layernorm", "pre_ff_layernorm"),
        blocks={
            s.LinearAttention: tensors.mamba2_parts("mamba"),
            s.Dense: tensors.dense_parts("feed_forward"),
        },
    ),
    defaults={
        "falcon_h1": {
            "attention_bias": False,
            "attention_in_multiplier": 1.0,
            "attention_out_multiplier": 1.0,
            "embedding_multiplier": 1.0,
            "hidden_act": "silu",
            "key_multiplier": 1.0,
            "lm_head_multiplier": 1.0,
            "mamba_conv_bias": True,
            "mamba_d_conv": 4,
            "mamba_d_head": "auto",
            "mamba_d_ssm": 1024,
            "mamba_d_state": 256,
            "mamba_expand": 2,
            "mamba_n_groups": 1,
            "mamba_n_heads": 128,
            "mamba_norm_before_gate": True,
            "mamba_proj_bias": False,
            "mamba_rms_norm": False,
            "max_position_embeddings": 8192,
            "mlp_bias": False,
            "num_key_value_heads": 8,
            "projectors_bias": False,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "ssm_in_multiplier": 1.0,
            "ssm_out_multiplier": 1.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"falcon_h1": "FalconH1Config"},
)
