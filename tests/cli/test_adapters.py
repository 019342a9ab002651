"""Adapters as users name them: folders, files and repositories, with and without a base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.adapters import document, row_with, tensors_of_row, write_adapter, write_base
from helpers.checkpoints import safetensors
from helpers.loopback import Files, Hub
from helpers.program import Run

import llmarch
from llmarch.errors import NotAModel

ROW = row_with("llama", target_modules=["q_proj", "v_proj"], r=4, lora_alpha=16)


@pytest.fixture
def here(work: Path) -> Path:
    """A folder with an adapter and its base."""
    write_adapter(work / "lora", ROW)
    write_base(work / "base", "llama")
    return work


def adapter_files(**changed: Any) -> Files:
    config = json.dumps({**ROW["config"], **changed}).encode()
    return {
        "adapter_config.json": config,
        "adapter_model.safetensors": safetensors(tensors_of_row(ROW)),
        "README.md": b"# a card",
    }


def base_files() -> Files:
    return {"config.json": json.dumps(document()["bases"]["llama"]).encode()}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "ref", ["./lora", "lora", "./lora/adapter_config.json", "./lora/adapter_model.safetensors"]
)
def test_an_adapter_by_its_folder_and_files(run: Run, ref: str) -> None:
    r = run.document("show", ref, "--base", "./base")
    assert r["parameters"] == {
        "trained": 1344,
        "unknown": "",
        "stored": 1344,
        "copies": 0,
        "base_total": 29408,
        "status": "verified",
    }
    assert r["adapter"]["method"] == "lora"
    assert r["base"]["reference"] == "./base"
    assert r["bytes"] == 1344 * 4
    assert [m["scale"] for m in r["modules"]] == [4.0, 4.0]


@pytest.mark.usefixtures("here")
def test_an_adapter_as_text_and_markdown(run: Run) -> None:
    out, _ = run("show", "./lora", "--base", "./base", "--layers", "--tensors", columns=120)
    assert "LoRA of rank 4 for an unnamed base" in out
    assert "1,344 trained" in out
    assert "4.6 % of the base" in out
    assert "alpha / rank = 4" in out
    assert "model.layers.{0-2}.self_attn.q_proj.lora_A.weight" in out
    assert "verified: every tensor is one that the config and the base make" in out
    markdown, _ = run("show", "./lora", "--base", "./base", "--format", "markdown")
    assert "LoRA of rank 4" in markdown
    both = run.json("show", "./lora", "./base", "--base", "./base")
    assert "adapter" in both[0]
    assert "architecture" in both[1]
    out, _ = run("show", "./lora", "qwen3-8b")
    assert "not read: the adapter does not name its base" in out
    assert "Qwen3-8B" in out


@pytest.mark.usefixtures("here")
def test_what_is_for_models_alone_is_refused(run: Run) -> None:
    for option in (["--all"], ["--new"], ["--sketch"], ["--explain", "mixers"]):
        _, err = run("show", "./lora", *option, code=2)
        assert "not for adapters" in err
    _, err = run("show", "./base", "--base", "./base", code=2)
    assert "--base is for adapters" in err
    with pytest.raises(NotAModel, match="not an adapter"):
        llmarch.load_adapter("./base")
    for command in ("memory", "draw", "lock"):
        _, err = run(command, "./lora", code=2)
        assert "LORA adapter" in err
    _, err = run("diff", "./lora", "./base", code=2)
    assert "an adapter is compared with an adapter" in err
    _, err = run("diff", "./lora", "./lora", "--fail-on", "info", code=2)
    assert "LORA adapter" in err
    _, err = run("diff", "./base", "./base", "--base", "./base", code=2)
    assert "--base is for adapters" in err


@pytest.mark.usefixtures("here")
def test_two_adapters_are_compared(work: Path, run: Run) -> None:
    same = run.document("diff", "./lora", "./lora", "--base", "./base", "--exit-code")
    assert same["changes"] == []
    assert same["statuses"] == ["verified", "verified"]
    out, _ = run("diff", "./lora", "./lora", "--base", "./base")
    assert "do not differ" in out
    other = row_with("llama", target_modules=["q_proj", "v_proj"], use_dora=True)
    write_adapter(work / "dora", other)
    document = run.document("diff", "./lora", "./dora", "--base", "./base", "--exit-code", code=1)
    changes = {c["path"]: (c["old"], c["new"], c["severity"]) for c in document["changes"]}
    assert changes["dora"] == (False, True, "weights")
    assert changes["rank"] == (4, 8, "weights")
    assert changes["alpha"] == (16, 8, "behaviour")
    assert changes["stored"] == (1344, 2832, "weights")
    module = "modules.model.layers.{}.self_attn.q_proj"
    assert changes[module][:2] == ([{"count": 3, "rank": 4}], [{"count": 3, "rank": 8}])
    out, _ = run("diff", "./lora", "./dora", "--base", "./base", columns=120)
    assert "rank 8" in out
    assert "behaviour" in out


def test_a_base_on_this_machine_is_found_by_its_path(here: Path) -> None:
    write_adapter(here / "lora", ROW, base_model_name_or_path=str(here / "base"))
    shown = llmarch.load_adapter("./lora")
    assert shown.status == "verified" and repr(shown).startswith("<Adapter ")
    assert shown.to_dict()["document"] == "adapter" and "<table>" in shown._repr_html_()
    write_adapter(here / "lora", ROW, base_model_name_or_path=str(here / "absent"))
    r = llmarch.load_adapter("./lora")
    assert (r.status, r.base) == ("observed", None)
    assert "nor a folder on this machine" in r.base_reason
    r = llmarch.load_adapter("./lora", base="./base")
    assert [f.rule for f in r.findings] == ["adapter-other-base"]


def test_a_repository_and_the_base_that_it_names(hub: Hub, run: Run) -> None:
    hub.add("acme/lora", adapter_files(base_model_name_or_path="acme/base"))
    hub.add("acme/base", base_files())
    for _ in range(2):  # from the server, then from the cache
        r = run.document("show", "acme/lora")
        assert r["parameters"]["status"] == "verified"
        assert r["base"]["repo_id"] == "acme/base"
        assert r["source"]["commit"]
    assert len(hub.asked("adapter_model.safetensors", cdn=False)) == 1
    with pytest.raises(NotAModel, match="LORA adapter for acme/base"):
        llmarch.load("acme/lora")
    assert llmarch.load_adapter("acme/lora", headers=False).status == "computed"


def test_a_repository_names_no_folder_of_this_machine(hub: Hub, here: Path) -> None:
    """Nor standard input, nor anything else that a user could name."""
    for name in (str(here / "base"), "./base", "-", "base", "~", "../work/base", "https://x.y/z"):
        hub.add("acme/lora", adapter_files(base_model_name_or_path=name))
        r = llmarch.load_adapter("acme/lora", refresh=True)
        assert r.base is None
        assert r.base_reason


def test_offline_the_bundled_model_stands_for_its_repository(here: Path) -> None:
    write_adapter(here / "lora", ROW, base_model_name_or_path="Qwen/Qwen3-8B")
    r = llmarch.load_adapter("./lora", offline=True)
    assert r.base is not None
    assert r.base.raw.kind == "spec"
    assert r.status == "conflict"  # it is of another model
    write_adapter(here / "lora", ROW, base_model_name_or_path="acme/never-read")
    r = llmarch.load_adapter("./lora", offline=True)
    assert (r.base, r.status) == (None, "observed")
    write_adapter(here / "lora", ROW, base_model_name_or_path="gpt2")
    assert llmarch.load_adapter("./lora").base is not None
