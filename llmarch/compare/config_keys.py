"""Find the config keys that made the changes between two configs. Pure.

The evidence of a fact names the key that it was read from or computed from. Where one key alone
differs between the configs, it made all changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import last_part, parent_path
from ..architecture.schema import Change, Evidence
from ..config.keys import WRAPPER_KEYS, is_inert
from ..sources.raw import is_gguf_document
from .key_trials import KeyTrials
from .rules import is_about_facts

NESTED_CONFIGS = frozenset({*WRAPPER_KEYS, "vision_config", "audio_config"})
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


def with_keys(
    changes: Iterable[Change], old: ConfigSource, new: ConfigSource, file: str = "config.json"
) -> list[Change]:
    """Return the changes of facts with the config key that made each, where one is known.

    file: the name of the file that the configs come from.

    Of a config and a GGUF file, whose keys have other names, no key made a change.
    """
    if is_gguf_document(old.config) is not is_gguf_document(new.config):
        return [*changes]
    named = _names_in_evidence(old, new)
    changed = changed_keys(old.config, new.config, named)
    trials = KeyTrials(old.config, new.config, file)
    reported: list[Change] = []
    for change in changes:
        key = _key_of(change, old, new, changed, trials)
        if key is None:
            reported.append(change)
            continue
        old_value, new_value = config_value_at(old.config, key), config_value_at(new.config, key)
        reported.append(replace(change, key=key, key_old=old_value, key_new=new_value))
    return reported


def _names_in_evidence(old: ConfigSource, new: ConfigSource) -> frozenset[str]:
    """Return the keys that any fact of two models was read from, as the configs spell them."""
    named: set[str] = set()
    for source in (old, new):
        for found in source.evidence.values():
            if found.kind == "config":
                named.update(KEY.findall(found.ref))
    return frozenset(named)


def changed_keys(
    old: Mapping[str, Any], new: Mapping[str, Any], named: Collection[str] = ()
) -> list[str]:
    """Return the dotted keys that may have an effect and have other values.

    Of a part that one side lacks, its own key stands for all within. There are none if a config is
    unknown.

    named: keys from which facts are read, whatever effect they usually have.
    """
    if not old or not new:
        return []
    before = _effective(old, named)
    after = _effective(new, named)
    changed: dict[str, None] = {}
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            changed[_part_of_one_side(key, old, new)] = None
    return [*changed]


def _part_of_one_side(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the shortest part of a dotted key that is an object on one side only, or the key."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        part = ".".join(parts[:count])
        sides = [isinstance(config_value_at(config, part), Mapping) for config in (old, new)]
        if sides[0] != sides[1]:
            return part
    return key


def _effective(config: Mapping[str, Any], named: Collection[str]) -> dict[str, Any]:
    """Return the values that have an effect, or from which facts are read, by their dotted keys."""
    return {
        name: value
        for name, key, value in config_leaves(config)
        if name in named or key in named or not is_inert(key, value)
    }


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


def config_words(text: str | None) -> str | None:
    """Return the value of a config key, which locks hold as JSON, in words.

    Numbers and words stay as they are; so does what is not JSON, such as a hash.
    """
    if text is None or not text.startswith(("{", "[", '"')):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _config_value_words(value, nested=False)


def _config_value_words(value: Any, *, nested: bool) -> str:
    """Return a value of a config: `factor 2.0, rope_type linear`; in parentheses within another."""
    match value:
        case str():
            return value
        case list():
            items = cast("list[Any]", value)
            words = [_config_value_words(item, nested=True) for item in items]
        case dict():
            parts = cast("dict[str, Any]", value)
            words = [f"{k} {_config_value_words(v, nested=True)}" for k, v in parts.items()]
        case _:
            return json.dumps(value)
    joined = ", ".join(words) or "empty"
    return f"({joined})" if nested else joined


def _key_of(
    change: Change,
    old: ConfigSource,
    new: ConfigSource,
    changed: Sequence[str],
    trials: KeyTrials,
) -> str | None:
    """Return the key that made a change, None where it is not known or a finding.

    A key from which the fact itself was read made it. Other keys are tried, one at a time, where
    few have changed; where many have, those that the evidence names are taken at their word.
    """
    if not is_about_facts(change.rule):
        return None
    old_path = change.old_path or change.path
    new_path = change.new_path or change.path
    if not old.config or not new.config:
        return _only_key(new.evidence, new_path)
    if len(changed) == 1:
        return changed[0]
    sides = ((new.evidence, new_path), (old.evidence, old_path))
    read_from = {_only_key(evidence, path) for evidence, path in sides}
    named = [name for evidence, path in sides for name in _named_keys(evidence, path)]
    candidates = [key for key in changed if key in named or last_part(key) in named]
    for key in candidates:
        if key in read_from:
            return key
    if len(changed) > MOST_TRIED:
        return next((key for key in candidates if not _says_nothing(key, old, new)), None)
    tried = {key: trials.makes(key, change) for key in dict.fromkeys([*candidates, *changed])}
    made = [key for key, makes in tried.items() if makes]
    if made:
        return made[0]
    unknown = [key for key in candidates if tried[key] is None]
    if unknown:
        return unknown[0]
    return common_part(changed) or None


MOST_TRIED = 8
"""Changed keys up to which each is tried by itself."""


def _says_nothing(key: str, old: ConfigSource, new: ConfigSource) -> bool:
    """Return whether a key is off on both sides: false, 0, null or not there."""
    return not config_value_at(old.config, key) and not config_value_at(new.config, key)


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
