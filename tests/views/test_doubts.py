"""What a reconstructed config does not tell surely is marked where it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import SPECS

import llmarch
from llmarch.config.certainty import certainty_by_key, certainty_mark, marked_facts
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare
from llmarch.views.doubts import doubt_lines, marked_rows
from llmarch.views.model import model_sheet

MARKED = [a for a in sorted(bundled_models()) if marked_facts(llmarch.load(a).evidence)]


def provenance(alias: str) -> dict[str, Any]:
    """Return where the config of a spec comes from."""
    return json.loads((SPECS / f"{alias}.json").read_text())["provenance"]


def test_specs_have_marked_facts() -> None:
    assert {"granite-4.0-h-small", "ministral3-14b", "kimi-k2-thinking"} <= set(MARKED)
    assert all(provenance(alias)["state"] == "reconstructed" for alias in MARKED)


@pytest.mark.parametrize("alias", sorted(bundled_models()))
def test_each_fact_has_the_certainty_of_its_key(alias: str) -> None:
    """A doubtful key of the config that is a fact by itself marks that fact, and no cited one."""
    by_key = certainty_by_key(provenance(alias))
    evidence = llmarch.load(alias).evidence
    for source in evidence.values():
        if source.kind == "config" and source.ref in by_key:
            assert source.certainty == by_key[source.ref]
    if not by_key:
        assert not any(source.certainty for source in evidence.values())


@pytest.mark.parametrize("alias", MARKED)
def test_marks_stand_in_show_diff_and_explain(alias: str, run: Any) -> None:
    reading = llmarch.load(alias)
    marked = marked_facts(reading.evidence)
    lines = [line for _, text in model_sheet(reading).lines for line in text]
    for text in (line for lines in doubt_lines(reading).values() for line in lines):
        assert text in lines

    other = llmarch.load("gpt2")
    table = compare([reading, other], everything=True).table
    rows = marked_rows(reading)
    shown = {label: cell for label, cell, *_ in table.rows}
    for (_, label), mark in rows.items():
        if shown.get(label, "–") not in ("–", "none"):
            assert shown[label].endswith(f"({mark})")

    path = next(iter(marked))
    out, _ = run("show", alias, "--explain", path)
    assert "reconstructed; this value is" in " ".join(out.split())
    uncertain = json.loads(run("show", alias, "--format", "json")[0])["source"]["uncertain"]
    assert {path: certainty_mark(text) for path, text in uncertain.items()} == marked


def test_list_marks_reconstructed_configs_and_stand_ins(run: Any) -> None:
    document: Any = json.loads(run("list", "--format", "json")[0])
    by_alias = {m["alias"]: m for m in document["models"]}
    assert by_alias["granite-4.0-h-small"]["config"] == "reconstructed"
    assert by_alias["gemma4-31b"]["config"] == "stand-in"
    assert by_alias["granite-4.1-8b"]["uncertain"]["context_length"] == "derived"
    out, _ = run("list", "gemma4-31b")
    assert "stand-in" in out


def test_no_alias_stands_for_a_quantised_copy_of_another_organisation() -> None:
    for alias, model in bundled_models().items():
        organisation = model["repo_id"].partition("/")[0].lower()
        assert organisation != "nvidia" or alias.startswith("nemotron"), alias


@pytest.mark.parametrize("alias", ["gemma4-31b", "qwen3.6-27b", "qwen3.6-35b-a3b"])
def test_a_stand_in_is_the_makers_model_unquantised(alias: str, run: Any) -> None:
    reading = llmarch.load(alias)
    assert reading.architecture.quantization is None
    assert reading.architecture.dtype == "bfloat16"
    for arguments in (("show", alias), ("show", alias, "-f", "markdown"), ("diff", alias, "gpt2")):
        assert "stand-in" in " ".join(run(*arguments)[0].split())


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("qwen3-8b", True),
        ("Qwen3-8B", True),
        ("Qwen3-8B-Base", False),
        ("Qwen2.5-7B-Instruct", True),
        ("Qwen2.5-7B", False),
        ("qwen2.5-7b", True),
        ("mixtral", True),
    ],
)
def test_a_name_that_is_not_exact_is_said(text: str, exact: bool, run: Any) -> None:
    findings = [f.rule for f in llmarch.load(text).findings]
    assert ("name-not-exact" in findings) is not exact
    out, _ = run("show", text)
    assert ("there is no spec of" in " ".join(out.split())) is not exact
