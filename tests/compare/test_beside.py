"""What changed beside the architecture is listed: token ids, own code, small files, weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import Sparse, write
from helpers.loopback import Files, Hub
from helpers.models import Config, files, having
from helpers.program import Run

import llmarch
from llmarch.sources.identity import content_id

pytestmark = pytest.mark.usefixtures("work")

REPO = "acme/model"
Found = list[tuple[str, str, str]]

CODE = {"AutoModelForCausalLM": "modeling_x.X"}
KEYS: dict[str, tuple[Config, Config, Found]] = {
    "eos": (
        {"eos_token_id": 1},
        {"eos_token_id": [1, 2]},
        [("token-ids-changed", "eos_token_id", "info")],
    ),
    "bos": (
        {"bos_token_id": 1},
        {"bos_token_id": 2},
        [("token-ids-changed", "bos_token_id", "info")],
    ),
    "pad": ({}, {"pad_token_id": 7}, [("token-ids-changed", "pad_token_id", "info")]),
    "pad that is null": ({}, {"pad_token_id": None}, []),
    "code": (
        {"auto_map": CODE},
        {"auto_map": {"AutoModelForCausalLM": "other.X"}},
        [("remote-code-changed", "auto_map.AutoModelForCausalLM", "behaviour")],
    ),
    "code that is new": (
        {},
        {"auto_map": CODE},
        [("remote-code-changed", "auto_map.AutoModelForCausalLM", "behaviour")],
    ),
    "code that is gone": (
        {"auto_map": CODE},
        {},
        [("remote-code-changed", "auto_map.AutoModelForCausalLM", "behaviour")],
    ),
}

SMALL_FILES = (
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/rag.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.bpe",
    "adapter_config.json",
    "requirements.txt",
    "merges.txt",
    "tekken.json",
    "qwen.tiktoken",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
CODE_FILES = ("modeling_x.py", "configuration_x.py", "custom_generate/generate.py")
IGNORED_FILES = ("README.md", ".gitattributes", "LICENSE", "figures/a.png", "notes.txt")


def small(keys: Mapping[str, Any] = {}, more: Mapping[str, bytes] | None = None) -> Files:
    return files("qwen3-0.6b", having(**keys), more=more)


def written(folder: str, content: Files) -> str:
    """Write files to a folder; return the reference to it."""
    write(Path(folder), content)
    return f"./{folder}"


def found(hub: Hub | None, old: Files, new: Files) -> Found:
    """What a check finds from one revision to another, on the Hub or between two folders."""
    if hub is None:
        report = llmarch.check(written("new", new), against=written("old", old))
    else:
        hub.add(REPO, old, "old")
        hub.add(REPO, new, "new")
        report = llmarch.check(f"{REPO}@new", against=f"{REPO}@old")
    told = [c for c in report.verdicts[0].changes if c.rule != "remote-code"]
    return [(c.rule, c.path, c.severity) for c in told]


@pytest.mark.parametrize("case", KEYS)
def test_keys_without_effect_on_the_architecture(hub: Hub, case: str) -> None:
    old, new, expected = KEYS[case]
    bare = dict.fromkeys(("eos_token_id", "bos_token_id", "pad_token_id"))
    assert found(hub, small(bare | old), small(bare | new)) == expected


@pytest.mark.parametrize("where", ["hub", "folder"])
@pytest.mark.parametrize("name", [*SMALL_FILES, *CODE_FILES, *IGNORED_FILES])
def test_files_that_changed_came_or_went(hub: Hub, where: str, name: str) -> None:
    source = hub if where == "hub" else None
    before, after, none = small(more={name: b"old"}), small(more={name: b"new"}), small()
    expected: Found = []
    if name in SMALL_FILES:
        expected = [("files-changed", "files", "info")]
    elif name in CODE_FILES:
        expected = [("remote-code-changed", name, "behaviour")]
    if where == "folder":  # one edit, so that no folder is written twice
        assert found(source, before, after) == expected
        return
    for old, new in ((before, after), (none, before), (before, none)):
        assert found(source, old, new) == expected
    assert found(source, before, before) == []


def test_names_are_said(hub: Hub) -> None:
    old = small(more={"tokenizer.json": b"1", "merges.txt": b"1", "vocab.json": b"1"})
    new = small(more={"tokenizer.json": b"2", "vocab.json": b"2", "chat_template.jinja": b"1"})
    hub.add(REPO, old, "old")
    hub.add(REPO, new, "new")
    (change,) = llmarch.check(f"{REPO}@new", against=f"{REPO}@old").verdicts[0].changes
    assert change.new == (
        "tokenizer.json, vocab.json changed; chat_template.jinja added; merges.txt removed"
    )


def test_other_bytes_of_the_weights(hub: Hub) -> None:
    """Told of one model at two times, and not of a re-upload in other shards or of a fine-tune."""
    old, new = dict(small()), dict(small())
    weights = old["model.safetensors"]
    assert isinstance(weights, Sparse)
    new["model.safetensors"] = Sparse(weights.head + b"\1", weights.size)
    assert found(hub, old, new) == [("files-changed", "files", "info")]
    assert found(hub, files("qwen3-0.6b", shards=2), files("qwen3-0.6b", shards=3)) == []
    hub.add("acme/tune", new)
    report = llmarch.check("acme/tune", against=f"{REPO}@old")
    assert report.verdicts[0].changes == ()


def test_the_lock_keeps_them(hub: Hub, run: Run) -> None:
    """From a lock, from the cache without a network, and without a request more."""
    hub.add(REPO, small(more={"tokenizer.json": b"1"}), "old")
    hub.add(REPO, small(more={"tokenizer.json": b"2"}), "new")
    hub.heads[REPO, "main"] = "old"
    run("lock", REPO)
    assert len(hub.asked("/revision/")) == 1 and not hub.asked("tokenizer")
    hub.heads[REPO, "main"] = "new"
    assert "tokenizer.json changed" in run("check")[0]
    assert "tokenizer.json changed" in run("check", "--offline")[0]
    document = json.loads(Path("llmarch.lock").read_text())
    model = document["models"][REPO]
    assert model["beside"]["files"]["tokenizer.json"].startswith("git:")
    del model["beside"]
    Path("llmarch.lock").write_text(json.dumps(document))
    assert "tokenizer.json" not in run("check")[0], "a lock of an older llmarch has no files"


def test_a_hub_that_gives_no_hashes(hub: Hub) -> None:
    hub.blobs = False
    old, new = small(more={"tokenizer.json": b"1"}), small(more={"tokenizer.json": b"2"})
    assert found(hub, old, new) == []


def test_a_folder_and_the_hub_agree(hub: Hub) -> None:
    """The same files are the same, whether git, LFS or this machine hashed them."""
    content = small(more={"tokenizer.json": b"1", "modeling_x.py": b"2"})
    hub.add(REPO, content)
    folder = written("here", content)
    assert llmarch.check(folder, against=REPO).verdicts[0].changes == ()
    Path("here/tokenizer.json").write_bytes(b"3")
    (change,) = llmarch.check(folder, against=REPO).verdicts[0].changes
    assert change.new == "tokenizer.json changed"


def test_a_pointer_of_lfs_is_the_file_that_it_points_to() -> None:
    from hashlib import sha256

    oid = sha256(b"content").hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 7\n"
    assert content_id(pointer.encode()) == f"sha256:{oid} size:7"
    assert f"sha256:{oid} size:7" in content_id(b"content")
    assert content_id(b"") == (
        "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
        " sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 size:0"
    )
