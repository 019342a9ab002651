"""Qwen3-Next: three Gated DeltaNet layers to one of gated softmax attention, each with MoE.

The shared expert has a gate. Norms multiply by (1 + weight), but for the one inside the DeltaNet.
The published 80B stores an MTP module that its config does not announce; Qwen3-Coder-Next stores
none.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, unknown
from ..vocabulary import ConfigKeys, Family, modeling
from .qwen2 import moe


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = attention_layers(c)
    ffns = blocks.moe_on_every_step(c)
    c.expect("use_sliding_window", False)
    readers = {"full": gated_attention, "linear": delta_net}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns=blocks.read_used_blocks(c, {"moe": moe, "dense": blocks.dense}, ffns.value),
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=unknown("the config does not tell: tensors named mtp.* must"),
        **blocks.layer_wiring(layers, ffns),
    )


def attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer: by layer_types, or full on each full_attention_interval-th."""
    every = c.size("full_attention_interval")
    listed = blocks.listed_layers(c, blocks.HYBRID)
    if listed.value is not None:
        return listed
    reason = f"{every.evidence.ref}: every {every.value}th layer is full"
    return blocks.pattern_of(
        c, lambda i: "linear" if (i + 1) % every.value else "full", derived(None, reason)
    )


def gated_attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm and a gate on the output."""
    norm = draft(s.QKNorm, scope="head", offset=1)
    return blocks.attention(c, qk_norm=norm, gate="elementwise", **blocks.attention_biases(c))


def delta_net(c: ConfigKeys) -> Draft:
    """Read Gated DeltaNet.

    q and k are L2-normalised; the output is normed per head, then multiplied by silu(z).
    """
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


DELTA_NET = tensors.Module("linear_attn", "attention")


def delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet, with two projections."""
    keys = a.key_heads * a.key_head_dim
    values = a.value_heads * a.value_head_dim
    rows = 2 * keys + 2 * values
    yield from DELTA_NET.linear("in_proj_qkvz", rows, hidden, "key_heads", "key_head_dim")
    yield from DELTA_NET.linear("in_proj_ba", 2 * a.value_heads, hidden, "value_heads")
    yield from delta_net_state_parts(a, hidden)


def delta_net_state_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet that follow the projections of its input."""
    m = DELTA_NET
    values = a.value_heads * a.value_head_dim
    channels = 2 * a.key_heads * a.key_head_dim + values
    yield m.tensor("conv1d.weight", (channels, 1, a.conv_kernel or 0), "conv_kernel")
    yield m.vector("dt_bias", a.value_heads)
    yield m.vector("A_log", a.value_heads)
    yield m.vector("norm.weight", a.value_head_dim, "value_head_dim")
    yield from m.linear("out_proj", hidden, values)


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    """Yield one full-attention layer under mtp., which shares embedding and head."""
    kind = next((k for k in reversed(a.layers) if k.startswith("full")), None)
    if kind is not None:
        yield from blocks.stored_mtp(kind)(a)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Yield the MTP modules: layers, one projection, and norms like the model's."""
    assert a.mtp and a.mtp.layer_kind
    h = a.hidden_size
    numbers = tuple(range(a.mtp.modules))
    layer = "mtp.layers.{}."
    yield from tensors.layer_rows(a, a.mtp.layer_kind, numbers, layer, naming, "mtp")
    yield tensors.TensorRow("mtp.fc.weight", (h, 2 * h), (), "mtp", ("mtp.modules",))
    for norm in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        yield from tensors.norm_rows(f"mtp.{norm}", a.norms["rms"], h, (), "mtp")
    if a.mtp.own_embedding:
        facts = ("mtp.own_embedding",)
        yield tensors.TensorRow("mtp.embed_tokens.weight", (a.vocab_size, h), (), "mtp", facts)


FAMILY = Family(
    name="qwen3_next",
    title="Qwen3-Next",
    ref=modeling("qwen3_next"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.LinearAttention: delta_net_parts,
            s.MoE: tensors.moe_parts(shared="shared_expert"),
        },
        mtp=mtp_rows,
    ),
    defaults={
        "qwen3_next": {
            "num_key_value_heads": 2,
            "head_dim": 256,
            "hidden_act": "silu",
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.25,
            "tie_word_embeddings": False,
            "attention_bias": False,
            "full_attention_interval": 4,
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "decoder_sparse_step": 1,
            "norm_topk_prob": True,
            "shared_expert_intermediate_size": 512,
        },
    },
    config_class={"qwen3_next": "Qwen3NextConfig"},
    mtp_layouts=mtp_layouts,
)
