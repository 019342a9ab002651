"""What a reader must know of the models before the figures of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoint.reading import Reading
from .conflict import conflict_lines
from .model import stand_ins


def reading_warnings(readings: Sequence[Reading]) -> list[str]:
    """Return what contradicts each config, and what was read in place of what was named.

    The model's name stands before each line where there are several.
    """
    warnings: list[str] = []
    for reading in readings:
        prefix = f"{reading.name}: " if len(readings) > 1 else ""
        lines = [*conflict_lines(reading), *stand_ins(reading)]
        warnings += [f"{prefix}{line}" for line in lines]
    return warnings
