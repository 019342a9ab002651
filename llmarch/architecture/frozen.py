"""Frozen dataclasses that are cheap to define: what all have in common is inherited.

`dataclass(frozen=True)` generates equality, hash, repr and two guards for every class. For the 300
fields of the schema that took 36 ms, against 12 ms here, and made `llmarch show` 1.2 times as slow
(measured on `show qwen3-235b`). pydantic models are slower still: importing pydantic takes 70 ms.
"""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable

RecordType = TypeVar("RecordType")


class Frozen:
    """Base of what `frozen` decorates: it cannot be changed, and its fields make it equal."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __setattr__(self, name: str, value: object) -> None:
        is_set = name in self.__dict__
        if is_set or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to {name!r}")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete {name!r}")

    def _compared(self) -> tuple[object, ...]:
        values = self.__dict__
        return tuple([values[name] for name in _compared_names(type(self))])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frozen) or type(self) is not type(other):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown = [f"{f.name}={self.__dict__[f.name]!r}" for f in fields(self) if f.repr]
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _compared_names(cls: type[Frozen]) -> tuple[str, ...]:
    """Return the names of the fields that make records of a class equal."""
    return tuple(f.name for f in fields(cls) if f.compare)


class Strict(Frozen):
    """Base of the schema's records: a document from outside may have no other keys.

    pydantic reads the attribute when it validates documents (json_schema.py).
    """

    __pydantic_config__ = {"extra": "forbid"}


@overload
def frozen(cls: type[RecordType], /) -> type[RecordType]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[RecordType]], type[RecordType]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[RecordType] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a subclass of `Frozen` a dataclass, with keyword-only arguments if `kw_only`."""
    make = partial(dataclass, repr=False, eq=False, kw_only=kw_only)
    return make if cls is None else make(cls)
