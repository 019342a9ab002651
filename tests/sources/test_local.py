"""Folders and files on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.checkpoints import (
    CONFIG,
    Sparse,
    index,
    llama,
    model,
    safetensors,
    sharded,
    with_header,
    write,
)

from llmarch import sources
from llmarch.errors import ConfigError, HeaderError, NotAModel, ReadError
from llmarch.sources.raw import RawModel
from llmarch.sources.references import parse_reference

CONFIG_JSON = json.dumps(CONFIG).encode()


def read(path: Path | str) -> RawModel:
    return sources.open(parse_reference(str(path)))


def count(model: RawModel) -> int | None:
    return None if model.tensors is None else len(model.tensors)


def test_sharded_folder(tmp_path: Path) -> None:
    found = read(write(tmp_path, model(3)))
    assert (found.kind, found.config, found.config_file, found.partial, found.findings) == (
        "local",
        CONFIG,
        "config.json",
        False,
        [],
    )
    assert count(found) == len(llama())
    assert found.name == tmp_path.name


def test_without_index(tmp_path: Path) -> None:
    files = model(3)
    del files["model.safetensors.index.json"]
    found = read(write(tmp_path, files))
    assert (count(found), found.partial) == (len(llama()), False)
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("weights-by-reader", "info")
    assert "transformers finds no weights" in finding.message


def test_single_file(tmp_path: Path) -> None:
    found = read(
        write(tmp_path, {"config.json": CONFIG_JSON, "model.safetensors": safetensors(llama())})
    )
    assert (count(found), found.config) == (len(llama()), CONFIG)


def test_config_alone(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": CONFIG_JSON})
    for text in (tmp_path, tmp_path / "config.json"):
        found = read(text)
        assert (found.config, found.tensors, found.name) == (CONFIG, None, tmp_path.name)


def test_config_under_another_name_and_native_params(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "qwen.json": CONFIG_JSON,
            "params.json": b'{"dim": 8, "n_layers": 2}',
            "large.json": b'{"dim": 8, "n_layers": 2}',
        },
    )
    assert read(tmp_path / "qwen.json").config_file == "qwen.json"
    assert read(tmp_path / "params.json").config_file == "params.json"
    assert read(tmp_path / "large.json").config_file == "params.json"


def test_tensors_alone(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"model.safetensors": safetensors(llama())}))
    assert (found.config, count(found)) == (None, len(llama()))


def test_headers_off(tmp_path: Path) -> None:
    write(tmp_path, model(2))
    assert sources.open(parse_reference(str(tmp_path)), headers=False).tensors is None


def test_missing_shard_with_and_without_index(tmp_path: Path) -> None:
    files = model(3)
    del files["model-00002-of-00003.safetensors"]
    found = read(write(tmp_path / "a", files))
    assert (found.partial, [f.rule for f in found.findings]) == (True, ["shard-missing"])
    del files["model.safetensors.index.json"]
    found = read(write(tmp_path / "b", files))
    rules = [f.rule for f in found.findings]
    assert (found.partial, rules) == (True, ["shard-missing", "weights-by-reader"])
    assert "the names of the others count 3 files" in found.findings[0].message


def test_index_alone(tmp_path: Path) -> None:
    found = read(
        write(tmp_path, {k: v for k, v in model(3).items() if not k.endswith(".safetensors")})
    )
    assert found.tensors is not None
    assert (count(found), found.tensors.has_shapes, found.partial) == (len(llama()), False, True)


def test_index_given_by_its_path(tmp_path: Path) -> None:
    write(tmp_path, model(2))
    assert count(read(tmp_path / "model.safetensors.index.json")) == len(llama())


def test_one_safetensors_file(tmp_path: Path) -> None:
    write(
        tmp_path / "whole", {"config.json": CONFIG_JSON, "model.safetensors": safetensors(llama())}
    )
    found = read(tmp_path / "whole" / "model.safetensors")
    assert (found.config, count(found), found.partial) == (CONFIG, len(llama()), False)
    write(tmp_path / "part", model(3))
    found = read(tmp_path / "part" / "model-00001-of-00003.safetensors")
    assert (found.config, found.partial, [f.rule for f in found.findings]) == (
        None,
        True,
        ["single-shard"],
    )
    write(
        tmp_path / "two",
        {
            "config.json": CONFIG_JSON,
            "a.safetensors": safetensors(llama(1)),
            "b.safetensors": safetensors(llama(2)),
        },
    )
    found = read(tmp_path / "two" / "b.safetensors")
    assert (found.config, found.partial, count(found)) == (None, False, len(llama(2)))


def test_both_formats_and_other_weights(tmp_path: Path) -> None:
    files = model(2) | {
        "params.json": b"{}",
        **sharded(llama(), 2, "consolidated"),
        "x.gguf": b"",
        "original/consolidated.00.pth": b"",
    }
    found = read(write(tmp_path, files))
    assert count(found) == len(llama())
    assert sorted(f.path for f in found.findings) == [
        "consolidated-*.safetensors",
        "original/consolidated.00.pth",
        "x.gguf",
    ]


def test_files_that_only_the_index_names(tmp_path: Path) -> None:
    parts = {
        "sub/experts.safetensors": safetensors({"e": ("BF16", (2,))}),
        "model.safetensors": safetensors({"a": ("BF16", (2,))}),
    }
    listed = index({"a": "model.safetensors", "e": "sub/experts.safetensors"}, 8)
    found = read(
        write(
            tmp_path, {"config.json": CONFIG_JSON, "model.safetensors.index.json": listed, **parts}
        )
    )
    assert (count(found), [f.rule for f in found.findings]) == (2, ["weights-by-reader"])
    assert found.rival is not None and len([*found.rival.tensors]) == 1


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="contains nothing"):
        read(tmp_path)
    write(
        tmp_path,
        {
            "adapter_config.json": b'{"base_model_name_or_path": "a/b"}',
            "adapter_model.safetensors": b"",
        },
    )
    with pytest.raises(NotAModel, match="adapter for a/b"):
        read(tmp_path)
    with pytest.raises(NotAModel, match="adapter for a/b"):
        read(tmp_path / "adapter_config.json")
    (tmp_path / "x.bin").write_bytes(b"PK")
    with pytest.raises(NotAModel, match="a pickle"):
        read(tmp_path / "x.bin")


def test_broken_files_name_themselves(tmp_path: Path) -> None:
    write(tmp_path, model(2) | {"model-00002-of-00002.safetensors": with_header("{}", 3)})
    with pytest.raises(
        HeaderError,
        match=r"^model-00002-of-00002.safetensors: its tensors take 0 bytes, but 3 follow",
    ):
        read(tmp_path)
    write(tmp_path, {"config.json": b'{"a": }'})
    with pytest.raises(ConfigError, match=r"config.json: not valid JSON at line 1, column 7"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"config.json: not valid JSON"):
        read(tmp_path / "config.json")


def test_weights_are_not_read(tmp_path: Path) -> None:
    """A petabyte of zeros is as fast as a kilobyte."""
    file = safetensors({"a": ("BF16", (2**40,))})
    assert file.size > 2**40
    write(tmp_path, {"config.json": CONFIG_JSON, "model.safetensors": file})
    found = read(tmp_path)
    assert found.tensors is not None
    assert found.tensors.elements == 2**40


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"model.safetensors": Sparse((10**8 + 1).to_bytes(8, "little"), 10**12)})
    with pytest.raises(HeaderError, match="100,000,001 bytes"):
        read(tmp_path)


def test_hub_cache_folder(tmp_path: Path) -> None:
    repo = tmp_path / "models--acme--model"
    write(repo / "snapshots" / ("a" * 40), model(2))
    assert (read(repo).repo_id, read(repo).commit) == ("acme/model", "a" * 40)
    write(repo / "snapshots" / ("b" * 40), model(1))
    with pytest.raises(ReadError, match="2 snapshots"):
        read(repo)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("b" * 40)
    assert read(repo).commit == "b" * 40


def test_dangling_links_are_missing_shards(tmp_path: Path) -> None:
    write(tmp_path, model(2))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    (tmp_path / "model-00002-of-00002.safetensors").symlink_to(tmp_path / "gone")
    assert [f.rule for f in read(tmp_path).findings] == ["shard-missing"]


def test_a_spec_file_by_its_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "mine.json": json.dumps(
                {"alias": "mine", "name": "Mine", "config": CONFIG, "provenance": {}}
            ).encode()
        },
    )
    found = read(tmp_path / "mine.json")
    assert (found.kind, found.name, found.config) == ("spec", "Mine", CONFIG)
