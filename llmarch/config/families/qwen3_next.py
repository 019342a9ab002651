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
from .qwen2 import shared_expert_moe


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    layers = attention_layers(c)
    ffns = blocks.moe_on_every_step(c)
    c.expect("use_sliding_window", False)
    mixer_readers = {"full": gated_attention, "linear": delta_net}
    ffn_readers = {"moe": shared_expert_moe, "dense": blocks.dense}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, mixer_readers, layers.value),
        ffns=blocks.read_used_blocks(c, ffn_readers, ffns.value),
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=unknown("the config does not tell: tensors named mtp.* must"),
        **blocks.layer_wiring(layers, ffns),
    )


def attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer: by layer_types, or full on each full_attention_interval-th."""
    interval = c.size("full_attention_interval")
    listed = blocks.listed_layers(c, blocks.HYBRID)
    if listed.value is not None:
        return listed

    period: int = interval.value
    reason = f"{interval.evidence.ref}: every {period}th layer is full"

    def name_of(i: int) -> str:
        """Return the mixer of a layer."""
        number = i + 1
        if number % period == 0:
            return "full"
        return "linear"

    return blocks.pattern_of(c, name_of, derived(None, reason))


def gated_attention(c: ConfigKeys) -> Draft:
    """Read GQA with QK-norm and a gate on the output."""
    norm = draft(s.QKNorm, scope="head", offset=1)
    return blocks.attention(
        c,
        qk_norm=norm,
        gate="elementwise",
        **blocks.attention_biases(c),
    )


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


def _delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet, with two projections."""
    key_rows = a.key_heads * a.key_head_dim
    value_rows = a.value_heads * a.value_head_dim

    rows = 2 * key_rows + 2 * value_rows
    facts = ("key_heads", "key_head_dim")
    yield from DELTA_NET.linear("in_proj_qkvz", rows, hidden, *facts)

    beta_and_decay = 2 * a.value_heads
    yield from DELTA_NET.linear("in_proj_ba", beta_and_decay, hidden, "value_heads")

    yield from delta_net_state_parts(a, hidden)


def delta_net_state_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet that follow the projections of its input."""
    module = DELTA_NET
    key_rows = a.key_heads * a.key_head_dim
    value_rows = a.value_heads * a.value_head_dim

    channels = 2 * key_rows + value_rows
    kernel = a.conv_kernel or 0
    convolution = (channels, 1, kernel)
    yield module.tensor("conv1d.weight", convolution, "conv_kernel")

    for name in ("dt_bias", "A_log"):
        yield module.vector(name, a.value_heads)

    yield module.vector("norm.weight", a.value_head_dim, "value_head_dim")
    yield from module.linear("out_proj", hidden, value_rows)


def mtp_layouts(a: s.Architecture) -> Iterator[s.MTP]:
    """Yield one full-attention layer under mtp., which shares embedding and head."""
    full_kinds = [kind for kind in a.layers if kind.startswith("full")]
    if not full_kinds:
        return
    last = full_kinds[-1]
    layouts = blocks.stored_mtp(last)
    yield from layouts(a)


def mtp_rows(a: s.Architecture, naming: tensors.Naming) -> Iterator[tensors.TensorRow]:
    """Yield the MTP modules: layers, one projection, and norms like the model's."""
    assert a.mtp and a.mtp.layer_kind
    width = a.hidden_size
    modules = tuple(range(a.mtp.modules))
    layer = "mtp.layers.{}."
    yield from tensors.rows_of_layers(a, a.mtp.layer_kind, modules, layer, naming, "mtp")

    yield tensors.TensorRow(
        pattern="mtp.fc.weight",
        shape=(width, 2 * width),
        axes=(),
        component="mtp",
        proves=("mtp.modules",),
    )

    norm = a.norms["rms"]
    for name in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        yield from tensors.norm_rows(f"mtp.{name}", norm, width, (), "mtp")

    if a.mtp.own_embedding:
        yield tensors.TensorRow(
            pattern="mtp.embed_tokens.weight",
            shape=(a.vocab_size, width),
            axes=(),
            component="mtp",
            proves=("mtp.own_embedding",),
        )


FAMILY = Family(
    name="qwen3_next",
    title="Qwen3-Next",
    ref=modeling("qwen3_next"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.LinearAttention: _delta_net_parts,
            s.MoE: tensors.moe_parts(shared="shared_expert"),
        },
        mtp=mtp_rows,
    ),
    conversions={"qwen3_next": tensors.EXPERT_CONVERSION},
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
