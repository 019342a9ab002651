"""A finding names its rule, what it is about, and its message in every format of every command."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from helpers.checkpoints import write
from helpers.models import files, having

import llmarch
from llmarch.architecture.schema import Finding
from llmarch.checkpoint.reading import Observation, Reading
from llmarch.cli.check import ReportFormat, report_text
from llmarch.cli.lock import print_entry
from llmarch.compare.gate import judge
from llmarch.compare.lock import make_entry
from llmarch.compare.policy import Policy
from llmarch.compare.report import Report
from llmarch.compare.rules import RULES
from llmarch.renderers import json as documents
from llmarch.renderers import markdown, text
from llmarch.views import comparison, inferred, model
from llmarch.views.findings import finding_line

FINDINGS = tuple(
    Finding(
        rule=rule.id,
        path=f"model.layers.{i}.self_attn.q_norm.weight",
        message=f"[{i}, 128] expected, [{i}, 64] in the checkpoint",
        severity=rule.severity,
    )
    for i, rule in enumerate(rule for rule in RULES if rule.pattern is None)
)
"""A finding of every rule, each about another tensor."""


def plain(content: str) -> str:
    """Text without escapes, markup and blanks: lines may be broken anywhere."""
    content = content.replace("%0A", "\n").replace("%25", "%")
    content = html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", content))
    return re.sub(r"\s|<!-- -->", "", content)


def missing(content: str, findings: tuple[Finding, ...]) -> list[str]:
    """The parts of findings that a text does not have."""
    shown = plain(content)
    return [
        part for f in findings for part in (f.rule, f.path, f.message) if plain(part) not in shown
    ]


@pytest.fixture(scope="module")
def reading() -> Reading:
    found = llmarch.load("qwen3-8b")
    return replace(found, findings=FINDINGS)


@pytest.fixture(scope="module")
def observation(tmp_path_factory: pytest.TempPathFactory) -> Observation:
    folder = tmp_path_factory.mktemp("mystery")
    found = llmarch.inspect(str(write(folder, files("qwen3-0.6b", having(model_type="mystery")))))
    assert isinstance(found, Observation)
    return replace(found, observed=replace(found.observed, findings=FINDINGS))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[], None]], str]:
    def collect(show: Callable[[], None]) -> str:
        show()
        return capsys.readouterr().out

    return collect


@pytest.mark.parametrize("columns", ["80", "120"])
def test_show_and_diff_in_text(
    reading: Reading, printed: Any, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = printed(lambda: text.sheet(model.model_sheet(reading)))
    assert missing(shown, FINDINGS) == []
    compared = comparison.compare([reading, llmarch.load("qwen3-14b")])
    assert missing(printed(lambda: text.comparison(compared)), FINDINGS) == []


def test_show_and_diff_in_markdown(reading: Reading) -> None:
    assert missing(markdown.sheet(model.model_sheet(reading)), FINDINGS) == []
    compared = comparison.compare([reading, llmarch.load("qwen3-14b")])
    assert missing(markdown.comparison(compared), FINDINGS) == []


def test_show_in_json(reading: Reading, observation: Observation) -> None:
    for found in (reading, observation):
        assert missing(json.dumps(documents.model_document(found)["findings"]), FINDINGS) == []


def test_show_of_an_observed_model(observation: Observation, printed: Any) -> None:
    sheet = inferred.inferred_sheet(observation)
    assert missing(printed(lambda: text.sheet(sheet)), FINDINGS) == []
    assert missing(markdown.sheet(sheet), FINDINGS) == []


FORMATS: dict[str, Callable[[Report], str]] = {
    **{kind.value: partial(report_text, kind=kind) for kind in ReportFormat},
    "a failed assertion": str,
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("level", ["weights", "info"])
def test_check_in_every_format(reading: Reading, name: str, level: Any) -> None:
    """One finding at a time: a format may show only so many."""
    old = make_entry(llmarch.load("qwen3-8b"))
    for finding in FINDINGS:
        new = make_entry(replace(reading, findings=(finding,)))
        report = Report((judge(old, new, Policy(level)),), level)
        assert missing(FORMATS[name](report), (finding,)) == []


def test_the_line_of_a_finding() -> None:
    f = Finding(rule="dtype-changed", path="", message="m")
    assert finding_line(f) == "dtype-changed: m"
    assert finding_line(replace(f, path="a.b")) == "dtype-changed: a.b: m"


def test_lock_names_the_tensor(reading: Reading, capsys: pytest.CaptureFixture[str]) -> None:
    """`llmarch lock` prints what is wrong with a model that it writes down."""
    print_entry("qwen3-8b", None, make_entry(reading))
    wrong = tuple(f for f in FINDINGS if f.severity != "info")
    assert missing(capsys.readouterr().out, wrong) == []
