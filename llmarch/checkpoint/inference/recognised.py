"""What is known of one module: its tensors, and the facts that they prove or leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from ...architecture.frozen import Frozen, frozen
from ..logical import LogicalTensor, Shape

BlockGroup = Literal["mixers", "ffns", "norms"]


@frozen
class Open(Frozen):
    """A fact that names and shapes do not give."""

    reason: str


@frozen
class Proved(Frozen):
    """A fact that names and shapes give."""

    value: Any
    tensors: tuple[str, ...]
    """Names, within the module, of the tensors that prove it."""
    ref: str = ""
    """How they prove it, where a name and shape alone do not show it."""
    config_keys: str = ""
    """The config keys that it depends on as well."""


@dataclass(slots=True)
class Recognised:
    """A recognised module with its facts, under the field names of the schema."""

    group: BlockGroup
    name: str
    component: str
    """The part of the model that its parameters count for."""
    facts: dict[str, Proved | Open] = field(default_factory=dict[str, Proved | Open])
    components: dict[str, str] = field(default_factory=dict[str, str])
    """Components of single tensors that do not count for `component`."""

    def prove(
        self, path: str, value: Any, *tensors: str, ref: str = "", config_keys: str = ""
    ) -> None:
        """Set a fact, with the tensors (names within the module) that prove it."""
        self.facts[path] = Proved(value, tensors, ref, config_keys)

    def prove_presence(
        self, tensors: ModuleTensors, path: str, name: str, *, neighbour: str
    ) -> None:
        """Prove whether a tensor is stored: by itself, or by the one that it would be beside."""
        is_stored = tensors.has(name)
        self.prove(path, is_stored, name if is_stored else neighbour)

    def leave_open(self, *paths: str, reason: str) -> None:
        """Mark facts as unknown, except those that are proved already."""
        for path in paths:
            self.facts.setdefault(path, Open(reason))

    def doubt_absence(self, reason: str) -> None:
        """Open the facts that follow from the absence of a tensor: values False and 0."""
        for path, fact in self.facts.items():
            if isinstance(fact, Open) or fact.value not in (False, 0):
                continue
            self.facts[path] = Open(reason)


@frozen
class ConfigHeads(Frozen):
    """Heads as a config gives them under the usual keys; used only where the shapes agree."""

    heads: int
    kv_heads: int
    head_dim: int
    keys: str
    """The keys that they come from."""


@dataclass(slots=True)
class ModuleTensors:
    """The tensors of one module in one layer, by their names within the module.

    Names may be "": methods then answer as for a tensor that is not stored.
    """

    name: str
    shapes: Mapping[str, Shape | None]
    """None for a tensor whose shape is not known."""
    expert_counts: Mapping[str, int]
    """How many experts a name with `{}` stands for."""
    hidden: int | None
    """The hidden size of the model."""
    heads: ConfigHeads | None

    @classmethod
    def from_logical(
        cls,
        name: str,
        tensors: Mapping[str, LogicalTensor],
        hidden: int | None,
        heads: ConfigHeads | None = None,
    ) -> ModuleTensors:
        """Return a module of logical tensors, by their names within the module."""
        shapes: dict[str, Shape | None] = {}
        expert_counts: dict[str, int] = {}
        for key, tensor in tensors.items():
            shapes[key] = None if tensor.uncertain else tensor.shape
            if "{}" in key:
                expert_counts[key] = len({index[-1] for index in tensor.indices})
        return cls(name, shapes, expert_counts, hidden, heads)

    def has(self, *names: str) -> bool:
        """Return whether all of these are stored."""
        return all(name in self.shapes for name in names)

    def first(self, *names: str) -> str:
        """Return the first of these that is stored, or ""."""
        for name in names:
            if name in self.shapes:
                return name
        return ""

    def size(self, name: str, axis: int) -> int | None:
        """Return the size of a non-negative axis, or None where it is not known."""
        shape = self.shapes.get(name)
        if shape is None or axis >= len(shape):
            return None
        return shape[axis]

    def elements(self, name: str) -> int | None:
        """Return the number of elements whatever the shape ([H] or [1, 1, H, 1]), or None."""
        shape = self.shapes.get(name)
        if shape is None:
            return None
        return prod(shape)

    def outputs(self, name: str) -> int | None:
        """Return the outputs of a matrix that reads the hidden width.

        It is stored as [outputs, hidden] or, in a Conv1D, as [hidden, outputs]. None for others.
        """
        matrix = self._matrix(name)
        if matrix is None:
            return None

        rows, columns = matrix
        if columns == self.hidden:
            return rows
        if rows == self.hidden:
            return columns
        return None

    def inputs(self, name: str) -> int | None:
        """Return the inputs of a matrix that writes the hidden width.

        It is stored as [hidden, inputs] or, in a Conv1D, as [inputs, hidden]. None for others.
        """
        matrix = self._matrix(name)
        if matrix is None:
            return None

        rows, columns = matrix
        if rows == self.hidden:
            return columns
        if columns == self.hidden:
            return rows
        return None

    def _matrix(self, name: str) -> tuple[int, int] | None:
        shape = self.shapes.get(name)
        if shape is None or len(shape) != 2:
            return None
        outputs, inputs = shape
        return outputs, inputs
