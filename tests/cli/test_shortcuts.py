"""What people type first: a model without a command, --json, -V, several models, a pipe."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import typer
from helpers.paths import SPECS
from helpers.program import Run

from llmarch import cli


def test_a_model_alone_is_shown(run: Run) -> None:
    assert run("qwen3-8b") == run("show", "qwen3-8b")
    assert run("qwen3-8b", "--layers") == run("show", "qwen3-8b", "--layers")
    assert run("qwen3-8b", "llama3-8b") == run("show", "qwen3-8b", "llama3-8b")


@pytest.mark.parametrize("word", ["shoow", "dif", "memori", "lists", "explaain"])
def test_a_misspelled_command_is_not_a_model(run: Run, word: str) -> None:
    _, error = run(word, "qwen3-8b", code=2)
    assert f"there is no command {word}" in error and "did you mean llmarch" in error


def test_other_words_are_models(run: Run) -> None:
    assert "did you mean mistral-7b" in run("mistrall", code=2)[1]
    assert "no such file" in run("./nothing", code=2)[1]


def test_json_is_a_format_of_all_commands_that_have_one() -> None:
    cli.app_for(["every command, as for an unknown one"])
    group: Any = typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        found = {option for p in command.params for option in p.opts}
        subcommands = getattr(command, "commands", {})
        found |= {o for one in subcommands.values() for p in one.params for o in p.opts}
        assert ("--format" in found) is (name not in cli.WITHOUT_FORMAT), name


@pytest.mark.parametrize(
    "command",
    ["show qwen3-8b", "diff qwen3-8b llama3-8b", "list qwen3", "memory qwen3-8b", "rules"],
)
def test_json_short(run: Run, command: str) -> None:
    words = command.split()
    assert run(*words, "--json") == run(*words, "--format", "json")


def test_version_and_words_after_two_dashes(run: Run) -> None:
    assert run("-V") == run("--version")
    assert cli.full_arguments(["list", "--", "--json"]) == ["list", "--", "--json"]
    assert cli.full_arguments(["draw", "--json"]) == ["draw", "--json"]
    assert cli.full_arguments([]) == []
    assert cli.full_arguments(["-"]) == ["show", "-"]


def test_several_models_are_shown(run: Run) -> None:
    both, _ = run("show", "qwen3-8b", "llama3-8b")
    assert both == run("show", "qwen3-8b")[0] + run("show", "llama3-8b")[0]
    documents = run.json("show", "qwen3-8b", "llama3-8b")
    assert documents == [run.json("show", "qwen3-8b"), run.json("show", "llama3-8b")]
    explained, _ = run("show", "qwen3-8b", "llama3-8b", "--explain", "kv_heads")
    assert explained.count("mixers.full.kv_heads") == 2 and "Meta-Llama-3-8B" in explained


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_config_from_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((SPECS / "qwen3-8b.json").read_text())["config"]
    pipe(monkeypatch, json.dumps(config))
    document = run.document("show", "-")
    assert document["architecture"] == run.document("show", "qwen3-8b")["architecture"]
    assert document["source"]["name"] == "standard input"
    pipe(monkeypatch, json.dumps(config | {"rope_theta": 5.0}))
    assert "RoPE θ" in run("diff", "qwen3-8b", "-")[0]
    pipe(monkeypatch, (SPECS / "gpt2.json").read_text())
    assert "gpt2" in run("-")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input is empty"),
        ("{", "standard input: not valid JSON"),
        ("[]", "standard input"),
        ('{"model_type": "llama"}', "hidden_size is missing"),
    ],
)
def test_what_is_no_config_is_one_message(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    pipe(monkeypatch, text)
    assert message in run("show", "-", code=2)[1]


def test_standard_input_is_not_locked(run: Run) -> None:
    assert "cannot be locked" in run("lock", "-", code=2)[1]
