"""Qwen3.5 and 3.6: Qwen3-Next's hybrid, dense (`qwen3_5`) or MoE (`qwen3_5_moe`), with split DeltaNet projections, behind a vision tower.

Three Gated DeltaNet layers to one of gated softmax attention. Positions have three axes; one MTP layer is stored beside the model.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, draft, modeling
from .qwen2 import moe as qwen2_moe
from .qwen3_next import delta_net, gated_attention, layer_kinds, mtp_layouts, mtp_rows
from .qwen3_vl import VISION, several_axes, tower_names, wrapper


def read(c: ConfigKeys) -> Draft:
    if c.model_type in ("qwen3_5", "qwen3_5_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text", read)
    sparse = c.model_type == "qwen3_5_moe_text"
    kinds, how = layer_kinds(c, c.layer_count().value)
    c.expect("mlp_only_layers", [])  # in the published files; the class has none
    ffns = {"moe": moe(c)} if sparse else {"dense": blocks.dense(c)}
    mixers = blocks.read_used_blocks(c, {"full": attention, "linear": linear_attention}, kinds)
    parts = blocks.layer_wiring([(k, "moe" if sparse else "dense") for k in kinds], how)
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=ffns,
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=mtp(c, parts["layers"].value),
        **parts,
    )


def attention(c: ConfigKeys) -> Draft:
    c.expect("attn_output_gate", True)
    full = gated_attention(c)
    return full.replace(
        gate=c.expect("attn_output_gate", True, "elementwise"),
        rope=several_axes(c, full["rope"], [11, 11, 10]),
    )


def linear_attention(c: ConfigKeys) -> Draft:
    return delta_net(c).replace(
        gate=c.expect("output_gate_type", "swish", "silu"),
        state_dtype=c.word("mamba_ssm_dtype", default=None),
    )


def moe(c: ConfigKeys) -> Draft:
    """Qwen2-MoE's gated shared expert; the chosen weights are always normalised."""
    return qwen2_moe(c, c.expect("norm_topk_prob", True))


def mtp(c: ConfigKeys, layers: list[str]) -> Draft | None:
    """The class ignores it; vLLM and SGLang read these keys."""
    modules, own = (
        c.size("mtp_num_hidden_layers", default=0, least=0),
        c.flag("mtp_use_dedicated_embeddings", default=False),
    )
    if not modules.value:
        return None
    return draft(
        s.MTP,
        modules=modules,
        layer_kind=next(k for k in reversed(layers) if k == "full"),
        norms=3,
        own_embedding=own,
    )


def delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    at, part, k, v = (
        "linear_attn",
        "attention",
        a.key_heads * a.key_head_dim,
        a.value_heads * a.value_head_dim,
    )
    yield from tensors.linear(
        f"{at}.in_proj_qkv", 2 * k + v, hidden, part, ("key_heads", "key_head_dim")
    )
    yield from tensors.linear(f"{at}.in_proj_z", v, hidden, part, ("gate",))
    for name in ("in_proj_b", "in_proj_a"):
        yield from tensors.linear(f"{at}.{name}", a.value_heads, hidden, part, ("value_heads",))
    yield tensors.BlockTensor(
        f"{at}.conv1d.weight", (2 * k + v, 1, a.conv_kernel or 0), part, ("conv_kernel",)
    )
    yield tensors.BlockTensor(f"{at}.dt_bias", (a.value_heads,), part)
    yield tensors.BlockTensor(f"{at}.A_log", (a.value_heads,), part)
    yield tensors.BlockTensor(f"{at}.norm.weight", (a.value_head_dim,), part, ("value_head_dim",))
    yield from tensors.linear(f"{at}.out_proj", hidden, v, part)


TEXT = {
    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
    "tie_word_embeddings": False, "attention_bias": False, "head_dim": 256, "full_attention_interval": 4, "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
}  # fmt: skip

FAMILY = Family(
    name="qwen3_5",
    title="Qwen3.5",
    ref=modeling("qwen3_5"),
    refs={t: modeling("qwen3_5_moe") for t in ("qwen3_5_moe", "qwen3_5_moe_text", "qwen3_5_moe_vision")},
    read=read,
    naming=tensors.Naming(
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={s.LinearAttention: delta_net_parts, s.MoE: tensors.fused_moe_parts(router="gate", outputs_first=True)},
        mtp=mtp_rows,
        tower=tower_names,
    ),
    defaults={
        "qwen3_5": {"tie_word_embeddings": False},
        "qwen3_5_moe": {"tie_word_embeddings": False},
        "qwen3_5_text": TEXT | {"num_key_value_heads": 4},
        "qwen3_5_moe_text": TEXT
        | {
            "num_key_value_heads": 2, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts_per_tok": 8,
            "num_experts": 256,
        },
        "qwen3_5_vision": VISION,
        "qwen3_5_moe_vision": VISION,
    },
    config_class={
        "qwen3_5": "Qwen3_5Config", "qwen3_5_text": "Qwen3_5TextConfig", "qwen3_5_vision": "Qwen3_5VisionConfig",
        "qwen3_5_moe": "Qwen3_5MoeConfig", "qwen3_5_moe_text": "Qwen3_5MoeTextConfig", "qwen3_5_moe_vision": "Qwen3_5MoeVisionConfig",
    },
    mtp_layouts=mtp_layouts,
)  # fmt: skip
