"""Hy3: GQA with QK-norm, a dense first layer, then MoE with a shared expert; one MTP layer, stored after the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import (
    ConfigKeys,
    Draft,
    Family,
    Sourced,
    derived,
    draft,
    modeling,
    same_evidence,
    unknown,
)


def read(c: ConfigKeys) -> Draft:
    sparse, how = sparse_layers(c, c.layer_count().value)
    parts = blocks.layer_wiring([("full", "moe" if s else "dense") for s in sparse], how)
    bias = c.flag("attention_bias")
    c.expect("qk_norm", True)
    full = blocks.attention(
        c, qkv_bias=bias, output_bias=bias, qk_norm=draft(s.QKNorm, scope="head")
    )
    c.expect("mlp_bias", False)
    for key in (
        "enable_lm_head_fp32",
        "enable_attention_fp32_softmax",
        "enable_moe_fp32_combine",
        "use_grouped_mm",
        "eod_token_id",
    ):
        c.ignore(key)  # in which precision and by which kernels
    readers = {"dense": blocks.dense, "moe": moe}
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns=blocks.read_used_blocks(c, readers, ("moe" if s else "dense" for s in sparse)),
        mtp=mtp_after(c, parts),
        **parts,
    )


def sparse_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """By mlp_layer_types; the class has one dense layer otherwise, and the published first_k_dense_replace says the same."""
    types = c.items("mlp_layer_types", default=None, length=n, of=str)
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    first = c.expect("first_k_dense_replace", 1)
    how = first if isinstance(first, Sourced) else derived(None, "every layer but the first is MoE")
    return [i > 0 for i in range(n)], how


def moe(c: ConfigKeys) -> Draft:
    c.expect("expert_hidden_dim", c.data.get("moe_intermediate_size"))
    width, shared = c.size("moe_intermediate_size"), c.size("num_shared_experts", least=0)
    c.expect("moe_router_use_sigmoid", True)
    c.expect("moe_router_enable_expert_bias", True)
    router = draft(
        s.Router,
        scoring="sigmoid",
        selection_bias=True,
        normalized=c.expect("route_norm", True),
        scale=c.number("router_scaling_factor"),
    )
    return draft(
        s.MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=width,
        activation=blocks.activation(c),
        shared_experts=shared,
        shared_width=derived(
            shared.value * width.value,
            f"{c.key('num_shared_experts')} * {c.key('moe_intermediate_size')}",
        ),
        router=router,
    )


def mtp_after(c: ConfigKeys, parts: dict[str, Any]) -> Draft | Sourced:
    modules = c.size(
        "num_nextn_predict_layers",
        default=unknown(f"{c.file} has no num_nextn_predict_layers: tensors must tell"),
        least=0,
    )
    return (
        draft(s.MTP, modules=modules, layer_kind=parts["layers"].value[-1], norms=3)
        if modules.value
        else same_evidence(None, modules)
    )


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    yield s.MTP(modules=1, layer_kind=a.layers[-1], norms=3)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    return tensors.mtp_as_layers(a, naming, ("enorm", "hnorm", "final_layernorm"))


FAMILY = Family(
    name="hy_v3",
    title="Hy3",
    ref=modeling("hy_v3"),
    read=read,
    naming=tensors.Naming(blocks={s.MoE: tensors.moe_parts(router="router.gate", selection_bias="expert_bias", shared="shared_mlp")}, mtp=mtp_rows),
    defaults={
        "hy_v3": {
            "rms_norm_eps": 1e-5, "rope_theta": 11158840.0, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 131072, "num_key_value_heads": 8, "head_dim": 128, "num_shared_experts": 1,
            "num_experts_per_tok": 8, "router_scaling_factor": 2.826,
        },
    },
    config_class={"hy_v3": "HYV3Config"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
