"""Aria's decoder: Llama's attention, and a MoE whose experts are stacked, gate and up together."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("pretraining_tp", "moe_z_loss_coeff", "moe_aux_loss_coeff")
    router = draft(s.Router, scoring="softmax_chosen", normalized=True)
    count = c.size("moe_num_shared_experts")
    width = c.size("intermediate_size")
    shared = derived(count.value * width.value, "moe_num_shared_experts * intermediate_size")
    moe = blocks.moe(
        c,
        router,
        experts=("moe_num_experts",),
        active=("moe_topk",),
        width="intermediate_size",
        shared_experts=count,
        shared_width=shared,
        shared_bias=c.flag("mlp_bias"),
    )
    return blocks.decoder(
        c,
        mixers={"full": blocks.attention(c, **blocks.attention_biases(c))},
        ffns={"moe": moe},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "moe"),
    )


FAMILY = Family(
    name="aria_text",
    title="Aria",
    ref=modeling("aria"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.MoE: tensors.fused_moe_parts(
                shared="shared_experts",
                gate_up="experts.fc1.weight",
                down="experts.fc2.weight",
            )
        }
    ),
    conversions={
        "aria_text": tensors.Conversion(
            renames=(
                tensors.Rename(r"mlp\.experts\.fc1\.weight", "mlp.experts.gate_up_proj"),
                tensors.Rename(r"mlp\.experts\.fc2\.weight", "mlp.experts.down_proj"),
            )
        )
    },
    defaults={
        "aria_text": {
            "attention_bias": False,
            "hidden_act": "silu",
            "intermediate_size": 4096,
            "max_position_embeddings": 2048,
            "mlp_bias": False,
            "moe_num_experts": 8,
            "moe_num_shared_experts": 2,
            "moe_topk": 2,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
        },
    },
    config_class={"aria_text": "AriaTextConfig"},
)
