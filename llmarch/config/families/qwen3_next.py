"""Qwen3-Next: three Gated DeltaNet layers to one of gated softmax attention, each with MoE and a gated shared expert.

Norms multiply by (1 + weight), but for the one inside the DeltaNet. The published 80B stores an MTP module that its config does not
announce; Qwen3-Coder-Next stores none.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, unknown
from .qwen2 import mixture, moe


def read(c: ConfigKeys) -> Draft:
    kinds, how = layer_kinds(c, c.layer_count().value)
    c.expect("use_sliding_window", False)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": gated_attention, "linear": delta_net}, kinds),
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=unknown("the config does not tell: tensors named mtp.* must"),
        **mixture(c, kinds, how, moe),
    )


def layer_kinds(c: ConfigKeys, n: int) -> tuple[list[str], Sourced]:
    types = c.items("layer_types", default=None, length=n, of=str)
    every = c.size("full_attention_interval")
    if types.value is not None:
        return ["linear" if t == "linear_attention" else "full" for t in types.value], types
    how = f"{every.evidence.ref}: every {every.value}th layer is full"
    return ["linear" if (i + 1) % every.value else "full" for i in range(n)], derived(None, how)


def gated_attention(c: ConfigKeys) -> Draft:
    bias = c.flag("attention_bias")
    return blocks.attention(
        c,
        qk_norm=draft(s.QKNorm, scope="head", offset=1),
        qkv_bias=bias,
        output_bias=bias,
        gate="elementwise",
    )


def delta_net(c: ConfigKeys) -> Draft:
    """q and k are L2-normalised; the output is normed per head, then times silu(z)."""
    return draft(
        s.LinearAttention,
        variant="gated_deltanet",
        key_heads=c.size("linear_num_key_heads"),
        value_heads=c.size("linear_num_value_heads"),
        key_head_dim=c.size("linear_key_head_dim"),
        value_head_dim=c.size("linear_value_head_dim"),
        conv_kernel=c.size("linear_conv_kernel_dim"),
        gate="silu",
    )


def delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    at, part, k, v = (
        "linear_attn",
        "attention",
        a.key_heads * a.key_head_dim,
        a.value_heads * a.value_head_dim,
    )
    yield from tensors.linear(
        f"{at}.in_proj_qkvz", 2 * k + 2 * v, hidden, part, ("key_heads", "key_head_dim")
    )
    yield from tensors.linear(f"{at}.in_proj_ba", 2 * a.value_heads, hidden, part, ("value_heads",))
    yield tensors.BlockTensor(
        f"{at}.conv1d.weight", (2 * k + v, 1, a.conv_kernel or 0), part, ("conv_kernel",)
    )
    yield tensors.BlockTensor(f"{at}.dt_bias", (a.value_heads,), part)
    yield tensors.BlockTensor(f"{at}.A_log", (a.value_heads,), part)
    yield tensors.BlockTensor(f"{at}.norm.weight", (a.value_head_dim,), part, ("value_head_dim",))
    yield from tensors.linear(f"{at}.out_proj", hidden, v, part)


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    """One full-attention layer under mtp., which shares embedding and head."""
    kind = next((k for k in reversed(a.layers) if k.startswith("full")), None)
    if kind is not None:
        yield s.MTP(modules=1, layer_kind=kind, norms=3)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    assert a.mtp and a.mtp.layer_kind
    h = a.hidden_size
    yield from tensors.layer_rows(
        a, a.mtp.layer_kind, tuple(range(a.mtp.modules)), "mtp.layers.{}.", naming, "mtp"
    )
    yield tensors.TensorRow("mtp.fc.weight", (h, 2 * h), (), "mtp", ("mtp.modules",))
    for norm in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        yield from tensors.norm_rows(f"mtp.{norm}", a.norms["rms"], h, (), "mtp")


FAMILY = Family(
    name="qwen3_next",
    title="Qwen3-Next",
    ref=modeling("qwen3_next"),
    read=read,
    naming=tensors.Naming(blocks={s.LinearAttention: delta_net_parts, s.MoE: tensors.moe_parts(shared="shared_expert")}, mtp=mtp_rows),
    defaults={
        "qwen3_next": {
            "num_key_value_heads": 2, "head_dim": 256, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "partial_rotary_factor": 0.25, "tie_word_embeddings": False, "attention_bias": False,
            "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_num_key_heads": 16, "linear_num_value_heads": 32, "decoder_sparse_step": 1, "norm_topk_prob": True,
            "shared_expert_intermediate_size": 512,
        },
    },
    config_class={"qwen3_next": "Qwen3NextConfig"},
    mtp_layouts=mtp_layouts,
)  # fmt: skip
