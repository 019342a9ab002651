"""ZAYA: compressed convolutional attention, a router that is an MLP, learned vectors on the stream.

Each layer has a MoE, one expert of which serves a token, or none. The state of a layer's router
passes to the next one. Queries and keys pass two convolutions; half of each value comes from the
token before.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    names = {"hybrid": "full", "hybrid_sliding": "sliding"}
    layers = blocks.listed_layers(c, names)
    if layers.value is None:
        layers = blocks.every_layer(c, "full")
    others = c.layer_count().value - 1
    reason = "the state of a router passes to the next layer"
    ffns = derived(["moe_first", *["moe"] * others], reason)
    moe = _moe(c)
    first = moe.replace(router=moe["router"].replace(carries_state=False))
    return blocks.decoder(
        c,
        embedding=blocks.embedding(c, affine=True),
        head=draft(s.Head, bias=c.flag("lm_head_bias")),
        mixers=blocks.read_used_blocks(c, {"full": _full, "sliding": _sliding}, layers.value),
        ffns=blocks.used({"moe_first": first, "moe": moe}, ffns),
        **blocks.layer_wiring(layers, ffns, _step),
    )


def _step(block: str) -> Draft:
    """Return a step of norm, block, and an addition with learned vectors on both sides."""
    return blocks.pre_norm_step(block).replace(affine=True)


def _full(c: ConfigKeys) -> Draft:
    """Read attention without a window."""
    c.ignore("sliding_window")
    return _attention(c, "hybrid")


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    return _attention(c, "hybrid_sliding").replace(window=c.size("sliding_window"))


def _attention(c: ConfigKeys, layer_type: str) -> Draft:
    """Read attention whose queries and keys are convolved, then normed without weights."""
    dim = c.size("head_dim")
    theta, share = _ROPE[layer_type]
    reason = f"{c.ref}, as rope_parameters is absent"
    rope = blocks.rope_of_type(
        c, dim, layer_type, theta=derived(theta, reason), share=derived(share, reason)
    )
    first, second = c.size("cca_time0"), c.size("cca_time1")
    return blocks.attention(
        c,
        head_dim=dim,
        qk_norm=draft(s.QKNorm, scope="head", weight=False, key_scale=True),
        conv_kernels=same_evidence([first.value, second.value], first),
        rope=rope,
        **blocks.attention_biases(c),
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose router may choose that no expert serves a token."""
    router = draft(
        s.Router,
        scoring="softmax",
        normalized=False,
        selection_bias=True,
        hidden_width=c.size("router_hidden_size"),
        carries_state=True,
    )
    moe = blocks.moe(c, router, experts=("num_experts",))
    return moe.replace(zero_experts=1, zero_returns="nothing")


def _attention_parts(a: s.Attention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the matrices of queries, keys and both halves of values, and the convolutions."""
    module = tensors.Module("self_attn", "attention")
    inner = tensors.Module("self_attn.qkv_proj", "attention")
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    facts = ("heads", "head_dim")
    yield from inner.linear("q_proj", queries, hidden, *facts, bias=a.qkv_bias)
    yield from inner.linear("k_proj", keys, hidden, "kv_heads", bias=a.qkv_bias)
    half = a.kv_heads * a.v_head_dim // 2
    for name in ("v_proj_current", "v_proj_delayed"):
        yield from inner.linear(name, half, hidden, "v_head_dim", bias=a.qkv_bias)
    channels = queries + keys
    first, second = a.conv_kernels or (0, 0)
    convolutions = {
        "conv_qk_depthwise": (channels, 1, first),
        "conv_qk_grouped": (channels, a.head_dim, second),
    }
    for name, shape in convolutions.items():
        yield inner.tensor(f"{name}.weight", shape, "conv_kernels")
        yield inner.vector(f"{name}.bias", channels)
    yield module.vector("qk_norm.temp", a.kv_heads, "qk_norm.key_scale")
    yield from module.linear("o_proj", hidden, queries, bias=a.output_bias)


def _moe_parts(moe: s.MoE, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the router, which is an MLP with a norm, and the stacked experts."""
    router = tensors.Module("mlp.gate", "router")
    experts = tensors.Module("mlp.experts", "experts")
    width = moe.router.hidden_width or 0
    choices = moe.experts + moe.zero_experts
    yield from router.linear("down_proj", width, hidden, "router.hidden_width", bias=True)
    yield router.vector("router_mlp.norm.weight", width)
    for name in ("fc1", "fc2"):
        yield from router.linear(f"router_mlp.{name}", width, width, bias=True)
    yield from router.linear("router_mlp.out_proj", choices, width, "experts", "zero_experts")
    yield router.vector("balancing_biases", choices, "router.selection_bias")
    if moe.router.carries_state:
        yield router.vector("router_states_scale", width, "router.carries_state")
    facts = ("expert_width", "experts")
    gate_up = (moe.experts, 2 * moe.expert_width, hidden)
    yield experts.tensor("gate_up_proj", gate_up, *facts)
    yield experts.tensor("down_proj", (moe.experts, hidden, moe.expert_width), *facts)


_ROPE = {"hybrid": (5000000.0, 0.5), "hybrid_sliding": (10000.0, 0.5)}
"""The base and the rotated share of a head, by the class's own rope_parameters."""

FAMILY = Family(
    name="zaya",
    title="ZAYA",
    ref=modeling("zaya"),
    read=read,
    naming=tensors.Naming(
        embedding_affine=("model.input_hidden_states_bias", "model.input_hidden_states_scale"),
        affine=("post_attention_residual_scale", "post_mlp_residual_scale"),
        blocks={s.Attention: _attention_parts, s.MoE: _moe_parts},
    ),
    defaults={
        "zaya": {
            "attention_bias": False,
            "cca_time0": 2,
            "cca_time1": 2,
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 2048,
            "lm_head_bias": False,
            "max_position_embeddings": 131072,
            "moe_intermediate_size": 2048,
            "num_attention_heads": 8,
            "num_experts": 16,
            "num_experts_per_tok": 1,
            "num_hidden_layers": 40,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "router_hidden_size": 256,
            "tie_word_embeddings": True,
            "vocab_size": 262272,
        },
    },
    config_class={"zaya": "ZayaConfig"},
)
