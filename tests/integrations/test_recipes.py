"""CONTRIBUTING's recipes, walked in a copy of the tree: a family, a fact, a rule, an output format.

Each is first left half done, to see that the suite says what is missing, and then completed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.slow

CONFIG = {
    "model_type": "walked",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
EMBEDDING_AND_HEAD = 2 * 300 * 64
LAYER = 64 * (64 + 16 + 16 + 64) + 3 * 64 * 96 + 2 * 64
TOTAL = EMBEDDING_AND_HEAD + 3 * LAYER + 64

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what a contributor changes and runs."""
    tree = tmp_path / "llmarch"
    for name in ("llmarch", "specs", "scripts", "tests", "docs"):
        ignored = shutil.ignore_patterns("__pycache__", "headers", "indexes")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture
def run(copy: Path) -> Run:
    """Run Python in the copy: `run("-m", "llmarch", "show", "x", code=2)`."""

    def python(*args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(
            [sys.executable, *args], cwd=copy, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return python


def edit(file: Path, old: str, new: str) -> None:
    """Replace text that stands in a file once."""
    source = file.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{file.name} has {source.count(old)} times {old!r}"
    file.write_text(source.replace(old, new), encoding="utf-8")


def pytest_args(*paths: str) -> tuple[str, ...]:
    return ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths)


def test_a_family(copy: Path, run: Run) -> None:
    config = copy / "config.json"
    config.write_text(json.dumps(CONFIG))
    said = run("scripts/new_family.py", "walked", "--from", "config.json", "--title", "Walked")
    assert "Next:" in said.stdout
    shown = json.loads(run("-m", "llmarch", "show", "config.json", "-f", "json").stdout)
    assert shown["parameters"]["total"] == TOTAL
    assert shown["unread_keys"] == []
    undone = run(*pytest_args("tests/config/test_defaults.py"), code=1)
    assert "make oracle ARGS='model_types walked'" in undone.stdout
    run(*pytest_args("tests/test_structure.py"))
    again = run("scripts/new_family.py", "other", "--from", "config.json", code=2)
    assert "walked has a family already" in again.stderr


def test_a_fact(copy: Path, run: Run) -> None:
    schema = copy / "llmarch" / "architecture" / "schema.py"
    catalogue = copy / "llmarch" / "architecture" / "catalogue" / "model.py"
    last = "    def block(self, path: str)"
    field = (
        '    walked: bool = False\n    """Whether a recipe was walked. It has no tensors."""\n\n'
    )
    edit(schema, last, field + last)
    undone = run(*pytest_args("tests/architecture/test_catalogue.py"), code=1)
    assert "walked" in undone.stdout
    entry = """
    Fact(
        "walked",
        "Config",
        "walked",
        ChangeRule("walked-changed", "info", "walk changed", "The recipe was walked or not."),
    ),
"""
    edit(catalogue, "\nFACTS = (\n", f"\nFACTS = ({entry}")
    undone = run(*pytest_args("tests/compare/test_rules.py"), code=1)
    assert "walked-changed" in undone.stdout
    with (copy / "tests" / "fixtures" / "rule_ids.txt").open("a", encoding="utf-8") as ids:
        ids.write("walked-changed info\n")
    run("scripts/docs.py")
    assert "walked-changed" in (copy / "docs" / "rules.md").read_text(encoding="utf-8")
    assert "recipe was walked" in (copy / "docs" / "glossary.md").read_text(encoding="utf-8")
    run(*pytest_args("tests/architecture/test_catalogue.py", "tests/test_scripts.py"))
    assert "recipe was walked" in run("-m", "llmarch", "schema").stdout
    explained = run("-m", "llmarch", "show", "qwen3-0.6b", "--explain", "walked").stdout
    assert "recipe was walked" in explained


def test_a_rule(copy: Path, run: Run) -> None:
    run("scripts/new_rule.py", "recipe-walked", "info", "a recipe was walked")
    assert "a recipe was walked" in run("-m", "llmarch", "rules", "explain", "recipe-walked").stdout
    undone = run(*pytest_args("tests/compare/test_rules.py"), code=1)
    assert "recipe-walked" in undone.stdout
    again = run("scripts/new_rule.py", "recipe-walked", "info", "a recipe was walked", code=2)
    assert "never reused" in again.stderr


def test_an_output_format(copy: Path, run: Run) -> None:
    renderer = copy / "llmarch" / "renderers" / "lines.py"
    renderer.write_text(
        '"""Reports as one line a change."""\n\n'
        "from __future__ import annotations\n\n"
        "from ..compare.report import Report\n\n\n"
        "def report(r: Report) -> str:\n"
        '    """Return the report."""\n'
        '    return "".join(f"{v.name} {c.rule} {c.path} {c.new}\\n" for v in r.verdicts '
        "for c in v.changes)\n"
    )
    check = copy / "llmarch" / "cli" / "check.py"
    edit(check, '    junit = "junit"\n', '    junit = "junit"\n    lines = "lines"\n')
    case = (
        "        case ReportFormat.lines:\n"
        "            from ..renderers import lines\n\n"
        "            return lines.report(report)\n"
    )
    edit(check, "        case ReportFormat.junit:\n", f"{case}        case ReportFormat.junit:\n")
    args = ("check", "qwen3-8b", "--against", "qwen3-0.6b", "--format", "lines")
    assert "hidden-size-changed hidden_size" in run("-m", "llmarch", *args, code=1).stdout
    run(*pytest_args("tests/test_structure.py"))
