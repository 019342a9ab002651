"""Hashes that tell whether two architectures, or the tensors of two checkpoints, are the same. Pure.

The fingerprint of an architecture is the SHA-256 of its canonical form, which is made from what was read, never from the config's text:

- out of it are what names it (`family`, `model_type`) and how it is stored (`dtype`, `quantization`); all else is in it, the context
  length too;
- facts at their default are left out, so that a later version of llmarch that knows more facts still gives the same fingerprint;
- blocks, norms and kinds of layers are numbered in the order in which layers use them, so that their names do not matter; what no layer
  uses is left out;
- layers are runs, numbers have seven digits and no point where they are whole, keys are sorted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from hashlib import sha256
from typing import Any, cast

from .layers import run_lengths
from .schema import Architecture

STORAGE = frozenset({"family", "model_type", "dtype", "quantization"})
NAMED = ("mixers", "ffns", "norms", "layer_kinds")
REFERENCES = {
    "kv_from": "mixers",
    "index_from": "mixers",
    "layer_kind": "layer_kinds",
    **dict.fromkeys(
        ("norm", "final_norm", "pre_norm", "post_norm", "join_norm", "after_norm"), "norms"
    ),
}
"""Facts whose value is a name, and where what it names is. (`block` says that itself.)"""


def fingerprint(a: Architecture) -> str:
    """`sha256:` and the hash of the canonical form."""
    return digest(canonical(a))


def digest(document: object) -> str:
    return (
        "sha256:"
        + sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )


def canonical(a: Architecture) -> dict[str, Any]:
    """What the fingerprint is a hash of."""
    numbers = numbered(a)
    out: dict[str, Any] = {group: {} for group in NAMED}
    for path, number in numbers.items():
        group, _, name = path.partition(".")
        out[group][number.partition(".")[2]] = renamed(plain(getattr(a, group)[name]), numbers)
    top = {k: v for k, v in plain(a).items() if k not in STORAGE and k not in NAMED}
    return (
        out
        | renamed(top, numbers)
        | {"layers": run_lengths(numbers[f"layer_kinds.{kind}"] for kind in a.layers)}
    )


def numbered(a: Architecture) -> dict[str, str]:
    """`layer_kinds.full`, `mixers.full`, `norms.rms` … that layers use -> `layer_kinds.0`, `mixers.0`, `norms.0` …, in the order of use."""
    numbers: dict[str, str] = {}
    counts: dict[str, int] = dict.fromkeys(NAMED, 0)

    def visit(path: str) -> None:
        if path in numbers:
            return
        group, _, name = path.partition(".")
        numbers[path] = f"{group}.{counts[group]}"
        counts[group] += 1
        for reference in references(getattr(a, group)[name]):
            visit(reference)

    for kind in (*a.layers, *((a.mtp.layer_kind,) if a.mtp and a.mtp.layer_kind else ())):
        visit(f"layer_kinds.{kind}")
    for reference in (
        *references(a.embedding),
        *((f"norms.{a.final_norm}",) if a.final_norm else ()),
    ):
        visit(reference)
    return numbers


def references(node: Any) -> Iterator[str]:
    """What a part of an architecture names: `mixers.full`, `norms.rms`."""
    if isinstance(node, tuple):
        for item in cast("tuple[Any, ...]", node):
            yield from references(item)
    elif is_dataclass(node):
        for f in fields(node):
            value = getattr(node, f.name)
            if isinstance(value, str) and (f.name in REFERENCES or f.name == "block"):
                yield value if f.name == "block" else f"{REFERENCES[f.name]}.{value}"
            else:
                yield from references(value)


def renamed(node: Any, numbers: dict[str, str], key: str = "") -> Any:
    """A plain tree with numbers for names, and numbers of seven digits."""
    if isinstance(node, dict):
        return {k: renamed(v, numbers, k) for k, v in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [renamed(v, numbers) for v in cast("list[Any]", node)]
    if isinstance(node, str) and (key in REFERENCES or key == "block"):
        return numbers[node if key == "block" else f"{REFERENCES[key]}.{node}"]
    return plain(float(f"{node:.7g}")) if isinstance(node, float) else node


def plain(node: Any, remarks: bool = False) -> Any:
    """A part of an architecture as JSON has it, without what is at its default; `kind` always stays, whole numbers have no point.
    `remarks`: with texts for people."""
    if is_dataclass(node) and not isinstance(node, type):
        values = [(f, getattr(node, f.name)) for f in fields(node) if f.compare or remarks]
        return {f.name: plain(v, remarks) for f, v in values if f.name == "kind" or v != default(f)}
    if isinstance(node, dict):
        return {str(k): plain(v, remarks) for k, v in cast("dict[str, Any]", node).items()}
    if isinstance(node, (tuple, list)):
        return [plain(v, remarks) for v in cast("tuple[Any, ...]", node)]
    return (
        int(node) if isinstance(node, float) and node.is_integer() and abs(node) < 2**53 else node
    )


def default(f: Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default
