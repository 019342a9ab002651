"""Frozen dataclasses that are cheap to define: what all have in common is inherited.

`dataclass(frozen=True)` generates equality, hash, repr and two guards for every class. For the 300
fields of the schema that took 36 ms, against 12 ms here, and made `llmarch show` 1.2 times as slow
(measured on `show qwen3-235b`). pydantic models are slower still: importing pydantic takes 70 ms.

Two thirds of what was left went into constructors, and a command constructs few of the classes that
it imports. So the constructor of a class is generated when the first record of it is made.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable

RecordType = TypeVar("RecordType", bound="Frozen")


class Frozen:
    """Base of what `frozen` decorates: it cannot be changed, and its fields make it equal."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, *values: Any, **named: Any) -> None:
        """Generate the constructor of the class, which replaces this one, and call it."""
        cls = type(self)
        constructor = _make_constructor(cls)
        cls.__init__ = constructor
        constructor(self, *values, **named)

    def __setattr__(self, name: str, value: object) -> None:
        is_set = name in self.__dict__
        if is_set or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to {name!r}")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete {name!r}")

    def _compared(self) -> tuple[object, ...]:
        values = self.__dict__
        return tuple([values[name] for name in compared_names(type(self))])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frozen) or type(self) is not type(other):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        shown: list[str] = []
        for f in fields(self):
            if f.repr:
                value = self.__dict__[f.name]
                shown.append(f"{f.name}={value!r}")
        arguments = ", ".join(shown)
        return f"{type(self).__name__}({arguments})"


@cache
def compared_names(cls: type[Frozen]) -> tuple[str, ...]:
    """Return the names of the fields that make records of a class equal."""
    names = [f.name for f in fields(cls) if f.compare]
    return tuple(names)


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
    make = partial(_define, kw_only=kw_only)
    return make if cls is None else make(cls)


def _define(cls: type[RecordType], /, *, kw_only: bool) -> type[RecordType]:
    """Make a class a dataclass whose constructor is generated at its first use.

    The constructor is set on the class itself, because that of a base has other fields.
    """
    defined = dataclass(cls, init=False, repr=False, eq=False, kw_only=kw_only)
    defined.__init__ = Frozen.__init__
    return defined


def _make_constructor(cls: type[Frozen]) -> Callable[..., None]:
    """Return the constructor that `dataclass` would generate, without calls of the guard.

    It takes the fields in their order, then keyword-only ones, and calls no `__post_init__`.
    """
    names: dict[str, Any] = {"_MISSING": MISSING}
    positional: list[str] = []
    keyword: list[str] = []
    lines = ["_values = self.__dict__"]
    for f in fields(cls):
        parameter = f.name
        if f.default is not MISSING:
            names[f"_default_{f.name}"] = f.default
            parameter += f"=_default_{f.name}"
        elif f.default_factory is not MISSING:
            names[f"_make_{f.name}"] = f.default_factory
            parameter += "=_MISSING"
            lines.append(f"if {f.name} is _MISSING: {f.name} = _make_{f.name}()")
        lines.append(f"_values[{f.name!r}] = {f.name}")
        parameters = keyword if f.kw_only else positional
        parameters.append(parameter)
    if keyword:
        keyword.insert(0, "*")
    signature = ", ".join(["self", *positional, *keyword])
    body = "\n ".join(lines)
    exec(f"def __init__({signature}):\n {body}", names)
    constructor = names["__init__"]
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    return constructor
