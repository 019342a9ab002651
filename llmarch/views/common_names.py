"""Give the blocks of compared models the same names where they are the same kind of thing.

Families name blocks after their own roles. Rows compare blocks by name, so a block that is called
`sliding_moe` here and `sliding` there, and is the same in the same layers, needs one name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..architecture.fingerprint import NAMED_GROUPS
from ..architecture.schema import Architecture
from ..architecture.wording.feed_forward import ffn_word
from ..architecture.wording.mixers import mixer_word
from ..architecture.wording.model import norm_word
from ..compare.alignment import align, all_members, rename_references
from .wording import kind_word

WORDS: dict[str, Callable[[Any], str]] = {
    "mixers": mixer_word,
    "ffns": ffn_word,
    "norms": norm_word,
}
"""What names the members of a group in a word. Kinds of layers have those of their blocks."""


def with_names_of(first: Architecture, a: Architecture) -> Architecture:
    """Return an architecture whose blocks have the names that they have in another one.

    Only blocks that the same layers use and that have the same words are renamed.

    first: the architecture that has the names.
    a: the architecture to rename blocks of.
    """
    if first is a:
        return a
    names: dict[str, str] = {}
    pairs = align(first, a).pairs
    for old, new in pairs.items():
        if old == new:
            continue
        if word_of(first, old) == word_of(a, new):
            names[new] = old
    names = without_clashes(names, a)
    if not names:
        return a
    return renamed(a, names)


def word_of(a: Architecture, path: str) -> str:
    """Return a block, norm or kind of layer in a word."""
    group, _, name = path.partition(".")
    if group == "layer_kinds":
        return kind_word(a, name)
    members = getattr(a, group)
    member = members[name]
    wording = WORDS[group]
    return wording(member)


def without_clashes(names: Mapping[str, str], a: Architecture) -> dict[str, str]:
    """Return the new names that no other member of the architecture keeps.

    names: the new path by the old one.
    a: the architecture that has the old paths.
    """
    left = dict(names)
    while True:
        kept = all_members(a).keys() - left.keys()
        clashes = [path for path, new in left.items() if new in kept]
        if not clashes:
            return left
        for path in clashes:
            del left[path]


def renamed(a: Architecture, names: Mapping[str, str]) -> Architecture:
    """Return an architecture with other names of blocks.

    a: the architecture.
    names: the new path by the old one.
    """
    changed: dict[str, Any] = {}
    for group in NAMED_GROUPS:
        members: dict[str, Any] = {}
        for name, member in getattr(a, group).items():
            new_name = new_name_of(group, name, names)
            members[new_name] = rename_references(member, names)
        changed[group] = members
    changed["layers"] = tuple(new_name_of("layer_kinds", kind, names) for kind in a.layers)
    return replace(rename_references(a, names), **changed)


def new_name_of(group: str, name: str, names: Mapping[str, str]) -> str:
    """Return the new name of a member of a group."""
    path = f"{group}.{name}"
    new_path = names.get(path, path)
    _, _, new_name = new_path.partition(".")
    return new_name
