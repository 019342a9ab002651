"""Facts that tensors contradict: what a conflict is, and the finding that reports it.

explaining.py finds them in shapes, optional_tensors.py in tensors that are there or missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..architecture.schema import Finding
from .findings import weights_finding


class Conflict(NamedTuple):
    """A fact, its value by the config, and its value by a tensor."""

    path: str
    old: Any
    new: Any
    absent_key: str | None = None
    """The key of the config that would say so, if the config does not have it."""


def conflict_finding(
    conflict: Conflict, names: Sequence[str], other_explanations: Sequence[str] = ()
) -> Finding:
    """Return the finding that tensors contradict a fact.

    names: what the tensors are called in the message; all but the first are counted only.
    other_explanations: other facts with values that would give the same shapes.
    """
    old = format_value(conflict.old)
    new = format_value(conflict.new)
    source = "in the config"
    if conflict.absent_key is not None:
        source = f"as the config has no {conflict.absent_key}"
    message = f"{old} {source}, {new} according to {names[0]}"
    if len(names) > 1:
        message += f" and {len(names) - 1} more"
    if other_explanations:
        message += f"; {' or '.join(other_explanations)} would give the same shapes"
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
