"""Read gpt-oss as OpenAI publishes it in `original/`: its config and its names of tensors.

Its config.json has no model_type, and its modules other names than the class of transformers.

Source: github.com/openai/gpt-oss, gpt_oss/torch: ModelConfig and Transformer in `model`,
PARAM_NAME_MAP in `weights`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..architecture.schema import Evidence

_CODE = "gpt_oss/torch, ModelConfig"
_OWN_KEYS = frozenset({"num_experts", "experts_per_token", "swiglu_limit", "rope_ntk_alpha"})
_SAME = (
    "num_hidden_layers",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "swiglu_limit",
    "head_dim",
    "num_attention_heads",
    "num_key_value_heads",
    "sliding_window",
    "rope_theta",
)
"""Keys that config.json of transformers has too."""
_RENAMED = {
    "num_local_experts": "num_experts",
    "num_experts_per_tok": "experts_per_token",
    "rope_scaling.factor": "rope_scaling_factor",
    "rope_scaling.beta_fast": "rope_ntk_beta",
    "rope_scaling.beta_slow": "rope_ntk_alpha",
    "rope_scaling.original_max_position_embeddings": "initial_context_length",
}
_DEFAULTS = {
    "num_hidden_layers": 36, "num_experts": 128, "experts_per_token": 4, "vocab_size": 201088,
    "hidden_size": 2880, "intermediate_size": 2880, "swiglu_limit": 7.0, "head_dim": 64,
    "num_attention_heads": 64, "num_key_value_heads": 8, "sliding_window": 128,
    "initial_context_length": 4096, "rope_theta": 150000.0, "rope_scaling_factor": 32.0,
    "rope_ntk_alpha": 1.0, "rope_ntk_beta": 32.0,
}  # fmt: skip
_FIXED = {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "attention_bias": True,
    "tie_word_embeddings": False,
    "rope_scaling.rope_type": "yarn",
    "rope_scaling.truncate": False,
    "quantization_config.quant_method": "mxfp4",
    "quantization_config.modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
}
"""What the code does, whatever the config says."""
_NAMES = (
    (r"^embedding\.", "model.embed_tokens."),
    (r"^unembedding\.", "lm_head."),
    (r"^norm\.scale$", "model.norm.weight"),
    (r"^block\.", "model.layers."),
    (r"\.attn\.norm\.scale$", ".input_layernorm.weight"),
    (r"\.mlp\.norm\.scale$", ".post_attention_layernorm.weight"),
    (r"\.attn\.sinks$", ".self_attn.sinks"),
    (r"\.attn\.qkv\.", ".self_attn.qkv_proj."),
    (r"\.attn\.out\.", ".self_attn.o_proj."),
    (r"\.mlp\.gate\.", ".mlp.router."),
    (r"\.mlp\.mlp1_weight\.", ".mlp.experts.gate_up_proj_"),
    (r"\.mlp\.mlp1_bias$", ".mlp.experts.gate_up_proj_bias"),
    (r"\.mlp\.mlp2_weight\.", ".mlp.experts.down_proj_"),
    (r"\.mlp\.mlp2_bias$", ".mlp.experts.down_proj_bias"),
)


def is_original_gpt_oss(config: Mapping[str, Any]) -> bool:
    """Return whether a config is that of gpt-oss's `original/`."""
    return "model_type" not in config and config.keys() >= _OWN_KEYS


def translate_original(
    config: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str | Evidence]]:
    """Return the config in the keys that families read, and where each key comes from."""
    kind = Evidence(kind="derived", ref="config.json has the keys of gpt-oss's original/")
    translated: dict[str, Any] = {"model_type": "gpt_oss"}
    sources: dict[str, str | Evidence] = {"model_type": kind}
    renamed = {**{key: key for key in _SAME}, **_RENAMED}
    for path, name in renamed.items():
        _put(translated, path, config.get(name, _DEFAULTS[name]))
        sources[path] = name
        if name not in config:
            sources[path] = Evidence(kind="default", ref=f"{_CODE}: {name}")
    for path, value in _FIXED.items():
        _put(translated, path, value)
        sources[path] = Evidence(kind="family", ref=_CODE)
    for section in ("rope_scaling", "quantization_config"):
        sources[section] = Evidence(kind="family", ref=_CODE)
    _put(translated, "max_position_embeddings", _longest(config))
    reference = "initial_context_length × rope_scaling_factor"
    sources["max_position_embeddings"] = Evidence(kind="derived", ref=reference)
    for name in config:
        if name not in renamed.values():
            translated[f"config.json {name}"] = config[name]
            sources[f"config.json {name}"] = name
    return translated, sources


def hub_pattern(pattern: str) -> str:
    """Return the published name of a tensor of `original/`, folded."""
    for expression, replacement in _NAMES:
        pattern = re.sub(expression, replacement, pattern)
    return pattern


def rows_of_attention(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows of queries, keys and values in their one matrix; empty for odd values."""
    keys = ("num_attention_heads", "num_key_value_heads", "head_dim")
    sizes = [config.get(key, _DEFAULTS[key]) for key in keys]
    if not all(type(size) is int for size in sizes):
        return {}
    heads, kv_heads, head_dim = sizes
    return {"q": heads * head_dim, "k": kv_heads * head_dim, "v": kv_heads * head_dim}


def _longest(config: Mapping[str, Any]) -> int | None:
    """Return the context: the one before scaling, times the factor."""
    first: object = config.get("initial_context_length", _DEFAULTS["initial_context_length"])
    factor: object = config.get("rope_scaling_factor", _DEFAULTS["rope_scaling_factor"])
    if not isinstance(first, int) or not isinstance(factor, int | float):
        return None
    if not 0 < first < 1 << 40 or not 0 < factor < 1 << 20:
        return None
    return int(first * factor)


def _put(config: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted key."""
    section, _, key = path.rpartition(".")
    if section:
        config.setdefault(section, {})[key] = value
    else:
        config[key] = value
