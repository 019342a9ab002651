"""Which files are read, and which are named: rows of file lists."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llmarch.sources.repo_files import (
    choose_weights,
    documents_to_read,
    effective_config,
    find_declaration,
    find_other_weights,
)

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
NATIVE = ("consolidated-00001-of-00002.safetensors", "consolidated-00002-of-00002.safetensors")
INDEX, NATIVE_INDEX = "model.safetensors.index.json", "consolidated.safetensors.index.json"


@pytest.mark.parametrize(
    ("files", "config", "index", "shards", "others"),
    [
        (["config.json"], "config.json", None, (), []),
        (["config.json", "model.safetensors"], "config.json", None, ("model.safetensors",), []),
        (["config.json", INDEX, *SHARDS], "config.json", INDEX, SHARDS, []),
        (["config.json", *SHARDS], "config.json", None, SHARDS, []),
        (["config.json", INDEX], "config.json", INDEX, (), []),
        (["model.safetensors"], None, None, ("model.safetensors",), []),
        (["config.json", "model.safetensors", *SHARDS], "config.json", None, ("model.safetensors",),
         ["model-*.safetensors"]),
        (["config.json", "model.safetensors", INDEX], "config.json", INDEX, ("model.safetensors",),
         []),
        (["params.json", NATIVE_INDEX, *NATIVE], "params.json", NATIVE_INDEX, NATIVE, []),
        (["params.json", "consolidated.safetensors"], "params.json", None,
         ("consolidated.safetensors",), []),
        (["config.json", "params.json", INDEX, NATIVE_INDEX, *SHARDS, *NATIVE], "config.json",
         INDEX, SHARDS,
         ["consolidated-*.safetensors"]),
        (["config.json", "params.json", NATIVE_INDEX, *NATIVE], "params.json", NATIVE_INDEX, NATIVE,
         []),
        (["config.json", "params.json"], "config.json", None, (), []),
        (["params.json"], "params.json", None, (), []),
        (["config.json", "gptq_model-4bit-128g.safetensors"], "config.json", None,
         ("gptq_model-4bit-128g.safetensors",), []),
        (["config.json", "model.safetensors-00001-of-00001.safetensors"], "config.json", None,
         ("model.safetensors-00001-of-00001.safetensors",), []),
        (["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
         "config.json", None, (),
         ["pytorch_model-*.bin"]),
        (["config.json", "model.safetensors", "original/consolidated.00.pth", "x.gguf",
         "onnx/model.onnx", "tf_model.h5",
         "training_args.bin"],
         "config.json", None, ("model.safetensors",), ["onnx/model.onnx",
         "original/consolidated.00.pth", "tf_model.h5", "x.gguf"]),
        (["config.json", "model.safetensors", "adapter_model.safetensors", "adapter_config.json"],
         "config.json", None,
         ("model.safetensors",),
         ["adapter_model.safetensors"]),
    ],
)  # fmt: skip
def test_choose_weights(
    files: list[str],
    config: str | None,
    index: str | None,
    shards: tuple[str, ...],
    others: list[str],
) -> None:
    found = choose_weights(reversed(files))
    assert (found.config_file, found.index_file, found.shards) == (config, index, shards)
    assert sorted(f.path for f in found.other_weights) == others
    assert {f.rule for f in found.other_weights} <= {"other-weights"}


def test_documents_to_read() -> None:
    assert documents_to_read(["config.json", "model.safetensors", "adapter_config.json"]) == [
        "config.json"
    ]
    assert documents_to_read(["config.json", "adapter_config.json"]) == [
        "config.json",
        "adapter_config.json",
    ]
    assert documents_to_read(["model_index.json"]) == ["model_index.json"]
    assert documents_to_read(["params.json", "consolidated.safetensors"]) == ["params.json"]
    assert documents_to_read(["README.md"]) == []


def test_a_quantisation_that_only_modelopts_own_file_declares() -> None:
    files = ["config.json", "hf_quant_config.json", "model.safetensors"]
    assert documents_to_read(files) == ["config.json", "hf_quant_config.json"]
    beside = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]},
    }
    found = choose_weights(files)
    config = effective_config(
        found, {"config.json": {"model_type": "x"}, "hf_quant_config.json": beside}
    )
    assert config == {
        "model_type": "x",
        "quantization_config": {"quant_method": "modelopt", **beside["quantization"]},
    }
    own = {"model_type": "x", "quantization_config": {"quant_method": "fp8"}}
    assert effective_config(found, {"config.json": own, "hf_quant_config.json": beside}) == own
    assert effective_config(
        found, {"config.json": {"a": 1}, "hf_quant_config.json": {"quantization": 3}}
    ) == {"a": 1}


@pytest.mark.parametrize(
    ("file", "declared", "method"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 128, "desc_act": True}, "gptq"),
        ("quantize_config.json", {"bits": 4, "quant_method": "awq"}, "awq"),
        ("quantize_config.json", {"w_bit": 4, "q_group_size": 128, "version": "GEMM"}, "awq"),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 128, "zero_point": True}, "awq"),
    ],
)
def test_a_quantisation_that_a_file_of_gptq_or_awq_declares(
    file: str, declared: dict[str, Any], method: str
) -> None:
    files = ["config.json", file, "model.safetensors"]
    assert documents_to_read(files) == ["config.json", file]
    found = choose_weights(files)
    documents: dict[str, dict[str, Any]] = {"config.json": {"model_type": "x"}, file: declared}
    config = effective_config(found, documents)
    assert config == {
        "model_type": "x",
        "quantization_config": {"quant_method": method, **declared},
    }
    declaration = find_declaration(found, documents)
    assert declaration is not None
    assert declaration.finding.severity == "info"
    assert file in declaration.finding.message and "transformers" in declaration.finding.message
    for key in ("quantization_config", "compression_config", "quantization"):
        own = {"model_type": "x", key: {"quant_method": "fp8"}}
        assert find_declaration(found, {"config.json": own, file: declared}) is None
        wrapped = {"model_type": "x", "text_config": own}
        assert find_declaration(found, {"config.json": wrapped, file: declared}) is None
    assert find_declaration(found, {**documents, file: {"something": "else"}}) is None


def test_names_of_many_digits_take_no_time() -> None:
    started = time.monotonic()
    assert len(choose_weights(["config.json", "9" * 50_000 + "-of-.gguf"]).other_weights) == 1
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(("beside", "is_told"), [((), False), (("adapter_config.json",), True)])
def test_an_adapter_beside_a_model(beside: tuple[str, ...], is_told: bool) -> None:
    """transformers goes by its config, if there is one."""
    files = ("config.json", "model.safetensors", "adapter_model.safetensors", *beside)
    (finding,) = find_other_weights(files, ["model.safetensors"], None)
    assert finding.rule == "other-weights" and finding.severity == "info"
    assert ("PEFT is installed" in finding.message) is is_told
