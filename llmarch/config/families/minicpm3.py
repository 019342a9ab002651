"""MiniCPM 1 to 4: Llama's layers with a scaled embedding, scaled branches and scaled logits.

MiniCPM 3 has multi-head latent attention. The MoE of 8x2B, whose code was not found, is read as
vLLM reads it. MiniCPM 4 reads few blocks of a long context (`sparse_config`), without weights.
"""

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
    ffn = _moe(c) if c.has("num_experts") else _mlp(c)
    name = "moe" if c.has("num_experts") else "dense"
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, scale=c.number("scale_emb")),
        head=draft(s.Head, scale=logits),
        mixers={"full": _attention(c)},
        ffns={name: ffn},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), name, step),
    )


def _mlp(c: ConfigKeys) -> Draft:
    """Read the MLP."""
    if c.model_type == "minicpm3":
        return blocks.dense(c, bias=c.flag("mlp_bias"))
    c.ignore("mup_denominator")  # of draft heads
    return blocks.dense(c)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE of MiniCPM 8x2B."""
    router = draft(s.Router, scoring="softmax", normalized=True)
    return blocks.moe(c, router, width="intermediate_size")


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA, or in MiniCPM 3 MLA, whose rotated dims are paired half by half."""
    if c.model_type == "minicpm":
        dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
        return blocks.attention(c, head_dim=dim, **blocks.attention_biases(c))
    dim = c.size("v_head_dim", default=None)
    if dim.value is None:
        dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
    rope = blocks.rope(c, c.size("qk_rope_head_dim"))
    return blocks.latent_attention(c, v_head_dim=dim, rope=rope)


FAMILY = Family(
    name="minicpm3",
    title="MiniCPM",
    ref=modeling("minicpm3"),
    refs={"minicpm": "openbmb/MiniCPM4-8B/modeling_minicpm.py"},
    read=read,
    naming=tensors.Naming(
        blocks={s.MoE: tensors.moe_parts(gate="w1", up="w3", down="w2")},
    ),
    defaults={
        "minicpm": {
            "attention_bias": False,
            "dim_model_base": 1,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "scale_depth": 1,
            "scale_emb": 1,
            "tie_word_embeddings": True,
        },
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
    config_class={"minicpm": "MiniCPMConfig", "minicpm3": "MiniCPM3Config"},
)
