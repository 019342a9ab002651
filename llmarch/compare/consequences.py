"""Say what a change means for who runs the model, as far as the comparison shows it. Pure."""

from __future__ import annotations

from dataclasses import replace

from ..architecture.schema import Change
from .lock import Entry
from .rules import CONSEQUENCES, is_about_facts

DOES_NOT_LOAD = "the checkpoint no longer loads"

LOADED: tuple[str, ...] = ("verified",)
"""Statuses of a model whose stored tensors are those that its config needs."""


def with_consequence(change: Change, old: Entry, new: Entry) -> Change:
    """Return a change with its consequence in words."""
    return replace(change, consequence=consequence(change, old, new))


def consequence(change: Change, old: Entry, new: Entry) -> str:
    """Return what a change between two models breaks, in a few words.

    A model whose tensors fit its config loads, whatever changed: then what was made for the old one
    does not fit it. Of a finding that breaks nothing there is nothing to say.
    """
    is_finding = not is_about_facts(change.rule)
    if is_finding and change.severity == "info" and change.new is not None:
        return ""
    if is_finding and change.severity == "weights":
        return DOES_NOT_LOAD
    if change.severity != "weights":
        return CONSEQUENCES[change.severity]
    if new.status in LOADED:
        return f"the model loads, but {made_for(old, new)} do not fit it"
    if new.status == "conflict":
        return DOES_NOT_LOAD
    return f"{made_for(old, new)} do not fit"


def made_for(old: Entry, new: Entry) -> str:
    """Return what was made for the old model: its weights, and what builds on them."""
    if old.reference == new.reference:
        return "older weights and adapters"
    return "base weights and adapters"
