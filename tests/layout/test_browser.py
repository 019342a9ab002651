"""Figures in headless Chromium, with the fonts of this machine: no text is over another."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
from helpers import paths
from helpers.facts import reading

from llmarch.renderers.svg import svg
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure

BROWSER = shutil.which("chromium")
ALL = sorted(bundled_models())
PAIRS = random.Random(7).sample(list(combinations(ALL, 2)), 30)
CHECK = (paths.ROOT / "tests" / "helpers" / "overlaps.js").read_text(encoding="utf-8")


def checked(pictures: list[str], folder: Path) -> dict[str, object]:
    """What the browser finds in a page of figures."""
    page = folder / "page.html"
    body = "\n".join(pictures)
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{body}<script>{CHECK}</script>")
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    result = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert result, done.stderr[-2000:]
    return json.loads(html.unescape(result[1]))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium, which .ci/run installs")
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_a_browser_sees_no_overlap(tmp_path: Path, narrow: bool) -> None:
    shown = [*((alias,) for alias in ALL), *PAIRS]
    if narrow:
        shown = shown[::4]
    pictures = [svg(figure([reading(a) for a in aliases]), narrow=narrow) for aliases in shown]
    found = checked(pictures, tmp_path)
    assert found["faults"] == []
    assert found["outside"] == 0
    assert isinstance(found["texts"], int) and found["texts"] > 50 * len(shown)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium, which .ci/run installs")
def test_the_browser_finds_faults(tmp_path: Path) -> None:
    moved = svg(figure([reading("llama3-8b")])).replace('text-anchor="middle"', "")
    assert checked([moved], tmp_path)["faults"]
