"""Reports in headless Chromium: what their scripts compute, keyboard use, accessibility."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import WIDTHS, in_browser, is_seen, opened, serious_faults, wait_until
from helpers.facts import reading

from llmarch.analyses.planning import ModelPlanner, PlanOptions
from llmarch.cli.report import report_page_text
from llmarch.errors import PlanError
from llmarch.renderers.web.report_html import report_html
from llmarch.sources.aliases import bundled_models
from llmarch.views import numbers
from llmarch.views.memory_terms import OWN_FORMAT
from llmarch.views.page import ReportPage, reported_model

pytestmark = [
    pytest.mark.slow,
    in_browser,
]
ALL = sorted(bundled_models())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "pair.html"
    file.write_text(
        report_page_text([reading("gemma3-27b"), reading("qwen3-next")]), encoding="utf-8"
    )
    return file


@pytest.mark.parametrize("width", WIDTHS)
def test_a_report_fits_and_has_no_faults(browser: Any, pair: Path, width: int) -> None:
    page = opened(browser, pair, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert serious_faults(page) == []
    assert page.told == []


def test_the_keyboard_reaches_all_of_a_report(browser: Any, pair: Path) -> None:
    page = opened(browser, pair)
    page.focus(".strip")
    page.keyboard.press("End")
    assert page.text_content("#layer-0").startswith("layer 61 · ")
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#layer-0").startswith("layer 60 · ")
    page.focus("#batch-slider")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#batch") == "2" and "batch=2" in page.url
    page.focus("#fact-attention-window .about-button")
    page.keyboard.press("Enter")
    assert is_seen(page, "#about-fact-attention-window")
    assert "config key" in page.text_content("#about-fact-attention-window")
    page.keyboard.press("Escape")
    assert not is_seen(page, "#about-fact-attention-window")
    page.focus("details.folded summary >> nth=0")
    page.keyboard.press("Enter")
    assert page.locator("details.folded >> nth=0").get_attribute("open") is not None
    page.click("#unfold")
    assert page.locator("details.folded:not([open])").count() == 0
    page.hover("#fact-attention-window .about-button")
    page.wait_for_selector("#about-fact-attention-window", state="visible")
    assert page.told == []


def test_links_lead_to_facts_and_scenarios(browser: Any, pair: Path) -> None:
    page = opened(browser, pair, fragment="#fact-attention-kind")
    page.wait_for_selector("#fact-attention-kind", state="visible")
    page = opened(browser, pair, fragment="#context=5000&batch=7&cache=fp8&weights=int4")
    values = [page.input_value(f"#{id}") for id in ("context", "batch", "cache", "weights")]
    assert values == ["5000", "7", "fp8", "int4"]
    page = opened(browser, pair, fragment="#context=-1&batch=x&cache=<b>&weights=none")
    assert page.input_value("#batch") == "1" and page.input_value("#cache") == "auto"
    assert page.told == []


def test_a_report_is_readable_without_scripts(browser: Any, pair: Path) -> None:
    page = opened(browser, pair, java_script_enabled=False)
    assert not is_seen(page, "#controls") and is_seen(page, "#usual")
    page.locator("details.folded summary").first.click()
    assert page.locator("details.folded table").first.is_visible()
    page.click("#fact-attention-window .about-button")
    assert is_seen(page, "#about-fact-attention-window")


SCENARIOS = [
    *((1, 1, "auto", "as-stored"), (131072, 1, "auto", "as-stored")),
    *((4097, 64, "fp8", "int4"), (10**6 + 1, 3, "q8_0", "q4_k_m")),
    *((127, 1000, "fp8_ds_mla", "mxfp4"), (33333, 5, "nvfp4", "fp8")),
    *((2**31, 999, "fp32", "bf16"), (777, 2, "int4_per_token_head", "q8_0")),
]


PARTS = ("weights", "cache", "state", "total")
"""What a page says of each model; the document has the same under names with a unit too."""


def test_a_page_computes_what_memory_computes(browser: Any, tmp_path: Path) -> None:
    """All models, with windows, latents, compressed entries and states, byte for byte."""
    models = [reported_model(alias, reading(alias), words_of(alias)) for alias in ALL]
    page = ReportPage("all", "all", tuple(ALL), tuple(models), (), (), ())
    file = tmp_path / "all.html"
    file.write_text(report_html(page, [], []), encoding="utf-8")
    shown = opened(browser, file)
    planners = {alias: ModelPlanner(reading(alias)) for alias in ALL}
    refused = 0
    for context, batch, cache, weights in SCENARIOS:
        fragment = f"context={context}&batch={batch}&cache={cache}&weights={weights}"
        shown.evaluate("fragment => { location.hash = fragment }", fragment)
        wait_until(shown, f"document.getElementById('context').value === '{context}'")
        for alias, cells in zip(ALL, computed_cells(shown), strict=True):
            asked = None if weights == OWN_FORMAT else weights
            options = PlanOptions(context=context, batch=batch, kv_dtype=cache, weights=asked)
            try:
                taken = planners[alias].plan(options).plan.one_copy
            except PlanError:
                refused += 1
                assert cells["cache"][0] == "", alias
                continue
            parts = {name: size for name, size in taken.to_dict().items() if name in PARTS}
            expected = {name: str(size) for name, size in parts.items()}
            assert {name: cell[0] for name, cell in cells.items()} == expected, alias
            words = {n: numbers.size(b) if b else "-" for n, b in parts.items()}
            assert {name: cell[1] for name, cell in cells.items()} == words, alias
    assert 0 < refused < len(ALL) * len(SCENARIOS) / 2
    assert shown.told == []


def words_of(alias: str) -> list[str]:
    """The kinds of layers of a model."""
    from llmarch.views.observed_comparison import legend_words

    return list(legend_words([reading(alias)]))


def computed_cells(page: Any) -> list[dict[str, tuple[str, str]]]:
    """Bytes and words of each cell of the computed table, by model."""
    return page.evaluate(
        """() => [...document.querySelectorAll('#computed tbody tr')].map((row) =>
          Object.fromEntries([...row.querySelectorAll('td')].map((cell) =>
            [cell.dataset.part, [cell.dataset.bytes, cell.textContent]])))"""
    )


def test_sizes_round_as_in_python(browser: Any, tmp_path: Path) -> None:
    """Ties too: 10.25 GiB, exactly between two texts, goes to the even one."""
    chosen = random.Random(3)
    ties = [2048 * chosen.randrange(1, 2**12) for _ in range(20)]
    file = tmp_path / "llama.html"
    file.write_text(report_page_text([reading("llama3-8b")]), encoding="utf-8")
    page = opened(browser, file)
    for context in (*ties, *(chosen.randrange(1, 2**20) for _ in range(20))):
        page.fill("#context", str(context))
        for size, words in computed_cells(page)[0].values():
            assert words == (numbers.size(int(size)) if int(size) else "-")


def test_axe_finds_faults(browser: Any, pair: Path) -> None:
    page = opened(browser, pair)
    page.evaluate("document.querySelector('.headline').innerHTML = '<img src=data:,>'")
    assert [fault for fault in serious_faults(page) if fault.startswith("image-alt")]
