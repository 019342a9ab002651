"""Figures in headless Chromium, with the fonts of this machine: no text is over another."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from helpers import paths
from helpers.browser import in_browser, opened
from helpers.facts import reading

from llmarch.renderers.svg import svg
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure

ALL = sorted(bundled_models())
PAIRS = random.Random(7).sample(list(combinations(ALL, 2)), 30)
CHECK = (paths.ROOT / "tests" / "helpers" / "overlaps.js").read_text(encoding="utf-8")


def checked(browser: Any, pictures: list[str], folder: Path) -> dict[str, object]:
    """What the browser finds in a page of figures."""
    page = folder / "page.html"
    body = "\n".join(pictures)
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{body}<script>{CHECK}</script>")
    return json.loads(opened(browser, page).text_content("#found"))


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_a_browser_sees_no_overlap(browser: Any, tmp_path: Path, narrow: bool) -> None:
    shown = [*((alias,) for alias in ALL), *PAIRS]
    if narrow:
        shown = shown[::4]
    pictures = [svg(figure([reading(a) for a in aliases]), narrow=narrow) for aliases in shown]
    found = checked(browser, pictures, tmp_path)
    assert found["faults"] == []
    assert found["outside"] == 0
    assert isinstance(found["texts"], int) and found["texts"] > 50 * len(shown)


@pytest.mark.slow
@in_browser
def test_the_browser_finds_faults(browser: Any, tmp_path: Path) -> None:
    moved = svg(figure([reading("llama3-8b")])).replace('text-anchor="middle"', "")
    assert checked(browser, [moved], tmp_path)["faults"]
