"""Models in folders of a repository, on the Hub and on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import safetensors, sharded, write
from helpers.loopback import Hub, commit_of
from helpers.program import Run

import llmarch
from llmarch.errors import NotAModel, ReadError, UnknownReference
from llmarch.sources.walking import find_models

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "intermediate_size": 128,
    "vocab_size": 100,
}
TENSORS = {
    "model.embed_tokens.weight": ("F32", (100, 64)),
    "lm_head.weight": ("F32", (100, 64)),
    "model.norm.weight": ("F32", (64,)),
    **{f"model.layers.0.self_attn.{name}_proj.weight": ("F32", (64, 64)) for name in "qkvo"},
    "model.layers.0.mlp.gate_proj.weight": ("F32", (128, 64)),
    "model.layers.0.mlp.up_proj.weight": ("F32", (128, 64)),
    "model.layers.0.mlp.down_proj.weight": ("F32", (64, 128)),
    "model.layers.0.input_layernorm.weight": ("F32", (64,)),
    "model.layers.0.post_attention_layernorm.weight": ("F32", (64,)),
}
TEXT = json.dumps(CONFIG).encode()
SINGLE = {"config.json": TEXT, "model.safetensors": safetensors(TENSORS)}
SHARDED = {"config.json": TEXT, **sharded(TENSORS, 3)}


def under(folder: str, files: Any) -> dict[str, Any]:
    return {f"{folder}/{name}": content for name, content in files.items()}


PIPELINE = {
    "model_index.json": json.dumps(
        {
            "_class_name": "QwenImagePipeline",
            "text_encoder": ["transformers", "LlamaForCausalLM"],
            "text_encoder_2": ["transformers", "T5EncoderModel"],
        }
    ).encode(),
    "transformer/config.json": b'{"_class_name": "X", "_diffusers_version": "1"}',
    **under("text_encoder", SHARDED),
    "text_encoder_2/config.json": b'{"model_type": "t5", "architectures": ["T5EncoderModel"]}',
}
SEVERAL = {"README.md": b"#", **under("small", SINGLE), **under("large/v1", SHARDED)}


@pytest.mark.parametrize("files", [SINGLE, SHARDED], ids=["single", "sharded"])
def test_a_folder_is_read_as_a_repository(hub: Hub, files: Any) -> None:
    hub.one_request = True
    hub.add("acme/alone", files)
    hub.add("acme/many", {**under("a/b", files), **SHARDED, "config.json": b"{}"})
    alone, inner = llmarch.load("acme/alone"), llmarch.load("acme/many/a/b")
    assert alone.status == inner.status == "verified"
    assert inner.architecture == alone.architecture and inner.findings == alone.findings
    assert (inner.raw.repo_id, inner.raw.name) == ("acme/many", "many/a/b")
    assert inner.raw.commit == commit_of("acme/many")
    assert not hub.asked("safetensors-metadata/main/a")
    again = llmarch.load("acme/many/a/b@main")
    assert again.architecture == alone.architecture


def test_folders_and_the_root_are_cached_apart(hub: Hub) -> None:
    other = json.dumps(CONFIG | {"num_hidden_layers": 2}).encode()
    hub.add("acme/both", {"config.json": other, **under("sub", SINGLE)})
    for _ in range(2):
        assert len(llmarch.load("acme/both").architecture.layers) == 2
        assert len(llmarch.load("acme/both/sub").architecture.layers) == 1


def test_a_downloaded_folder_is_read_offline(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import constants

    hub.add("acme/many", under("sub", SINGLE))
    commit = commit_of("acme/many")
    folder = Path(constants.HF_HUB_CACHE) / "models--acme--many"
    write(folder / "snapshots" / commit, under("sub", SINGLE))
    write(folder / "refs", {"main": commit.encode()})
    assert llmarch.load("acme/many/sub", offline=True).status == "verified"
    assert llmarch.load("acme/many/sub").status == "verified"
    assert not hub.asked("/resolve/")


def test_several_models_are_listed(hub: Hub, tmp_path: Path) -> None:
    hub.add("acme/many", SEVERAL)
    write(tmp_path / "many", SEVERAL)
    for name in ("acme/many", str(tmp_path / "many")):
        with pytest.raises(NotAModel) as caught:
            llmarch.load(name)
        if name == "acme/many":
            assert caught.value.message == "acme/many has 2 models in folders: large/v1, small"
            assert caught.value.hint == "name one: llmarch show acme/many/large/v1"
        else:
            assert "one in small/" in caught.value.message  # two levels are looked into
            assert caught.value.hint == f"name the folder: llmarch show {name}/small"
        assert llmarch.load(f"{name}/small").status == "verified"
        assert llmarch.load(f"{name}/large/v1").status == "verified"


def test_pipelines_name_their_text_encoders(hub: Hub, tmp_path: Path) -> None:
    hub.add("acme/image", PIPELINE)
    write(tmp_path / "image", PIPELINE)
    for name in ("acme/image", str(tmp_path / "image")):
        with pytest.raises(NotAModel, match=r"diffusers pipeline \(QwenImagePipeline\)") as caught:
            llmarch.load(name)
        assert caught.value.hint == (
            f"its text encoders: llmarch show {name}/text_encoder (LlamaForCausalLM); "
            f"llmarch show {name}/text_encoder_2 (T5EncoderModel)"
        )
        assert llmarch.load(f"{name}/text_encoder").status == "verified"
        with pytest.raises(NotAModel, match="encoder"):
            llmarch.load(f"{name}/text_encoder_2")
    found = [path.removeprefix(str(tmp_path)) for path in find_models(str(tmp_path / "image"))]
    assert found == ["/image/text_encoder", "/image/text_encoder_2"]


def test_folders_that_are_not_there(hub: Hub, run: Run) -> None:
    hub.add("acme/many", SEVERAL)
    hub.add("acme/flat", SINGLE)
    with pytest.raises(UnknownReference, match="has no folder") as caught:
        llmarch.load("acme/many/smalls")
    assert caught.value.hint == "there is small"
    with pytest.raises(UnknownReference) as caught:
        llmarch.load("acme/flat/sub")
    assert caught.value.hint == "it has no folders"
    with pytest.raises(ReadError) as missing:
        llmarch.load("acme/none/sub")
    assert "./acme/none/sub" in (missing.value.hint or "")
    out, _ = run("show", "acme/many/small", "--json")
    assert json.loads(out)["source"]["reference"] == "acme/many/small"
