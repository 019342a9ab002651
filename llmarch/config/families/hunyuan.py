"""Hunyuan, dense, A13B and Large: GQA with QK-norm after RoPE; the MoE has a shared MLP.

The published code (`hunyuan`) may be without the norms and the shared MLP, and layers may reuse the
keys and values of one before (cross-layer attention).
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "hunyuan_v1_dense":
        return _dense_decoder(c)
    if c.model_type == "hunyuan":
        return _published_decoder(c)
    c.expect("use_cla", False)
    c.ignore("cla_share_factor")  # of use_cla
    for key in ("use_qk_norm", "use_mixed_mlp_moe"):
        c.expect(key, True)
    norm = draft(s.QKNorm, scope="head", after_rope=True)
    full = blocks.attention(c, qk_norm=norm, **blocks.attention_biases(c))
    c.expect("attention_head_dim", full["head_dim"].value)
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"moe": _moe(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "moe"),
    )


def _dense_decoder(c: ConfigKeys) -> Draft:
    """Read a dense model."""
    for key in ("use_qk_norm", "use_rotary_pos_emb"):
        c.expect(key, True)
    for key in ("use_cla", "mlp_bias"):
        c.expect(key, False)
    norm = draft(s.QKNorm, scope="head", after_rope=True)
    full = blocks.attention(c, qk_norm=norm, **blocks.attention_biases(c))
    c.expect("attention_head_dim", full["head_dim"].value)
    c.ignore(
        "cla_share_factor", "norm_type", "org_vocab_size", "add_classification_head", "class_num"
    )
    c.ignore(
        "im_start_id", "im_end_id", "im_newline_id", "text_start_id", "text_end_id", "mask_init_id"
    )
    c.ignore("pool_type", "sep_token_id", "num_experts")
    return blocks.decoder(
        c,
        mixers={"full": full},
        ffns={"dense": blocks.dense(c)},
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "dense"),
    )


def _published_decoder(c: ConfigKeys) -> Draft:
    """Read a decoder of the maker's own code."""
    c.expect("use_mla", False)
    c.expect("moe_layer_num_skipped", 0)
    c.expect("norm_topk_prob", True)
    c.expect("routed_scaling_factor", 1.0)
    for key in ("n_group", "topk_group"):
        c.expect(key, None)
    c.expect("add_classification_head", False)
    c.expect("position_embedding_xdrope", False)
    for key in ("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim"):
        c.ignore(key)
    c.ignore("v_head_dim", "group_limited_greedy")
    c.ignore("moe_drop_tokens", "moe_random_routing_dropped_token", "capacity_factor", "dense_list")
    c.ignore("norm_type", "org_vocab_size", "class_num", "pool_type", "xdrope_section", "pad_id")
    c.ignore("num_media_embeds", "skip_cls_token", "use_rotary_pos_emb")
    c.ignore(*(key for key in c.data if key.startswith(("vit_", "anyres_"))))
    c.ignore(*(key for key in c.data if key.endswith(("_start_id", "_end_id", "_init_id"))))
    c.ignore("image_token_id", "im_newline_id", "eod_token_id", "sep_token_id")
    routed = c.size("num_experts").value > 1
    name = "moe" if routed else "dense"
    layers = _layers_with_own_keys(c)
    return blocks.decoder(
        c,
        mixers=blocks.used(_mixers(c), layers),
        ffns={name: _published_moe(c) if routed else blocks.dense(c)},
        **blocks.layer_wiring(layers, name),
    )


def _layers_with_own_keys(c: ConfigKeys) -> Sourced:
    """Return which layers are `full` and which are `shared`, with keys and values of one before."""
    every = c.size("cla_share_factor", default=1).value
    if not c.flag("use_cla").value:
        return blocks.every_layer(c, "full")
    rule = derived(None, "use_cla: every cla_share_factor-th layer has keys and values")
    return blocks.pattern_of(c, lambda i: "shared" if i % every else "full", rule)


def _mixers(c: ConfigKeys) -> dict[str, Draft]:
    """Read attention with keys and values of its own, and without."""
    norm = None
    if c.flag("use_qk_norm").value:
        norm = draft(s.QKNorm, scope="head", after_rope=True)
    dim = blocks.divided_head_dim(c, ("hidden_size",), ("num_attention_heads",))
    c.expect("attention_head_dim", dim.value)
    full = blocks.attention(c, head_dim=dim, qk_norm=norm, **blocks.attention_biases(c))
    return {"full": full, "shared": full.replace(kv_from="full")}


def _published_moe(c: ConfigKeys) -> Draft:
    """Read the MoE of the maker's own code."""
    width = c.size("intermediate_size")
    c.expect("mlp_bias", False)
    c.ignore("moe_intermediate_size")  # experts are as wide as intermediate_size
    mixed = c.flag("use_mixed_mlp_moe").value
    count = _same_on_every_layer(c, "num_shared_expert", 1).value
    shared = derived(count * width.value if mixed else 0, "num_shared_expert * intermediate_size")
    return draft(
        s.MoE,
        experts=c.size("num_experts"),
        active=_same_on_every_layer(c, "moe_topk"),
        expert_width=width,
        activation=blocks.activation_name(c),
        shared_experts=derived(count if mixed else 0, "num_shared_expert, use_mixed_mlp_moe"),
        shared_width=shared,
        router=draft(s.Router, scoring="softmax", normalized=True),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE. Raises ConfigError if experts or the shared MLP have widths of their own."""
    c.expect("mlp_bias", False)
    width = c.size("intermediate_size")
    for key, value in (("moe_intermediate_size", width.value), ("num_shared_expert", 1)):
        if _same_on_every_layer(c, key, value).value != value:
            raise ConfigError(
                f"{c.file}: {c.key(key)} is not {value:,} on every layer, as the class has it"
            )
    return draft(
        s.MoE,
        experts=c.size("num_experts"),
        active=_same_on_every_layer(c, "moe_topk"),
        expert_width=width,
        activation=blocks.activation_name(c),
        shared_experts=1,
        shared_width=width,
        router=draft(s.Router, scoring="softmax", normalized=True),
    )


def _same_on_every_layer(c: ConfigKeys, key: str, default: int | None = None) -> Sourced:
    """Read a number, or a list with the same number for every layer.

    Raises ConfigError if the layers differ.
    """
    options: dict[str, Any] = {}
    if default is not None:
        options["default"] = default

    given = c.value(key, **options)
    if not isinstance(given.value, list):
        return c.size(key, **options)

    layers = c.layer_count().value
    entries = c.items(key, length=layers, entry=int).value
    distinct = {*entries}
    if len(distinct) != 1:
        raise ConfigError(
            f"{c.file}: {c.key(key)} differs from layer to layer; llmarch supports one value"
        )

    (value,) = distinct
    return same_evidence(value, given)


FAMILY = Family(
    name="hunyuan",
    title="Hunyuan",
    ref=modeling("hunyuan_v1_moe"),
    read=read,
    naming=tensors.Naming(
        linear_router=True,
        blocks={
            s.Attention: tensors.split_attention_parts(
                q_norm="query_layernorm", k_norm="key_layernorm"
            ),
            s.MoE: tensors.moe_parts(router="gate.wg", shared="shared_mlp"),
        },
    ),
    conversions={"hunyuan_v1_moe": tensors.EXPERT_CONVERSION},
    refs={
        "hunyuan": "Tencent-Hunyuan/Hunyuan-A13B/models/modeling_hunyuan.py",
        "hunyuan_v1_dense": modeling("hunyuan_v1_dense"),
    },
    defaults={
        "hunyuan": {
            "attention_bias": False,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "moe_topk": 1,
            "num_experts": 1,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "use_cla": False,
            "use_mixed_mlp_moe": False,
            "use_qk_norm": False,
        },
        "hunyuan_v1_dense": {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
        },
        "hunyuan_v1_moe": {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "num_experts": 1,
            "moe_topk": 1,
        },
    },
    config_class={
        "hunyuan": "HunYuanConfig",
        "hunyuan_v1_dense": "HunYuanDenseV1Config",
        "hunyuan_v1_moe": "HunYuanMoEV1Config",
    },
)
