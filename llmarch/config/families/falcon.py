"""Falcon 7B to 180B and Falcon 2: MQA or GQA, attention and MLP in parallel, RoPE or ALiBi (RW).

7B has one LayerNorm for both branches, 40B and 180B one for each. RW models run in sequence.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_HEADS = ("num_attention_heads", "n_head")


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "num_hidden_layers", "n_layer")
    bias = c.flag("bias")
    hidden = c.size("hidden_size", "n_embed")
    width = blocks.mlp_width(c, "ffn_hidden_size", "hidden_size", "n_embed")
    activation = blocks.activation_name(c, "activation")
    return blocks.decoder(
        c,
        hidden_size=hidden,
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": _attention(c, bias)},
        ffns={"dense": draft(s.Dense, width=width, activation=activation, gated=False, bias=bias)},
        **_falcon_wiring(c, layers),
    )


def _falcon_wiring(c: ConfigKeys, layers: Sourced) -> blocks.Wiring:
    """Read whether attention and MLP are parallel, and whether each has its own norm."""
    c.expect("apply_residual_connection_post_layernorm", False)
    new = c.flag("new_decoder_architecture").value
    parallel = c.flag("parallel_attn").value
    norms = c.optional(c.size, "num_ln_in_parallel_attn").value
    if not parallel:
        if new:
            raise ConfigError(
                f"{c.file}: parallel_attn is false beside new_decoder_architecture, which the class"
                " cannot run"
            )
        return blocks.layer_wiring(layers, "dense", blocks.layer_norm_step)
    own_norms = norms == 2 or (norms is None and new)
    return blocks.parallel_wiring(layers, "dense", "layer", own_norms=own_norms)


def _attention(c: ConfigKeys, bias: Sourced) -> Draft:
    """Read attention, with one key/value head if it is multi_query."""
    heads = c.size(*_HEADS)
    dim = blocks.divided_head_dim(c, ("hidden_size", "n_embed"), _HEADS)
    groups = heads
    shared = c.flag("multi_query")
    if c.flag("new_decoder_architecture").value:
        groups = c.size("num_kv_heads", "n_head_kv", default=heads)
    elif shared.value:
        groups = same_evidence(1, shared)
    c.ignore("num_kv_heads", "n_head_kv")
    alibi = c.flag("alibi")
    positions: dict[str, Any] = {"rope": None, "alibi": same_evidence(8.0, alibi)}
    if not alibi.value:
        positions = {"rope": blocks.rope(c, blocks.all_of_head(dim))}
    return draft(
        s.Attention,
        heads=heads,
        kv_heads=groups,
        head_dim=dim,
        v_head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        **positions,
    )


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names, whose norms depend on the wiring."""
    kind = a.layer_kinds[a.layers[0]]
    norms = ("input_layernorm", "post_attention_layernorm")
    if len(kind.steps) == 1:
        norms = ("ln_attn", "ln_mlp") if kind.steps[0].pre_norm is None else norms[:1]
    return tensors.Naming(
        score_heads=tensors.CLASSIFIER_HEADS,
        embedding="transformer.word_embeddings.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.ln_f",
        norms=norms,
        blocks={
            s.Attention: tensors.fused_attention_parts(
                "self_attention", "query_key_value", "dense"
            ),
            s.Dense: tensors.dense_parts(up="dense_h_to_4h", down="dense_4h_to_h"),
        },
    )


FAMILY = Family(
    name="falcon",
    title="Falcon",
    ref=modeling("falcon"),
    read=read,
    naming=_naming,
    conversions={"falcon": tensors.Conversion(base="transformer")},
    defaults={
        "falcon": {
            "activation": "gelu",
            "alibi": False,
            "bias": False,
            "layer_norm_epsilon": 1e-5,
            "max_position_embeddings": 2048,
            "multi_query": True,
            "new_decoder_architecture": False,
            "num_ln_in_parallel_attn": None,
            "parallel_attn": True,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
        },
    },
    other_classes={"falcon": ("RW",)},
    config_class={"falcon": "FalconConfig"},
)
