"""HyperCLOVA X: Granite's multipliers, and norms on the input and the output of each block."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    factor = c.number("residual_multiplier")
    after = "rms" if c.flag("use_post_norm").value else None
    step = blocks.multiplied_step(factor, post_norm=after)
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, scale=c.number("embedding_multiplier")),
        head=draft(s.Head, scale=c.number("logits_scaling")),
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read attention; without a multiplier its scale is the usual one."""
    scale = c.optional(c.number, "attention_multiplier")
    return blocks.attention(c, scale=scale, **blocks.attention_biases(c))


def _naming(a: s.Architecture) -> tensors.Naming:
    """Return the published names; the norms after blocks are stored if the model has them."""
    kind = a.layer_kinds[a.layers[0]]
    if kind.steps[0].branches[0].post_norm is None:
        return tensors.Naming()
    norms = ("input_layernorm", "post_norm1", "post_attention_layernorm", "post_norm2")
    return tensors.Naming(norms=norms)


FAMILY = Family(
    name="hyperclovax",
    title="HyperCLOVA X",
    ref=modeling("hyperclovax"),
    read=read,
    naming=_naming,
    defaults={
        "hyperclovax": {
            "attention_bias": False,
            "embedding_multiplier": 1.0,
            "hidden_act": "silu",
            "logits_scaling": 1.0,
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "residual_multiplier": 1.0,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "use_post_norm": True,
        },
    },
    config_class={"hyperclovax": "HyperCLOVAXConfig"},
)
