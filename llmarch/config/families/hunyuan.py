"""Hunyuan, dense and A13B: GQA with QK-norm after RoPE; the MoE has a shared MLP."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.model_type == "hunyuan_v1_dense":
        return _dense_decoder(c)
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
    refs={"hunyuan_v1_dense": modeling("hunyuan_v1_dense")},
    defaults={
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
        "hunyuan_v1_dense": "HunYuanDenseV1Config",
        "hunyuan_v1_moe": "HunYuanMoEV1Config",
    },
)
