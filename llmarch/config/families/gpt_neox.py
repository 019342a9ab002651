"""GPT-NeoX, Pythia and their kin: LayerNorm, attention and MLP in parallel, biases everywhere.

A quarter of each head is rotated. Queries, keys and values are one matrix, head by head.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = blocks.every_layer(c, "full")
    biases = blocks.attention_biases(c)
    if c.flag("use_parallel_residual").value:
        wiring = blocks.parallel_wiring(layers, "dense", "layer", own_norms=True)
    else:
        wiring = blocks.layer_wiring(layers, "dense", blocks.layer_norm_step)
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": blocks.attention(c, rope=blocks.rope(c, rotated_dims(c)), **biases)},
        ffns={"dense": blocks.dense(c, gated=False, bias=True)},
        **wiring,
    )


def rotated_dims(c: ConfigKeys) -> Sourced:
    """Read how many dims of a head are rotated; published configs say it as `rotary_pct`."""
    dim = blocks.read_head_dim(c)
    if blocks.rope_keys(c).has("partial_rotary_factor"):
        c.ignore("rotary_pct")
        return blocks.rotary_dim(c, dim)
    return blocks.share_of_head(dim, c.number("rotary_pct", default=0.25))


FAMILY = Family(
    name="gpt_neox",
    title="GPT-NeoX",
    ref=modeling("gpt_neox"),
    read=read,
    naming=tensors.Naming(
        embedding="gpt_neox.embed_in.weight",
        layer="gpt_neox.layers.{}.",
        final_norm="gpt_neox.final_layer_norm",
        score_heads=tensors.CLASSIFIER_HEADS,
        head="embed_out",
        blocks={
            s.Attention: tensors.fused_attention_parts("attention", "query_key_value", "dense"),
            s.Dense: tensors.dense_parts(up="dense_h_to_4h", down="dense_4h_to_h"),
        },
    ),
    conversions={
        "gpt_neox": tensors.Conversion(
            base="gpt_neox", renames=(tensors.Rename(r"^embed_out\.", "lm_head."),)
        )
    },
    defaults={
        "gpt_neox": {
            "attention_bias": True,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 2048,
            "rope_parameters": {"partial_rotary_factor": 0.25, "rope_theta": 10000.0},
            "tie_word_embeddings": False,
            "use_parallel_residual": True,
        },
    },
    config_class={"gpt_neox": "GPTNeoXConfig"},
)
