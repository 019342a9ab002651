"""File names from a repository. Unsafe ones are in test_index.py."""

from __future__ import annotations

import pytest

from llmarch.sources.file_names import is_safe_name


@pytest.mark.parametrize("name", ["a.json", "a/b.json", "..a/b..json", "ä.json", "a b.json"])
def test_safe_names(name: str) -> None:
    assert is_safe_name(name)
