"""MiMo-V2-Flash: five sliding layers to one full, keys wider than values, sinks where it slides.

Sliding layers have other KV heads and another RoPE base. A dense first layer, then DeepSeek V3's
MoE without shared experts.
"""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence, unknown
from ..findings import contradiction
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = _attention_layers(c)
    all_but_first = derived(None, "every layer but the first is MoE")
    ffns = blocks.moe_layers(c, lambda i: i > 0, all_but_first, flags="moe_layer_freq")
    readers = {"full": _full, "sliding": _sliding}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns=blocks.deepseek_ffns(c, ffns, blocks.sigmoid_router),
        norms={"rms": blocks.rms_norm(c, "rms_norm_eps", "layernorm_epsilon")},
        mtp=unknown("the config does not tell: tensors named model.mtp.* must"),
        **blocks.layer_wiring(layers, ffns),
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers slide.

    The published hybrid_layer_pattern has 0 for full and 1 for sliding layers; transformers' class
    has layer_types.
    """
    depth = c.layer_count().value
    flags = c.items("hybrid_layer_pattern", default=None, length=depth, entry=int)
    c.ignore("hybrid_block_size")
    if flags.value is not None and not c.has("layer_types"):
        names = {True: "sliding", False: "full"}
        layers = [names[bool(flag)] for flag in flags.value]
        return same_evidence(layers, flags)

    return blocks.sliding_layers(
        c,
        lambda i: i != 0 and (i + 1) % 6 != 0,
        "layer 0 and every 6th are full, the others slide",
    )


def _full(c: ConfigKeys) -> Draft:
    """Read the attention of full layers."""
    theta = c.number("rope_theta", default=5000000.0)
    sinks = c.expect("add_full_attention_sink_bias", False)
    kv_heads = c.size("num_key_value_heads")
    return _mixer(
        c,
        prefix="",
        kv_heads=kv_heads,
        sinks=sinks,
        theta=theta,
    )


def _sliding(c: ConfigKeys) -> Draft:
    """Read the attention of sliding layers.

    Raises ConfigError unless they have twice the KV heads of full ones, as the class has it.
    """
    key = "swa_num_key_value_heads"
    twice = 2 * c.size("num_key_value_heads").value
    formula = f"2 * {c.key('num_key_value_heads')}, as the class has it"
    kv_heads = c.size(key, default=derived(twice, formula))
    if kv_heads.value != twice:
        raise ConfigError(
            f"{c.file}: {c.key(key)} is {kv_heads.value}; the class has {twice}, and llmarch"
            " supports no other"
        )
    c.ignore("attention_chunk_size")  # repeats the window
    theta = c.number("swa_rope_theta", default=10000.0)
    sinks = c.expect("add_swa_attention_sink_bias", True)
    attention = _mixer(
        c,
        prefix="swa_",
        kv_heads=kv_heads,
        sinks=sinks,
        theta=theta,
    )
    return attention.replace(window=_window(c))


def _mixer(c: ConfigKeys, prefix: str, *, theta: Sourced, **facts: Any) -> Draft:
    """Read attention.

    prefix: what keys of sliding layers begin with; without such a key they have the full layers'.
    theta: the base of RoPE for a config without rope_parameters.
    facts: further fields of Attention.
    """

    def size(key: str) -> Sourced:
        """Read the layer type's own key, or the common one."""
        own = prefix + key
        if c.has(own):
            return c.size(own)
        return c.size(key)

    dim = size("head_dim")
    share = c.number("partial_rotary_factor", default=0.334)
    layer_type = "full_attention"
    if prefix:
        layer_type = "sliding_attention"
    return draft(
        s.Attention,
        heads=size("num_attention_heads"),
        head_dim=dim,
        v_head_dim=size("v_head_dim"),
        qkv_bias=c.flag("attention_bias"),
        value_scale=c.optional(c.number, "attention_value_scale"),
        rope=blocks.rope_of_type(c, dim, layer_type, theta=theta, share=share),
        **facts,
    )


_WINDOW_READERS = "transformers, vLLM and MLX read the former"


def _window(c: ConfigKeys) -> Sourced:
    """Read the window: earlier tokens and the token itself.

    Published files count the earlier tokens; the class adds one, and transformers saves that.
    """
    published = c.size("sliding_window_size", default=None)
    if published.value is None:
        return c.size("sliding_window")
    width = published.value + 1
    other = c.size("sliding_window", default=None).value
    if other not in (None, published.value, width):  # published files repeat the other key
        contradiction(c, "sliding_window_size", c, "sliding_window", _WINDOW_READERS)
    key = c.key("sliding_window_size")
    return derived(width, f"{key} + 1, the token itself")


FAMILY = Family(
    name="mimo_v2_flash",
    title="MiMo-V2",
    ref=modeling("mimo_v2_flash"),
    read=read,
    naming=tensors.Naming(
        blocks={s.Attention: tensors.split_attention_parts(sinks="attention_sink_bias")}
    ),
    conversions={
        "mimo_v2_flash": tensors.Conversion(
            renames=(tensors.Rename(r"self_attn\.attention_sink_bias", "self_attn.sinks"),),
            merges=tensors.MERGED_EXPERTS,
        )
    },
    defaults={
        "mimo_v2_flash": {
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 131072,
            "num_key_value_heads": 4,
            "head_dim": 192,
            "v_head_dim": 128,
            "sliding_window": 129,
            "attention_value_scale": 0.707,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.0,
        },
    },
    config_class={"mimo_v2_flash": "MiMoV2FlashConfig"},
)
