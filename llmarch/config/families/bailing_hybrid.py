"""Ling 3: Kimi Delta Attention, gated MLA on every sixth layer, DeepSeek's MoE.

Decay and output gate of the linear layers are of full rank. Ling and Ring 2.5 and 2.6 have the
model_type too: their class tells them. They have lightning attention in place of KDA, and MLA
without a gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..vocabulary import ConfigKeys, Family, modeling
from .bailing_moe import (
    MTP_ROWS,
    NORMALIZED,
    grouped_layers,
    lightning,
    lightning_parts,
    names_class,
)


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    c.ignore("pretraining_tp", "mtp_loss_scaling_factor")
    if c.model_type == "bailing_moe_v2_5" or names_class(c, "BailingMoeV2_5"):
        return _lightning_decoder(c)
    layers = _attention_layers(c)
    first = c.size("first_k_dense_replace", least=0)
    ffns = blocks.moe_layers(c, lambda i: i >= first.value, first)
    announced = c.size("num_nextn_predict_layers", "num_mtp_layers", least=0)
    mtp = blocks.mtp_of_unknown_layout(announced, "its code leaves these modules out")
    mixers = blocks.read_used_blocks(c, {"full": _latent, "linear": _kda}, layers.value)
    return blocks.decoder(
        c,
        context_length=c.size("max_position_embeddings", "model_max_length"),
        embedding=blocks.untied_embedding(c),
        mixers=mixers,
        ffns=blocks.deepseek_ffns(c, ffns, blocks.sigmoid_router),
        mtp=mtp,
        **blocks.layer_wiring(layers, ffns),
    )


def _lightning_decoder(c: ConfigKeys) -> Draft:
    """Read a decoder of version 2.5, with lightning attention."""
    c = c.with_context(ref=_LING_2_5, defaults=_DEFAULTS_2_5 | NORMALIZED, defaults_ref=_CONFIG_2_5)
    c.ignore("embedding_dropout", "output_dropout", "max_window_layers", "router_dtype")
    c.expect("score_function", "sigmoid")
    c.expect("moe_router_enable_expert_bias", True)
    c.ignore("moe_shared_expert_intermediate_size")
    ffns = blocks.moe_after_dense_prefix(c)
    layers = grouped_layers(c)
    bias = c.flag("use_qkv_bias")
    latent = partial(blocks.latent_attention, bias=bias, obeys_kv_heads=False)
    wiring = blocks.layer_wiring(layers, ffns)
    module = "full_moe"
    if module not in wiring["layer_kinds"]:
        module = blocks.last_kind(wiring)
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": latent, "linear": lightning}, layers.value),
        ffns=blocks.deepseek_ffns(c, ffns, blocks.sigmoid_router),
        mtp=blocks.mtp(c, module, _LING_2_5),
        **wiring,
    )


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read which layers have MLA: the last of each group."""
    listed = blocks.listed_layers(c, blocks.HYBRID)
    group = c.size("layer_group_size")
    if listed.value is not None:
        return listed
    rule = derived(None, f"the last of {group.value} layers is full (layer_group_size)")
    return blocks.pattern_of(c, lambda i: "linear" if (i + 1) % group.value else "full", rule)


def _latent(c: ConfigKeys) -> Draft:
    """Read MLA, whose queries have no latent."""
    c.ignore("q_lora_rank", "linear_head_dim")
    return blocks.latent_attention(c, q_lora_rank=None, gate="head")


def _kda(c: ConfigKeys) -> Draft:
    """Read Kimi Delta Attention. Saved files name its sizes apart from those of MLA."""
    heads = c.size("linear_num_heads", default=c.size("num_attention_heads"))
    dim = c.size("linear_head_dim", default=c.size("head_dim"))
    kernel = c.size("linear_conv_kernel_dim", default=c.size("short_conv_kernel_size"))
    bounded = c.flag("kda_safe_gate")
    bound = c.number("kda_lower_bound")
    return draft(
        s.LinearAttention,
        variant="kda",
        key_heads=heads,
        value_heads=heads,
        key_head_dim=dim,
        value_head_dim=dim,
        conv_kernel=kernel,
        gate="sigmoid",
        full_rank=True,
        decay_bound=bound if bounded.value else same_evidence(None, bounded),
    )


def _kda_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of KDA."""
    module = tensors.Module("attention", "attention")
    rows = a.value_heads * a.value_head_dim
    for name in ("q", "k", "v"):
        yield from module.linear(f"{name}_proj", rows, hidden, "key_heads", "key_head_dim")
        yield module.tensor(f"{name}_conv1d.weight", (rows, 1, a.conv_kernel or 0), "conv_kernel")
    for name in ("f_proj", "g_proj"):
        yield from module.linear(name, rows, hidden, "full_rank")
    yield from module.linear("b_proj", a.value_heads, hidden, "value_heads")
    yield module.vector("A_log", a.value_heads)
    yield module.vector("dt_bias", rows)
    yield module.vector("o_norm.weight", a.value_head_dim, "value_head_dim")
    yield from module.linear("dense", hidden, rows)


def _linear_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of KDA or of lightning attention."""
    if a.variant == "lightning":
        return lightning_parts(a, hidden)
    return _kda_parts(a, hidden)


_LING_2_5 = "inclusionAI/Ring-V2.5/models/modeling_bailing_moe_v2_5.py"
_CONFIG_2_5 = "inclusionAI/Ring-V2.5/models BailingMoeV2_5Config"
_DEFAULTS_2_5 = {
    "first_k_dense_replace": 1,
    "group_norm_size": 4,
    "head_dim": 128,
    "hidden_act": "silu",
    "kv_lora_rank": 512,
    "layer_group_size": 5,
    "max_position_embeddings": 32768,
    "moe_intermediate_size": 512,
    "n_group": 8,
    "num_nextn_predict_layers": 0,
    "num_shared_experts": 1,
    "partial_rotary_factor": 0.5,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-6,
    "rope_interleave": True,
    "rope_theta": 600000.0,
    "routed_scaling_factor": 1.0,
    "tie_word_embeddings": False,
    "topk_group": 4,
    "use_bias": False,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "v_head_dim": 128,
}

FAMILY = Family(
    name="bailing_hybrid",
    title="Ling hybrid",
    ref=modeling("bailing_hybrid"),
    refs={"bailing_moe_v2_5": _LING_2_5},
    read=read,
    naming=tensors.Naming(
        embedding="model.word_embeddings.weight",
        blocks={
            s.LatentAttention: tensors.latent_parts("attention", o="dense"),
            s.LinearAttention: _linear_parts,
            s.MoE: tensors.moe_parts(selection_bias="gate.expert_bias"),
        },
        mtp=MTP_ROWS,
    ),
    conversions={
        "bailing_hybrid": replace(
            tensors.EXPERT_CONVERSION,
            renames=(
                tensors.Rename(r"^model\.word_embeddings\.", "model.embed_tokens."),
                tensors.Rename(r"\.attention\.", ".self_attn."),
                tensors.Rename(r"self_attn\.f_proj\.", "self_attn.forget_gate.f_proj."),
                tensors.Rename(r"self_attn\.dt_bias", "self_attn.forget_gate.dt_bias"),
                tensors.Rename(r"self_attn\.A_log", "self_attn.forget_gate.A_log"),
                tensors.Rename(r"\.self_attn\.dense\.", ".self_attn.o_proj."),
                tensors.Rename(r"\.mlp\.gate\.expert_bias", ".mlp.gate.e_score_correction_bias"),
            ),
            merges=(
                *tensors.EXPERT_CONVERSION.merges,
                tensors.Merge(
                    tuple(rf"self_attn\.{x}_conv1d\.weight(?!\w)" for x in "qkv"),
                    ("self_attn.conv1d.weight",),
                ),
            ),
        )
    },
    defaults={
        "bailing_moe_v2_5": _DEFAULTS_2_5,
        "bailing_hybrid": {
            "attention_bias": False,
            "first_k_dense_replace": 2,
            "head_dim": 128,
            "hidden_act": "silu",
            "kda_lower_bound": -5.0,
            "kda_safe_gate": True,
            "kv_lora_rank": 512,
            "layer_group_size": 6,
            "max_position_embeddings": 262144,
            "moe_intermediate_size": 768,
            "n_group": 8,
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_experts_per_tok": 8,
            "num_local_experts": 512,
            "num_mtp_layers": 1,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 6000000.0},
            "routed_scaling_factor": 2.5,
            "short_conv_kernel_size": 4,
            "topk_group": 4,
            "v_head_dim": 128,
        },
    },
    config_class={
        "bailing_hybrid": "BailingHybridConfig",
        "bailing_moe_v2_5": "BailingMoeV2_5Config",
    },
    other_classes={"bailing_hybrid": ("BailingMoeV2_5", "BailingMoeV3")},
)
