"""The library as programs and notebooks use it, and the page that documents it."""

from __future__ import annotations

import dataclasses
import doctest
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.checkpoints import write
from helpers.facts import one_of_each_kind, reading
from helpers.models import files, having
from helpers.paths import ROOT

import llmarch
from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.json_schema import validate
from llmarch.errors import ConfigError, LlmarchError, PlanError, UnsoundModel

HOSTILE = "<script>alert(1)</script>|[x](javascript:y)\x1b[31m\u202e"


def test_the_page_is_what_python_prints() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", page, re.DOTALL)
    text = "\n".join(blocks)
    test = doctest.DocTestParser().get_doctest(text, {}, "docs/python.md", None, 0)
    assert len(test.examples) > 15
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_importing_it_imports_next_to_nothing() -> None:
    script = "import llmarch, sys; print(*(m for m in sys.modules if m.startswith('llmarch')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["llmarch"], done.stderr


def test_every_public_name_is_there() -> None:
    for name in llmarch.__all__:
        assert getattr(llmarch, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        llmarch.nothing  # noqa: B018
    assert isinstance(reading("qwen3-8b"), llmarch.Reading)


def test_compare_is_a_function_and_a_package() -> None:
    assert isinstance(llmarch.compare, ModuleType)
    from llmarch.compare.diff import diff

    assert callable(llmarch.compare) and callable(diff)
    assert repr(llmarch.compare(["qwen3-8b", "qwen3-4b"])).startswith("<Comparison Qwen3-8B /")
    with pytest.raises(LlmarchError, match="two models or more"):
        llmarch.compare(["qwen3-8b"])


# Numbers


@pytest.mark.parametrize("alias", one_of_each_kind()[::6])
def test_numbers_are_those_of_the_documents(alias: str) -> None:
    r = reading(alias)
    document = json.loads(json.dumps(r.to_dict()))
    validate(document)
    counted = document["parameters"]
    assert {name: getattr(r.parameters, name) for name in ("total", "mtp", "stored")} == {
        name: counted[name] for name in ("total", "mtp", "stored")
    }
    context = r.architecture.context_length or 4096
    assert r.cache(context).bytes == document["cache"]["bytes_at"].get(str(context), 0) or not (
        r.architecture.context_length
    )
    assert r.cache(4096, batch=3).bytes == 3 * r.cache(4096).bytes
    layers = r.layers
    assert [layer.kind for layer in layers] == list(r.architecture.layers)
    assert sum(layer.parameters for layer in layers) <= count_parameters(r.architecture).total
    assert len(r.facts) > 20
    for text in (repr(r), repr(r.cache())):
        assert len(text) < 700 and text.count("\n") < 8


def test_a_plan_has_units_in_its_names() -> None:
    plan = reading("qwen3-8b").memory("H100", "8k", batch=2, engine="vllm")
    assert plan.fits and plan.to_dict()["room_bytes"] == plan.room_bytes_per_gpu
    row = plan.row()
    assert row["weights_bytes_per_gpu"] == plan.weights_bytes_per_gpu
    assert row["cache_bytes_per_gpu"] == plan.cache_bytes_per_gpu
    assert row["state_bytes_per_gpu"] == plan.state_bytes_per_gpu == 0
    assert row["largest_context_tokens"] == plan.largest_context_tokens
    assert row["largest_batch_sequences"] == plan.largest_batch_sequences
    assert "H100" in plan._repr_markdown_() and "yes" in repr(plan)
    assert reading("qwen3-8b").memory().fits is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": "many"}, "not a number of tokens"),
        ({"context": 0}, "has no token"),
        ({"batch": 0}, "has no sequence"),
        ({"engine": "vlm"}, "no engine is called"),
        ({"dtype": "int1"}, "no cache dtype"),
    ],
)
def test_what_is_not_possible_is_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        reading("qwen3-8b").cache(**arguments)


# Tables


def is_flat(rows: list[Any]) -> bool:
    """Whether rows are records of single values, as `pandas.DataFrame` takes them."""
    records = [dataclasses.asdict(row) if dataclasses.is_dataclass(row) else row for row in rows]
    return all(isinstance(record, dict) for record in records)


def test_rows_are_flat() -> None:
    compared = llmarch.compare(["qwen3-8b", "gemma3n-e4b", reading("deepseek-v3")])
    assert is_flat(llmarch.models()) and is_flat(reading("qwen3-8b").layers)
    for rows in (compared.figures, compared.facts):
        assert is_flat(rows)
        assert not [v for row in rows for v in row.values() if isinstance(v, (dict, list))]
    assert list(compared.facts[0]) == ["path", *compared.names]
    validate(json.loads(json.dumps(compared.to_dict())))
    assert set(compared.changes) == set(compared.names[1:])


def test_models_are_chosen_as_list_does() -> None:
    rows = llmarch.models(
        "qwen3", moe=True, attention="gqa", sort="-total", condition="layers > 90"
    )
    assert rows[0]["alias"] == "qwen3-vl-235b"
    with pytest.raises(LlmarchError, match="no bundled model has a fact"):
        llmarch.models(columns=["nothing"])


# Strings of repositories


@pytest.fixture
def hostile(work: Path) -> list[Any]:
    """A model whose names are markup, one that no family reads, and a comparison of both."""
    config = having(model_type=HOSTILE, architectures=[HOSTILE])
    write(work / "unknown", files("qwen3-0.6b", config))
    write(work / "model", files("qwen3-0.6b", having(hidden_act=HOSTILE)))
    shown = [llmarch.inspect("./unknown"), llmarch.inspect("./model")]
    named = [dataclasses.replace(r, raw=dataclasses.replace(r.raw, name=HOSTILE)) for r in shown]
    assert isinstance(named[0], llmarch.Observation) and isinstance(named[1], llmarch.Reading)
    return [*named, llmarch.compare(named), named[1].cache(), named[1].memory("H100")]


def test_nothing_of_a_repository_is_markup(hostile: list[Any]) -> None:
    for shown in hostile:
        html, markdown, text = shown._repr_html_(), shown._repr_markdown_(), repr(shown)
        assert "<script" not in html + markdown
        assert not re.search(r"(?<!\\)\]\(", markdown)
        for made in (html, markdown, text):
            assert "\x1b" not in made and "\u202e" not in made
        assert re.findall(r"<(\w+)", html.split(">", 1)[0]) == ["div"]
    observed = hostile[0]
    assert observed.facts and observed.brief()["document"] == "brief"
    validate(json.loads(json.dumps(observed.to_dict())))


# Locks


def test_locking(work: Path) -> None:
    write(work / "model", files("qwen3-0.6b"))
    done = llmarch.lock(["qwen3-8b", "./model"])
    assert done.references == ("./model", "qwen3-8b") and "verified" in repr(done)
    assert llmarch.check().exit_code == 0
    assert llmarch.lock((), remove=["qwen*"]).removed == ("qwen3-8b",)
    with pytest.raises(ConfigError, match="does not have"):
        llmarch.lock((), remove=["other"])
    with pytest.raises(ConfigError, match="nothing to remove"):
        llmarch.lock((), "other.lock", remove=["other"])
    with pytest.raises(UnsoundModel, match="standard input"):
        llmarch.lock("-")
    write(work / "odd", files("qwen3-0.6b", having(num_key_value_heads=4)))
    with pytest.raises(UnsoundModel, match="has a conflict") as caught:
        llmarch.lock("./odd")
    assert caught.value.exit_code == 1
    assert not llmarch.lock("./odd", allow_conflict=True).models["./odd"].partial
