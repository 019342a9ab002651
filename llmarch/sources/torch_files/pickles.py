"""Interpret a pickle without importing or calling anything.

Values are plain Python values. A global is a record of its name, a call is a record of the global
and its arguments, and a persistent id a record of its tuple. No instruction reaches outside:
nothing is imported, called or set on an object.

Source: the modules pickletools and pickle of CPython 3.11 (instructions); torch 2.13,
torch.serialization and torch._weights_only_unpickler (what torch.save writes).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ...errors import HeaderError, printable

MAX_INSTRUCTIONS = 60_000_000
"""Instructions of one pickle. Some 40 make a tensor; files have at most 100,000 tensors."""
MAX_STRING = 1_000_000
"""Bytes of one string."""
MAX_DEPTH = 100_000
"""Values on the stack, and marks."""


class PickledGlobal(NamedTuple):
    """A name in a module, which loading would import."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """Return `torch._utils._rebuild_tensor_v2`."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class PickledCall:
    """What loading would call."""

    function: object
    arguments: object
    items: dict[Any, Any] = field(default_factory=dict[Any, Any])
    """What is set in the result by keys, as in an OrderedDict."""


@dataclass(slots=True, eq=False)
class PersistentId:
    """A reference to a storage outside of the pickle."""

    value: object


class _Mark:
    """Stands on the stack where a MARK was."""


class PickleReader:
    """Interprets pickles that stand one after the other in a stream.

    take: returns that many further bytes. Raises HeaderError at the end of the data.
    file: its name, for messages.
    """

    def __init__(self, take: Callable[[int], bytes], file: str) -> None:
        self._take = take
        self._file = file
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._steps = 0
        self.globals: dict[PickledGlobal, None] = {}
        """Every global that was met, in order."""

    def read(self) -> object:
        """Return the value of the next pickle. Raises HeaderError."""
        self._stack = []
        self._memo = {}
        while True:
            self._steps += 1
            if self._steps > MAX_INSTRUCTIONS:
                raise self.error(f"its pickle has more than {MAX_INSTRUCTIONS:,} instructions")
            code = self._take(1)
            if code == b".":
                return self._pop()
            action = _ACTIONS.get(code)
            if action is None:
                raise self.error(f"its pickle has the instruction {code!r}, which no tensor needs")
            action(self)
            if len(self._stack) > MAX_DEPTH * 100:
                raise self.error("its pickle has too many values")

    def error(self, problem: str) -> HeaderError:
        """Return the error that names the file."""
        return HeaderError(f"{printable(self._file)}: {problem}")

    # The stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise self.error("its pickle takes a value from an empty stack")
        value = self._stack.pop()
        if value is _Mark:
            raise self.error("its pickle takes a mark for a value")
        return value

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _pop_to_mark(self) -> list[Any]:
        """Return the values after the last mark, and take them and the mark away."""
        stack = self._stack
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] is _Mark:
                values = stack[place + 1 :]
                del stack[place:]
                return values
        raise self.error("its pickle has no mark where one is needed")

    def _number(self, layout: str) -> int:
        size = struct.calcsize(layout)
        (number,) = struct.unpack(layout, self._take(size))
        return number

    def _string(self, layout: str) -> bytes:
        """Return a string whose length stands before it."""
        length = self._number(layout)
        if not 0 <= length <= MAX_STRING:
            raise self.error(f"its pickle has a string of {length:,} bytes")
        return self._take(length)

    def _line(self) -> str:
        """Return the text up to the end of a line."""
        line = bytearray()
        while True:
            byte = self._take(1)
            if byte == b"\n":
                return line.decode("utf-8", "replace")
            line += byte
            if len(line) > MAX_STRING:
                raise self.error("its pickle has a line without an end")

    # Instructions

    def _skip_protocol(self) -> None:
        self._take(1)

    def _skip_frame(self) -> None:
        self._take(8)

    def _mark(self) -> None:
        self._stack.append(_Mark)

    def _push_text(self, layout: str) -> None:
        text = self._string(layout)
        self._push(text.decode("utf-8", "replace"))

    def _push_old_text(self, layout: str) -> None:
        """Push a string of Python 2, which torch.save wrote there for names."""
        text = self._string(layout)
        self._push(text.decode("latin-1"))

    def _push_bytes(self, layout: str) -> None:
        self._push(self._string(layout))

    def _push_number(self, layout: str) -> None:
        self._push(self._number(layout))

    def _push_float(self) -> None:
        (number,) = struct.unpack(">d", self._take(8))
        self._push(number)

    def _push_long(self, layout: str) -> None:
        digits = self._string(layout)
        if len(digits) > 1_000:
            raise self.error("its pickle has a number of more than 1,000 bytes")
        self._push(int.from_bytes(digits, "little", signed=True))

    def _push_tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(values)))

    def _push_marked_tuple(self) -> None:
        self._push(tuple(self._pop_to_mark()))

    def _push_marked_list(self) -> None:
        self._push(self._pop_to_mark())

    def _push_marked_dict(self) -> None:
        values = self._pop_to_mark()
        self._push(self._with_items({}, values))

    def _append(self) -> None:
        value = self._pop()
        self._extend([value])

    def _append_marked(self) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        """Append values to the list on the stack; the result of a call is not one here."""
        target = self._top()
        if isinstance(target, list):
            items = cast("list[Any]", target)
            items.extend(values)
        elif not isinstance(target, PickledCall | set):
            raise self.error("its pickle appends to something else than a list")

    def _set_item(self) -> None:
        value = self._pop()
        key = self._pop()
        self._with_items(self._top(), [key, value])

    def _set_marked_items(self) -> None:
        values = self._pop_to_mark()
        self._with_items(self._top(), values)

    def _with_items(self, target: Any, values: list[Any]) -> Any:
        """Set keys and values, which stand in turn, in a dict or in what a call makes."""
        if len(values) % 2:
            raise self.error("its pickle has a key without a value")
        items: Any = target
        if isinstance(target, PickledCall):
            items = target.items
        if not isinstance(items, dict):
            raise self.error("its pickle sets an item of something else than a dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes | bool | None):
                key = id(key)  # a key that no name of a tensor is
            items[key] = value
        return target

    def _build(self) -> None:
        """Drop the state of an object: nothing is set on anything."""
        self._pop()
        self._top()

    def _push_global(self) -> None:
        module = self._line()
        name = self._line()
        self._name_global(module, name)

    def _push_stacked_global(self) -> None:
        name = self._pop()
        module = self._pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.error("its pickle names a global by something else than text")
        self._name_global(module, name)

    def _name_global(self, module: str, name: str) -> None:
        found = PickledGlobal(module, name)
        if len(self.globals) < 1_000:
            self.globals[found] = None
        self._push(found)

    def _call(self) -> None:
        arguments = self._pop()
        function = self._pop()
        self._push(PickledCall(function, arguments))

    def _call_with_keywords(self) -> None:
        self._pop()
        self._call()

    def _push_persistent(self) -> None:
        self._push(PersistentId(self._pop()))

    def _keep(self, layout: str) -> None:
        """Remember the value on the stack under a number."""
        self._memo[self._number(layout)] = self._top()

    def _keep_next(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def _push_kept(self, layout: str) -> None:
        number = self._number(layout)
        if number not in self._memo:
            raise self.error(f"its pickle takes value {number}, which it did not keep")
        self._push(self._memo[number])

    def _pop_value(self) -> None:
        if not self._stack:
            raise self.error("its pickle takes a value from an empty stack")
        self._stack.pop()

    def _pop_marked(self) -> None:
        self._pop_to_mark()

    def _duplicate(self) -> None:
        self._push(self._top())


def _with(method: Callable[[PickleReader, Any], None], argument: object) -> _Action:
    """Return an instruction that calls a method with an argument."""

    def action(reader: PickleReader) -> None:
        method(reader, argument)

    return action


def _constant(make: Callable[[], object]) -> _Action:
    """Return an instruction that pushes a new value."""

    def action(reader: PickleReader) -> None:
        reader._push(make())  # pyright: ignore[reportPrivateUsage]

    return action


_Action = Callable[[PickleReader], None]
_R = PickleReader
# pyright: reportPrivateUsage=false
_ACTIONS: dict[bytes, _Action] = {
    b"\x80": _R._skip_protocol,
    b"\x95": _R._skip_frame,
    b"(": _R._mark,
    b"0": _R._pop_value,
    b"1": _R._pop_marked,
    b"2": _R._duplicate,
    b"N": _constant(lambda: None),
    b"\x88": _constant(lambda: True),
    b"\x89": _constant(lambda: False),
    b"}": _constant(dict[Any, Any]),
    b"]": _constant(list[Any]),
    b")": _constant(tuple[Any, ...]),
    b"\x8f": _constant(set[Any]),
    b"\x90": _R._append_marked,
    b"K": _with(_R._push_number, "<B"),
    b"M": _with(_R._push_number, "<H"),
    b"J": _with(_R._push_number, "<i"),
    b"G": _R._push_float,
    b"\x8a": _with(_R._push_long, "<B"),
    b"\x8b": _with(_R._push_long, "<i"),
    b"X": _with(_R._push_text, "<I"),
    b"\x8c": _with(_R._push_text, "<B"),
    b"\x8d": _with(_R._push_text, "<Q"),
    b"U": _with(_R._push_old_text, "<B"),
    b"T": _with(_R._push_old_text, "<i"),
    b"C": _with(_R._push_bytes, "<B"),
    b"B": _with(_R._push_bytes, "<I"),
    b"\x8e": _with(_R._push_bytes, "<Q"),
    b"\x85": _with(_R._push_tuple, 1),
    b"\x86": _with(_R._push_tuple, 2),
    b"\x87": _with(_R._push_tuple, 3),
    b"t": _R._push_marked_tuple,
    b"l": _R._push_marked_list,
    b"d": _R._push_marked_dict,
    b"a": _R._append,
    b"e": _R._append_marked,
    b"s": _R._set_item,
    b"u": _R._set_marked_items,
    b"b": _R._build,
    b"c": _R._push_global,
    b"\x93": _R._push_stacked_global,
    b"R": _R._call,
    b"\x81": _R._call,
    b"\x92": _R._call_with_keywords,
    b"Q": _R._push_persistent,
    b"q": _with(_R._keep, "<B"),
    b"r": _with(_R._keep, "<I"),
    b"\x94": _R._keep_next,
    b"h": _with(_R._push_kept, "<B"),
    b"j": _with(_R._push_kept, "<I"),
}
"""The instructions that are interpreted; any other ends the reading."""
