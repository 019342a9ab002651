"""docs/glossary.md names every fact of the schema; tests/test_scripts.py holds it current."""

from __future__ import annotations

import re

from helpers.paths import ROOT

from llmarch.architecture import schema
from llmarch.architecture.frozen import Frozen
from llmarch.architecture.meanings import class_meanings

PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| (.+) \|$", re.MULTILINE)


def test_every_record_of_the_schema_is_on_the_page() -> None:
    records = {
        name
        for name in schema.__all__
        if isinstance(getattr(schema, name), type) and issubclass(getattr(schema, name), Frozen)
    }
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == records


def test_every_fact_has_a_row_with_its_label() -> None:
    """Leaves have the label of their row in `diff`; parts that hold others, and remarks, do not."""
    parts = re.split(r"^### (\w+)$", PAGE.partition("## Beside the architecture")[0], flags=re.M)
    for owner, text in zip(parts[1::2], parts[2::2], strict=True):
        fields = class_meanings()[owner].fields
        rows = {name: label.strip() for name, label, _, _ in ROW.findall(text)}
        assert list(rows) == list(fields), owner
        leaves = [name for name, field in fields.items() if not field.classes]
        assert {name for name in leaves if not rows[name]} <= {"reason"}, owner


def test_units_stand_beside_facts() -> None:
    assert "| `window` | window | tokens |" in PAGE
