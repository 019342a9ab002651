"""Compare the tie flags of two wrappers as transformers obeys them. Pure.

The fact `embedding.tied` is what the tensors prove, or what such models were published with. Where
flags or defaults of wrapper and text part disagree, transformers may make something else of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..architecture.schema import Change
from ..config.blocks.tying import FACT, TIE_KEY
from .config_keys import config_value_at

if TYPE_CHECKING:
    from .lock import Entry

WRAPPER_KEYS = ("text_config", "llm_config")
"""Keys under which wrappers have the config of their decoder."""


def tie_changes(old: Entry, new: Entry) -> Iterator[Change]:
    """Yield the change of whether transformers ties the head, where the fact does not tell it.

    Without tensors, every change counts. With them, a head that is stored is loaded whatever the
    flags say; one that is not stored is missing if the class no longer ties it.
    """
    a, b = old.architecture, new.architecture
    if a is None or b is None or a.embedding.tied != b.embedding.tied:
        return
    configs = (old.config_source.config, new.config_source.config)
    if not b.head.predicts_tokens or _flags(configs[0]) == _flags(configs[1]):
        return
    was_tied = tied_by_class(configs[0], old.files.config)
    is_tied = tied_by_class(configs[1], new.files.config)
    if None in (was_tied, is_tied) or was_tied == is_tied:
        return
    proved = old.tensors is not None or new.tensors is not None
    if proved and (is_tied or not b.embedding.tied):
        return
    yield Change(
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
    from ..checkpoint.variants import INVALID

    try:
        family, keys = configure(dict(config), file)
        architecture = build_architecture(family, keys, {})
    except INVALID:
        return None
    return keys.unsettled.get(FACT, architecture.embedding.tied)


def _words(tied: bool | None) -> str:
    if tied:
        return "transformers 5 ties the head"
    return "transformers 5 does not tie the head"
