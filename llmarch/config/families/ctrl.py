"""CTRL: sines and cosines as positions, LayerNorm, ReLU MLPs, a tied head with a bias."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    hidden = c.size("n_embd", "hidden_size")
    mixer = blocks.divided_attention(
        c, ("n_embd", "hidden_size"), ("n_head",), qkv_bias=True, output_bias=True
    )
    mlp = blocks.dense(c, "dff", activation="relu", gated=False, bias=True)
    root = derived(hidden.value**0.5, "sqrt(n_embd)")
    layers = blocks.every_layer(c, "full", "n_layer", "num_hidden_layers")
    c.ignore("n_ctx")
    return blocks.decoder(
        c,
        hidden_size=hidden,
        context_length=c.size("n_positions", "max_position_embeddings"),
        embedding=blocks.embedding(c, scale=root, sinusoidal=True),
        head=draft(s.Head, bias=True),
        norms={"layer": blocks.layer_norm(c, "layer_norm_epsilon")},
        final_norm="layer",
        mixers={"full": mixer},
        ffns={"dense": mlp},
        **blocks.layer_wiring(layers, "dense", blocks.layer_norm_step),
    )


FAMILY = Family(
    name="ctrl",
    title="CTRL",
    ref=modeling("ctrl"),
    read=read,
    naming=tensors.Naming(
        embedding="transformer.w.weight",
        layer="transformer.h.{}.",
        final_norm="transformer.layernorm",
        score_heads={**tensors.SCORE_HEADS, "sequence_classification": "classifier"},
        norms=("layernorm1", "layernorm2"),
        blocks={
            s.Attention: tensors.split_attention_parts(
                "multi_head_attention", q="Wq", k="Wk", v="Wv", o="dense"
            ),
            s.Dense: tensors.dense_parts("ffn", up="0", down="2"),
        },
    ),
    conversions={"ctrl": tensors.Conversion(base="transformer")},
    defaults={
        "ctrl": {"layer_norm_epsilon": 1e-6, "n_positions": 256, "tie_word_embeddings": True},
    },
    config_class={"ctrl": "CTRLConfig"},
)
