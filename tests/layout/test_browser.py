"""Figures in headless Chromium: no text is over another, with Inter and with its widest fallback.

Inter is the one that llmarch ships; a plain Debian has no other font than DejaVu Sans.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from helpers import paths
from helpers.browser import in_browser, opened, started
from helpers.facts import reading

from llmarch.renderers.svg import svg
from llmarch.sources.aliases import bundled_models
from llmarch.views.figure import figure

ALL = sorted(bundled_models())
PAIRS = random.Random(7).sample(list(combinations(ALL, 2)), 30)
CHECK = (paths.ROOT / "tests" / "helpers" / "overlaps.js").read_text(encoding="utf-8")


FONTS = {
    "Inter": (
        paths.ROOT / "llmarch" / "renderers" / "fonts",
        ("Inter-Regular.ttf", "Inter-SemiBold.ttf"),
    ),
    "DejaVu Sans": (
        Path("/usr/share/fonts/truetype/dejavu"),
        ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ),
}
"""By name the files of a font. No condensed faces: a plain Debian has none."""
FONTCONFIG = """<?xml version="1.0"?>
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


@pytest.fixture(scope="module", params=FONTS)
def font(request: pytest.FixtureRequest) -> str:
    """The font that the browser has."""
    return request.param


@pytest.fixture(scope="module")
def browser(font: str, tmp_path_factory: Any) -> Iterator[Any]:
    """A browser that has one font, in two weights."""
    source, names = FONTS[font]
    folder = tmp_path_factory.mktemp("fonts")
    (folder / "fonts").mkdir()
    for name in names:
        shutil.copy(source / name, folder / "fonts")
    config = folder / "fonts.conf"
    config.write_text(FONTCONFIG.format(folder=folder), encoding="utf-8")
    with started(FONTCONFIG_FILE=str(config)) as found:
        yield found


def checked(browser: Any, pictures: list[str], folder: Path) -> dict[str, object]:
    """What the browser finds in a page of figures."""
    page = folder / "page.html"
    body = "\n".join(pictures)
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{body}<script>{CHECK}</script>")
    return json.loads(opened(browser, page).text_content("#found"))


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_a_browser_sees_no_overlap(browser: Any, font: str, tmp_path: Path, narrow: bool) -> None:
    shown = [*((alias,) for alias in ALL), *PAIRS]
    if narrow or font == "Inter":  # which is narrower than the other one
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
