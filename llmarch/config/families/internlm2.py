"""InternLM 2 and 2.5: a Llama whose q, k and v are one matrix, with names of its own.

The matrix has the rows of one KV head after those of another: its queries, its key, its value.
"""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft
from ..vocabulary import ConfigKeys, Family

_PUBLISHED = "internlm/internlm2-7b/modeling_internlm2.py"


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("attn_implementation")
    mixer = blocks.attention(c, **blocks.attention_biases(c, "bias"))
    return blocks.decoder(
        c,
        mixers={"full": mixer},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


FAMILY = Family(
    name="internlm2",
    title="InternLM 2",
    ref=_PUBLISHED,
    read=read,
    naming=tensors.Naming(
        embedding="model.tok_embeddings.weight",
        norms=("attention_norm", "ffn_norm"),
        head="output",
        blocks={
            s.Attention: tensors.fused_attention_parts("attention", "wqkv", "wo"),
            s.Dense: tensors.dense_parts("feed_forward", gate="w1", up="w3", down="w2"),
        },
    ),
)
