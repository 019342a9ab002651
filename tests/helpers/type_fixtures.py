"""The fixtures of model types: configs that transformers saves of its classes, and their tensors.

tests/oracle/model_types.py wrote them.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from typing import Any

from helpers.folded import Folded
from helpers.paths import FIXTURES

FOLDER = FIXTURES / "model_types"
TYPES = sorted(path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz"))
Tables = list[tuple[str, list[int], list[list[list[int]]], int]]


def read_fixture(model_type: str) -> dict[str, Any]:
    """Return what transformers builds of a type, at its class defaults and with changed fields."""
    return json.loads(gzip.decompress((FOLDER / f"{model_type}.json.gz").read_bytes()))


def folded(rows: Tables) -> Iterator[Folded]:
    """Yield the tensors of a table of the fixture."""
    for pattern, shape, columns, _ in rows:
        numbers = [[n for a, b in column for n in range(a, b + 1)] for column in columns]
        yield pattern, tuple(shape), itertools.product(*numbers)
