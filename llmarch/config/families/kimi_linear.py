"""Kimi Linear: three Kimi Delta Attention layers to one MLA layer without positions.

Each has a dense MLP or DeepSeek V3's MoE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, derived_from, draft
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = attention_layers(c)
    ffns = blocks.moe_after_dense_prefix(c)
    wiring = blocks.layer_wiring(layers, ffns)
    last = blocks.last_kind(wiring)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": nope_mla, "linear": kda}, layers.value),
        ffns=blocks.deepseek_ffns(c, ffns, router),
        context_length=c.size("model_max_length", "max_position_embeddings"),
        mtp=blocks.mtp(c, last, own_embedding=True, own_head=True),
        **wiring,
    )


def router(c: ConfigKeys) -> Draft:
    """Read DeepSeek V3's router under Kimi's keys."""
    c.expect("use_grouped_topk", True)
    scoring = c.expect("moe_router_activation_func", "sigmoid")
    return blocks.sigmoid_router(c).replace(scoring=scoring)


def nope_mla(c: ConfigKeys) -> Draft:
    """Read MLA whose rope dims are not rotated.

    The class has no rotary call, and the published code asserts mla_use_nope.
    """
    c.expect("mla_use_nope", True)
    c.ignore("rope_theta", "rope_scaling", "rope_parameters")
    return blocks.latent_attention(c, rope=None)


def attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer.

    It is given by layer_types, or by the lists in linear_attn_config, which count layers from 1, or
    by the class's own pattern. Raises ConfigError for a layer that is in neither list.
    """
    layers = c.layer_count().value
    nested = c.child("linear_attn_config")
    full = nested.layer_numbers("full_attn_layers", layers=layers, default=None, first=1)
    linear = nested.layer_numbers("kda_layers", layers=layers, default=None, first=1)
    listed = blocks.listed_layers(c, blocks.HYBRID)
    if listed.value is not None:
        return listed
    if full.value is None or linear.value is None:
        reason = derived(None, "no layer lists: every 4th layer is full, from 4 on")
        return blocks.pattern_of(c, lambda i: "full" if i and i % 4 == 0 else "linear", reason)
    names = dict.fromkeys(full.value, "full") | dict.fromkeys(linear.value, "linear")
    missing = next((i for i in range(1, layers + 1) if i not in names), None)
    if missing is not None:
        raise ConfigError(
            f"{c.file}: layer {missing} is in neither {full.evidence.ref} nor {linear.evidence.ref}"
        )
    return derived_from([names[i] for i in range(1, layers + 1)], full, linear)


def kda(c: ConfigKeys) -> Draft:
    """Read Kimi Delta Attention: as many key as value heads, and a sigmoid gate after the norm."""
    nested = c.child("linear_attn_config")

    def size(key: str, own: str) -> Sourced:
        """Read the published nested key, or the class's own."""
        return nested.size(key) if nested.has(key) else c.size(own)

    heads = size("num_heads", "linear_num_heads")
    dim = size("head_dim", "linear_head_dim")
    kernel = size("short_conv_kernel_size", "linear_conv_kernel_dim")
    c.ignore("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim")
    return draft(
        s.LinearAttention,
        variant="kda",
        key_heads=heads,
        value_heads=heads,
        key_head_dim=dim,
        value_head_dim=dim,
        conv_kernel=kernel,
        gate="sigmoid",
    )


def kda_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of KDA.

    q, k and v have a convolution each; decay (f) and output gate (g) are computed in two steps
    through one head's width.
    """
    m = tensors.Module("self_attn", "attention")
    keys = a.key_heads * a.key_head_dim
    values = a.value_heads * a.value_head_dim
    dim = a.value_head_dim
    kernel = a.conv_kernel or 0
    for name, width in (("q", keys), ("k", keys), ("v", values)):
        yield from m.linear(f"{name}_proj", width, hidden, "key_heads", "key_head_dim")
        yield m.tensor(f"{name}_conv1d.weight", (width, 1, kernel), "conv_kernel")
    for name in ("f", "g"):
        yield from m.linear(f"{name}_a_proj", dim, hidden, "value_head_dim")
        yield from m.linear(f"{name}_b_proj", values, dim)
    yield from m.linear("b_proj", a.value_heads, hidden, "value_heads")
    yield m.tensor("A_log", (1, 1, a.value_heads, 1))
    yield m.vector("dt_bias", values)
    yield m.vector("o_norm.weight", dim)
    yield from m.linear("o_proj", hidden, values)


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
    naming=tensors.Naming(
        blocks={s.LinearAttention: kda_parts, s.MoE: MOE}, mtp=tensors.mtp_as_layers
    ),
    defaults={
        "kimi_linear": {
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "attention_bias": False,
            "max_position_embeddings": 1048576,
            "q_lora_rank": None,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "first_k_dense_replace": 1,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.446,
            "linear_head_dim": 128,
            "linear_num_heads": 32,
            "linear_conv_kernel_dim": 4,
        },
    },
    config_class={"kimi_linear": "KimiLinearConfig"},
)
