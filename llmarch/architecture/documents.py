"""How every JSON document begins."""

from __future__ import annotations

from typing import Any

from .schema import SCHEMA_VERSION

ROWS_OF_DOCUMENTS: dict[str, tuple[str, ...]] = {
    "list": ("models",),
    "columns": ("models",),
    "like": ("nearest",),
    "explain": ("explanations",),
    "rules": ("rules",),
    "gpus": ("gpus",),
    "memory": ("scenarios", "models"),
    "log": ("commits",),
    "check": ("verdicts",),
    "duplicates": ("groups",),
}
"""Lists of documents whose items are lines of NDJSON, by document: the first that is not empty."""


def document_head(name: str) -> dict[str, Any]:
    """Return the first fields of a document: the version of the schema, and what it is.

    name: a key of DOCUMENTS in json_schema.py.
    """
    return {"schema_version": SCHEMA_VERSION, "document": name}
