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
    layers = _attention_layers(c)
    ffns = blocks.moe_after_dense_prefix(c)
    wiring = blocks.layer_wiring(layers, ffns)
    last = blocks.last_kind(wiring)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": _nope_mla, "linear": _kda}, layers.value),
        ffns=blocks.deepseek_ffns(c, ffns, _router),
        context_length=c.size("model_max_length", "max_position_embeddings"),
        embedding=blocks.untied_embedding(c),
        mtp=blocks.mtp(c, last, blocks.MTP_OF_TRANSFORMERS, own_embedding=True, own_head=True),
        **wiring,
    )


def _router(c: ConfigKeys) -> Draft:
    """Read DeepSeek V3's router under Kimi's keys."""
    c.expect("use_grouped_topk", True)
    scoring = c.expect("moe_router_activation_func", "sigmoid")
    return blocks.sigmoid_router(c).replace(scoring=scoring)


def _nope_mla(c: ConfigKeys) -> Draft:
    """Read MLA whose rope dims are not rotated.

    The class has no rotary call, and the published code asserts mla_use_nope.
    """
    c.expect("mla_use_nope", True)
    c.ignore("rope_theta", "rope_scaling", "rope_parameters")
    return blocks.latent_attention(c, rope=None)


def _attention_layers(c: ConfigKeys) -> Sourced:
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
        return blocks.pattern_of(c, _layer_of_class, reason)

    full_names = dict.fromkeys(full.value, "full")
    linear_names = dict.fromkeys(linear.value, "linear")
    names = full_names | linear_names

    mixers: list[str] = []
    for number in range(1, layers + 1):
        if number not in names:
            lists = f"{full.evidence.ref} nor {linear.evidence.ref}"
            raise ConfigError(f"{c.file}: layer {number} is in neither {lists}")
        mixers.append(names[number])

    return derived_from(mixers, full, linear)


def _layer_of_class(i: int) -> str:
    """Return the mixer of a layer by the class's own pattern, which counts from 0."""
    if i == 0:
        return "linear"
    if i % 4 == 0:
        return "full"
    return "linear"


def _kda(c: ConfigKeys) -> Draft:
    """Read Kimi Delta Attention: as many key as value heads, and a sigmoid gate after the norm."""
    nested = c.child("linear_attn_config")

    def size(key: str, own: str) -> Sourced:
        """Read the published nested key, or the class's own."""
        if nested.has(key):
            return nested.size(key)
        return c.size(own)

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


def _kda_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of KDA.

    q, k and v have a convolution each; decay (f) and output gate (g) are computed in two steps
    through one head's width.
    """
    module = tensors.Module("self_attn", "attention")
    head_dim = a.value_head_dim
    key_rows = a.key_heads * a.key_head_dim
    value_rows = a.value_heads * head_dim
    kernel = a.conv_kernel or 0

    facts = ("key_heads", "key_head_dim")
    projections = {
        "q": key_rows,
        "k": key_rows,
        "v": value_rows,
    }
    for name, rows in projections.items():
        convolution = (rows, 1, kernel)
        yield from module.linear(f"{name}_proj", rows, hidden, *facts)
        yield module.tensor(f"{name}_conv1d.weight", convolution, "conv_kernel")

    for name in ("f", "g"):
        yield from module.linear(f"{name}_a_proj", head_dim, hidden, "value_head_dim")
        yield from module.linear(f"{name}_b_proj", value_rows, head_dim)

    yield from module.linear("b_proj", a.value_heads, hidden, "value_heads")
    yield module.tensor("A_log", (1, 1, a.value_heads, 1))

    vectors = {
        "dt_bias": value_rows,
        "o_norm.weight": head_dim,
    }
    for name, size in vectors.items():
        yield module.vector(name, size)

    yield from module.linear("o_proj", hidden, value_rows)


_MOE: Any = tensors.moe_parts(
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
        blocks={s.LinearAttention: _kda_parts, s.MoE: _MOE}, mtp=tensors.mtp_as_layers
    ),
    conversions={
        "kimi_linear": tensors.Conversion(
            renames=(
                tensors.Rename(r"self_attn\.(f_a_proj|f_b_proj)\.", r"self_attn.forget_gate.\1."),
                tensors.Rename(r"self_attn\.(dt_bias|A_log)(?!\w)", r"self_attn.forget_gate.\1"),
                tensors.BLOCK_SPARSE_RENAME,
            ),
            merges=(
                tensors.Merge(
                    tuple(rf"self_attn\.{x}_conv1d\.weight(?!\w)" for x in "qkv"),
                    ("self_attn.conv1d.weight",),
                ),
                *tensors.MERGED_W_EXPERTS,
            ),
        )
    },
    defaults={
        "kimi_linear": {
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
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
