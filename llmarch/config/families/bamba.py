"""Bamba: Mamba-2 on most layers, GQA with half of each head rotated on some, MLPs."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("num_logits_to_keep", "z_loss_coefficient")
    layers = _attention_layers(c)
    mixers = blocks.read_used_blocks(c, {"full": _attention, "linear": _mamba2}, layers.value)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(layers, "dense"),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers have attention, by their numbers."""
    depth = c.layer_count().value
    numbers = c.layer_numbers("attn_layer_indices", layers=depth, default=None)
    if numbers.value is None:
        numbers = derived((), "no attn_layer_indices: every layer is Mamba-2")
    names = dict.fromkeys(numbers.value, "full")
    return blocks.pattern_of(c, lambda i: names.get(i, "linear"), numbers)


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA; the class rotates half of each head, whatever the config says."""
    c.ignore("attn_rotary_emb", "partial_rotary_factor")
    dim = blocks.read_head_dim(c)
    half = derived(dim.value // 2, f"half of {dim.evidence.ref}")
    return blocks.attention(c, rope=blocks.rope(c, half), **blocks.attention_biases(c))


def _mamba2(c: ConfigKeys) -> Draft:
    """Read Mamba-2."""
    return blocks.mamba2(c, blocks.expanded_width(c))


FAMILY = Family(
    name="bamba",
    title="Bamba",
    ref=modeling("bamba"),
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
        "bamba": {
            "attention_bias": False,
            "hidden_act": "silu",
            "mamba_conv_bias": True,
            "mamba_d_conv": 4,
            "mamba_d_head": "auto",
            "mamba_d_state": 256,
            "mamba_expand": 2,
            "mamba_n_groups": 1,
            "mamba_n_heads": 128,
            "mamba_proj_bias": False,
            "max_position_embeddings": 262144,
            "mlp_bias": False,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"bamba": "BambaConfig"},
)
