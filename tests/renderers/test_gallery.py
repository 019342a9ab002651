"""The site of `llmarch gallery`: its files, its facts, and pages in headless Chromium."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import models
from helpers.browser import WIDTHS, in_browser, is_seen, opened, serious_faults, wait_until
from helpers.checkpoints import write
from helpers.facts import reading
from helpers.pages import Page, faults
from helpers.program import Run

import llmarch
from llmarch.checkpoint.reading import Observation, Reading
from llmarch.cli.gallery import write_site
from llmarch.cli.report import report_page_text
from llmarch.renderers.web.gallery_html import CONTRADICTED, card_element, index_page
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare
from llmarch.views.features import FEATURES, feature_table, possible_first
from llmarch.views.gallery import by_release, file_ids, gallery_cards

SHOWN = (
    *("gpt2", "llama3-8b", "olmo2-7b", "deepseek-v2-lite", "deepseek-v3", "qwen3-next"),
    *("gemma3-27b", "kimi-k2", "gpt-oss-20b"),
)
EVIL = "</script><script>alert(1)</script>|\"' onload=x"
FIRST_VIEW = 300_000
"""Bytes that the first view may take."""
ALL = sorted(bundled_models())


def shown() -> list[Reading]:
    return by_release([reading(alias) for alias in SHOWN])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery") / "below" / "site"
    write_site(folder, shown())
    return folder


def pairs(site: Path, id: str) -> dict[str, Any]:
    text = (site / "pairs" / f"{id}.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("llmarchPairs(").removesuffix(");\n"))


def test_the_site_is_whole(site: Path) -> None:
    """Every page is strict, and every link within the site leads to a file of it."""
    files = {str(file.relative_to(site)) for file in site.rglob("*") if file.is_file()}
    assert len(files) == 3 + 4 * len(SHOWN)
    for name in sorted(files):
        if not name.endswith(".html"):
            continue
        page = Page((site / name).read_text(encoding="utf-8"))
        assert faults(page) == [], name
        for _, attributes in page.elements:
            for key in ("href", "src"):
                target, _, _ = attributes.get(key, "").partition("#")
                if target and ":" not in target:
                    found = (site / name).parent / target
                    assert found.resolve().is_relative_to(site.resolve()) and found.is_file()


def test_pairs_are_those_of_diff(site: Path) -> None:
    """Each pair once, the older model first, word for word."""
    readings = shown()
    for i, (old, new) in enumerate(zip(readings[:-1], readings[2:], strict=False)):
        found = pairs(site, file_ids([old.raw.reference])[0])
        assert set(found["pairs"]) == {r.raw.reference for r in readings[i + 1 :]}
        pair, texts = found["pairs"][new.raw.reference], found["texts"]
        compared = compare([old, new])
        assert [[texts[n] for n in row[1:]] for row in pair["rows"]] == compared.table.rows
        assert texts[pair["headline"]] == compared.summary
        assert [texts[n] for n in pair["equal"]] == compared.equal


def test_cards_of_all_models_have_what_filters_need() -> None:
    cards = gallery_cards(by_release([reading(alias) for alias in ALL]))
    assert len({card.id for card in cards}) == len(ALL)
    for card in cards:
        assert card.maker and card.attention and card.norms and card.total >= card.active > 0
        assert all(" / " not in name and "parallel" not in name for name in card.norms)
    html = index_page([*cards, *cards, *cards][:300])
    assert len(html) < FIRST_VIEW / 1.4


def test_strings_of_repositories_are_no_markup_in_the_site(tmp_path: Path) -> None:
    r = reading("qwen3-8b")
    raw = replace(r.raw, name=EVIL, reference=f"../../{EVIL}", repo_id=EVIL, released=EVIL)
    hostile = replace(r, raw=raw)
    write_site(tmp_path / "site", [hostile, reading("llama3-8b")])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["site"]
    for file in (tmp_path / "site").rglob("*"):
        if file.is_file():
            assert "<script>alert" not in file.read_text(encoding="utf-8"), file
        if file.suffix == ".html":
            assert faults(Page(file.read_text(encoding="utf-8"))) == []
    (card, *_) = gallery_cards([hostile])
    assert card_element(card).count("<input") == 1


def test_models_that_no_family_reads_have_cards_and_pairs(tmp_path: Path) -> None:
    """And one whose checkpoint contradicts its config says so on its card."""
    repository = models.files("gpt2-124m", config=lambda c: {**c, "model_type": "unheard_of"})
    seen = llmarch.inspect(str(write(tmp_path / "seen", repository)))
    assert isinstance(seen, Observation)
    write_site(tmp_path / "site", [seen, reading("llama3-8b")])
    (card, _) = gallery_cards([seen, reading("llama3-8b")])
    assert card.total and not card.cache
    assert "<svg" in (tmp_path / "site" / "figures" / f"{card.id}.svg").read_text()
    found = pairs(tmp_path / "site", card.id)
    assert {len(row) for pair in found["pairs"].values() for row in pair["rows"]} == {5}
    spoilt = replace(gallery_cards([reading("gpt2")])[0], contradicted=True)
    assert CONTRADICTED in card_element(spoilt) and CONTRADICTED not in card_element(card)


def test_names_of_files_are_safe_and_different() -> None:
    ids = file_ids(
        ["Org/Name@v1", "org/name-v1", "../x", "..", "/", "org-name-v1-2", "org/name v1"]
    )
    assert len(set(ids)) == 7
    assert not [id for id in ids if id.startswith(".") or "/" in id]


def test_features_know_their_first_models() -> None:
    """Every feature is somewhere; a model of which only the year is known may be the first."""
    assert possible_first([0, 1, 2], ["2024-12", "2024", "2025"]) == [0, 1]
    assert possible_first([0, 1], ["2024-02", "2024-03"]) == [0]
    assert possible_first([0, 1], ["", ""]) == [0, 1]
    readings = by_release([reading(alias) for alias in ALL])
    table = feature_table(readings)
    assert {f.title for f in table.features} == {term.feature for term in FEATURES}
    assert sum(table.totals) == len(ALL)
    first = {f.title: {readings[i].raw.reference for i in f.first} for f in table.features}
    mla = {"deepseek-v2", "deepseek-v2-lite"}
    assert first["multi-head latent attention (MLA)"] == mla
    assert "kimi-linear" in first["Kimi Delta Attention"]
    for feature in table.features:
        assert all(n <= total for n, total in zip(feature.years, table.totals, strict=True))
        assert sum(feature.years) == len(feature.models)


def test_a_file_is_no_folder(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "site"
    file.write_text("")
    _, error = run("gallery", "qwen3-8b", "-o", str(file), code=2)
    assert "name a folder" in error


# In a browser


def names(page: Any) -> list[str]:
    """The models that are seen, in order."""
    return page.evaluate(
        """() => [...document.querySelectorAll('#cards li:not([hidden]) h2')]
          .map((name) => name.textContent)"""
    )


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("file", ["index.html", "compare.html", "timeline.html"])
def test_pages_fit_and_have_no_faults(browser: Any, site: Path, file: str, width: int) -> None:
    page = opened(browser, site / file, width)
    if file == "compare.html":
        page.wait_for_selector("#result table")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert serious_faults(page) == []
    assert page.told == []


@pytest.mark.slow
@in_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_any_length_fit(browser: Any, tmp_path: Path, width: int) -> None:
    """In reports and in the gallery: a name of 200 letters that has no place to break it."""
    long = reading("qwen3-8b")
    raw = replace(long.raw, name="a_name" * 33, reference="a_name" * 33, repo_id=None)
    both = [replace(long, raw=raw), reading("gpt2")]
    write_site(tmp_path, both)
    (tmp_path / "report.html").write_text(report_page_text(both), encoding="utf-8")
    for file in ("index.html", "compare.html", "report.html", "models/gpt2.html"):
        page = opened(browser, tmp_path / file, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
        page.context.close()


@pytest.mark.slow
@in_browser
def test_filters_search_and_order(browser: Any, site: Path) -> None:
    cards = {card.name: card for card in gallery_cards(shown())}
    page = opened(browser, site / "index.html")
    assert len(names(page)) == len(SHOWN)
    page.select_option("#attention", "mla")
    assert set(names(page)) == {n for n, card in cards.items() if "mla" in card.attention}
    assert page.text_content("#count") == "3 of 9 models"
    page.select_option("#maker", "moonshotai")
    assert names(page) == ["Kimi-K2-Instruct"] and "maker=moonshotai" in page.url
    page.reload()
    assert names(page) == ["Kimi-K2-Instruct"]
    page.click("#clear")
    wait_until(page, "document.getElementById('count').textContent === '9 models'")
    page.fill("#search", "deltanet 2025")
    assert names(page) == ["Qwen3-Next-80B-A3B-Instruct"]
    page.fill("#search", "<nothing>")
    assert names(page) == [] and is_seen(page, "#none")
    page.fill("#search", "")
    for order, key in {"total": lambda c: -c.total, "cache": lambda c: c.cache}.items():
        page.select_option("#sort", order)
        assert names(page) == sorted(cards, key=lambda name: key(cards[name]))
    for field, value in {"norm": "pre-norm", "experts": "dense", "year": "2024"}.items():
        page.select_option(f"#{field}", value)
    seen = [c for c in cards.values() if "pre-norm" in c.norms and c.experts == "dense"]
    assert set(names(page)) == {c.name for c in seen if c.year == "2024"}
    assert page.told == []


@pytest.mark.slow
@in_browser
def test_any_two_models_are_compared_by_keyboard(browser: Any, site: Path) -> None:
    page = opened(browser, site / "index.html")
    for id in ("kimi-k2", "deepseek-v3"):
        page.focus(f"input[value={id}]")
        page.keyboard.press("Space")
    page.focus("#compare")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result table")
    compared = compare([reading("deepseek-v3"), reading("kimi-k2")])
    cells = page.evaluate(
        """() => [...document.querySelectorAll('[data-row]')]
          .map((row) => [...row.children].map((cell) => cell.textContent))"""
    )
    assert cells == compared.table.rows
    assert page.text_content("#pair-headline") == compared.summary
    page.select_option("#second", "gpt2")
    wait_until(page, "document.querySelector('#result h2').textContent.startsWith('gpt2 ')")
    assert "second=gpt2" in page.url
    page.select_option("#second", "kimi-k2")
    wait_until(page, "!document.querySelector('#result table')")
    assert page.text_content("#result") == "Choose two different models."
    assert page.told == []


@pytest.mark.slow
@in_browser
def test_the_first_view_is_small(browser: Any, site: Path, tmp_path: Path) -> None:
    """The page of all models, with as many pictures as a browser loads at once."""
    cards = gallery_cards(by_release([reading(alias) for alias in ALL]))
    (tmp_path / "index.html").write_text(index_page(cards), encoding="utf-8")
    (tmp_path / "thumbnails").mkdir()
    for card in cards:
        shutil.copy(site / "thumbnails" / "deepseek-v3.svg", tmp_path / f"thumbnails/{card.id}.svg")
    page = opened(browser, tmp_path / "index.html")
    wait_until(page, "[...document.images].filter((i) => i.naturalWidth).length > 8")
    page.wait_for_load_state("networkidle")
    read = [Path(url.removeprefix("file://").partition("#")[0]) for url in page.files]
    assert len(read) > 8
    assert sum(file.stat().st_size for file in read) <= FIRST_VIEW


@pytest.mark.slow
@in_browser
def test_the_gallery_is_readable_without_scripts(browser: Any, site: Path) -> None:
    page = opened(browser, site / "index.html", java_script_enabled=False)
    assert page.locator("#cards h2").count() == len(SHOWN) and not is_seen(page, "#filters")
    page.click("#cards h2 a >> nth=0")
    assert is_seen(page, "#facts") and page.url.endswith(".html")
