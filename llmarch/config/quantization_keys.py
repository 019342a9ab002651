"""Find where a config declares a quantization.

What the declaration says is read in quantization.py, which only models that declare one need.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ConfigError
from .findings import quoted
from .keys import ConfigKeys

QUANTIZATION_KEYS = ("quantization_config", "compression_config", "quantization")
"""Keys of a config that declare a quantization, in the order in which vLLM asks for them."""


class QuantizationKeys(NamedTuple):
    """Where a config declares how its checkpoint is quantised."""

    config: ConfigKeys
    """The config, or its text part (Kimi K2.6)."""
    keys: list[str]
    """The keys under which it is declared. The first counts."""


def find_quantization_keys(c: ConfigKeys) -> QuantizationKeys | None:
    """Return where a config declares a quantization, None where it declares none.

    An object without keys declares none. Raises ConfigError for a value that is not an object.
    """
    keys: list[str] = []
    for key in QUANTIZATION_KEYS:
        value = c.data.get(key)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise ConfigError(
                f"{c.file}: {c.key(key)} is {quoted(value)}; an object is needed",
                "It says how the weights are stored.",
            )
        if value:
            keys.append(key)
        else:
            c.ignore(key)
    if keys:
        return QuantizationKeys(c, keys)
    if not isinstance(c.data.get("text_config"), dict):
        return None
    return find_quantization_keys(c.child("text_config"))
