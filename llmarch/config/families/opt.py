"""OPT: learned positions counted from row 2, LayerNorm, ReLU MLPs, biases.

The 350M model norms after each addition, and its embedding is narrower than the stream.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_OFFSET = 2
"""Rows of the table of positions before that of the first token."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    bias = c.flag("enable_bias")
    affine = c.flag("layer_norm_elementwise_affine")
    norm = draft(s.Norm, kind="layernorm", eps=1e-5, weight=affine, bias=affine)
    mixer = blocks.divided_attention(
        c, ("hidden_size",), ("num_attention_heads",), qkv_bias=bias, output_bias=bias
    )
    mlp = blocks.dense(
        c,
        "ffn_dim",
        activation=blocks.activation_name(c, "activation_function"),
        gated=False,
        bias=bias,
    )
    before = c.flag("do_layer_norm_before")
    step = blocks.layer_norm_step if before.value else blocks.layer_norm_after
    c.ignore("layerdrop", "init_std", "activation_dropout", "output_projection")
    return blocks.decoder(
        c,
        embedding=_embedding(c),
        norms={"layer": norm},
        final_norm=_final_norm(c, before),
        mixers={"full": mixer},
        ffns={"dense": mlp},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", step),
    )


def _embedding(c: ConfigKeys) -> Draft:
    """Read the embedding and the table of positions."""
    context = c.size("max_position_embeddings")
    rows = derived(context.value + _OFFSET, f"{context.evidence.ref} + {_OFFSET}")
    facts: dict[str, Any] = {"positions": rows, "position_offset": _OFFSET}
    width = c.size("word_embed_proj_dim", default=None)
    if width.value not in (None, c.size("hidden_size").value):
        facts["width"] = width
    return blocks.embedding(c, **facts)


def _final_norm(c: ConfigKeys, before: Sourced) -> Sourced:
    """Return the norm after the layers, which models with norms before their blocks have."""
    removed = c.flag("_remove_final_layer_norm", default=hard_coded(False, c.ref))
    if removed.value:
        return same_evidence(None, removed)
    return same_evidence("layer" if before.value else None, before)


FAMILY = Family(
    name="opt",
    title="OPT",
    ref=modeling("opt"),
    read=read,
    naming=tensors.Naming(
        embedding="model.decoder.embed_tokens.weight",
        positions="model.decoder.embed_positions.weight",
        embedding_projections=("model.decoder.project_in", "model.decoder.project_out"),
        layer="model.decoder.layers.{}.",
        final_norm="model.decoder.final_layer_norm",
        norms=("self_attn_layer_norm", "final_layer_norm"),
        blocks={
            s.Attention: tensors.split_attention_parts(o="out_proj"),
            s.Dense: tensors.dense_parts("", up="fc1", down="fc2"),
        },
    ),
    defaults={
        "opt": {
            "activation_function": "relu",
            "do_layer_norm_before": True,
            "enable_bias": True,
            "layer_norm_elementwise_affine": True,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
        },
    },
    config_class={"opt": "OPTConfig"},
)
