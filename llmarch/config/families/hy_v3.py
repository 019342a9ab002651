"""Hy3: GQA with QK-norm, a dense first layer, then MoE with a shared expert; one MTP layer."""

from __future__ import annotations

from functools import partial

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _ffn_layers(c)
    wiring = blocks.layer_wiring("full", layers)
    c.expect("qk_norm", True)
    norm = draft(s.QKNorm, scope="head")
    biases = blocks.attention_biases(c)
    full = blocks.attention(c, qk_norm=norm, **biases)
    c.describe_only("mlp_bias", False, "weights")

    # in which precision and by which kernels
    c.ignore("enable_lm_head_fp32", "enable_attention_fp32_softmax", "enable_moe_fp32_combine")
    c.ignore("use_grouped_mm", "eod_token_id")
    readers = {"dense": blocks.dense, "moe": _moe}
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns=blocks.read_used_blocks(c, readers, layers.value),
        mtp=blocks.mtp(c, blocks.last_kind(wiring), blocks.mtp_code("hy_v3")),
        **wiring,
    )


def _ffn_layers(c: ConfigKeys) -> Sourced:
    """Read which layers are MoE: by mlp_layer_types, or all but the first.

    The published first_k_dense_replace is 1, which is what the class does without a list.
    """
    first = c.expect("first_k_dense_replace", 1)
    if not isinstance(first, Sourced):
        first = derived(None, "every layer but the first is MoE")

    return blocks.moe_layers(c, lambda i: i > 0, first)


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE."""
    c.expect("expert_hidden_dim", c.data.get("moe_intermediate_size"))
    c.expect("moe_router_use_sigmoid", True)
    c.expect("moe_router_enable_expert_bias", True)
    router = draft(
        s.Router,
        scoring="sigmoid",
        selection_bias=True,
        normalized=c.expect("route_norm", True),
        scale=c.number("router_scaling_factor"),
    )
    return blocks.moe(c, router, **blocks.shared_experts(c, "num_shared_experts"))


_MTP_NORMS = ("enorm", "hnorm", "final_layernorm")


FAMILY = Family(
    name="hy_v3",
    title="Hy3",
    ref=modeling("hy_v3"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.MoE: tensors.moe_parts(
                router="router.gate", selection_bias="expert_bias", shared="shared_mlp"
            )
        },
        mtp=partial(tensors.mtp_as_layers, norms=_MTP_NORMS),
    ),
    conversions={
        "hy_v3": tensors.Conversion(
            renames=(
                tensors.Rename(r"mlp\.router\.gate\.weight(?!\w)", "mlp.gate.weight"),
                tensors.Rename(r"mlp\.expert_bias(?!\w)", "mlp.e_score_correction_bias"),
                tensors.Rename(r"mlp\.shared_mlp\.", "mlp.shared_experts."),
            ),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "hy_v3": {
            "rms_norm_eps": 1e-5,
            "rope_theta": 11158840.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "num_shared_experts": 1,
            "num_experts_per_tok": 8,
            "router_scaling_factor": 2.826,
        },
    },
    config_class={"hy_v3": "HYV3Config"},
    mtp_layouts=blocks.stored_mtp(),
)
