"""The page of `llmarch report`: all facts, nothing that a repository says as markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers import models
from helpers.checkpoints import write
from helpers.facts import reading
from helpers.pages import Page, faults
from helpers.program import Run

import llmarch
from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import Observation, Reading
from llmarch.cli.report import report_page_text
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare
from llmarch.views.memory_terms import memory_terms
from llmarch.views.page import report_page

SHOWN = [
    ["deepseek-v3"],
    ["llama3-8b", "olmo2-7b"],
    ["gemma3-27b", "qwen3-next", "gpt2-124m"],
    ["qwen3-8b", "qwen3-8b"],
]
EVIL = "<script>alert(1)</script>\"' onload=x ]]>--> </title>\x1b[31m"


@pytest.mark.parametrize("aliases", SHOWN, ids="-".join)
def test_a_report_is_one_strict_page(aliases: list[str]) -> None:
    page = Page(report_page_text([reading(alias) for alias in aliases]))
    assert faults(page) == []
    assert not [a for a in page.all("script") if "src" in a] and page.all("link") != []


@pytest.mark.parametrize("aliases", SHOWN[1:], ids="-".join)
def test_a_report_has_every_row_of_diff(aliases: list[str]) -> None:
    """Those that differ stand open, the others are folded."""
    readings = [reading(alias) for alias in aliases]
    facts = report_page(readings).facts
    assert [[f.label, *f.cells] for f in facts] == rows(readings, everything=True)
    assert [[f.label, *f.cells] for f in facts if not f.folded] == rows(readings, everything=False)


@pytest.mark.parametrize(
    "aliases", [["deepseek-v3", "llama4-maverick"], ["minimax-m3", "gpt2", "kimi-k2"], ["gpt2"]]
)
def test_a_note_is_said_once(aliases: list[str]) -> None:
    html = report_page_text([reading(alias) for alias in aliases])
    notes = html.partition('id="notes"')[2].partition("</section>")[0]
    items = [text.partition(">")[2] for text in notes.split("<li")[1:]]
    assert sorted(set(items)) == sorted(items)


def rows(readings: list[Reading], everything: bool) -> list[list[str]]:
    count = len(readings) + 1
    return [row[:count] for row in compare(readings, everything).table.rows]


def test_every_fact_of_the_catalogue_has_meaning_and_source() -> None:
    for alias in sorted(bundled_models())[::9]:
        page = report_page([reading(alias)])
        known = [fact for fact in page.facts if fact.sources != (("computed from the facts",),)]
        assert len(known) > len(page.facts) / 2
        assert [fact.label for fact in known if not fact.meaning] == []


def hostile() -> Reading:
    """A model whose every string from a repository is markup."""
    r = reading("qwen3-8b")
    provenance = {"source": f"github:{EVIL}", "commit": EVIL, "path": EVIL}
    raw = replace(
        r.raw, name=EVIL, reference=EVIL, repo_id=EVIL, commit=EVIL, provenance=provenance
    )
    a = replace(r.architecture, model_type=EVIL, family=EVIL)
    finding = Finding(rule="remote-code", path=EVIL, message=EVIL, severity="behaviour")
    evidence = {path: replace(e, ref=EVIL) for path, e in r.evidence.items()}
    return replace(r, raw=raw, architecture=a, findings=(finding,), config_evidence=evidence)


@pytest.mark.parametrize("others", [[], ["llama3-8b"]], ids=["alone", "beside another"])
def test_strings_of_repositories_are_no_markup(others: list[str]) -> None:
    harmless = Page(report_page_text([reading(alias) for alias in ["qwen3-8b", *others]]))
    html = report_page_text([hostile(), *map(reading, others)])
    page = Page(html)
    assert faults(page) == []
    assert len(page.all("script")) == len(harmless.all("script"))
    assert not [a for _, a in page.elements if "onload" in a]
    assert "<script>alert" not in html and "\x1b" not in html
    assert any("<script>alert(1)" in text for text in page.texts)


def test_an_address_that_is_none_is_no_link() -> None:
    from llmarch.renderers.web.elements import outside_link

    assert outside_link("model", "javascript:alert(1)") == "model"
    assert 'href="https://x.org/&quot;&gt;"' in outside_link("model", 'https://x.org/">')


def test_a_model_that_no_family_reads_has_a_report(tmp_path: Path) -> None:
    repository = models.files("gpt2-124m", config=lambda c: {**c, "model_type": "unheard_of"})
    seen = llmarch.inspect(str(write(tmp_path, repository)))
    assert isinstance(seen, Observation)
    for shown in ([seen], [seen, seen], [seen, reading("gpt2-124m")]):
        page = Page(report_page_text(shown))
        assert faults(page) == []
        assert any("unheard_of" in text for text in page.texts)


def test_terms_are_few() -> None:
    """A page holds the terms of a model, not a table of results."""
    for alias in sorted(bundled_models())[::5]:
        terms = memory_terms(reading(alias))
        assert terms.caches[terms.cache_dtype] or not reading(alias).architecture.mixers
        assert all(len(cache) <= 12 for cache in terms.caches.values())


def test_the_command_writes_a_file_or_to_standard_output(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    out, _ = run("report", "qwen3-8b")
    run("report", "qwen3-8b", "-o", str(file))
    assert file.read_text(encoding="utf-8") == out
    assert out.startswith("<!doctype html>")
