"""Qwen3.5 and 3.6: Qwen3-Next's hybrid, dense or MoE (`qwen3_5_moe`), behind a vision tower.

Three Gated DeltaNet layers to one of gated softmax attention; DeltaNet's projections are split.
Positions have three axes; one MTP layer is stored beside the model.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, draft
from ..vocabulary import ConfigKeys, Family, modeling
from . import qwen3_next
from .qwen2 import gated_moe
from .qwen3_vl import VISION, several_axes, tower_rows, wrapper


def read(c: ConfigKeys) -> Draft:
    """Read a decoder, or the wrapper of one."""
    if c.model_type in ("qwen3_5", "qwen3_5_moe"):
        return wrapper(c, FAMILY, f"{c.model_type}_text")
    layers = qwen3_next.attention_layers(c)
    c.expect("mlp_only_layers", [])  # in the published files; the class has none
    if c.model_type == "qwen3_5_moe_text":
        ffn = "moe"
        block = _moe(c)
    else:
        ffn = "dense"
        block = blocks.dense(c)
    wiring = blocks.layer_wiring(layers, ffn)
    readers = {"full": _attention, "linear": _linear_attention}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns={ffn: block},
        norms={"rms": blocks.rms_norm(c, offset=1)},
        mtp=_mtp(c, layers.value),
        **wiring,
    )


def _attention(c: ConfigKeys) -> Draft:
    """Read gated GQA with positions of three axes."""
    full = qwen3_next.gated_attention(c)
    gate = c.expect("attn_output_gate", True, "elementwise")
    sections = [11, 11, 10]
    rope = several_axes(c, full["rope"], sections)
    return full.replace(gate=gate, rope=rope)


def _linear_attention(c: ConfigKeys) -> Draft:
    """Read Gated DeltaNet, whose state has a dtype of its own."""
    gate = c.expect("output_gate_type", "swish", "silu")
    state_dtype = c.word("mamba_ssm_dtype", default=None)
    delta_net = qwen3_next.delta_net(c)
    return delta_net.replace(gate=gate, state_dtype=state_dtype)


def _moe(c: ConfigKeys) -> Draft:
    """Read Qwen2-MoE's MoE; the chosen weights are always normalised."""
    normalized = c.expect("norm_topk_prob", True)
    return gated_moe(c, normalized)


def _mtp(c: ConfigKeys, layers: list[str]) -> Draft | Sourced | None:
    """Read the MTP modules, by keys that the class ignores; vLLM and SGLang read them."""
    modules = c.size("mtp_num_hidden_layers", default=0, least=0)
    own_embedding = c.flag("mtp_use_dedicated_embeddings", default=False)
    if not modules.value:
        return None
    if modules.value > 1:  # they share one projection, which the facts cannot tell
        return blocks.mtp_of_unknown_layout(modules, "llmarch knows the layout of one module")

    if "full" not in layers:
        return blocks.mtp_of_unknown_layout(modules, "no layer has the full attention of its own")
    return draft(
        s.MTP,
        blocks.mtp_code("qwen3_5"),
        modules=modules,
        layer_kind="full",
        norms=3,
        own_embedding=own_embedding,
    )


def _delta_net_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of Gated DeltaNet, with four projections."""
    module = qwen3_next.DELTA_NET
    key_rows = a.key_heads * a.key_head_dim
    value_rows = a.value_heads * a.value_head_dim

    rows = 2 * key_rows + value_rows
    facts = ("key_heads", "key_head_dim")
    yield from module.linear("in_proj_qkv", rows, hidden, *facts)
    yield from module.linear("in_proj_z", value_rows, hidden, "gate")

    for name in ("in_proj_b", "in_proj_a"):
        yield from module.linear(name, a.value_heads, hidden, "value_heads")

    yield from qwen3_next.delta_net_state_parts(a, hidden)


_TEXT = {
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.25,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "head_dim": 256,
    "full_attention_interval": 4,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
}

FAMILY = Family(
    name="qwen3_5",
    title="Qwen3.5",
    ref=modeling("qwen3_5"),
    refs={
        model_type: modeling("qwen3_5_moe")
        for model_type in ("qwen3_5_moe", "qwen3_5_moe_text", "qwen3_5_moe_vision")
    },
    read=read,
    naming=tensors.Naming(
        embedding="model.language_model.embed_tokens.weight",
        layer="model.language_model.layers.{}.",
        final_norm="model.language_model.norm",
        blocks={
            s.LinearAttention: _delta_net_parts,
            s.MoE: tensors.fused_moe_parts(router="gate", outputs_first=True),
        },
        mtp=qwen3_next.mtp_rows,
        tower=tower_rows,
    ),
    conversions={
        "qwen3_5_moe": tensors.Conversion(merges=tensors.MERGED_TEXT_EXPERTS),
        "qwen3_5_text": tensors.UNWRAPPED_CONVERSION,
        "qwen3_5_moe_text": tensors.Conversion(
            renames=tensors.UNWRAPPED_CONVERSION.renames, merges=tensors.MERGED_EXPERTS
        ),
    },
    defaults={
        "qwen3_5": {"tie_word_embeddings": False},
        "qwen3_5_moe": {"tie_word_embeddings": False},
        "qwen3_5_text": _TEXT | {"num_key_value_heads": 4},
        "qwen3_5_moe_text": _TEXT
        | {
            "num_key_value_heads": 2,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "num_experts_per_tok": 8,
            "num_experts": 256,
        },
        "qwen3_5_vision": VISION,
        "qwen3_5_moe_vision": VISION,
    },
    config_class={
        "qwen3_5": "Qwen3_5Config",
        "qwen3_5_text": "Qwen3_5TextConfig",
        "qwen3_5_vision": "Qwen3_5VisionConfig",
        "qwen3_5_moe": "Qwen3_5MoeConfig",
        "qwen3_5_moe_text": "Qwen3_5MoeTextConfig",
        "qwen3_5_moe_vision": "Qwen3_5MoeVisionConfig",
    },
    mtp_layouts=qwen3_next.mtp_layouts,
)
