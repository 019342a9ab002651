"""Qwen3: GQA with an RMSNorm over each query and key head, pre-norm; dense (`qwen3`) or MoE without shared expert (`qwen3_moe`)."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling
from .qwen2 import mixture, windows


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    bias = c.flag("attention_bias")
    c.expect("qkv_bias", False)
    full = blocks.attention(
        c,
        qk_norm=draft(s.QKNorm, scope=c.expect("use_qk_norm", True, "head")),
        qkv_bias=bias,
        output_bias=bias,
    )
    if c.model_type == "qwen3":
        first = c.size("max_window_layers", least=0).value
        mixers, of, how = windows(
            c, full, n, lambda i: i >= first, "sliding from layer max_window_layers on"
        )
        return blocks.decoder(
            c,
            mixers=mixers,
            ffns={"dense": blocks.dense(c)},
            **blocks.layer_wiring([(m, "dense") for m in of], how),
        )
    c.ignore(
        "max_window_layers"
    )  # in the published files; the MoE class has one window for all layers
    mixers, of, how = windows(c, full, n, lambda i: True, "every layer slides")
    return blocks.decoder(c, mixers=mixers, **mixture(c, of, how, moe))


def moe(c: ConfigKeys, normalized: object = None) -> Draft:
    """`normalized` takes the place of the key."""
    return draft(
        s.MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=blocks.activation(c),
        shared_width=c.expect("shared_expert_intermediate_size", 0),
        router=draft(
            s.Router,
            scoring="softmax",
            normalized=c.flag("norm_topk_prob") if normalized is None else normalized,
        ),
    )


FAMILY = Family(
    name="qwen3",
    title="Qwen3",
    ref=modeling("qwen3"),
    refs={"qwen3_moe": modeling("qwen3_moe")},
    read=read,
    naming=tensors.Naming(),
    defaults={
        "qwen3": {
            "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "tie_word_embeddings": False, "attention_bias": False, "use_sliding_window": False,
            "sliding_window": 4096, "max_window_layers": 28,
        },
        "qwen3_moe": {
            "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "attention_bias": False, "use_sliding_window": False, "sliding_window": 4096,
            "norm_topk_prob": False, "decoder_sparse_step": 1,
        },
    },
    config_class={"qwen3": "Qwen3Config", "qwen3_moe": "Qwen3MoeConfig"},
)  # fmt: skip
