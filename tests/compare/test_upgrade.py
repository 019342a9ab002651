"""An upgrade of llmarch breaks nobody: locks of older versions, and what only the reading changed.

The fixtures are locks that earlier commits of llmarch wrote of the same files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import paths
from helpers.loopback import Hub, commit_of
from helpers.models import files, fixture, having, without
from helpers.program import Run

import llmarch
from llmarch.architecture.fingerprint import fingerprint, without_defaults
from llmarch.architecture.json_schema import read_architecture
from llmarch.compare.rereading import FILE_RULES
from llmarch.compare.rules import RULES

pytestmark = pytest.mark.usefixtures("work")

LOCKS = sorted((paths.FIXTURES / "locks").glob("*.lock"))
BOT = "acme/support-bot"
LOCK = Path("llmarch.lock")


@pytest.fixture
def models(hub: Hub) -> Hub:
    """The repositories that the locks of the fixtures are of."""
    hub.add(BOT, files("qwen3-0.6b", shards=2))
    hub.add("acme/fp8", files("qwen3-0.6b-reduced-fp8-block"))
    hub.add("acme/gemma", files("gemma-3-4b"))
    hub.add("acme/gpt2", files("gpt2-124m"))
    return hub


def changes(run: Run, *args: str, code: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Return rule and path of each change by model."""
    document = run.json("check", *args, code=code)
    return {
        verdict["reference"]: [(change["rule"], change["path"]) for change in verdict["changes"]]
        for verdict in document["verdicts"]
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_of_an_earlier_commit_still_checks_clean(models: Hub, run: Run, lock: Path) -> None:
    """What was corrected since is `reading-changed`, and nothing after `check --update`."""
    LOCK.write_bytes(lock.read_bytes())
    found = changes(run)
    assert {rule for rules in found.values() for rule, _ in rules} <= {"reading-changed"}
    assert found[BOT] == [] and found["qwen3-8b"] == []
    run("check", "--update")
    assert not any(changes(run).values())
    assert json.loads(LOCK.read_text())["models"][BOT]["config"]["num_hidden_layers"] == 28


def locked_by_an_older(run: Run, *refs: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Lock models, then change the lock as an older llmarch would have written it."""
    run("lock", *refs)
    document = json.loads(LOCK.read_text())
    document["written_by"] = "llmarch 0.0.9"
    for model in document["models"].values():
        model["read_by"] = "llmarch 0.0.9"
        edit(model)
    LOCK.write_text(json.dumps(document, indent=2))


def misread(model: dict[str, Any]) -> None:
    """Change two facts of a locked model as if an older llmarch had read them wrongly."""
    architecture = model["architecture"]
    architecture["mixers"]["full"]["rope"]["theta"] = 7
    architecture["norms"]["rms"]["eps"] = 0.5
    layers = [kind for n, kind in architecture["layers"] for _ in range(n)]
    read = read_architecture(architecture | {"layers": layers})
    model["fingerprint"] = fingerprint(read)
    assert without_defaults(read)["norms"]["rms"]["eps"] == 0.5


def without_config(model: dict[str, Any]) -> None:
    """Leave out what older locks do not hold."""
    for key in ("config", "config_file", "quantization_file", "read_by"):
        del model[key]


HOLE = "layers.3.mlp.down_proj"
MISREAD = {("reading-changed", "mixers.full.rope.theta"), ("reading-changed", "norms.rms.eps")}


FORGETTING = pytest.mark.parametrize(
    "forget", [lambda _: None, without_config], ids=["config", "commit"]
)


@FORGETTING
def test_a_fact_that_an_older_llmarch_read_wrongly(
    models: Hub, run: Run, forget: Callable[[dict[str, Any]], None]
) -> None:
    """At the locked commit the reading changed, whether or not the lock has the config."""
    locked_by_an_older(run, BOT, "qwen3-8b", edit=lambda m: (misread(m), forget(m)))
    found = changes(run)
    assert set(found[BOT]) == set(found["qwen3-8b"]) == MISREAD
    run("check", "--fail-on", "capacity")
    run("check", "--fail-on", "info", code=1)


@FORGETTING
@pytest.mark.parametrize(
    ("config", "tensors", "rules"),
    [
        ({"vocab_pad": 1}, (), {("unread-key", "vocab_pad")}),
        ({"rms_norm_eps": 1e-5}, (), {("norm-eps-changed", "norms.rms.eps")}),
        (
            {},
            ("layers.3.mlp.down_proj",),
            {("tensor-missing", "model.layers.3.mlp.down_proj.weight")},
        ),
    ],
)
def test_what_changed_is_told_from_what_the_reading_changed(
    models: Hub,
    run: Run,
    config: dict[str, Any],
    tensors: tuple[str, ...],
    rules: set[tuple[str, str]],
    forget: Callable[[dict[str, Any]], None],
) -> None:
    """With another config or other tensors both sides are read by this version."""
    models.push(BOT, files("qwen3-0.6b", shards=2), "first")
    locked_by_an_older(run, BOT, edit=lambda m: (misread(m), forget(m)))
    models.push(BOT, files("qwen3-0.6b", having(**config), without("nothing", *tensors)), "second")
    (verdict,) = run.json("check", code=int("unread-key" not in str(rules)))["verdicts"]
    found = {(change["rule"], change["path"]) for change in verdict["changes"]}
    assert rules | MISREAD <= found
    assert not {rule for rule, _ in found} & {"rope-theta-changed"}


def test_a_folder_is_read_again_from_the_config_in_the_lock(run: Run) -> None:
    """There is no commit, and the tensors may be others."""
    config, _ = fixture("qwen3-0.6b")
    folder = Path("model")
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    locked_by_an_older(run, "./model", edit=misread)
    file.write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    assert set(changes(run)["./model"]) == MISREAD | {("context-changed", "context_length")}
    (change, *_) = [
        c for c in run.json("check")["verdicts"][0]["changes"] if c["rule"] == "context-changed"
    ]
    assert (change["key"], change["key_old"], change["key_new"]) == (
        "max_position_embeddings",
        40960,
        4096,
    )


def test_the_key_of_a_change_is_told_with_its_old_value(models: Hub, run: Run) -> None:
    """The lock holds the config, so that the old value is known and a vanished key named."""
    models.push(BOT, files("gemma-3-4b", having(text_config=scaled(224))), "first")
    run("lock", BOT)
    models.push(BOT, files("gemma-3-4b", having(text_config=scaled(256))), "second")
    out, _ = run("check", code=1)
    assert "query_pre_attn_scalar 224 → 256" in out and "absent" not in out


def scaled(scalar: int) -> dict[str, Any]:
    """Return the text config of Gemma 3 with another scalar."""
    config, _ = fixture("gemma-3-4b")
    return config["text_config"] | {"query_pre_attn_scalar": scalar}


def unknown_fact(model: dict[str, Any]) -> None:
    """Give a locked model a fact that this schema does not know."""
    model["architecture"]["mixers"]["full"]["headz"] = 32


def test_a_lock_of_an_older_schema_is_migrated(models: Hub, run: Run) -> None:
    """Facts in a form that is not read any more are read again, from the commit or the config."""
    locked_by_an_older(run, BOT, "qwen3-8b", edit=unknown_fact)
    assert changes(run) == {BOT: [], "qwen3-8b": []}
    document = json.loads(LOCK.read_text())
    LOCK.write_text(json.dumps(document | {"schema_version": 0, "written_by": "llmarch"}))
    assert changes(run) == {BOT: [], "qwen3-8b": []}
    run("lock", "gpt2")
    models.repos.clear()
    LOCK.write_text(json.dumps(document))
    run("check", BOT, code=3)
    _, err = run("check", "--update", code=3)
    assert "qwen3-8b" in err
    assert json.loads(LOCK.read_text())["written_by"] == f"llmarch {llmarch.__version__}"
    assert changes(run, "qwen3-8b") == {"qwen3-8b": []}


def test_a_lock_of_a_newer_llmarch_says_upgrade(models: Hub, run: Run) -> None:
    run("lock", BOT)
    document = json.loads(LOCK.read_text())
    for change in ({"schema_version": 99}, {"llmarch_lock": 2}):
        LOCK.write_text(json.dumps(document | {"written_by": "llmarch 9.1"} | change))
        _, err = run("check", code=2)
        assert "llmarch 9.1 wrote it" in err and "pip install --upgrade llmarch" in err
    unknown_fact(document["models"][BOT])
    LOCK.write_text(json.dumps(document | {"written_by": "llmarch 9.1"}))
    assert "pip install --upgrade llmarch" in run("check", code=2)[1]
    LOCK.write_text(json.dumps(document))
    assert "headz" in run("check", code=2)[1]


def test_a_conflict_that_an_older_llmarch_did_not_see_fails(models: Hub, run: Run) -> None:
    """It is the one thing that an upgrade does tell loudly."""
    models.push(BOT, files("qwen3-0.6b", tensors=without("layers.3.mlp.down_proj")), "first")
    run("lock", BOT, "--allow-conflict")
    document = json.loads(LOCK.read_text())
    document["models"][BOT] |= {"findings": [], "status": "verified"}
    LOCK.write_text(json.dumps(document))
    found = changes(run, code=1)
    assert found == {BOT: [("tensor-missing", "model.layers.3.mlp.down_proj.weight")]}
    assert commit_of(BOT, "first") == document["models"][BOT]["commit"]


def test_findings_of_files_are_those_of_the_sources() -> None:
    """Config and tensors do not tell of them, so that the locked ones count as they are."""
    text = "\n".join(path.read_text() for path in (paths.ROOT / "llmarch/sources").rglob("*.py"))
    quoted = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', text))
    ids = {rule.id for rule in RULES if rule.pattern is None}
    assert quoted & ids == FILE_RULES
