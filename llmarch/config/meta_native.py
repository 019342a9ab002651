"""Translate params.json as Meta publishes it with Llama 1 to 3 to the keys that families read.

Meta's file has no width of the MLP: its code computes that, as is done here. It has no kind of
model either: `multiple_of` tells it from Mistral's params.json, which states `hidden_dim`.

Source: github.com/meta-llama/llama-models, models/llama3/args (ModelArgs) and model (FeedForward,
apply_scaling); transformers 5.23.0 models/llama/convert_llama_weights_to_hf.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..architecture.schema import Evidence
from ..errors import ConfigError, printable

_CODE = "llama-models, ModelArgs and FeedForward"
_KEYS = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "rms_norm_eps": "norm_eps",
    "vocab_size": "vocab_size",
}
"""Keys of config.json, and Meta's names."""
_INERT = {"max_batch_size", "max_seq_len", "use_scaled_rope", "rope_theta", "multiple_of"}
_SCALED = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What `use_scaled_rope` means (apply_scaling)."""
_LARGEST = 1 << 40


def is_meta_config(params: Mapping[str, Any]) -> bool:
    """Return whether a params.json is one of Meta's Llama."""
    return "multiple_of" in params and "dim" in params and "hidden_dim" not in params


def translate_meta(
    params: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str | Evidence]]:
    """Return the config in the keys that families read, and where each key comes from.

    Raises ConfigError for a value that makes no model.
    """
    config: dict[str, Any] = {"model_type": "llama"}
    kind = Evidence(kind="derived", ref="params.json has multiple_of: Meta's Llama")
    sources: dict[str, str | Evidence] = {"model_type": kind}
    for key, name in _KEYS.items():
        sources[key] = name
        if name in params:
            config[key] = params[name]
    if params.get("n_kv_heads") is None:
        config["num_key_value_heads"] = params.get("n_heads")
        sources["num_key_value_heads"] = _default("n_kv_heads: as n_heads")
    if params.get("vocab_size") == -1:  # as Llama 1 and 2 are published
        raise ConfigError(
            "params.json: vocab_size is -1: the tokenizer has the number, which is not read",
            "write the number of tokens there, 32000 for Llama 1 and 2",
        )
    config["intermediate_size"] = _width(params)
    reference = f"multiple_of, ffn_dim_multiplier; {_CODE}"
    sources["intermediate_size"] = Evidence(kind="derived", ref=reference)
    fixed = {"hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False}
    for key, value in fixed.items():
        config[key] = value
        sources[key] = _default(f"a key for {key}")
    config["max_position_embeddings"] = None
    unknown = Evidence(kind="unknown", ref="params.json has no length of the context")
    sources["max_position_embeddings"] = unknown
    _add_rope(config, sources, params)
    for name in params:
        if name not in _INERT and name not in _KEYS.values() and name != "ffn_dim_multiplier":
            config[f"params.json {name}"] = params[name]
            sources[f"params.json {name}"] = name
    return config, sources


def _width(params: Mapping[str, Any]) -> int:
    """Return the width of the MLP: 2/3 of four times the stream, rounded up to a multiple."""
    hidden = _number(params, "dim")
    multiple = _number(params, "multiple_of")
    factor: object = params.get("ffn_dim_multiplier")
    width = 2 * 4 * hidden // 3
    if factor is not None:
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 100:
            raise _error("ffn_dim_multiplier", factor)
        width = int(factor * width)
    return multiple * -(-width // multiple)


def _number(params: Mapping[str, Any], name: str) -> int:
    """Return a positive whole number. Raises ConfigError."""
    value: object = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _LARGEST:
        raise _error(name, value)
    return value


def _add_rope(
    config: dict[str, Any], sources: dict[str, str | Evidence], params: Mapping[str, Any]
) -> None:
    """Add the base of RoPE, and Llama 3.1's scaling where the file asks for it."""
    sources["rope_theta"] = "rope_theta"
    config["rope_theta"] = params.get("rope_theta", 10000.0)
    if "rope_theta" not in params:
        sources["rope_theta"] = _default("rope_theta: 10,000")
    if params.get("use_scaled_rope") is True:
        config["rope_scaling"] = dict(_SCALED)
        for key in ("rope_scaling", *(f"rope_scaling.{name}" for name in _SCALED)):
            sources[key] = "use_scaled_rope"


def _default(meaning: str) -> Evidence:
    """Return the evidence of what an absent key means in Meta's code."""
    return Evidence(kind="default", ref=f"params.json without {meaning}; {_CODE}")


def _error(name: str, value: object) -> ConfigError:
    shown = printable(repr(value), 40)
    return ConfigError(f"params.json: {name} is {shown}; a positive number is needed")
