"""MiMo-V2-Flash: five sliding layers to one full, with other KV heads and another RoPE base, keys wider than values, sinks where it slides;
a dense first layer, then DeepSeek V3's MoE without shared experts."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
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
from .deepseek import feed_forward, v3_router
from .kimi_linear import both


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    of, how = attention_kinds(c, n)
    sparse, moe_how = moe_layers(c, n)
    pairs = [(m, "moe" if s else "dense") for m, s in zip(of, sparse, strict=True)]
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": full, "sliding": sliding}, of),
        ffns=feed_forward(c, sparse, v3_router),
        norms={"rms": blocks.rms_norm(c, "rms_norm_eps", "layernorm_epsilon")},
        mtp=unknown("the config does not tell: tensors named model.mtp.* must"),
        **blocks.layer_wiring(pairs, both(how, moe_how)),
    )


def attention_kinds(c: ConfigKeys, n: int) -> tuple[list[str], Sourced]:
    """The published hybrid_layer_pattern has 0 for full and 1 for sliding layers; transformers' class has layer_types."""
    flags = c.items("hybrid_layer_pattern", default=None, length=n, of=int)
    c.ignore("hybrid_block_size")
    if flags.value is not None and not c.has("layer_types"):
        return ["sliding" if f else "full" for f in flags.value], flags
    return blocks.sliding_layers(
        c,
        n,
        lambda i: i != 0 and (i + 1) % 6 != 0,
        "layer 0 and every 6th are full, the others slide",
    )


def moe_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    flags, types = (
        c.items("moe_layer_freq", default=None, length=n, of=int),
        c.items("mlp_layer_types", default=None, length=n, of=str),
    )
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    if flags.value is not None:
        return [bool(f) for f in flags.value], flags
    return [i > 0 for i in range(n)], derived(None, "every layer but the first is MoE")


def mixer(
    c: ConfigKeys,
    prefix: str,
    kv_heads: Sourced,
    sinks: Sourced | bool,
    layer_type: str,
    theta: tuple[str, float],
) -> Draft:
    """Sliding layers may have sizes of their own under keys that begin with swa_; without them those of the full layers."""

    def size(key: str) -> Sourced:
        return c.size(f"{prefix}{key}") if c.has(f"{prefix}{key}") else c.size(key)

    dim = size("head_dim")
    share = c.number("partial_rotary_factor", default=0.334)
    return draft(
        s.Attention,
        heads=size("num_attention_heads"),
        kv_heads=kv_heads,
        head_dim=dim,
        v_head_dim=size("v_head_dim"),
        qkv_bias=c.flag("attention_bias"),
        sinks=sinks,
        value_scale=c.optional(c.number, "attention_value_scale"),
        rope=blocks.typed_rope(c, dim, layer_type, c.number(theta[0], default=theta[1]), share),
    )


def full(c: ConfigKeys) -> Draft:
    sinks = c.expect("add_full_attention_sink_bias", False)
    return mixer(
        c, "", c.size("num_key_value_heads"), sinks, "full_attention", ("rope_theta", 5000000.0)
    )


def sliding(c: ConfigKeys) -> Draft:
    own = "swa_num_key_value_heads"
    doubled = derived(
        2 * c.size("num_key_value_heads").value,
        f"2 * {c.key('num_key_value_heads')}, as the class has it",
    )
    kv_heads = c.size(own, default=doubled)
    if kv_heads.value != doubled.value:
        raise ConfigError(
            f"{c.file}: {c.key(own)} is {kv_heads.value}; the class has {doubled.value}, and llmarch knows no other"
        )
    c.ignore("attention_chunk_size")  # repeats the window
    sinks = c.expect("add_swa_attention_sink_bias", True)
    return mixer(
        c, "swa_", kv_heads, sinks, "sliding_attention", ("swa_rope_theta", 10000.0)
    ).replace(window=window(c))


def window(c: ConfigKeys) -> Sourced:
    """128 earlier tokens beside the token itself; the class counts it too, and files saved by transformers say 129."""
    own, seen = c.size("sliding_window_size", default=None), c.size("sliding_window")
    return own if own.value is not None else same_evidence(seen.value - 1, seen)


FAMILY = Family(
    name="mimo_v2_flash",
    title="MiMo-V2",
    ref=modeling("mimo_v2_flash"),
    read=read,
    naming=tensors.Naming(blocks={s.Attention: tensors.attention_parts(sinks="attention_sink_bias")}),
    defaults={
        "mimo_v2_flash": {
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 131072, "num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128, "sliding_window": 129,
            "attention_value_scale": 0.707, "n_group": 1, "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.0,
        },
    },
    config_class={"mimo_v2_flash": "MiMoV2FlashConfig"},
)  # fmt: skip
