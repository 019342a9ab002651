"""Youtu-LLM: multi-head latent attention in a dense decoder."""

from __future__ import annotations

from ... import tensors
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("embedding_initializer_range", "mlp_bias")
    return blocks.decoder(
        c,
        mixers={"full": blocks.latent_attention(c)},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="youtu",
    title="Youtu-LLM",
    ref=modeling("youtu"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "youtu": {
            "attention_bias": False,
            "hidden_act": "silu",
            "kv_lora_rank": 512,
            "max_position_embeddings": 131072,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-6,
            "rope_interleave": True,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "v_head_dim": 128,
        },
    },
    config_class={"youtu": "YoutuConfig"},
)
