"""llama.cpp's architectures: the model_type that each means, and its keys.

Read in llama.cpp: conversion/ (which keys and tensors its converter writes) and src/models (what
it computes, where a file has no key). A key that is not here is written for all architectures
(translate.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from ...architecture.frozen import Frozen, frozen
from . import parts as p
from .document import GgufConfig, GgufDocument

ModelType = str | Callable[[GgufDocument], str]


@frozen
class GgufArchitecture(Frozen):
    """What one of llama.cpp's architectures means."""

    model_type: ModelType
    """The model_type, or what tells it from the keys where several have one architecture."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys of config.json and their names in GGUF, beside the common ones; empty: not read."""
    implied: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keys that files of the architecture lack, with what llama.cpp computes."""
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Common keys that the family has another name for."""
    absent_keys: tuple[str, ...] = ()
    """Common keys that the family does not read."""
    extra: Callable[[GgufConfig], None] | None = None
    """Adds what is more than a key."""
    inert: tuple[str, ...] = ()
    """Keys in GGUF that say nothing beside others."""

    def model_type_of(self, document: GgufDocument) -> str:
        """Return the model_type of a file."""
        if callable(self.model_type):
            return self.model_type(document)
        return self.model_type


_HEAD_DIM = {"head_dim": "attention.key_length"}
_LAYER_NORM = {"rms_norm_eps": "", "layer_norm_eps": "attention.layer_norm_epsilon"}
_EXPERTS = {
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
}
_LOCAL_EXPERTS = {
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
}
_ROUTED_EXPERTS = {
    "n_routed_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "n_shared_experts": "expert_shared_count",
    "first_k_dense_replace": "leading_dense_block_count",
    "routed_scaling_factor": "expert_weights_scale",
    "norm_topk_prob": "expert_weights_norm",
    "n_group": "expert_group_count",
    "topk_group": "expert_group_used_count",
}
_LATENT = {
    "num_key_value_heads": "",
    "q_lora_rank": "attention.q_lora_rank",
    "kv_lora_rank": "attention.kv_lora_rank",
}
_WINDOW = {"sliding_window": "attention.sliding_window"}
_FACTORS = {
    "embedding_multiplier": "embedding_scale",
    "residual_multiplier": "residual_scale",
    "attention_multiplier": "attention.scale",
    "logits_scaling": "logit_scale",
}
_MAMBA = {
    "mamba_d_conv": "ssm.conv_kernel",
    "mamba_d_state": "ssm.state_size",
    "mamba_n_groups": "ssm.group_count",
}

_NEMOTRON_H: dict[str, Any] = {
    "names": {
        **_HEAD_DIM,
        "num_key_value_heads": "",
        "intermediate_size": "",
        "rms_norm_eps": "",
        "rope_theta": "",
        "layer_norm_epsilon": "attention.layer_norm_rms_epsilon",
        "n_groups": "ssm.group_count",
        "ssm_state_size": "ssm.state_size",
        "conv_kernel": "ssm.conv_kernel",
        "n_routed_experts": "expert_count",
        "num_experts_per_tok": "expert_used_count",
        "moe_intermediate_size": "expert_feed_forward_length",
        "moe_shared_expert_intermediate_size": "expert_shared_feed_forward_length",
        "n_shared_experts": "expert_shared_count",
        "routed_scaling_factor": "expert_weights_scale",
        "norm_topk_prob": "expert_weights_norm",
        "n_group": "expert_group_count",
        "topk_group": "expert_group_used_count",
        "moe_latent_size": "moe_latent_size",
    },
    "extra": p.nemotron_h,
    "inert": ("rope.freq_base", "attention.layer_norm_epsilon"),
}

ARCHITECTURES: dict[str, GgufArchitecture] = {
    "afmoe": GgufArchitecture(
        "afmoe",
        names={
            **_HEAD_DIM,
            **_EXPERTS,
            **_WINDOW,
            "num_shared_experts": "expert_shared_count",
            "num_dense_layers": "leading_dense_block_count",
            "route_scale": "expert_weights_scale",
            "route_norm": "expert_weights_norm",
        },
        implied={"mup_enabled": True},
        inert=("expert_group_count", "expert_group_used_count"),
    ),
    "apertus": GgufArchitecture(
        "apertus",
        inert=("xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps"),
    ),
    "arcee": GgufArchitecture("arcee", names=_HEAD_DIM, extra=p.bias_flags),
    "bloom": GgufArchitecture(
        "bloom",
        names={
            "n_head": "attention.head_count",
            "n_layer": "block_count",
            "layer_norm_epsilon": "attention.layer_norm_epsilon",
            "num_attention_heads": "",
            "num_key_value_heads": "",
            "intermediate_size": "",
            "max_position_embeddings": "",
        },
        absent_keys=("num_hidden_layers",),
        inert=("attention.head_count_kv", "feed_forward_length", "context_length"),
    ),
    "chatglm": GgufArchitecture("glm", extra=p.partial_rotary),
    "cohere2": GgufArchitecture(
        "cohere2",
        names={**_HEAD_DIM, **_LAYER_NORM, **_WINDOW, "logit_scale": "logit_scale"},
    ),
    "cohere2moe": GgufArchitecture(
        "cohere2_moe",
        names={
            **_HEAD_DIM,
            **_LAYER_NORM,
            **_WINDOW,
            **_EXPERTS,
            "moe_intermediate_size": "",
            "intermediate_size": "expert_feed_forward_length",
            "prefix_dense_intermediate_size": "feed_forward_length",
            "logit_scale": "logit_scale",
            "first_k_dense_replace": "leading_dense_block_count",
            "norm_topk_prob": "expert_weights_norm",
        },
        extra=p.window_pattern,
    ),
    "command-r": GgufArchitecture("cohere", names={**_LAYER_NORM, "logit_scale": "logit_scale"}),
    "deepseek2": GgufArchitecture(
        p.deepseek_type,
        names={**_LATENT, **_ROUTED_EXPERTS},
        extra=p.latent_heads,
        inert=("attention.head_count_kv", "attention.key_length", "attention.value_length"),
    ),
    "deepseek32": GgufArchitecture(
        "deepseek_v32",
        names={
            **_LATENT,
            **_ROUTED_EXPERTS,
            "index_n_heads": "attention.indexer.head_count",
            "index_head_dim": "attention.indexer.key_length",
            "index_topk": "attention.indexer.top_k",
        },
        extra=p.latent_heads,
        inert=("attention.head_count_kv", "attention.key_length", "attention.value_length"),
    ),
    "dots1": GgufArchitecture("dots1", names=_ROUTED_EXPERTS, extra=p.head_dim_of_width),
    "ernie4_5": GgufArchitecture("ernie4_5", names=_HEAD_DIM, extra=p.use_bias),
    "ernie4_5-moe": GgufArchitecture(
        "ernie4_5_moe",
        names={
            "moe_num_experts": "expert_count",
            "moe_k": "expert_used_count",
            "moe_intermediate_size": "expert_feed_forward_length",
            "moe_num_shared_experts": "expert_shared_count",
            "moe_layer_start_index": "leading_dense_block_count",
            "moe_layer_interval": "interleave_moe_layer_step",
        },
        extra=p.use_bias,
        inert=("expert_shared_feed_forward_length",),
    ),
    "exaone4": GgufArchitecture("exaone4", names=_WINDOW, extra=p.window_pattern),
    "exaone-moe": GgufArchitecture(
        "exaone_moe",
        names={
            **_WINDOW,
            **_ROUTED_EXPERTS,
            **_EXPERTS,
            "n_routed_experts": "",
            "n_shared_experts": "",
            "num_shared_experts": "expert_shared_count",
        },
        extra=p.window_pattern,
        inert=("expert_shared_feed_forward_length",),
    ),
    "falcon": GgufArchitecture(
        "falcon",
        names={
            "num_key_value_heads": "",
            "intermediate_size": "",
            "layer_norm_epsilon": "attention.layer_norm_epsilon",
        },
        extra=p.falcon,
        inert=("tensor_data_layout", "feed_forward_length"),
    ),
    "falcon-h1": GgufArchitecture(
        "falcon_h1",
        names={**_HEAD_DIM, **_MAMBA, "mamba_d_ssm": "ssm.inner_size"},
        extra=p.falcon_h1,
    ),
    "gemma": GgufArchitecture("gemma", names=_HEAD_DIM),
    "gemma2": GgufArchitecture(
        "gemma2",
        names={
            **_HEAD_DIM,
            **_WINDOW,
            "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        extra=p.gemma2,
    ),
    "gemma3": GgufArchitecture(
        "gemma3_text",
        names={
            **_HEAD_DIM,
            **_WINDOW,
            "rope_local_base_freq": "rope.freq_base_swa",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        extra=p.gemma2,
    ),
    "gemma3n": GgufArchitecture(
        "gemma3n_text",
        names={
            **_HEAD_DIM,
            **_WINDOW,
            "rope_local_base_freq": "rope.freq_base_swa",
            "final_logit_softcapping": "final_logit_softcapping",
            "altup_num_inputs": "altup.num_inputs",
            "altup_active_idx": "altup.active_idx",
            "hidden_size_per_layer_input": "embedding_length_per_layer_input",
            "num_kv_shared_layers": "attention.shared_kv_layers",
        },
        extra=p.gemma3n,
    ),
    "gemma4": GgufArchitecture(
        "gemma4_text",
        names={
            **_WINDOW,
            "rope_theta": "",
            "num_key_value_heads": "",
            "intermediate_size": "",
            "global_head_dim": "attention.key_length",
            "head_dim": "attention.key_length_swa",
            "final_logit_softcapping": "final_logit_softcapping",
            "hidden_size_per_layer_input": "embedding_length_per_layer_input",
            "num_kv_shared_layers": "attention.shared_kv_layers",
            "num_experts": "expert_count",
            "top_k_experts": "expert_used_count",
            "moe_intermediate_size": "expert_feed_forward_length",
        },
        extra=p.gemma4,
    ),
    "glm4": GgufArchitecture(
        "glm4", names=_HEAD_DIM, extra=p.partial_rotary, inert=("rope.dimension_sections",)
    ),
    "glm4moe": GgufArchitecture(
        p.glm4_moe_type, names={**_HEAD_DIM, **_ROUTED_EXPERTS}, extra=p.glm4_moe
    ),
    "glm-dsa": GgufArchitecture(
        "glm_moe_dsa",
        names={
            **_LATENT,
            **_ROUTED_EXPERTS,
            "index_n_heads": "attention.indexer.head_count",
            "index_head_dim": "attention.indexer.key_length",
            "index_topk": "attention.indexer.top_k",
        },
        extra=p.latent_heads,
        inert=(
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "attention.indexer.types",
        ),
    ),
    "gptneox": GgufArchitecture(
        "gpt_neox",
        names={
            **_LAYER_NORM,
            "num_key_value_heads": "",
            "use_parallel_residual": "use_parallel_residual",
        },
        extra=p.gpt_neox,
    ),
    "gpt2": GgufArchitecture(
        "gpt2",
        names={
            "n_embd": "embedding_length",
            "n_head": "attention.head_count",
            "n_positions": "context_length",
            "n_inner": "feed_forward_length",
            "layer_norm_epsilon": "attention.layer_norm_epsilon",
            "hidden_size": "",
            "num_attention_heads": "",
            "max_position_embeddings": "",
            "num_key_value_heads": "",
            "intermediate_size": "",
            "rms_norm_eps": "",
        },
        renamed={"num_hidden_layers": "n_layer"},
    ),
    "gpt-oss": GgufArchitecture(
        "gpt_oss",
        names={**_HEAD_DIM, **_LOCAL_EXPERTS, **_WINDOW},
        inert=("expert_feed_forward_length",),
    ),
    "granite": GgufArchitecture("granite", names=_FACTORS, extra=p.bias_flags),
    "granitehybrid": GgufArchitecture(
        p.granite_hybrid_type,
        names={
            **_FACTORS,
            **_LOCAL_EXPERTS,
            **_MAMBA,
            "num_key_value_heads": "",
            "shared_intermediate_size": "expert_shared_feed_forward_length",
        },
        extra=p.granite_hybrid,
    ),
    "granitemoe": GgufArchitecture(
        p.granite_moe_type,
        names={
            **_FACTORS,
            **_LOCAL_EXPERTS,
            "shared_intermediate_size": "expert_shared_feed_forward_length",
        },
    ),
    "hunyuan-dense": GgufArchitecture("hunyuan_v1_dense", names=_HEAD_DIM),
    "hunyuan-moe": GgufArchitecture(
        "hunyuan_v1_moe",
        names={
            **_HEAD_DIM,
            "num_experts": "expert_count",
            "moe_topk": "expert_used_count",
            "moe_intermediate_size": "expert_feed_forward_length",
        },
        inert=("expert_shared_count", "expert_shared_feed_forward_length"),
    ),
    "hy_v3": GgufArchitecture(
        "hy_v3",
        names={
            **_HEAD_DIM,
            **_EXPERTS,
            "router_scaling_factor": "expert_weights_scale",
            "route_norm": "expert_weights_norm",
        },
        inert=("expert_shared_feed_forward_length", "leading_dense_block_count"),
    ),
    "jais2": GgufArchitecture("jais2", names={**_HEAD_DIM, **_LAYER_NORM}),
    "jamba": GgufArchitecture(
        "jamba",
        names={
            **_MAMBA,
            "mamba_n_groups": "",
            "num_experts": "expert_count",
            "num_experts_per_tok": "expert_used_count",
            "mamba_dt_rank": "ssm.time_step_rank",
            "num_key_value_heads": "",
            "rope_theta": "",
        },
        extra=p.jamba,
    ),
    "kimi-linear": GgufArchitecture(
        "kimi_linear",
        names={
            **_LATENT,
            "max_position_embeddings": "",
            "model_max_length": "context_length",
            "num_experts": "expert_count",
            "num_experts_per_token": "expert_used_count",
            "moe_intermediate_size": "expert_feed_forward_length",
            "num_shared_experts": "expert_shared_count",
            "first_k_dense_replace": "leading_dense_block_count",
            "routed_scaling_factor": "expert_weights_scale",
            "num_expert_group": "expert_group_count",
            "topk_group": "expert_group_used_count",
        },
        implied={"moe_renormalize": True},
        extra=p.kimi_linear,
        inert=("attention.key_length", "attention.value_length"),
    ),
    "laguna": GgufArchitecture(
        "laguna",
        names={
            **_HEAD_DIM,
            **_EXPERTS,
            **_WINDOW,
            "num_attention_heads": "",
            "rope_theta": "",
            "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
            "moe_routed_scaling_factor": "expert_weights_scale",
        },
        extra=p.laguna,
        inert=("expert_weights_norm",),
    ),
    "lfm2": GgufArchitecture(
        "lfm2",
        names={
            "num_key_value_heads": "",
            "rms_norm_eps": "",
            "norm_eps": "attention.layer_norm_rms_epsilon",
            "conv_L_cache": "shortconv.l_cache",
        },
        extra=p.lfm2,
        inert=("attention.key_length",),
    ),
    "lfm2moe": GgufArchitecture(
        "lfm2_moe",
        names={
            **_EXPERTS,
            "num_key_value_heads": "",
            "rms_norm_eps": "",
            "norm_eps": "attention.layer_norm_rms_epsilon",
            "conv_L_cache": "shortconv.l_cache",
            "num_dense_layers": "leading_dense_block_count",
        },
        implied={"norm_topk_prob": True},
        extra=p.lfm2,
        inert=("attention.key_length",),
    ),
    "llama": GgufArchitecture(
        p.llama_type, names={**_HEAD_DIM, **_LOCAL_EXPERTS}, extra=p.bias_flags
    ),
    "llama4": GgufArchitecture(
        "llama4_text",
        names={
            **_HEAD_DIM,
            **_LOCAL_EXPERTS,
            "interleave_moe_layer_step": "interleave_moe_layer_step",
            "intermediate_size": "expert_feed_forward_length",
            "intermediate_size_mlp": "feed_forward_length",
        },
    ),
    "mamba": GgufArchitecture(
        p.mamba_type,
        names={
            "layer_norm_epsilon": "attention.layer_norm_rms_epsilon",
            "state_size": "ssm.state_size",
            "conv_kernel": "ssm.conv_kernel",
            "time_step_rank": "ssm.time_step_rank",
            "intermediate_size": "ssm.inner_size",
            "num_attention_heads": "",
            "num_key_value_heads": "",
            "rms_norm_eps": "",
            "rope_theta": "",
            "max_position_embeddings": "",
        },
        extra=p.mamba_biases,
        inert=("attention.head_count", "feed_forward_length", "context_length"),
    ),
    "mamba2": GgufArchitecture(
        "mamba2",
        names={
            "layer_norm_epsilon": "attention.layer_norm_rms_epsilon",
            "state_size": "ssm.state_size",
            "conv_kernel": "ssm.conv_kernel",
            "num_heads": "ssm.time_step_rank",
            "n_groups": "ssm.group_count",
            "intermediate_size": "",
            "num_attention_heads": "",
            "num_key_value_heads": "",
            "rms_norm_eps": "",
            "rope_theta": "",
            "max_position_embeddings": "",
        },
        extra=p.mamba2_heads,
        inert=("attention.head_count", "feed_forward_length", "context_length"),
    ),
    "mellum": GgufArchitecture(
        "mellum",
        names={**_HEAD_DIM, **_EXPERTS, **_WINDOW, "rope_theta": ""},
        implied={"norm_topk_prob": True},
        extra=p.mellum,
    ),
    "minicpm3": GgufArchitecture(
        "minicpm3", names=_LATENT, extra=p.minicpm3, inert=("attention.head_count_kv",)
    ),
    "minimax-m2": GgufArchitecture(
        "minimax_m2",
        names={
            **_HEAD_DIM,
            **_LOCAL_EXPERTS,
            "intermediate_size": "expert_feed_forward_length",
        },
        implied={"use_qk_norm": True, "use_mtp": False},
        extra=p.minimax_m2,
        inert=("feed_forward_length",),
    ),
    "mistral3": GgufArchitecture(p.mistral3_type, names=_HEAD_DIM, extra=p.ministral3),
    "mistral4": GgufArchitecture(
        "mistral4",
        names={**_LATENT, **_ROUTED_EXPERTS},
        extra=p.mistral4,
        inert=("attention.head_count_kv", "attention.key_length", "attention.value_length"),
    ),
    "nemotron": GgufArchitecture(
        "nemotron",
        names={**_HEAD_DIM, "rms_norm_eps": "", "norm_eps": "attention.layer_norm_epsilon"},
        extra=p.partial_rotary,
        inert=("attention.layer_norm_rms_epsilon",),
    ),
    "nemotron_h": GgufArchitecture("nemotron_h", **_NEMOTRON_H),
    "nemotron_h_moe": GgufArchitecture("nemotron_h", **_NEMOTRON_H),
    "olmo": GgufArchitecture(
        "olmo",
        names={"rms_norm_eps": "", "clip_qkv": "attention.clamp_kqv"},
        inert=("attention.layer_norm_epsilon",),
    ),
    "olmo2": GgufArchitecture(
        p.olmo2_type, names=_WINDOW, extra=p.window_pattern, inert=("rope.freq_base_swa",)
    ),
    "olmoe": GgufArchitecture(
        "olmoe",
        names={"num_experts": "expert_count", "num_experts_per_tok": "expert_used_count"},
    ),
    "phi2": GgufArchitecture("phi", names=_LAYER_NORM, extra=p.partial_rotary),
    "phi3": GgufArchitecture("phi3", extra=p.phi3, inert=("rope.scaling.attn_factor",)),
    "qwen2": GgufArchitecture("qwen2"),
    "qwen2moe": GgufArchitecture(
        "qwen2_moe",
        names={
            **_EXPERTS,
            "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
        },
        implied={"norm_topk_prob": False},
    ),
    "qwen2vl": GgufArchitecture("qwen2_vl_text", extra=p.sections),
    "qwen3": GgufArchitecture("qwen3", names=_HEAD_DIM, extra=p.bias_flags),
    "qwen3moe": GgufArchitecture(
        "qwen3_moe",
        names={**_HEAD_DIM, **_EXPERTS},
        implied={"norm_topk_prob": True},
        extra=p.bias_flags,
    ),
    "qwen3next": GgufArchitecture(
        "qwen3_next",
        names={
            **_HEAD_DIM,
            **_EXPERTS,
            "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
            "full_attention_interval": "full_attention_interval",
        },
        implied={"norm_topk_prob": True},
        extra=p.delta_net_heads,
    ),
    "qwen35": GgufArchitecture(
        "qwen3_5_text",
        names={**_HEAD_DIM, "full_attention_interval": "full_attention_interval"},
        implied={"mamba_ssm_dtype": "float32"},
        extra=p.delta_net_heads,
    ),
    "qwen35moe": GgufArchitecture(
        "qwen3_5_moe_text",
        names={
            **_HEAD_DIM,
            **_EXPERTS,
            "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
            "full_attention_interval": "full_attention_interval",
        },
        implied={"mamba_ssm_dtype": "float32"},
        extra=p.delta_net_heads,
    ),
    "qwen3vl": GgufArchitecture(
        "qwen3_vl_text", names=_HEAD_DIM, extra=p.sections, inert=("n_deepstack_layers",)
    ),
    "qwen3vlmoe": GgufArchitecture(
        "qwen3_vl_moe_text",
        names={**_HEAD_DIM, **_EXPERTS},
        implied={"norm_topk_prob": True},
        extra=p.sections,
        inert=("n_deepstack_layers",),
    ),
    "seed_oss": GgufArchitecture("seed_oss", names=_HEAD_DIM),
    "smollm3": GgufArchitecture("smollm3", extra=p.bias_flags),
    "stablelm": GgufArchitecture(
        "stablelm",
        names={**_LAYER_NORM, "use_parallel_residual": "use_parallel_residual"},
        extra=p.partial_rotary,
    ),
    "starcoder": GgufArchitecture(
        "gpt_bigcode",
        names={
            "n_embd": "embedding_length",
            "n_head": "attention.head_count",
            "n_positions": "context_length",
            "n_inner": "feed_forward_length",
            "layer_norm_epsilon": "attention.layer_norm_epsilon",
            "hidden_size": "",
            "num_attention_heads": "",
            "max_position_embeddings": "",
            "num_key_value_heads": "",
            "intermediate_size": "",
            "rms_norm_eps": "",
        },
        renamed={"num_hidden_layers": "n_layer"},
        inert=("attention.head_count_kv",),
    ),
    "starcoder2": GgufArchitecture(
        "starcoder2",
        names={"rms_norm_eps": "", "norm_epsilon": "attention.layer_norm_epsilon"},
    ),
}
"""By the name in `general.architecture`."""
