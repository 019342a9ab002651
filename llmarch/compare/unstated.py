"""Facts that a GGUF file does not state, compared with a model that states them. Pure.

The factors of some RoPE scalings are weights in a GGUF file, and its converter writes one context
for all recurrent models. That is not a change of the model: the fact is taken from the other side,
and its evidence still says that the file does not have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..architecture.paths import find_value, parent_path, replace_value
from ..architecture.schema import Architecture, Evidence
from ..checkpoint.reading import Observation, Reading
from ..sources.raw import is_gguf_document

AnyReading = Reading | Observation


class Stated(NamedTuple):
    """An architecture with what it was read from."""

    architecture: Architecture
    config: Mapping[str, Any]
    """The config as parsed, or the metadata of a GGUF file; empty where it is not known."""
    evidence: Mapping[str, Evidence]

    @property
    def unstated(self) -> list[str]:
        """Return the paths of the facts that a GGUF file does not state; none of a config."""
        if not is_gguf_document(self.config):
            return []
        return [path for path, source in self.evidence.items() if source.kind == "unknown"]


def completed(sides: Sequence[Stated]) -> list[Architecture]:
    """Return architectures to compare: those of GGUF files with the facts that others state."""
    return [_completed(side, sides) for side in sides]


def with_unstated_facts(readings: Sequence[AnyReading]) -> list[AnyReading]:
    """Return models to compare, with the facts that only others state."""
    sides = {id(r): _stated(r) for r in readings if isinstance(r, Reading)}
    architectures = dict(zip(sides, completed([*sides.values()]), strict=True))
    completed_readings: list[AnyReading] = []
    for reading in readings:
        own = architectures.get(id(reading))
        if isinstance(reading, Reading) and own is not None and own is not reading.architecture:
            reading = replace(reading, architecture=own)
        completed_readings.append(reading)
    return completed_readings


def unstated_paths(reading: Reading) -> list[str]:
    """Return the paths of the facts that a GGUF file does not state; none for other models."""
    return _stated(reading).unstated


def _stated(reading: Reading) -> Stated:
    return Stated(reading.architecture, reading.raw.config or {}, reading.config_evidence)


def _completed(side: Stated, sides: Sequence[Stated]) -> Architecture:
    architecture = side.architecture
    for path in side.unstated:
        value = _value_of_others(path, side, sides)
        if value is not None and _has_place(architecture, path):
            architecture = replace_value(architecture, path, value)
    return architecture


def _value_of_others(path: str, asking: Stated, sides: Sequence[Stated]) -> Any:
    """Return the value of a fact in the first of the other models that states it."""
    for other in sides:
        if other is asking or path in other.unstated:
            continue
        value = find_value(other.architecture, path)
        if value is not None:
            return value
    return None


def _has_place(architecture: Architecture, path: str) -> bool:
    """Return whether the part that a fact is of is there."""
    parent = parent_path(path)
    return not parent or find_value(architecture, parent) is not None
