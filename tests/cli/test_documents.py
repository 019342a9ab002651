"""Every command that writes JSON writes documents that `llmarch schema` describes, key by key."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import typer
from helpers.checkpoints import write
from helpers.facts import one_of_each_kind, reading
from helpers.loopback import Hub
from helpers.models import files, having
from helpers.paths import FIXTURES
from helpers.program import Run

from llmarch import cli
from llmarch.architecture.documents import ROWS_OF_DOCUMENTS
from llmarch.architecture.json_schema import DOCUMENTS, LINES, json_schema
from llmarch.architecture.schema import SCHEMA_VERSION
from llmarch.renderers import json as documents
from llmarch.views.brief import brief_document

LOG = FIXTURES / "start_logs" / "vllm.txt"
BOT = "acme/bot"
INVOCATIONS: dict[str, tuple[str, ...]] = {
    "show": (
        "show qwen3-8b",
        "show kimi-linear --new",
        "show gemma3n-e4b --explain rope",
        "show qwen3-8b --brief",
        "show ./model",
        "show ./unknown",
        "show ./unknown --brief",
    ),
    "diff": (
        "diff deepseek-v3 kimi-k2 --fail-on weights",
        "diff qwen3-8b gemma3n-e4b deepseek-v4-flash",
        "diff qwen3-8b ./model --brief",
        "diff ./unknown ./model",
    ),
    "memory": (
        "memory gemma3-27b --gpus 2xH100 --engine vllm --curve",
        "memory qwen3-8b ./model --context 8k,32k",
        "memory qwen3-8b --gpus 2xH100 --tp 3 --dp 3",
    ),
    "fit": ("fit qwen3-8b --gpus L40S --engine vllm",),
    "calibrate": (f"calibrate {LOG} qwen3-8b --gpus A100",),
    "check": (
        "check qwen3-8b --against llama3-8b",
        "check qwen3-8b --against qwen3-8b",
        "check qwen3-8b --against ./nothing",
    ),
    "log": (f"log {BOT}",),
    "list": ("list", "list --columns alias,kv_heads", "list nothing-like-it"),
    "like": ("like kimi-k2",),
    "explain": ("explain mla", "explain rope-theta-changed", "explain rope.theta", "explain"),
    "rules": ("rules",),
    "gpus": ("gpus",),
    "cache info": ("cache info",),
    "scan": ("scan qwen3-8b", "scan ./nothing", "scan ./unknown"),
    "duplicates": ("duplicates ./model qwen3-0.6b ./unknown",),
}
"""Calls of each command that takes `--format json`."""


def commands_with_json() -> dict[str, click.Parameter]:
    """Return the `--format` option of each command that has JSON among its formats."""
    for file in dict.fromkeys(cli.FILES[name] for name in cli.COMMANDS):
        import_module(f"llmarch.cli.{file}")
    found: dict[str, click.Parameter] = {}

    def walk(command: click.Command, name: str) -> None:
        for parameter in command.params:
            choices = getattr(parameter.type, "choices", ())
            if parameter.name == "format" and "json" in {str(c) for c in choices}:
                found[name] = parameter
        for inner, child in getattr(command, "commands", {}).items():
            walk(child, f"{name} {inner}".strip())

    walk(typer.main.get_command(cli.app), "")
    return found


@cache
def strict_schema() -> jsonschema.Draft202012Validator:
    """The published schema, in which no object has keys that it does not describe."""
    schema = deepcopy(json_schema())
    for definition in schema["$defs"].values():
        if definition.get("properties"):
            definition.setdefault("additionalProperties", False)
    return jsonschema.Draft202012Validator(schema)


def faults(document: Any, kind: str) -> list[str]:
    """What does not fit the one schema that a document says to be of."""
    root = strict_schema().schema
    found = jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{kind}", "$defs": root["$defs"]}
    ).iter_errors(document)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def line_faults(line: dict[str, Any]) -> list[str]:
    """What does not fit in a line of NDJSON: a row of a document, or the document without rows."""
    if "line_of" not in line:
        return faults(line, DOCUMENTS[line["document"]].__name__)
    kind = LINES[line["line_of"]]
    row = {key: value for key, value in line.items() if key not in ("schema_version", "line_of")}
    if kind == dict[str, Any]:
        return []
    return faults(row, kind.__name__)


@pytest.fixture
def models(work: Path, hub: Hub) -> Path:
    """A checkpoint, one of a family that nobody knows, and a repository with a change."""
    write(work / "model", files("qwen3-0.6b"))
    write(work / "unknown", files("qwen3-0.6b", having(model_type="nobody")))
    hub.push(BOT, files("qwen3-0.6b"), "upload")
    hub.push(BOT, files("qwen3-0.6b", having(rope_theta=10_000)), "theta")
    return work


def test_every_command_with_json_is_held_against_the_schema() -> None:
    assert set(commands_with_json()) == set(INVOCATIONS)


CALLS = [call for calls in INVOCATIONS.values() for call in calls]


@pytest.mark.covered
@pytest.mark.parametrize("call", CALLS)
def test_what_a_command_writes_fits_the_schema(call: str, models: Path, run: Run) -> None:
    out, _ = run(*call.split(), "--format", "json", code=None)
    document = json.loads(out)
    name = document["document"]
    assert document["schema_version"] == SCHEMA_VERSION
    assert faults(document, DOCUMENTS[name].__name__) == []
    out, _ = run(*call.split(), "--format", "ndjson", code=None)
    lines = [json.loads(line) for line in out.splitlines()]
    if name in ROWS_OF_DOCUMENTS:
        assert not [fault for line in lines for fault in line_faults(line)]
        rows = ROWS_OF_DOCUMENTS[name]
        beside = {k: v for k, v in document.items() if k not in ("document", *rows) and v}
        last = lines[-1] if lines else {}
        if len(beside) > 1:
            assert {k: last.get(k) for k in beside} == beside, "what is no row is in the last line"
    elif name == "comparison":
        assert [line["document"] for line in lines] == ["diff", "diff"]
    else:
        assert lines == [document]


def test_every_document_is_written_by_a_call() -> None:
    """Each is the answer of a call above; `refusal` is one of `memory`."""
    written = " ".join(CALLS)
    assert "--dp 3" in written and "--brief" in written
    assert {line.partition(".")[0] for line in LINES} == set(ROWS_OF_DOCUMENTS)


def test_several_models_are_a_list_of_documents(run: Run) -> None:
    several = run.json("show", "qwen3-8b", "qwen3-4b")
    assert [one["document"] for one in several] == ["show", "show"]
    out, _ = run("show", "qwen3-8b", "qwen3-4b", "--format", "ndjson")
    assert [json.loads(line) for line in out.splitlines()] == several
    assert strict_schema().is_valid(several)


def test_a_lock_file_fits_the_schema(models: Path, run: Run) -> None:
    run("lock", "gemma3n-e4b", "kimi-linear", "./model", "./unknown")
    document = json.loads(Path("llmarch.lock").read_text())
    assert faults(document, "LockDocument") == []
    assert document["schema_version"] == SCHEMA_VERSION


@pytest.mark.sweep
def test_brief_is_brief() -> None:
    sizes = sorted(
        len(documents.json_lines(brief_document(reading(alias))).encode())
        for alias in one_of_each_kind()
    )
    assert sizes[len(sizes) // 2] < 2000 and sizes[-1] < 3000


def test_brief_as_text(run: Run) -> None:
    out, _ = run("show", "qwen3-8b", "--brief")
    assert "facts.mixers.full.kv_heads" in out and "8,190,735,360" in out


def test_a_difference_has_its_figures(run: Run) -> None:
    figures = run.json("diff", "deepseek-v3", "kimi-k2")["figures"]
    assert figures["old"]["total_parameters"] == 671_026_419_200
    assert figures["ratios"]["total_parameters"] == 1.5296
    assert figures["ratios"]["cache_bytes_per_token"] == 1
    brief = run.json("diff", "deepseek-v3", "kimi-k2", "qwen3-8b", "--brief")
    assert brief["comparisons"][0]["figures"] == figures
    assert all("evidence" not in change for change in brief["comparisons"][1]["changes"])
