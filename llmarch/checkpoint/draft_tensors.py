"""Recognise draft heads by the names of their tensors (drafts.py has the rest)."""

from __future__ import annotations

import re

from ..sources.raw import TensorTable
from .names import canonical
from .roles import LAYER_NAME, MTP_NAME, MTP_TENSOR

TENSORS = (
    (re.compile(r"^midlayer\."), "an EAGLE-3 draft head"),
    (re.compile(r"^(d2t|t2d)$"), "an EAGLE-3 draft head"),
    (re.compile(r"^fc\.weight$"), "an EAGLE draft head"),
)
"""Names that only draft heads have."""

MEDUSA = re.compile(r"^(medusa_heads?\.)?\{\}\.\{\}\.(linear\.)?(weight|bias)$")
"""Names of Medusa heads, which stand beside no layers."""


def tensor_sign(table: TensorTable) -> tuple[str, str] | None:
    """Return what draft head stores such tensors, and one of them; None if none does."""
    names = {canonical(group.pattern): group.pattern for group in table}
    for sign, kind in TENSORS:
        for name, stored in names.items():
            if sign.search(name):
                return kind, stored

    layers = _layer_numbers(table, LAYER_NAME)
    medusa = next((stored for name, stored in names.items() if MEDUSA.match(name)), None)
    if medusa is not None and not layers:
        return "Medusa heads", medusa

    # Modules that are stored as layers, and no other layer.
    modules = _layer_numbers(table, MTP_TENSOR)
    own = next((stored for name, stored in names.items() if MTP_NAME.search(name)), None)
    if (layers and layers == modules) or (own is not None and not layers):
        first = own or next(stored for name, stored in names.items() if MTP_TENSOR.search(name))
        return "modules of multi-token prediction by themselves", first
    return None


def _layer_numbers(table: TensorTable, name: re.Pattern[str]) -> set[int]:
    """Return the numbers of the layers that have tensors with a name."""
    numbers: set[int] = set()
    for group in table:
        key = canonical(group.pattern)
        if not LAYER_NAME.match(key) or not name.search(key):
            continue
        for index in group.indices:
            numbers.add(index[0])
    return numbers
