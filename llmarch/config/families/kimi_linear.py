"""Kimi Linear: three Kimi Delta Attention layers to one MLA layer without positions, each with a dense MLP or DeepSeek V3's MoE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling
from .deepseek import feed_forward, mla, mtp_after, sparse_layers, v3_router


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    kinds, how = layer_kinds(c, n)
    sparse, dense_how = sparse_layers(c, n)
    parts = blocks.layer_wiring(
        [(k, "moe" if s else "dense") for k, s in zip(kinds, sparse, strict=True)],
        both(how, dense_how),
    )
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": nope_mla, "linear": kda}, kinds),
        ffns=feed_forward(c, sparse, router),
        context_length=c.size("model_max_length", "max_position_embeddings"),
        mtp=mtp_after(c, parts),
        **parts,
    )


def router(c: ConfigKeys) -> Draft:
    c.expect("use_grouped_topk", True)
    return v3_router(c).replace(scoring=c.expect("moe_router_activation_func", "sigmoid"))


def nope_mla(c: ConfigKeys) -> Draft:
    """Its rope dims are not turned: the class has no rotary call, and the published code asserts mla_use_nope."""
    c.expect("mla_use_nope", True)
    c.ignore("rope_theta", "rope_scaling", "rope_parameters")
    return mla(c, rope=None)


def both(one: Sourced, other: Sourced) -> Sourced:
    """The evidence of a pattern that rests on two."""
    return derived(None, f"{one.evidence.ref}, {other.evidence.ref}")


def layer_kinds(c: ConfigKeys, n: int) -> tuple[list[str], Sourced]:
    """By layer_types; or by the lists in linear_attn_config, which count layers from 1; or the class's own pattern."""
    inner = c.child("linear_attn_config")
    full, kda_layers = (
        inner.items(k, default=None, of=int) for k in ("full_attn_layers", "kda_layers")
    )
    types = c.items("layer_types", default=None, length=n, of=str)
    if types.value is not None:
        return ["full" if t == "full_attention" else "linear" for t in types.value], types
    if full.value is None or kda_layers.value is None:
        how = derived(None, "no layer lists: every 4th layer is full, from 4 on")
        return ["full" if i and i % 4 == 0 else "linear" for i in range(n)], how
    kinds: dict[int, str] = {i - 1: "full" for i in full.value} | {
        i - 1: "linear" for i in kda_layers.value
    }
    missing = [i + 1 for i in range(n) if i not in kinds]
    if missing:
        raise ConfigError(
            f"{c.file}: layer {missing[0]} is in neither {full.evidence.ref} nor {kda_layers.evidence.ref}"
        )
    return [kinds[i] for i in range(n)], derived(
        None, f"{full.evidence.ref}, {kda_layers.evidence.ref}"
    )


def kda(c: ConfigKeys) -> Draft:
    """Key and value heads alike; the gate after the norm is a sigmoid."""
    inner = c.child("linear_attn_config")

    def size(key: str, own: str) -> Sourced:
        return inner.size(key) if inner.has(key) else c.size(own)

    heads, dim = size("num_heads", "linear_num_heads"), size("head_dim", "linear_head_dim")
    c.ignore("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim")
    return draft(
        s.LinearAttention,
        variant="kda",
        key_heads=heads,
        value_heads=heads,
        key_head_dim=dim,
        value_head_dim=dim,
        conv_kernel=size("short_conv_kernel_size", "linear_conv_kernel_dim"),
        gate="sigmoid",
    )


def kda_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """q, k, v each with its own convolution; decay (f) and output gate (g) in two steps through one head's width."""
    at, part, k, v = (
        "self_attn",
        "attention",
        a.key_heads * a.key_head_dim,
        a.value_heads * a.value_head_dim,
    )
    for name, width in (("q", k), ("k", k), ("v", v)):
        yield from tensors.linear(
            f"{at}.{name}_proj", width, hidden, part, ("key_heads", "key_head_dim")
        )
        yield tensors.BlockTensor(
            f"{at}.{name}_conv1d.weight", (width, 1, a.conv_kernel or 0), part, ("conv_kernel",)
        )
    for name in ("f", "g"):
        yield from tensors.linear(
            f"{at}.{name}_a_proj", a.value_head_dim, hidden, part, ("value_head_dim",)
        )
        yield from tensors.linear(f"{at}.{name}_b_proj", v, a.value_head_dim, part)
    yield from tensors.linear(f"{at}.b_proj", a.value_heads, hidden, part, ("value_heads",))
    yield tensors.BlockTensor(f"{at}.A_log", (1, 1, a.value_heads, 1), part)
    yield tensors.BlockTensor(f"{at}.dt_bias", (v,), part)
    yield tensors.BlockTensor(f"{at}.o_norm.weight", (a.value_head_dim,), part)
    yield from tensors.linear(f"{at}.o_proj", hidden, v, part)


MOE: Any = tensors.moe_parts(
    "block_sparse_moe",
    gate="w1",
    up="w3",
    down="w2",
    shared=tensors.dense_parts("block_sparse_moe.shared_experts"),
)

FAMILY = Family(
    name="kimi_linear",
    title="Kimi Linear",
    ref=modeling("kimi_linear"),
    read=read,
    naming=tensors.Naming(blocks={s.LinearAttention: kda_parts, s.MoE: MOE}),
    defaults={
        "kimi_linear": {
            "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 1048576, "q_lora_rank": None, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "first_k_dense_replace": 1, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
            "routed_scaling_factor": 2.446, "linear_head_dim": 128, "linear_num_heads": 32, "linear_conv_kernel_dim": 4,
        },
    },
    config_class={"kimi_linear": "KimiLinearConfig"},
)  # fmt: skip
