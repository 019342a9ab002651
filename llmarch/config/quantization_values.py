"""Read and check single values of a declaration of quantisation.

A wrong type or an impossible number is a ConfigError that names file and key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from ..errors import ConfigError
from .evidence import Sourced, same_evidence
from .findings import quoted
from .keys import ConfigKeys

MAX_BITS = 32
"""Bits of the widest number that a weight is stored in."""


def invalid_value(q: ConfigKeys, key: str, need: str) -> ConfigError:
    """Return the error that a key has a value that no checkpoint can have."""
    return ConfigError(
        f"{q.file}: {q.key(key)} is {quoted(q.data[key])}; {need} is needed",
        "It says how the weights are stored.",
    )


def present_key(q: ConfigKeys, keys: Iterable[str]) -> str | None:
    """Return the first of the keys that has a value."""
    return next((key for key in keys if q.has(key)), None)


def read_bits(
    q: ConfigKeys, *keys: str, default: float | None = None, is_whole: bool = True
) -> Sourced:
    """Return the bits of a value. Raises ConfigError unless they are above 0 and at most 32.

    is_whole: whether the method has whole numbers alone.
    """
    bits = q.number(*keys, default=default)
    key = present_key(q, keys)
    if key is None:
        return bits
    is_possible = 0 < bits.value <= MAX_BITS
    if is_whole and bits.value != int(bits.value):
        is_possible = False
    if not is_possible:
        kind = "whole number" if is_whole else "number"
        raise invalid_value(q, key, f"a {kind} of bits from 1 to {MAX_BITS}")
    return bits


def read_group_size(q: ConfigKeys, *keys: str, default: int | None = None) -> Sourced:
    """Return the values that share a scale, None for whole rows (-1). Raises ConfigError for 0."""
    key = present_key(q, keys)
    size = q.value(*keys, default=default)
    if key is None:
        return size
    is_number = isinstance(size.value, int) and not isinstance(size.value, bool)
    if not is_number or size.value < -1 or size.value == 0:
        raise invalid_value(q, key, "a positive number of weights, or -1 for whole rows,")
    if size.value == -1:
        return same_evidence(None, size)
    return size


def read_block(q: ConfigKeys, key: str) -> Sourced:
    """Return a block [rows, columns], which some tools write as `128x128`."""
    block = q.value(key, default=None)
    if not q.has(key):
        return block
    sizes: object = block.value
    if isinstance(sizes, str) and re.fullmatch(r"\d{1,9}x\d{1,9}", sizes):
        sizes = [int(size) for size in sizes.split("x")]
    if not isinstance(sizes, list):
        raise invalid_value(q, key, "a list of two positive sizes")
    items = cast("list[object]", sizes)
    if len(items) != 2 or not all(type(size) is int and size > 0 for size in items):
        raise invalid_value(q, key, "a list of two positive sizes")
    return same_evidence(items, block)


def read_names(q: ConfigKeys, *keys: str) -> Sourced:
    """Return a list of names, empty where there is none."""
    names = q.items(*keys, default=None, entry=str)
    return same_evidence(names.value or [], names)


def read_nested_names(q: ConfigKeys, key: str) -> Sourced:
    """Return the names of a list of lists of names (GPTQ, in the order of its work)."""
    names = q.items(key, default=None, entry=(str, list))
    flat: list[str] = []
    entries: list[str | list[object]] = names.value or []
    for entry in entries:
        flat += [entry] if isinstance(entry, str) else [str(name) for name in entry]
    return same_evidence(flat, names)


def read_flag(q: ConfigKeys, key: str) -> Sourced:
    """Return true or false, or None where the config does not say."""
    flag = q.flag(key, default=None)
    if not q.has(key):
        return same_evidence(None, flag)
    return flag


def read_objects(q: ConfigKeys, key: str) -> list[ConfigKeys]:
    """Return the objects under the names of a nested object."""
    named = q.child(key)
    return [named.child(name) for name in named.data]
