"""Findings as lines of text: the rule, what it is about, and the message."""

from __future__ import annotations

from ..architecture.schema import Finding


def finding_line(f: Finding) -> str:
    """Return `tensor-missing: model.norm.weight: 1 tensor is not in the checkpoint`.

    A message that begins with the path says it alone.
    """
    words = (f.rule, f.path, f.message)
    if f.path and f.message.startswith(f"{f.path} "):
        words = (f.rule, f.message)
    return ": ".join(word for word in words if word)
