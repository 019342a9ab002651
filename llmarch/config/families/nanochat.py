"""NanoChat: norms without weights, also on the embedding, and squared ReLU.

Queries and keys are normed after RoPE; logits are capped softly.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = draft(s.QKNorm, scope="head", weight=False, after_rope=True)
    biases = blocks.attention_biases(c)
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, norm="rms"),
        head=draft(s.Head, softcap=c.optional(c.number, "final_logit_softcapping")),
        norms={"rms": blocks.rms_norm(c).replace(weight=False)},
        mixers={"full": blocks.attention(c, qk_norm=norm, **biases)},
        ffns={"dense": blocks.dense(c, gated=False)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="nanochat",
    title="NanoChat",
    ref=modeling("nanochat"),
    read=read,
    naming=tensors.Naming(blocks={s.Dense: tensors.dense_parts(up="fc1", down="fc2")}),
    defaults={
        "nanochat": {
            "attention_bias": False,
            "final_logit_softcapping": 15.0,
            "hidden_act": "relu2",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"nanochat": "NanoChatConfig"},
)
