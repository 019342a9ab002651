"""MiniCPM3: multi-head latent attention in a dense decoder, with scaled embedding and branches."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    hidden = c.size("hidden_size").value
    base = c.optional(c.size, "dim_model_base").value or hidden
    logits = derived(base / hidden, "dim_model_base / hidden_size")
    depth_root = c.layer_count().value ** 0.5
    depth = c.optional(c.number, "scale_depth").value
    if depth is None:
        depth = depth_root
    branch = derived(depth / depth_root, "scale_depth / sqrt(num_hidden_layers)")
    step = blocks.multiplied_step(branch)
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, scale=c.number("scale_emb")),
        head=draft(s.Head, scale=logits),
        mixers={"full": _attention(c)},
        ffns={"dense": blocks.dense(c, bias=c.flag("mlp_bias"))},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense", step),
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read MLA, whose rotated dims are paired half by half."""
    dim = c.size("v_head_dim", default=None)
    if dim.value is None:
        dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
    rope = blocks.rope(c, c.size("qk_rope_head_dim"))
    return blocks.latent_attention(c, v_head_dim=dim, rope=rope)


FAMILY = Family(
    name="minicpm3",
    title="MiniCPM3",
    ref=modeling("minicpm3"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "minicpm3": {
            "attention_bias": False,
            "dim_model_base": 256,
            "hidden_act": "silu",
            "kv_lora_rank": 256,
            "max_position_embeddings": 32768,
            "mlp_bias": False,
            "q_lora_rank": 768,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "scale_depth": 1.4,
            "scale_emb": 12,
            "tie_word_embeddings": True,
        },
    },
    config_class={"minicpm3": "MiniCPM3Config"},
)
