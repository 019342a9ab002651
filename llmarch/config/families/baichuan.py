"""Baichuan 1 and 2: a Llama whose q, k and v are one matrix. 7B has RoPE, 13B has ALiBi.

The classes of 7B read `max_position_embeddings`, which those of 13B do not have. Baichuan 2 divides
each row of its head by the row's length; vLLM knows it by its vocabulary, as nothing else tells.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family

_BAICHUAN_2 = 125696
"""Rows of the embedding of Baichuan 2."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("_from_model_config")
    rotates = c.has("max_position_embeddings")
    if rotates:
        context = c.size("max_position_embeddings")
        c.ignore("model_max_length")
        positions: dict[str, Any] = {}
    else:
        context = c.size("model_max_length")
        c.ignore("max_position_embeddings")
        positions = {"rope": None, "alibi": 8.0}
    heads = c.size("num_attention_heads")
    vocabulary = c.size("vocab_size").value
    normalized = "rows" if vocabulary == _BAICHUAN_2 else None
    in_2 = derived(normalized, f"vocab_size is {_BAICHUAN_2} in Baichuan 2")
    return blocks.decoder(
        c,
        context_length=context,
        head=draft(s.Head, normalized=in_2),
        mixers={"full": blocks.attention(c, kv_heads=heads, **positions)},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="baichuan",
    title="Baichuan",
    ref="baichuan-inc/Baichuan2-13B-Chat/modeling_baichuan.py",
    read=read,
    naming=tensors.Naming(blocks={s.Attention: tensors.fused_attention_parts(qkv="W_pack")}),
    defaults={
        "baichuan": {
            "hidden_act": "silu",
            "model_max_length": 4096,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"baichuan": "BaichuanConfig"},
)
