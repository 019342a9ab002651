"""BLOOM: ALiBi, LayerNorm on the embedding and before each block, biases everywhere.

Queries, keys and values are one matrix, head by head.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft, unknown
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    hidden = c.size("hidden_size", "n_embed")
    c.describe_only("apply_residual_connection_post_layernorm", False, "behaviour")
    c.ignore(
        "slow_but_exact", "masked_softmax_fusion", "attention_softmax_in_fp32", "skip_bias_add"
    )
    c.ignore("skip_bias_add_qkv", "bias_dropout_fusion", "offset_alibi", "unk_token_id")
    four = derived(4 * hidden.value, "4 * hidden_size")
    mlp = draft(s.Dense, width=four, activation="gelu_tanh", gated=False, bias=True)
    return blocks.decoder(
        c,
        hidden_size=hidden,
        context_length=unknown("ALiBi has no longest context, and the config names none"),
        embedding=blocks.embedding(c, norm="layer"),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": _attention(c)},
        ffns={"dense": mlp},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MHA with ALiBi. Raises ConfigError if the heads do not divide the width."""
    return blocks.divided_attention(
        c,
        ("hidden_size", "n_embed"),
        ("n_head", "num_attention_heads"),
        qkv_bias=True,
        output_bias=True,
        alibi=8.0,
    )


FAMILY = Family(
    name="bloom",
    title="BLOOM",
    ref=modeling("bloom"),
    read=read,
    naming=tensors.Naming(
        score_heads=tensors.CLASSIFIER_HEADS,
        embedding="word_embeddings.weight",
        embedding_norm="word_embeddings_layernorm",
        layer="h.{}.",
        final_norm="ln_f",
        blocks={
            s.Attention: tensors.fused_attention_parts(
                "self_attention", "query_key_value", "dense"
            ),
            s.Dense: tensors.dense_parts(up="dense_h_to_4h", down="dense_4h_to_h"),
        },
    ),
    conversions={"bloom": tensors.Conversion(base="transformer")},
    defaults={
        "bloom": {
            "apply_residual_connection_post_layernorm": False,
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": True,
        },
    },
    config_class={"bloom": "BloomConfig"},
)
