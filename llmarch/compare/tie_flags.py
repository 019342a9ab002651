"""Compare the tie flags of two wrappers as transformers obeys them. Pure.

The fact `embedding.tied` is what the tensors prove, or what such models were published with. Where
flags or defaults of wrapper and text part disagree, transformers may make something else of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..architecture.schema import Change
from ..config.blocks.tying import FACT, TIE_KEY
from ..config.keys import WRAPPER_KEYS
from ..errors import LlmarchError
from .config_keys import config_value_at

if TYPE_CHECKING:
    from .lock import Entry


def with_ties_of_class(changes: Iterable[Change], old: Entry, new: Entry) -> list[Change]:
    """Return the changes of facts with what transformers makes of the tie flags of wrappers.

    Without tensors, every change of that counts, and the fact alone, where no reader obeys what
    changed, does not. With them, a head that is stored is loaded whatever the flags say; one that
    is not stored is missing if the class no longer ties it.
    """
    changes = list(changes)
    a, b = old.architecture, new.architecture
    configs = (old.config_source.config, new.config_source.config)
    flags = [_flags(config) for config in configs]
    if a is None or b is None or not b.head.predicts_tokens or flags[0] == flags[1]:
        return changes
    was_tied = tied_by_class(configs[0], old.files.config)
    is_tied = tied_by_class(configs[1], new.files.config)
    proved = old.tensors is not None or new.tensors is not None
    if was_tied is None or is_tied is None:
        return changes
    if a.embedding.tied != b.embedding.tied:
        if not proved and was_tied == is_tied and flags[0][1:] == flags[1][1:]:
            return [change for change in changes if change.path != FACT]
        return changes
    is_missing = not is_tied and b.embedding.tied
    if was_tied != is_tied and (not proved or is_missing):
        changes.append(_change(configs, was_tied, is_tied))
    return changes


def _change(configs: Sequence[Mapping[str, Any]], was_tied: bool, is_tied: bool) -> Change:
    """Return the change of whether transformers ties the head."""
    return Change(
        rule="config-contradiction",
        path=TIE_KEY,
        old=_words(was_tied),
        new=f"{_words(is_tied)}: the text part's flag or default says otherwise, which readers obey"
        " that build the part by itself",
        severity="weights",
        key=TIE_KEY,
        key_old=config_value_at(configs[0], TIE_KEY),
        key_new=config_value_at(configs[1], TIE_KEY),
    )


def _flags(config: Mapping[str, Any]) -> list[Any]:
    """Return the tie flags of a wrapper and of its text part; none of a config without a part."""
    parts = [key for key in WRAPPER_KEYS if isinstance(config.get(key), Mapping)]
    if not parts:
        return []
    return [config.get(TIE_KEY), *(config_value_at(config, f"{key}.{TIE_KEY}") for key in parts)]


def tied_by_class(config: Mapping[str, Any], file: str) -> bool | None:
    """Return whether transformers ties the head of a wrapper; None if the config cannot be read."""
    from ..checkpoint.reading import build_architecture, configure

    try:
        family, keys = configure(dict(config), file)
        architecture = build_architecture(family, keys, {})
    except LlmarchError:
        return None
    return keys.unsettled.get(FACT, architecture.embedding.tied)


def _words(tied: bool) -> str:
    if tied:
        return "transformers 5 ties the head"
    return "transformers 5 does not tie the head"


def states_the_same_flags(old: Entry, new: Entry) -> bool:
    """Return whether two wrappers have equal tie flags, absent ones being their class defaults.

    That is a copy in which transformers wrote the defaults out.
    """
    before, after = old.config_source.config, new.config_source.config
    key = next((key for key in WRAPPER_KEYS if isinstance(after.get(key), Mapping)), None)
    if key is None or not isinstance(before.get(key), Mapping):
        return False
    model_type, part_type = after.get("model_type"), config_value_at(after, f"{key}.model_type")
    paths = ((TIE_KEY, model_type), (f"{key}.{TIE_KEY}", part_type))
    return all(
        _flag_or_default(before, path, of_type) == _flag_or_default(after, path, of_type)
        for path, of_type in paths
    )


def _flag_or_default(config: Mapping[str, Any], path: str, model_type: Any) -> Any:
    """Return a flag of a config, or the default that the class of a model_type has for it."""
    from ..config.families import MODEL_TYPES, family_named

    stated = config_value_at(config, path)
    if stated is not None or model_type not in MODEL_TYPES:
        return stated
    family = family_named(MODEL_TYPES[model_type])
    return family.defaults.get(model_type, {}).get(TIE_KEY)
