"""StableLM 2 and StableLM 3B: LayerNorm, a quarter of each head rotated, SwiGLU.

StableLM 2 12B runs attention and MLP in parallel and has a LayerNorm of its own for each head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    norm = None
    if c.flag("qk_layernorm").value:
        norm = draft(s.QKNorm, norm_kind="layernorm", scope="own_head")
    layers = blocks.every_layer(c, "full")
    wiring = blocks.layer_wiring(layers, "dense", blocks.layer_norm_step)
    if c.flag("use_parallel_residual").value:
        wiring = blocks.parallel_wiring(layers, "dense", "layer")
    return blocks.decoder(
        c,
        norms={"layer": blocks.layer_norm(c, "layer_norm_eps")},
        final_norm="layer",
        mixers={"full": blocks.attention(c, qkv_bias=c.flag("use_qkv_bias"), qk_norm=norm)},
        ffns={"dense": blocks.dense(c)},
        **wiring,
    )


def _attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of attention; each head has a norm stored by itself."""
    heads = {"q_layernorm.weight": a.heads, "k_layernorm.weight": a.kv_heads}
    parts = tensors.split_attention_parts(q_norm="q_layernorm", k_norm="k_layernorm")
    for tensor in parts(a, hidden):
        _, _, name = tensor.name.partition("self_attn.")
        if name in heads:
            stored = tensor.name.replace(".weight", ".norms.{}.weight")
            tensor = replace(tensor, name=stored, shape=(a.head_dim,), experts=heads[name])
        yield tensor


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names."""
    kind = a.layer_kinds[a.layers[0]]
    norms = tensors.PRE_NORMS[: len(kind.steps)]
    return tensors.Naming(norms=norms, blocks={s.Attention: _attention_parts})


FAMILY = Family(
    name="stablelm",
    title="StableLM",
    ref=modeling("stablelm"),
    read=read,
    naming=_naming,
    defaults={
        "stablelm": {
            "hidden_act": "silu",
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": 4096,
            "num_key_value_heads": 32,
            "partial_rotary_factor": 0.25,
            "qk_layernorm": False,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "use_parallel_residual": False,
            "use_qkv_bias": False,
        },
    },
    other_classes={"stablelm": ("StableLMEpoch",)},
    config_class={"stablelm": "StableLmConfig"},
)
