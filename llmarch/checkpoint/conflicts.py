"""Facts that tensors contradict: what a conflict is, and the finding that reports it.

shape_conflicts.py and latent_conflicts.py find them in shapes, optional_tensors.py in tensors that
are there or missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from ..architecture.schema import Architecture, Finding
from ..tensors.template import TensorRow
from .findings import weights_finding
from .logical import Shape


class Conflict(NamedTuple):
    """A fact, its value by the config, and its value by a tensor."""

    path: str
    old: Any
    new: Any

    @property
    def block(self) -> str:
        """Return `mixers.full` of `mixers.full.heads`."""
        block, _, _ = self.path.rpartition(".")
        return block


class ShapeMismatch(NamedTuple):
    """A row whose tensors are stored with another shape."""

    row: TensorRow
    expected: Shape
    stored: Shape
    name: str
    """The stored name, numbers folded."""


def value_at(a: Architecture, path: str) -> Any:
    """Return the fact at a dotted path; None if there is none."""
    value: Any = a
    for part in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(part)
        else:
            value = getattr(value, part, None)
    return value


def conflict_finding(conflict: Conflict, names: Sequence[str]) -> Finding:
    """Return the finding that tensors contradict a fact.

    names: what the tensors are called in the message; all but the first are counted only.
    """
    old = format_value(conflict.old)
    new = format_value(conflict.new)
    message = f"{old} in the config, {new} according to {names[0]}"
    if len(names) > 1:
        message += f" and {len(names) - 1} more"
    return weights_finding(
        "fact-contradicted",
        conflict.path,
        message,
        old=conflict.old,
        new=conflict.new,
    )


def format_value(value: Any) -> str:
    """Return a fact for people: yes, no, none, a number or the text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
