"""`llmarch draw`, and the pictures of `diff` and `memory`: formats, options, errors."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.program import Run

import llmarch
from llmarch.layout.compose import drawing
from llmarch.renderers import pdf, png
from llmarch.renderers.html import html_page
from llmarch.renderers.svg import svg
from llmarch.views.figure import figure


def test_svg_goes_to_standard_output(run: Run) -> None:
    out, _ = run("draw", "llama3-8b")
    assert ElementTree.fromstring(out).tag.endswith("svg")
    assert "Grouped-query attention" in out


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".svg", b"<svg"), (".html", b"<!doctype"), (".png", b"\x89PNG"), (".pdf", b"%PDF")],
)
def test_the_suffix_names_the_format(run: Run, tmp_path: Path, suffix: str, start: bytes) -> None:
    files = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for file in files:
        run("draw", "llama3-8b", "olmo2-7b", "-o", str(file))
    assert files[0].read_bytes().startswith(start)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_another_suffix_is_an_error(run: Run) -> None:
    _, error = run("draw", "llama3-8b", "-o", "figure.gif", code=2)
    assert ".svg, .png, .pdf, .html" in error


def test_parts_and_scale(run: Run) -> None:
    whole, _ = run("draw", "llama3-8b", "--theme", "light")
    layers, _ = run("draw", "llama3-8b", "--theme", "light", "--only", "layers")
    twice, _ = run("draw", "llama3-8b", "--theme", "light", "--scale", "2")
    assert "query heads" in whole and "query heads" not in layers
    sizes = [re.findall(r'width="(\d+\.?\d*)"', text)[0] for text in (whole, twice)]
    assert float(sizes[1]) == pytest.approx(2 * float(sizes[0]), abs=0.2)


@pytest.mark.parametrize(
    ("command", "option"),
    [("draw", "--scale"), ("memory", "--utilization"), ("memory", "--cpu-offload-gb")],
)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_are_finite(run: Run, command: str, option: str, value: str) -> None:
    _, error = run(command, "llama3-8b", option, value, code=2)
    assert option in error


def test_diff_and_memory_write_pictures_too(run: Run, tmp_path: Path) -> None:
    for command in (["diff", "llama3-8b", "olmo2-7b"], ["memory", "llama3-8b"]):
        file = tmp_path / f"{command[0]}.svg"
        out, _ = run(*command, "--output", str(file))
        assert out == run(*command)[0]
        ElementTree.fromstring(file.read_text())


def hostile() -> str:
    return """</text><script>alert(1)</script>&<!--"' onload="x\x1b[31m\u202e"""


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    reading = llmarch.load("llama3-8b")
    raw = replace(reading.raw, name=hostile(), repo_id=hostile())
    drawn = figure([replace(reading, raw=raw)])
    pages = [svg(drawn), html_page((drawing(drawn), drawing(drawn, narrow=True)))]
    for page in pages:
        assert "<script" not in page and "\x1b" not in page and "\u202e" not in page
    root = ElementTree.fromstring(pages[0])
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "onload" not in {name for e in root.iter() for name in e.attrib}
    assert pdf.pdf(drawing(drawn)).startswith(b"%PDF")
    assert png.png(svg(drawn, theme="light")).startswith(b"\x89PNG")


def test_a_page_asks_for_nothing() -> None:
    page = html_page((drawing(figure([llmarch.load("gpt2")])),))
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="', page) and "url(" not in page


def test_text_stays_text_in_pdf() -> None:
    data = pdf.pdf(drawing(figure([llmarch.load("gpt2")])))
    assert b"/ToUnicode" in data and b"/FontFile2" in data


def test_start_of_show_imports_no_drawing() -> None:
    import subprocess
    import sys

    code = (
        "import sys, json; sys.argv = ['llmarch', 'show', 'gpt2']\n"
        "from llmarch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps([m for m in sys.modules if m.startswith('llmarch.')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    rooms = ("llmarch.layout", "llmarch.views.figure", "llmarch.renderers.svg")
    assert not [module for module in loaded if module.startswith(rooms)]
