"""DeepSeek MoE 16B: Llama's attention, a dense prefix, then MoE with shared experts."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft
from ..vocabulary import ConfigKeys, Family


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, which is dense throughout where `n_routed_experts` is null."""
    layers = _ffn_of_each_layer(c)
    mixer = blocks.attention(c, **blocks.attention_biases(c))
    return blocks.decoder(
        c,
        mixers={"full": mixer},
        ffns=blocks.deepseek_ffns(c, layers, _router),
        **blocks.layer_wiring(blocks.every_layer(c, "full"), layers),
    )


def _ffn_of_each_layer(c: ConfigKeys) -> Sourced:
    """Return which layers are `moe`: multiples of `moe_layer_freq` behind the dense prefix."""
    first = c.size("first_k_dense_replace", least=0).value
    every = c.size("moe_layer_freq").value
    experts = c.optional(c.size, "n_routed_experts").value

    def name(i: int) -> str:
        """Return the name of a layer's feed-forward block."""
        return "moe" if experts and i >= first and i % every == 0 else "dense"

    return blocks.pattern_of(c, name, derived(None, "first_k_dense_replace, moe_layer_freq"))


def _router(c: ConfigKeys) -> Draft:
    """Read the router."""
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "softmax"),
        normalized=c.flag("norm_topk_prob"),
    )


FAMILY = Family(
    name="deepseek_moe",
    title="DeepSeek MoE",
    ref="deepseek-ai/deepseek-moe-16b-base/modeling_deepseek.py",
    read=read,
    naming=tensors.Naming(linear_router=False),
    defaults={
        "deepseek": {
            "attention_bias": False,
            "first_k_dense_replace": 0,
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "moe_intermediate_size": 1407,
            "moe_layer_freq": 1,
            "n_routed_experts": None,
            "n_shared_experts": None,
            "norm_topk_prob": False,
            "num_key_value_heads": 32,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "scoring_func": "softmax",
            "tie_word_embeddings": False,
        },
    },
    config_class={"deepseek": "DeepseekConfig"},
)
