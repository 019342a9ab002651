"""Find the config keys that made the changes between two configs. Pure.

The evidence of a fact names the key that it was read from or computed from. Where one key alone
differs between the configs, it made all changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import last_part, parent_path
from ..architecture.schema import Change, Evidence
from ..config.keys import is_inert
from .rules import is_about_facts

NESTED_CONFIGS = frozenset({"text_config", "vision_config", "audio_config", "llm_config"})
"""Keys whose values are whole configs."""

KEY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
"""A key in a formula: `query_pre_attn_scalar` of `1 / sqrt(query_pre_attn_scalar)`."""


@frozen
class ConfigSource(Frozen):
    """The config of one side of a comparison, and where each fact comes from."""

    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The config as parsed; empty where it is not known, as in a lock without it."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict[str, Evidence])
    """By dotted path of the fact."""


def with_keys(changes: Iterable[Change], old: ConfigSource, new: ConfigSource) -> list[Change]:
    """Return the changes of facts with the config key that made each, where one is known."""
    changed = changed_keys(old.config, new.config)
    reported: list[Change] = []
    for change in changes:
        key = _key_of(change, old, new, changed)
        if key is None:
            reported.append(change)
            continue
        old_value, new_value = config_value_at(old.config, key), config_value_at(new.config, key)
        reported.append(replace(change, key=key, key_old=old_value, key_new=new_value))
    return reported


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that have an effect and other values; none if a config is unknown."""
    if not old or not new:
        return []
    before = _effective(old)
    after = _effective(new)
    changed: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        old_value = before.get(key)
        new_value = after.get(key)
        if old_value != new_value:
            changed.append(key)
    return changed


def _effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that have an effect by their dotted keys."""
    return {name: value for name, key, value in config_leaves(config) if not is_inert(key, value)}


def config_leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the dotted key, the last key and the value of all that a config holds, parts by part.

    An empty object is a value. A key may itself have dots.
    """
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from config_leaves(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", key, value


def config_value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key, None where there is none."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(part)
    return value


def _key_of(
    change: Change, old: ConfigSource, new: ConfigSource, changed: Sequence[str]
) -> str | None:
    """Return the key that made a change, None where it is not known or a finding."""
    if not is_about_facts(change.rule):
        return None
    old_path = change.old_path or change.path
    new_path = change.new_path or change.path
    named = [*_named_keys(new.evidence, new_path), *_named_keys(old.evidence, old_path)]
    for key in changed:
        if key in named or last_part(key) in named:
            return key
    if changed:
        return common_part(changed) or None
    if not old.config or not new.config:
        return _only_key(new.evidence, new_path)
    return None


def common_part(keys: Sequence[str]) -> str:
    """Return the key, or the part of the config, that all changed keys belong to; or nothing.

    `rope_scaling.factor` and `rope_scaling.rope_type` belong to `rope_scaling`; of a wrapper's text
    part, which is not named alone, all keys belong to nothing.
    """
    common: list[str] = []
    for parts in zip(*(key.split(".") for key in keys), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if len(keys) > 1 and common and common[-1] in NESTED_CONFIGS:
        return ""
    return ".".join(common)


def _named_keys(evidence: Mapping[str, Evidence], path: str) -> list[str]:
    """Return the keys that the evidence of a fact names, or that of the part it belongs to."""
    while path:
        if path in evidence:
            return KEY.findall(evidence[path].ref)
        path = parent_path(path)
    return []


def _only_key(evidence: Mapping[str, Evidence], path: str) -> str | None:
    """Return the key that a fact was read from as it is."""
    found = evidence.get(path)
    if found is None or found.kind != "config":
        return None
    return found.ref
