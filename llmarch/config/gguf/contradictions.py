"""Compare numbers of a GGUF file that no config key is made of with the facts that are read.

llama.cpp reads them too (src/llama-model.cpp, `load_hparams`): it makes tensors by some, and
refuses a file whose tensors have other shapes; with others it computes something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from ...architecture.frozen import Frozen
from ...architecture.schema import Architecture, Finding, Severity
from .document import GgufDocument


class _Stated(NamedTuple):
    """A key, and the fields of mixers that say the same."""

    key: str
    fields: frozenset[str]
    breaks: Severity
    needs: str = ""
    """A field without which no mixer has what the key is about."""


_KEY_WIDTHS = frozenset({"head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "kv_lora_rank"})
_VALUE_WIDTHS = frozenset({"v_head_dim", "kv_lora_rank"})
_ROTATED = frozenset({"rotary_dim"})
_BASES = frozenset({"theta"})
_STATED = (
    _Stated("attention.key_length", _KEY_WIDTHS, "weights"),
    _Stated("attention.key_length_swa", _KEY_WIDTHS, "weights"),
    _Stated("attention.value_length", _VALUE_WIDTHS, "weights"),
    _Stated("attention.value_length_swa", _VALUE_WIDTHS, "weights"),
    _Stated("rope.dimension_count", _ROTATED, "behaviour", needs="rope"),
    _Stated("rope.dimension_count_swa", _ROTATED, "behaviour", needs="window"),
    _Stated("rope.freq_base", _BASES, "behaviour", needs="rope"),
    _Stated("rope.freq_base_swa", _BASES, "behaviour", needs="window"),
)
_OTHERWISE = frozenset(
    {
        ("gemma4", "rope.dimension_count"),
        ("kimi-linear", "attention.value_length"),
        ("chatglm", "rope.dimension_count"),
    }
)
"""What the converter writes of another thing: for Gemma 4 the width of heads of which a part
rotates, for Kimi Linear and GLM-4 hidden_size by heads, whatever the heads' width."""
_ACCURACY = 1e-5
"""Relative difference of numbers that a file rounds to float32."""


def contradicted_keys(data: Mapping[str, Any], architecture: Architecture) -> list[Finding]:
    """Return a finding for each number of the file that no mixer of the architecture has.

    data: the nested metadata, with the tensors in short.
    architecture: what was read of it.
    """
    document = GgufDocument(data)
    findings: list[Finding] = []
    for stated in _STATED:
        value = document.get(stated.key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if (document.architecture, stated.key) in _OTHERWISE:
            continue
        blocks = architecture.mixers
        if stated.needs and not any(_numbers(blocks, frozenset({stated.needs}))):
            continue
        known = {*_numbers(blocks, stated.fields)}
        if known and not any(_is_same(value, number) for number in _with_sums(known, stated)):
            findings.append(_finding(document.name(stated.key), value, stated))
    return findings


def _finding(key: str, value: float, stated: _Stated) -> Finding:
    reading = "llama.cpp makes tensors by it, and refuses those of other shapes"
    if stated.breaks == "behaviour":
        reading = "llama.cpp computes with it"
    return Finding(
        rule="config-contradiction",
        path=key,
        message=f"{key} is {value:,g}, which no fact has that the other keys and the tensors make:"
        f" {reading}",
        severity=stated.breaks,
        new=value,
    )


def _with_sums(known: set[float], stated: _Stated) -> set[float]:
    """Return numbers, and for keys also what two make: those of latent attention have two parts."""
    if stated.fields != _KEY_WIDTHS:
        return known
    return {*known, *(first + second for first in known for second in known)}


def _is_same(value: float, number: float) -> bool:
    return abs(value - number) <= _ACCURACY * abs(number)


def _numbers(record: object, fields: frozenset[str]) -> Iterator[float]:
    """Yield the numbers in some fields of a record and of those in it; all where none is named."""
    if isinstance(record, Mapping):
        values = cast("Mapping[str, object]", record)
        for value in values.values():
            yield from _numbers(value, fields)
    elif isinstance(record, Frozen):
        for field in record.__dataclass_fields__:
            inside = frozenset[str]() if field in fields else fields
            yield from _numbers(getattr(record, field), inside)
    elif not fields and isinstance(record, (int, float)) and not isinstance(record, bool):
        yield record
