"""Findings are limited in number and length, and their text is printable."""

from __future__ import annotations

from helpers.checkpoint_fixtures import check, load, read, table_of, verify_headers

from llmarch.checkpoint.findings import (
    MAX_FINDINGS,
    MAX_TEXT,
    info_finding,
    limit_findings,
    weights_finding,
)


def test_findings_are_limited() -> None:
    tensors = {f"odd{i}.weight": ("BF16", (i + 1,)) for i in range(5000)}
    architecture, rows = read(load("qwen3-0.6b")["config"])
    c = verify_headers(architecture, rows, table_of(tensors))
    assert len(c.findings) == MAX_FINDINGS
    assert "more findings" in c.findings[-1].message
    assert c.status == "conflict"


def test_names_are_made_printable() -> None:
    bad = "model.\x1b[31mred\u202e." + "x" * 1000
    c = check("qwen3-0.6b", lambda t: {**t, bad: ("BF16", (1,))})
    (f,) = c.findings
    assert f.path.isprintable()
    assert len(f.path) <= MAX_TEXT


def test_severe_findings_are_kept() -> None:
    infos = [info_finding("not-comparable", f"a{i}", "") for i in range(MAX_FINDINGS)]
    findings = limit_findings([*infos, weights_finding("tensor-missing", "b", "")])
    assert len(findings) == MAX_FINDINGS
    assert findings[0].path == "b"
    assert findings[-1].severity == "info"
    assert findings[-1].message.endswith("and 1 more findings")
