"""Frozen records: their generated constructors take what those of `dataclass` take."""

from __future__ import annotations

from dataclasses import (
    MISSING,
    FrozenInstanceError,
    field,
    fields,
    is_dataclass,
    make_dataclass,
    replace,
)
from typing import TYPE_CHECKING, Any

import pytest

from llmarch.architecture import schema
from llmarch.architecture.frozen import Frozen, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA: list[type[Frozen]] = [
    value
    for name in dir(schema)
    if isinstance(value := getattr(schema, name), type) and issubclass(value, Frozen)
]


@frozen
class Base(Frozen):
    """A record with fields of every sort; its names are those a generated function may use."""

    values: int
    self_: int = 1
    MISSING: int = 2
    fields: list[int] = field(default_factory=list[int])
    cls: str = field(default="c", kw_only=True)


@frozen(kw_only=True)
class Derived(Base):
    """A record with further fields."""

    more: int


def standard(cls: type[Frozen]) -> Callable[..., Any]:
    """Return a standard dataclass with the same fields."""
    copied: list[tuple[str, Any, Any]] = []
    for f in fields(cls):
        default: dict[str, Any] = {"kw_only": f.kw_only}
        if f.default is not MISSING:
            default["default"] = f.default
        if f.default_factory is not MISSING:
            default["default_factory"] = f.default_factory
        copied.append((f.name, f.type, field(**default)))
    return make_dataclass(cls.__name__, copied)


RECORDS = [Base, Derived, *filter(is_dataclass, SCHEMA)]


@pytest.mark.parametrize("cls", RECORDS, ids=[cls.__name__ for cls in RECORDS])
def test_constructor_equals_that_of_a_dataclass(cls: type[Frozen]) -> None:
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    given = {name: object() for name in needed}
    reference = standard(cls)(**given)
    expected = reference.__dict__
    for _ in range(2):  # the first call generates the constructor
        made = cls(**given)
        assert list(vars(made).items()) == list(expected.items())
    for name in needed:
        less = {k: v for k, v in given.items() if k != name}
        with pytest.raises(TypeError, match=f"missing 1 required .*'{name}'"):
            cls(**less)
    with pytest.raises(TypeError, match="unexpected keyword argument 'no_field'"):
        cls(**given, no_field=1)


def test_a_subclass_has_a_constructor_of_its_own() -> None:
    assert Base(1).fields == []
    derived = Derived(1, 2, more=3)
    assert (derived.self_, derived.more) == (2, 3)
    assert Base(5).fields is not Base(5).fields


def test_arguments_are_as_in_a_dataclass() -> None:
    assert Base(1, 2, 3, [4], cls="d") == Base(values=1, self_=2, MISSING=3, fields=[4], cls="d")
    with pytest.raises(TypeError, match="positional arguments"):
        Base(1, 2, 3, [4], "d")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="multiple values"):
        Base(1, values=2)  # pyright: ignore[reportCallIssue]
    assert replace(Base(1), cls="d").cls == "d"


def test_records_stay_as_they_are() -> None:
    record = Base(1)
    with pytest.raises(FrozenInstanceError):
        record.values = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        del record.values  # pyright: ignore[reportAttributeAccessIssue]
    assert repr(record) == "Base(values=1, self_=1, MISSING=2, fields=[], cls='c')"
