"""Bundled specs are found by all their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmarch.sources import aliases
from llmarch.sources.aliases import alias_of, bundled_models, find_alias


def test_every_spec_is_found_by_its_names() -> None:
    for alias, model in bundled_models().items():
        assert find_alias(alias) == alias
        assert find_alias(alias.upper()) == alias
        assert find_alias(model["repo_id"].rpartition("/")[2]) == alias
        assert alias_of(model["repo_id"].lower()) == alias
        for other in model.get("also") or ():
            assert find_alias(other) == alias


def test_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "one.json").write_text(
        '{"alias": "one", "name": "The One", "repo_id": "acme/The-One-7B", "also": ["uno"]}'
    )
    monkeypatch.setattr(aliases, "specs_folder", lambda: tmp_path / "specs")
    bundled_models.cache_clear()
    try:
        assert [find_alias(t) for t in ("one", "The One", "the-one-7b", "uno", "the-one")] == [
            "one"
        ] * 5
    finally:
        bundled_models.cache_clear()
