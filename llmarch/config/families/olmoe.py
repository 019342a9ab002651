"""OLMoE: pre-norm MHA with QK-norm over the whole projections, and a MoE of small experts whose weights are not normalised."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling


def read(c: ConfigKeys) -> Draft:
    layers, bias = c.layer_count(), c.flag("attention_bias")
    norm, clip = draft(s.QKNorm, scope="projection"), c.optional(c.number, "clip_qkv")
    full = blocks.attention(c, qk_norm=norm, qkv_bias=bias, output_bias=bias, clip=clip)
    moe = draft(
        s.MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        router=draft(s.Router, scoring="softmax", normalized=c.flag("norm_topk_prob")),
    )
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"moe": moe},
        **blocks.layer_wiring([("full", "moe")] * layers.value, layers),
    )


FAMILY = Family(
    name="olmoe",
    title="OLMoE",
    ref=modeling("olmoe"),
    read=read,
    naming=tensors.Naming(),
    defaults={
        "olmoe": {
            "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "attention_bias": False, "clip_qkv": None, "num_experts_per_tok": 8, "num_experts": 64,
            "norm_topk_prob": False,
        },
    },
    config_class={"olmoe": "OlmoeConfig"},
)  # fmt: skip
