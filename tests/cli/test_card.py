"""`llmarch card`: the section of a model card, its badge and figure, and a card that is updated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import facts
from helpers.program import Run

from llmarch.layout.badge import badge_drawing
from llmarch.renderers.markdown import CARD_BEGIN, CARD_END, card_section, with_card
from llmarch.views.card import model_card
from llmarch.views.model import model_sheet


@pytest.mark.sweep
@pytest.mark.parametrize("alias", facts.one_of_each_kind())
def test_a_card_has_all_that_show_says(alias: str) -> None:
    reading = facts.reading(alias)
    described = model_card(reading)
    section = card_section(described)
    shown = model_sheet(reading)
    for label, lines in shown.lines:
        assert f"| {label} | " in section and section.count("<br>") >= len(lines) - 1
    assert section.count("\n- ") == len(shown.notes)
    drawing = badge_drawing(described.badge)
    assert described.badge.words in drawing.title and drawing.width < 640


def test_the_section_is_replaced_where_it_stood(run: Run, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("---\nlicense: mit\n---\n# My model\n")
    run("card", "qwen3-0.6b", "--update", str(readme))
    first = readme.read_text()
    assert first.startswith("---\nlicense: mit\n---\n# My model\n\n" + CARD_BEGIN)
    readme.write_text(first + "\nThanks.\n")
    run("card", "deepseek-v3", "--update", str(readme))
    second = readme.read_text()
    assert second.count(CARD_BEGIN) == second.count(CARD_END) == 1
    assert "596.05 M" in first and "596.05 M" not in second and "671.03 B" in second
    assert second.endswith("\nThanks.\n")


def test_pictures_are_named_as_the_page_finds_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    badge, figure = tmp_path / "a b" / "badge.svg", tmp_path / "figure.svg"
    page = tmp_path / "CARD.md"
    run("card", "qwen3-0.6b", "-o", str(page), "--badge", str(badge), "--figure", str(figure))
    pictures = re.findall(r"!\[(.*)\]\((.*)\)", page.read_text())
    assert pictures == [
        ("architecture: GQA · 596.05 M · from config", "a%20b/badge.svg"),
        ("Architecture of Qwen3-0.6B", "figure.svg"),
    ]
    assert badge.read_text().startswith("<svg") and figure.read_text().startswith("<svg")


@pytest.mark.parametrize(
    "document", [CARD_BEGIN, CARD_END, CARD_END + CARD_BEGIN, CARD_BEGIN * 2 + CARD_END]
)
def test_a_card_with_broken_marks_is_left_alone(document: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="marks"):
        with_card(document, "section")
    readme = tmp_path / "README.md"
    readme.write_text(document)
    _, err = run("card", "qwen3-0.6b", "--update", str(readme), code=2)
    assert "delete the marks" in err and readme.read_text() == document


def test_usage(run: Run, tmp_path: Path) -> None:
    _, err = run("card", "qwen3-0.6b", "-o", "a.md", "--update", "b.md", code=2)
    assert "exclude each other" in err
    _, err = run("card", "qwen3-0.6b", "--badge", "badge.pdf", code=2)
    assert ".svg, .png" in err
    run("card", "qwen3-0.6b", "--update", str(tmp_path / "none.md"), code=2)
