"""Every fact and every JSON key has a meaning, and each path finds its own."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from subprocess import run
from typing import get_args, get_type_hints

import pytest
from helpers.checkpoint_fixtures import NAMES, load, table_of, tensors_of
from helpers.paths import ROOT

import llmarch
from llmarch.architecture import (
    json_adapter,
    json_compare,
    json_memory,
    json_scan,
    json_show,
    schema,
)
from llmarch.architecture.frozen import Frozen
from llmarch.architecture.meanings import PathMeanings, class_meanings, unwrap
from llmarch.checkpoint.inference.model import infer_model
from llmarch.sources.aliases import bundled_models
from llmarch.views.evidence import OBSERVED_MEANINGS

RECORDS = [
    value
    for name in schema.__all__
    if isinstance(value := getattr(schema, name), type) and issubclass(value, Frozen)
]
DOCUMENTS = [
    value
    for module in (json_adapter, json_compare, json_memory, json_scan, json_show)
    for name, value in vars(module).items()
    if name.endswith("Document")
]

ACTIVATIONS = {"sigmoid", "silu", "softplus"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.__name__)
def test_every_field_of_the_schema_has_a_meaning(record: type[Frozen]) -> None:
    meaning = class_meanings()[record.__name__]
    assert list(meaning.fields) == [f.name for f in fields(record)]
    assert meaning.text
    assert not [name for name, field in meaning.fields.items() if not field.text]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.__name__)
def test_every_key_of_the_documents_has_a_meaning(document: type) -> None:
    meaning = class_meanings()[document.__name__]
    assert list(meaning.fields) == list(document.__annotations__)
    assert meaning.text
    assert not [name for name, field in meaning.fields.items() if not field.text]


def test_meanings_are_sentences() -> None:
    """Whole sentences, or a sentence and a list; short enough for a cell of a table."""
    for name, meaning in class_meanings().items():
        for field, found in meaning.fields.items():
            where, text = f"{name}.{field}", found.text
            assert text[0].isupper() or text[0] in "`ε", where
            last = text.split("\n")[-1]
            assert last.endswith(".") or last.startswith("- "), where
            assert len(text) <= 700, where


def test_a_default_of_none_is_explained() -> None:
    """Where None is allowed, the meaning says what it stands for."""
    unexplained = [
        f"{record.__name__}.{f.name}"
        for record in RECORDS
        for f in fields(record)
        if "None" in str(f.type)
        and "None" not in class_meanings()[record.__name__].fields[f.name].text
    ]
    allowed_by_class = {f"RopeScaling.{f.name}" for f in fields(schema.RopeScaling)}
    assert set(unexplained) - allowed_by_class == {
        "Residual.active",
        "Residual.iterations",
        "Residual.eps",
    }


def test_every_word_that_a_field_allows_is_explained() -> None:
    """Each stands in the meaning of the field or of the class; names of activations need not."""
    for record in RECORDS:
        meaning = class_meanings()[record.__name__]
        for name, kind in get_type_hints(record).items():
            words = [w for choice in (kind, *get_args(kind)) for w in get_args(choice)]
            words = [w for w in words if isinstance(w, str)]
            if len(words) < 2 or kind == schema.Severity or {"sigmoid"} <= set(words) < ACTIVATIONS:
                continue
            text = meaning.fields[name].text + meaning.text
            assert not [w for w in words if f"`{w}`" not in text], f"{record.__name__}.{name}"


def test_every_fact_of_every_bundled_model_has_a_meaning() -> None:
    for alias in sorted(bundled_models()):
        evidence = llmarch.load(alias).evidence
        meanings = PathMeanings(evidence)
        assert not [path for path in evidence if not meanings.meaning(path)], alias


@pytest.mark.parametrize("name", NAMES[::7])
def test_facts_of_observed_models_have_a_meaning(name: str) -> None:
    fixture = load(name)
    observed = infer_model(table_of(tensors_of(fixture)), {**fixture["config"], "model_type": "x"})
    meanings = PathMeanings(observed.evidence)
    for path in observed.evidence:
        assert meanings.meaning(path) or path.rpartition(".")[2] in OBSERVED_MEANINGS, path


@pytest.mark.parametrize(
    ("alias", "path", "owner", "field"),
    [
        ("qwen3-235b", "hidden_size", "Architecture", "hidden_size"),
        ("qwen3-235b", "mixers", "Architecture", "mixers"),
        ("qwen3-235b", "mixers.full", "Attention", ""),
        ("qwen3-235b", "mixers.full.qk_norm.scope", "QKNorm", "scope"),
        ("qwen3-235b", "ffns.moe.router.scale", "Router", "scale"),
        ("deepseek-v3", "mixers.full.rope.scaling.factor", "RopeScaling", "factor"),
        ("deepseek-v3", "mixers.full", "LatentAttention", ""),
        ("deepseek-v3", "ffns.dense.width", "Dense", "width"),
        ("deepseek-v4-flash", "mixers.sliding.window", "CompressedAttention", "window"),
        ("kimi-linear", "mixers.linear.key_heads", "LinearAttention", "key_heads"),
        ("gemma3n-e4b", "towers.vision.stem", "ConvTower", "stem"),
        ("gemma3n-e4b", "towers.audio.norm.eps", "Norm", "eps"),
        ("gemma3-27b", "towers.vision.projector.0.bias", "Linear", "bias"),
        ("gemma3-27b", "layer_kinds.full.steps.0.branches.0.block", "Branch", "block"),
        ("gemma3-27b", "mixers.full.nonsense", "", ""),
        ("gemma3-27b", "nonsense", "", ""),
    ],
)
def test_a_path_finds_its_class_and_field(alias: str, path: str, owner: str, field: str) -> None:
    meanings = PathMeanings(llmarch.load(alias).evidence)
    assert meanings.locate(path) == (owner, field)


def test_a_block_has_the_meaning_of_its_class() -> None:
    meanings = PathMeanings(llmarch.load("qwen3-235b").evidence)
    classes = class_meanings()
    assert meanings.meaning("mixers.full") == classes["Attention"].text
    assert meanings.meaning("mixers.full.rope") == classes["Rope"].text
    assert meanings.meaning("mixers.full.window") == classes["Attention"].fields["window"].text
    assert meanings.meaning("nonsense") == ""


def test_unwrap_keeps_paragraphs_and_lists() -> None:
    text = "One\ntwo.\n\n- three\n  four\n- five\nsix\n\nSeven."
    assert unwrap(text) == "One two.\n\n- three four\n- five six\n\nSeven."


def test_meanings_are_read_from_a_zip(tmp_path: Path) -> None:
    """A package in a zip (zipapp, wheel on the path) has no files to open."""
    archive = tmp_path / "llmarch.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in (ROOT / "llmarch").rglob("*.py"):
            out.write(path, path.relative_to(ROOT))
    code = (
        "from llmarch.architecture.meanings import class_meanings, __file__ as f;"
        "print('.zip' in f, class_meanings()['Norm'].fields['eps'].text)"
    )
    done = run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(archive)},
    )
    assert done.stdout.startswith("True Constant ε") or done.stdout.startswith("True Constant")


def test_without_source_there_are_no_meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmarch.architecture import meanings

    class_meanings.cache_clear()
    monkeypatch.setattr(meanings, "read_source", lambda module: None)
    assert meanings.class_meanings() == {}
    class_meanings.cache_clear()
