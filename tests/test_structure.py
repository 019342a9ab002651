"""Imports run one way: reference -> source -> raw -> family -> Architecture -> analyses / diff -> view -> renderer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llmarch"
IO = ("huggingface_hub", "httpx", "urllib.request", "socket", "ssl", "requests", "subprocess")
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute names of what a file imports at run time, ours as `llmarch.x.y`; what only type checkers see is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(n)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for child in node.body
        for n in ast.walk(child)
    }
    package = ["llmarch", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{a.name}" for a in node.names}
    return found


def name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def ours(found: set[str]) -> set[str]:
    return {f.removeprefix("llmarch.") for f in found if f.startswith("llmarch.")}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    found, here = imports(path), name(path)
    room = here.split(".")[0]
    if room != "renderers":
        assert not any(f.split(".")[0] == "rich" for f in found), "only renderers know rich"
    if room != "sources":
        assert not [f for f in found if f.startswith(IO)], "only sources do I/O"
    mine = {f.split(".")[0] for f in ours(found)}
    forbidden = {
        "schema": {
            "raw",
            "family",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "facts",
            "words",
            "errors",
        },
        "errors": {"raw", "family", "reader", "sources", "views", "renderers", "cli", "schema"},
        "raw": {
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "analyses",
        },
        "family": {
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "analyses",
        },
        "families": {"reader", "sources", "views", "renderers", "cli", "checkpoint", "analyses"},
        "analyses": {
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "raw",
        },
        "checkpoint": {"families", "reader", "sources", "views", "renderers", "cli"},
        "changes": {
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "raw",
        },
        "rules": {
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "raw",
        },
        "fingerprint": {
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
        },
        "lock": {"family", "families", "sources", "views", "renderers", "cli", "checkpoint"},
        "policy": {
            "raw",
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "lock",
        },
        "gate": {
            "raw",
            "family",
            "families",
            "reader",
            "sources",
            "views",
            "renderers",
            "cli",
            "checkpoint",
        },
        "checking": {"family", "families", "views", "renderers", "cli", "checkpoint"},
        "sources": {
            "family",
            "families",
            "reader",
            "views",
            "renderers",
            "cli",
            "checkpoint",
            "analyses",
        },
        "reader": {"views", "renderers", "cli", "changes"},
        "views": {"renderers", "cli", "sources"},
        "facts": {"renderers", "cli", "sources", "views", "reader"},
        "renderers": {"cli", "sources", "family", "families"},
    }.get(room, set())
    assert not mine & forbidden, f"{here} must not import {mine & forbidden}"
