"""Ling 1 to 2.0 and Ring 2.0 (Bailing MoE): GQA with one matrix for q, k and v, and many experts.

Version 2 has QK-norm, half of each head rotated, and DeepSeek V3's router; its model_type is that
of version 1, so that its class tells it. Ring Linear 2.0 (`bailing_moe_linear`) has lightning
attention but for the last layer of each group. Sarvam 30B is version 2 with other sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family

_LING_1 = "inclusionAI/Ling/models/modeling_bailing_moe.py"
_LING_2 = "inclusionAI/Ling-V2/models/modeling_bailing_moe_v2.py"
_SECOND = "BailingMoeV2"
"""What the names of the classes of version 2 begin with."""


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("embedding_dropout", "output_dropout", "max_window_layers", "mtp_loss_scaling_factor")
    c.ignore("router_dtype", "norm_softmax", "use_rmsnorm")
    if c.model_type == "bailing_moe_linear":
        return _linear_decoder(c)
    if c.model_type == "sarvam_moe":
        c.ignore("attn_implementation")
        return _second_decoder(c.with_context(defaults={**c.defaults, **NORMALIZED}))
    if c.model_type == "bailing_moe_v2" or names_class(c, _SECOND):
        defaults = _DEFAULTS_2 | NORMALIZED
        return _second_decoder(
            c.with_context(ref=_LING_2, defaults=defaults, defaults_ref=_CONFIG_2)
        )
    return _first_decoder(c)


def names_class(c: ConfigKeys, start: str) -> bool:
    """Return whether the config names a class that begins so."""
    named: list[str] = c.items("architectures", default=None, entry=str).value or []
    return any(name.startswith(start) for name in named)


def _first_decoder(c: ConfigKeys) -> Draft:
    """Read version 1, whose head may have columns of length 1."""
    for key in ("use_sliding_window", "multi_gate"):
        c.expect(key, False)
    c.ignore("sliding_window")
    c.expect("scoring_func", "softmax")
    c.expect("topk_method", "greedy")
    layers = blocks.moe_after_dense_prefix(c)
    normalized = c.flag("norm_head")
    columns = derived("columns" if normalized.value else None, "norm_head")
    router = draft(s.Router, scoring="softmax", normalized=c.flag("norm_topk_prob"))
    return blocks.decoder(
        c,
        head=draft(s.Head, normalized=columns),
        mixers={"full": _attention(c)},
        ffns=_ffns(c, layers, router),
        **blocks.layer_wiring("full", layers),
    )


def _second_decoder(c: ConfigKeys) -> Draft:
    """Read version 2."""
    layers = blocks.moe_after_dense_prefix(c)
    wiring = blocks.layer_wiring("full", layers)
    return blocks.decoder(
        c,
        mixers={"full": _attention(c)},
        ffns=_ffns(c, layers, _sigmoid_router(c)),
        mtp=blocks.mtp(c, blocks.last_kind(wiring), c.ref),
        **wiring,
    )


def _linear_decoder(c: ConfigKeys) -> Draft:
    """Read a decoder with lightning attention."""
    ffns = blocks.moe_after_dense_prefix(c)
    layers = grouped_layers(c)
    mixers = blocks.read_used_blocks(c, {"full": _attention, "linear": lightning}, layers.value)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=_ffns(c, ffns, _sigmoid_router(c)),
        **blocks.layer_wiring(layers, ffns),
    )


def grouped_layers(c: ConfigKeys) -> Sourced:
    """Return which layers are `full`: the last of each group, and those after the last group."""
    group = c.size("layer_group_size").value
    whole = c.layer_count().value // group * group

    def name(i: int) -> str:
        """Return the name of a layer's mixer."""
        return "full" if (i + 1) % group == 0 or i >= whole else "linear"

    return blocks.pattern_of(c, name, derived(None, "the last of layer_group_size layers is full"))


def _sigmoid_router(c: ConfigKeys) -> Draft:
    """Read DeepSeek V3's router."""
    c.expect("score_function", "sigmoid")
    c.expect("moe_router_enable_expert_bias", True)
    return blocks.sigmoid_router(c)


def _ffns(c: ConfigKeys, layers: Sourced, router: Draft) -> dict[str, Draft]:
    """Read the MLP and the MoE, as far as layers have them."""

    def routed(c: ConfigKeys) -> Draft:
        """Read the MoE."""
        shared = blocks.shared_experts(c, "num_shared_experts")
        c.expect("moe_shared_expert_intermediate_size", c.data.get("moe_intermediate_size"))
        return blocks.moe(c, router, **shared)

    return blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": routed}, layers.value)


def _norm(c: ConfigKeys) -> Draft | None:
    """Read the norm of queries and keys, which version 1 does not have."""
    if "use_qk_norm" in c.defaults and c.flag("use_qk_norm").value:
        return draft(s.QKNorm, scope="head")
    return None


def _attention(c: ConfigKeys) -> Draft:
    """Read GQA."""
    return blocks.attention(
        c,
        qkv_bias=c.flag("use_qkv_bias"),
        output_bias=c.flag("use_bias"),
        qk_norm=_norm(c),
    )


def lightning(c: ConfigKeys) -> Draft:
    """Read lightning attention, whose decay is fixed for each head and layer."""
    c.expect("linear_silu", False)
    heads = c.size("num_attention_heads")
    dim = blocks.read_head_dim(c)
    facts: dict[str, Any] = {"key_heads": heads, "value_heads": heads}
    facts |= {"key_head_dim": dim, "value_head_dim": dim}
    return draft(
        s.LinearAttention,
        variant="lightning",
        bias=c.flag("use_qkv_bias"),
        output_bias=c.flag("use_bias"),
        gate="sigmoid",
        norm_groups=c.size("group_norm_size"),
        qk_norm=_norm(c),
        rope=blocks.rope(c, blocks.rotary_dim(c, dim)),
        **facts,
    )


def lightning_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of lightning attention."""
    module = tensors.Module("attention", "attention")
    width = a.value_heads * a.value_head_dim
    rows = 2 * a.key_heads * a.key_head_dim + width
    facts = ("key_heads", "key_head_dim")
    yield from module.linear("query_key_value", rows, hidden, *facts, bias=a.bias)
    if a.qk_norm:
        for name in ("query_layernorm", "key_layernorm"):
            yield module.vector(f"{name}.weight", a.key_head_dim, "key_head_dim")
    yield from module.linear("g_proj", width, hidden, "gate")
    yield module.vector("g_norm.weight", width, "value_heads")
    yield from module.linear("dense", hidden, width, bias=bool(a.output_bias))


MTP_ROWS = partial(tensors.mtp_as_layers, norms=("enorm", "hnorm", "final_layernorm"))
NORMALIZED = {"norm_topk_prob": True}
"""What the routers of version 2 do, whose configuration classes do not have the key."""
_COMMON: dict[str, Any] = {
    "first_k_dense_replace": 0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "use_qkv_bias": False,
}
_DEFAULTS_1 = _COMMON | {
    "max_position_embeddings": 16384,
    "norm_head": False,
    "norm_topk_prob": True,
    "num_shared_experts": 0,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "use_bias": True,
}
_DEFAULTS_2 = _COMMON | {
    "first_k_dense_replace": 1,
    "head_dim": 128,
    "max_position_embeddings": 32768,
    "moe_intermediate_size": 512,
    "n_group": 8,
    "num_nextn_predict_layers": 0,
    "num_shared_experts": 1,
    "rms_norm_eps": 1e-6,
    "rope_theta": 600000.0,
    "routed_scaling_factor": 1.0,
    "topk_group": 4,
    "use_bias": False,
    "use_qk_norm": True,
}
_SARVAM = _DEFAULTS_2 | {
    "head_dim": 256,
    "max_position_embeddings": 4096,
    "moe_intermediate_size": 1024,
    "n_group": 1,
    "rope_theta": 10000.0,
    "routed_scaling_factor": 2.5,
    "topk_group": 1,
}
_SARVAM.pop("num_nextn_predict_layers")
_CONFIG_2 = "inclusionAI/Ling-V2/models BailingMoeV2Config"

FAMILY = Family(
    name="bailing_moe",
    title="Ling",
    ref=_LING_1,
    refs={
        "bailing_moe_v2": _LING_2,
        "sarvam_moe": "sarvamai/sarvam-30b/modeling_sarvam_moe.py",
        "bailing_moe_linear": "mlx-lm 0.32.2 models/bailing_moe_linear.py",
    },
    read=read,
    naming=tensors.Naming(
        embedding="model.word_embeddings.weight",
        blocks={
            s.Attention: tensors.fused_attention_parts(
                "attention", "query_key_value", "dense", "query_layernorm", "key_layernorm"
            ),
            s.LinearAttention: lightning_parts,
            s.MoE: tensors.moe_parts(selection_bias="gate.expert_bias"),
        },
        mtp=MTP_ROWS,
    ),
    defaults={
        "bailing_moe": _DEFAULTS_1,
        "bailing_moe_v2": _DEFAULTS_2,
        "sarvam_moe": _SARVAM,
    },
    config_class={
        "bailing_moe": "BailingMoeConfig",
        "bailing_moe_v2": "BailingMoeV2Config",
        "sarvam_moe": "SarvamMoEConfig",
    },
    other_classes={"bailing_moe": ("BailingMoeV2",)},
    mtp_layouts=blocks.stored_mtp(),
)
