"""What a shell offers while options are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.program import Run

from llmarch import cli
from llmarch.cli import completion
from llmarch.cli.completion import last_names


@pytest.mark.parametrize(
    ("function", "typed", "offered"),
    [
        ("complete_gpus", "H10", "H100"),
        ("complete_gpus", "8xh2", "8xH200"),
        ("complete_gpus", "2xH100,4xL40", "2xH100,4xL40S"),
        ("complete_gpus", "RTX 40", "RTX 4090"),
        ("complete_engines", "v", "vllm"),
        ("complete_weights", "mx", "mxfp4"),
        ("complete_weights", "bf16,fp", "bf16,fp8"),
        ("complete_cache_dtypes", "q8", "q8_0"),
        ("complete_rules", "rope-th", "rope-theta-changed"),
        ("complete_levels", "beh", "behaviour"),
        ("complete_levels", "behaviour,rope-th", "behaviour,rope-theta-changed"),
        ("complete_paths", "kv_h", "kv_heads"),
        ("complete_locked", "qwen3-8", "qwen3-8b"),
    ],
)
def test_values(function: str, typed: str, offered: str) -> None:
    found = getattr(completion, function)(typed)
    assert offered in found
    assert all(name.lower().startswith(typed.lower()) for name in found)


def test_entries_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    run("lock", "qwen3-0.6b")
    document = json.loads(Path("llmarch.lock").read_text())
    document["models"]["acme/bot@main"] = document["models"]["qwen3-0.6b"]
    Path("llmarch.lock").write_text(json.dumps(document))
    assert completion.complete_locked("acme") == ["acme/bot@main"]
    Path("llmarch.lock").write_text("{")
    assert completion.complete_locked("acme") == []


def test_every_option_with_known_values_completes() -> None:
    cli.app_for(["every command, as for an unknown one"])
    group: Any = typer.main.get_command(cli.app)
    known = {"--gpus", "--engine", "--weights", "--kv-dtype", "--fail-on", "--ignore", "--explain"}
    found: set[str] = set()
    for command in group.commands.values():
        for parameter in command.params:
            for name in known & set(parameter.opts):
                assert parameter._custom_shell_complete is not None, (command.name, name)
                found.add(name)
    assert found == known


def test_a_list_is_completed_at_its_end() -> None:
    assert last_names("a,B", ["b1", "c"]) == ["a,b1"]
    assert last_names("", ["b1"]) == ["b1"]


def test_a_wrong_value_has_a_hint(run: Run) -> None:
    for option, value, hint in (("--weights", "fp9", "fp8"), ("--kv-dtype", "fp7", "fp8")):
        assert f"did you mean {hint}" in run("memory", "qwen3-8b", option, value, code=2)[1]
