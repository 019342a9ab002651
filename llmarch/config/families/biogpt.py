"""BioGPT and XGLM: fairseq's decoders, with positions counted from row 2 and biases everywhere.

BioGPT learns its positions, XGLM adds sines and cosines. Embeddings are times sqrt(hidden).
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling

_OFFSET = 2
"""Rows of the table of positions before that of the first token."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("layerdrop", "activation_dropout", "init_std", "decoder_start_token_id")
    if c.model_type == "xglm":
        return _xglm(c)
    context = c.size("max_position_embeddings")
    rows = derived(context.value + _OFFSET, f"{context.evidence.ref} + {_OFFSET}")
    mixer = blocks.divided_attention(
        c, ("hidden_size",), ("num_attention_heads",), qkv_bias=True, output_bias=True
    )
    return _decoder(
        c,
        "hidden_size",
        {"positions": rows},
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c, gated=False, bias=True)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", blocks.layer_norm_step),
    )


def _xglm(c: ConfigKeys) -> Draft:
    """Read XGLM, whose eps is torch's own."""
    c.describe_only("add_cross_attention", False, "weights")
    mixer = blocks.divided_attention(
        c, ("d_model",), ("attention_heads",), qkv_bias=True, output_bias=True
    )
    activation = blocks.activation_name(c, "activation_function")
    mlp = blocks.dense(c, "ffn_dim", activation=activation, gated=False, bias=True)
    layers = blocks.every_layer(c, "full", "num_layers")
    return _decoder(
        c,
        "d_model",
        {"sinusoidal": True},
        hidden_size=c.size("d_model"),
        norms={"layer": draft(s.Norm, kind="layernorm", eps=1e-5, bias=True)},
        mixers={"full": mixer},
        ffns={"dense": mlp},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _decoder(c: ConfigKeys, width: str, positions: dict[str, Any], **parts: Any) -> Draft:
    """Read what both share: the factor of the embedding, and the row of the first position.

    width: the key of the width of the stream.
    positions: the field of Embedding that says which positions are added.
    """
    scaled = c.flag("scale_embedding")
    root = derived(c.size(width).value ** 0.5, f"sqrt({width})")
    scale = root if scaled.value else same_evidence(None, scaled)
    embedding = blocks.embedding(c, scale=scale, position_offset=_OFFSET, **positions)
    return blocks.decoder(c, embedding=embedding, final_norm="layer", **parts)


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    base = "model" if a.model_type == "xglm" else "biogpt"
    return tensors.Naming(
        embedding=f"{base}.embed_tokens.weight",
        positions=f"{base}.embed_positions.weight",
        layer=f"{base}.layers.{{}}.",
        final_norm=f"{base}.layer_norm",
        head="lm_head" if a.model_type == "xglm" else "output_projection",
        score_heads=tensors.CLASSIFIER_HEADS,
        norms=("self_attn_layer_norm", "final_layer_norm"),
        blocks={
            s.Attention: tensors.split_attention_parts(o="out_proj"),
            s.Dense: tensors.dense_parts("", up="fc1", down="fc2"),
        },
    )


FAMILY = Family(
    name="biogpt",
    title="BioGPT and XGLM",
    ref=modeling("biogpt"),
    refs={"xglm": modeling("xglm")},
    read=read,
    naming=_naming,
    conversions={"biogpt": tensors.Conversion(base="biogpt", outside=("output_projection",))},
    defaults={
        "biogpt": {
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": 1024,
            "scale_embedding": True,
            "tie_word_embeddings": True,
        },
        "xglm": {
            "activation_function": "gelu",
            "max_position_embeddings": 2048,
            "scale_embedding": True,
            "tie_word_embeddings": True,
        },
    },
    config_class={"biogpt": "BioGptConfig", "xglm": "XGLMConfig"},
)
