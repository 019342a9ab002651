"""Imports within the room run one way: records first, then what reads them."""

from __future__ import annotations

import ast

import pytest
from helpers.paths import ROOT

ROOM = ROOT / "llmarch" / "architecture"
ORDER = (
    "frozen",
    "primitives",
    "quantization",
    "feed_forward",
    "mixers",
    "encoders",
    "schema",
    "layers",
    "fingerprint",
    "meanings",
    "documents",
    "json_tables",
    "adapters",
    "json_show",
    "json_memory",
    "json_brief",
    "json_adapter",
    "json_scan",
    "json_compare",
    "json_schema",
)
"""A module may import those before it."""


@pytest.mark.parametrize("module", ORDER)
def test_imports_within_the_room_run_one_way(module: str) -> None:
    tree = ast.parse((ROOM / f"{module}.py").read_text("utf-8"))
    imported = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    }
    assert imported <= set(ORDER[: ORDER.index(module)])
