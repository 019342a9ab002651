"""Frozen dataclasses that cost little to define: what all have in common is inherited. Generating it for each took a quarter of a start."""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Frozen:
    """Base of what `record` decorates: not to be changed, equal and hashed by its fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__ or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to {name!r}")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete {name!r}")

    def _compared(self) -> tuple[object, ...]:
        return tuple(self.__dict__[f.name] for f in fields(self) if f.compare)

    def __eq__(self, other: object) -> bool:
        return (
            self._compared() == other._compared()
            if isinstance(other, Frozen) and type(self) is type(other)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{f.name}={self.__dict__[f.name]!r}' for f in fields(self) if f.repr)})"


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a subclass of `Frozen` a dataclass; its arguments are keyword-only if `kw_only`."""
    make = partial(dataclass, repr=False, eq=False, kw_only=kw_only)
    return make if cls is None else make(cls)
