"""Hashes that tell whether two architectures, or the tensors of two checkpoints, are the same.

The fingerprint of an architecture is the SHA-256 of its canonical form. That form is made from the
facts that were read, never from the text of the config:

- Names (`family`, `model_type`) and storage (`dtype`, `quantization`) are left out. Everything else
  is in it, the context length included.
- Facts at their default are left out, so that a later version of llmarch that knows more facts
  still gives the same fingerprint.
- Blocks, norms and kinds of layers are numbered in the order in which layers use them, so that
  their names do not matter. Those that no layer uses are left out.
- Layers are runs, numbers have seven digits and no point where they are whole, keys are sorted.

Fingerprints stand in lock files: what is written here may never change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, cast

from .frozen import Frozen
from .layers import run_lengths
from .schema import Architecture, Head

STORAGE_FACTS = frozenset({"family", "model_type", "dtype", "quantization"})
"""Top-level facts that are not part of the fingerprint."""
NAMED_GROUPS = ("mixers", "ffns", "norms", "layer_kinds")
"""Groups whose members have names that do not matter."""
NORM_FACTS = ("norm", "final_norm", "pre_norm", "post_norm", "join_norm", "after_norm")
GROUP_OF_REFERENCE = {
    "kv_from": "mixers",
    "index_from": "mixers",
    "layer_kind": "layer_kinds",
    **dict.fromkeys(NORM_FACTS, "norms"),
}
"""Facts whose value is a name, and the group that the name belongs to."""
PATH_REFERENCE = "block"
"""The fact whose value is a path, group included: `mixers.full`."""
LARGEST_EXACT = 2**53
"""Below it, a whole floating-point number is exact as an integer."""


def fingerprint(a: Architecture) -> str:
    """Return `sha256:` and the hash of the canonical form of an architecture."""
    return digest(canonical_form(a))


def digest(document: object) -> str:
    """Return `sha256:` and the hash of a JSON document, whatever the order of its keys.

    hashlib is imported here: it loads OpenSSL, and most commands ask for no fingerprint.
    """
    from hashlib import sha256

    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return "sha256:" + sha256(text.encode()).hexdigest()


def canonical_form(a: Architecture) -> dict[str, Any]:
    """Return the document that the fingerprint is a hash of."""
    numbers = number_names(a)
    form: dict[str, Any] = {group: {} for group in NAMED_GROUPS}
    for path, numbered_path in numbers.items():
        group, _, name = path.partition(".")
        _, _, number = numbered_path.partition(".")
        member = without_defaults(getattr(a, group)[name])
        form[group][number] = replace_names(member, numbers)
    for name, value in without_defaults(a).items():
        if name in STORAGE_FACTS or name in NAMED_GROUPS:
            continue
        form[name] = replace_names(value, numbers, name)
    kinds = [numbers[f"layer_kinds.{kind}"] for kind in a.layers]
    form["layers"] = run_lengths(kinds)
    return form


class DanglingReference(LookupError):
    """The wiring names a block, norm or kind of layer that the architecture does not have."""


def number_names(a: Architecture) -> dict[str, str]:
    """Give everything with a name a number, in the order in which layers use it.

    Returns paths by path: `mixers.full` -> `mixers.0`, `layer_kinds.full` -> `layer_kinds.0`.
    Raises DanglingReference.
    """
    numbers: dict[str, str] = {}
    counts: dict[str, int] = dict.fromkeys(NAMED_GROUPS, 0)

    def visit(path: str) -> None:
        if path in numbers:
            return
        group, _, name = path.partition(".")
        members = getattr(a, group)
        if name not in members:
            raise DanglingReference(path)
        numbers[path] = f"{group}.{counts[group]}"
        counts[group] += 1
        for reference in find_references(members[name]):
            visit(reference)

    for kind in a.layers:
        visit(f"layer_kinds.{kind}")
    if a.mtp and a.mtp.layer_kind:
        visit(f"layer_kinds.{a.mtp.layer_kind}")
    for reference in find_references(a.embedding):
        visit(reference)
    if a.final_norm:
        visit(f"norms.{a.final_norm}")
    return numbers


def find_references(node: Any) -> Iterator[str]:
    """Yield the paths that a part of an architecture refers to: `mixers.full`, `norms.rms`."""
    if isinstance(node, tuple):
        for item in cast("tuple[Any, ...]", node):
            yield from find_references(item)
    elif isinstance(node, Frozen):
        for name in node.__dataclass_fields__:
            value = getattr(node, name)
            if isinstance(value, str) and is_reference(name):
                yield referenced_path(name, value)
            elif isinstance(value, (tuple, Frozen)):
                yield from find_references(value)


def is_reference(field: str) -> bool:
    """Return whether a field holds the name of a block, norm or kind of layer."""
    return field == PATH_REFERENCE or field in GROUP_OF_REFERENCE


def referenced_path(field: str, value: str) -> str:
    """Return the path that the value of such a field refers to."""
    if field == PATH_REFERENCE:
        return value
    group = GROUP_OF_REFERENCE[field]
    return f"{group}.{value}"


def replace_names(node: Any, numbers: dict[str, str], field: str = "") -> Any:
    """Return a JSON tree with numbers instead of names, and fractions rounded to seven digits.

    field: the key that the tree stands under.
    """
    if isinstance(node, dict):
        items = cast("dict[str, Any]", node).items()
        return {key: replace_names(value, numbers, key) for key, value in items}
    if isinstance(node, list):
        return [replace_names(value, numbers) for value in cast("list[Any]", node)]
    if isinstance(node, str) and is_reference(field):
        path = referenced_path(field, node)
        return numbers[path]
    if isinstance(node, float):
        if node.is_integer():
            return without_point(node)
        return without_point(float(f"{node:.7g}"))
    return node


def without_defaults(node: Any, remarks: bool = False) -> Any:
    """Return a part of an architecture as JSON, without the facts at their default.

    A `kind` that names the class always stays. Whole numbers have no point.

    remarks: whether texts for people, which are not compared, stay too.
    """
    if is_dataclass(node) and not isinstance(node, type):
        out: dict[str, Any] = {}
        for f in fields(node):
            value = getattr(node, f.name)
            is_remark = not f.compare
            if is_remark and not remarks:
                continue
            names_class = f.name == "kind" and not isinstance(node, Head)
            if names_class or value != default_of(f):
                out[f.name] = without_defaults(value, remarks)
        return out
    if isinstance(node, dict):
        items = cast("dict[str, Any]", node).items()
        return {str(key): without_defaults(value, remarks) for key, value in items}
    if isinstance(node, (tuple, list)):
        return [without_defaults(value, remarks) for value in cast("tuple[Any, ...]", node)]
    return without_point(node) if isinstance(node, float) else node


def without_point(number: float) -> float:
    """Return a whole number as an integer, others as they are."""
    if number.is_integer() and abs(number) < LARGEST_EXACT:
        return int(number)
    return number


def default_of(field: Field[Any]) -> Any:
    """Return the default of a field, MISSING if it has none."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
