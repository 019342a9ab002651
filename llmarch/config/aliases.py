"""Read keys that stand for fields of transformers' configuration classes (`attribute_map`).

A class sets its fields first, then what else a config has: where a config states a field and
another name of it, the latter stays (transformers 5.23.0 configuration_utils.py).
"""

from __future__ import annotations

from typing import Any

from .declared_fields import aliases_of
from .findings import contradiction, same_statement
from .keys import ConfigKeys, is_token_key

STAYS = (
    "transformers sets the latter first and obeys the former, and so do vLLM and SGLang, which read"
    " its class; mlx-lm reads one of them as its own class has it"
)


def with_aliases(c: ConfigKeys) -> ConfigKeys:
    """Return a config whose fields have the values of their second names, where both are there.

    Values that differ are a finding.
    """
    changed: dict[str, Any] = {}
    names: dict[str, str] = {}
    for alias, field in aliases_of(c.model_type).items():
        if not c.has(alias) or not c.has(field) or is_token_key(alias):
            continue
        if isinstance(c.data[alias], dict):  # families read parts by their own keys
            continue
        if same_statement(c.data[alias], c.data[field]):
            continue
        contradiction(c, alias, c, field, STAYS)
        c.ignore(alias)
        changed[field] = c.data[alias]
        names[c.prefix + field] = c.key(alias)
    if not changed:
        return c
    return c.with_data({**c.data, **changed}, native_keys={**c.native_keys, **names})
