"""Compare what is beside the architecture: token ids, code of the repository, and its small files.

None of it is read: keys are compared by value and files by what identifies their content. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from ..architecture.frozen import Frozen, frozen
from ..config.keys import is_token_key
from ..sources.file_names import is_beside_file, is_code_file, is_small_file, is_weight_file
from ..sources.raw import RawModel, is_gguf_document
from .config_keys import config_leaves

CODE_KEY = "auto_map"
"""The key that names classes of the repository's own code."""

REMOVED = "removed"
"""What stands for code that is not there any more."""
SHORT_ID = 12
"""Characters of the hash of a file that are shown."""
MOST_FILES = 1000
"""Files that a lock keeps; a repository with more of them has only the first."""


@frozen
class Beside(Frozen):
    """What is beside the architecture of one model."""

    keys: Mapping[str, str] | None = None
    """Token ids and classes of own code: dotted keys of the config with their values as JSON; None
    where the config is not known, and for a GGUF file, whose keys have other names."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """What identifies the content of files, by name (`RawModel.file_ids`); empty: not known."""
    is_partial: bool = False
    """Whether there may be other files, of which nothing is known."""


def what_is_beside(raw: RawModel) -> Beside:
    """Return what is beside the architecture of a model that was read."""
    names = [name for name in sorted(raw.file_ids) if is_beside_file(name)]
    files = {name: raw.file_ids[name] for name in names[:MOST_FILES]}
    config = raw.config or {}
    keys = None if is_gguf_document(config) else keys_beside_facts(config)
    return Beside(keys, files, is_partial=raw.is_download)


def is_beside(key: str) -> bool:
    """Return whether a dotted key of a config is one that is compared here."""
    *parents, last = key.split(".")
    return is_token_key(last) or CODE_KEY in (*parents, last)


def keys_beside_facts(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of a config that are compared here, nested ones too.

    Null and an empty object are absent.
    """
    return {
        name: json.dumps(value, sort_keys=True)
        for name, _, value in config_leaves(config)
        if value not in (None, {}) and is_beside(name)
    }


class BesideChange(NamedTuple):
    """A key or a file that is another one, with its values in words; None: it is not there.

    Of code that is gone the new value is `REMOVED`: unlike a finding that is gone, that matters.
    """

    path: str
    old: str | None
    new: str | None


def key_differences(old: Beside, new: Beside, *, code: bool) -> Iterator[BesideChange]:
    """Yield the token ids that differ, or the classes of own code."""
    if old.keys is None or new.keys is None:
        return
    for key in dict.fromkeys([*old.keys, *new.keys]):
        before = old.keys.get(key)
        after = new.keys.get(key)
        names_code = CODE_KEY in key.split(".")
        if before == after or names_code != code:
            continue
        if code and after is None:
            after = REMOVED
        yield BesideChange(key, before, after)


def code_differences(old: Beside, new: Beside) -> Iterator[BesideChange]:
    """Yield the files of code that have another content, are new or are gone."""
    if not old.files or not new.files:
        return
    names = {*old.files, *new.files}
    for name in sorted(names):
        if not is_code_file(name) or not _differ(old, new, name):
            continue
        before = _short_id(old.files.get(name))
        after = _short_id(new.files.get(name))
        yield BesideChange(name, before, after or REMOVED)


def file_differences(old: Beside, new: Beside, *, weights: bool) -> str:
    """Return which other files differ, in words; nothing where none does, or they are not known.

    weights: whether weight files of one name are compared too.
    """
    if not old.files or not new.files:
        return ""
    phrases = [*_file_phrases(old, new)]
    if weights:
        phrases += _weight_phrases(old, new)
    return "; ".join(phrases)


def _file_phrases(old: Beside, new: Beside) -> Iterator[str]:
    """Yield which small files changed, were added and are gone."""
    changed: list[str] = []
    added: list[str] = []
    removed: list[str] = []
    for name in sorted({*old.files, *new.files}):
        if not is_small_file(name) or not _differ(old, new, name):
            continue
        if name not in old.files:
            added.append(name)
        elif name not in new.files:
            removed.append(name)
        else:
            changed.append(name)
    for names, word in ((changed, "changed"), (added, "added"), (removed, "removed")):
        if names:
            yield f"{', '.join(names)} {word}"


def _weight_phrases(old: Beside, new: Beside) -> list[str]:
    """Return which weight files of one name have other bytes; none if they were split anew."""
    names = old.files.keys() & new.files.keys()
    weights = sorted(filter(is_weight_file, names))
    other = [name for name in weights if _differ(old, new, name)]
    if not other:
        return []
    first = other[0]
    count = len(other)
    if count == 1:
        return [f"weights: {first} has other bytes"]
    return [f"weights: {count} of {len(weights)} files have other bytes, {first} first"]


def _differ(old: Beside, new: Beside, name: str) -> bool:
    """Return whether a file certainly is not the same on both sides.

    A file has one hash or several, each with its kind. Those of a kind that both sides have decide;
    without one, nothing is known.
    """
    before = old.files.get(name)
    after = new.files.get(name)
    if before is None:
        return not old.is_partial
    if after is None:
        return not new.is_partial
    olds = _hashes(before)
    news = _hashes(after)
    for kind in ("sha256", "git", "size"):
        old_hash = olds.get(kind)
        new_hash = news.get(kind)
        if old_hash is not None and new_hash is not None:
            return old_hash != new_hash
    return False


def _hashes(text: str) -> dict[str, str]:
    """Return the parts of `git:1a2b… size:120` by their kind."""
    return {kind: value for kind, _, value in (part.partition(":") for part in text.split())}


def _short_id(text: str | None) -> str | None:
    """Return the first hash of a file, shortened; None for a file that is not there."""
    if text is None:
        return None
    hashes = _hashes(text).values()
    first = next(iter(hashes), "")
    return first[:SHORT_ID]
