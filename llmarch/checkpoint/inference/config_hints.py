"""The few config keys that inference uses: heads, the tied head and the quantization.

Their names are the same in all families. Nothing else of the config is used, for other keys mean
what a family makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...architecture.schema import Quantization
from ...config.keys import WRAPPER_KEYS
from ...config.quantization import read_declaration
from ...config.quantization_keys import find_quantization_keys
from ...config.vocabulary import ConfigKeys, build
from ...errors import ConfigError
from .recognised import ConfigHeads

_MAX_SIZE = 10**7
"""A larger number of heads or dimensions is not a size."""


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a config that describes the language model."""
    for key in WRAPPER_KEYS:
        if isinstance(config.get(key), dict):
            return cast("dict[str, Any]", config[key])
    return config


def find_declared_quantization(config: Mapping[str, Any]) -> Quantization | None:
    """Return the quantization that a config of any family declares, or None."""
    for part in (config, text_config(config)):
        keys = ConfigKeys(part, file="config.json", family="no family", ref="")
        try:
            declaration = find_quantization_keys(keys)
            if declaration is None:
                continue
            draft = read_declaration(declaration)
        except ConfigError:
            continue
        return build(draft, "", {})

    return None


def find_declared_tie(config: Mapping[str, Any]) -> bool | None:
    """Return whether the config ties the head to the embedding; None where its parts disagree."""
    values = [part.get("tie_word_embeddings") for part in (config, text_config(config))]
    flags = {value for value in values if isinstance(value, bool)}
    if len(flags) != 1:
        return None
    return flags.pop()


def find_declared_heads(config: Mapping[str, Any], hidden: int | None) -> ConfigHeads | None:
    """Return the heads that a config declares; None where a value is not a positive whole number.

    hidden: the hidden size, which gives the head dim where the config does not.
    """
    text = text_config(config)
    heads = _size(text, "num_attention_heads")
    head_dim = _size(text, "head_dim")
    keys = "num_attention_heads, num_key_value_heads"
    if heads is None:
        return None

    if head_dim is not None:
        keys += ", head_dim"
    elif hidden is not None and hidden % heads == 0:
        keys += ", hidden_size"
        head_dim = hidden // heads
    else:
        return None

    kv_heads = _size(text, "num_key_value_heads") or heads
    return ConfigHeads(heads, kv_heads, head_dim, keys)


def _size(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if not 0 < value < _MAX_SIZE:
        return None
    return value
