"""Which files are read, which are named, and which repositories hold no model: rows of file lists."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llmarch.sources.repo_files import configured, documents_wanted, layout, not_a_model

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
        (["config.json", "model.safetensors", *SHARDS], "config.json", None, ("model.safetensors",), ["model-*.safetensors"]),
        (["config.json", "model.safetensors", INDEX], "config.json", INDEX, ("model.safetensors",), []),
        (["params.json", NATIVE_INDEX, *NATIVE], "params.json", NATIVE_INDEX, NATIVE, []),
        (["params.json", "consolidated.safetensors"], "params.json", None, ("consolidated.safetensors",), []),
        (["config.json", "params.json", INDEX, NATIVE_INDEX, *SHARDS, *NATIVE], "config.json", INDEX, SHARDS,
         ["consolidated-*.safetensors"]),
        (["config.json", "params.json", NATIVE_INDEX, *NATIVE], "params.json", NATIVE_INDEX, NATIVE, []),
        (["config.json", "params.json"], "config.json", None, (), []),
        (["params.json"], "params.json", None, (), []),
        (["config.json", "gptq_model-4bit-128g.safetensors"], "config.json", None, ("gptq_model-4bit-128g.safetensors",), []),
        (["config.json", "model.safetensors-00001-of-00001.safetensors"], "config.json", None,
         ("model.safetensors-00001-of-00001.safetensors",), []),
        (["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], "config.json", None, (),
         ["pytorch_model-*.bin"]),
        (["config.json", "model.safetensors", "original/consolidated.00.pth", "x.gguf", "onnx/model.onnx", "tf_model.h5",
         "training_args.bin"],
         "config.json", None, ("model.safetensors",), ["onnx/model.onnx", "original/consolidated.00.pth", "tf_model.h5", "x.gguf"]),
        (["config.json", "model.safetensors", "adapter_model.safetensors", "adapter_config.json"], "config.json", None,
         ("model.safetensors",),
         ["adapter_model.safetensors"]),
    ],
)  # fmt: skip
def test_layout(
    files: list[str],
    config: str | None,
    index: str | None,
    shards: tuple[str, ...],
    others: list[str],
) -> None:
    found = layout(reversed(files))
    assert (found.config_file, found.index_file, found.shards) == (config, index, shards)
    assert sorted(f.path for f in found.others) == others
    assert {f.rule for f in found.others} <= {"other-weights"}


@pytest.mark.parametrize(
    ("files", "documents", "message"),
    [
        (["config.json", "model.safetensors"], {"config.json": {"model_type": "llama"}}, None),
        (["config.json", "x.gguf"], {"config.json": {"model_type": "llama"}}, None),
        (["config.json", "onnx/model.onnx"], {"config.json": {"model_type": "qwen3"}}, None),
        (["config.json", "model.safetensors"], {"config.json": {}}, None),
        (["model.safetensors"], {}, None),
        ([INDEX], {}, None),
        (["config.json", "modules.json", "model.safetensors"], {"config.json": {"model_type": "qwen3", "architectures": ["Qwen3Model"]}},
         None),
        (["config.json"], {"config.json": {"model_type": "bert", "architectures": ["BertLMHeadModel"], "is_decoder": True}}, None),
        (["config.json"], {"config.json": {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}}, None),
        (["config.json"], {"config.json": {"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"]}},
         "a text encoder (XLMRobertaModel)"),
        (["config.json", "modules.json"], {"config.json": {"model_type": "mpnet"}}, "a sentence encoder (mpnet)"),
        (["config.json"], {"config.json": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}}, "an encoder-decoder"),
        (["config.json"], {"config.json": {"model_type": "new_thing", "is_encoder_decoder": True}}, "an encoder-decoder (new_thing)"),
        (["config.json"], {"config.json": {"model_type": "whisper", "is_encoder_decoder": True}}, "a speech encoder-decoder (whisper)"),
        (["config.json"], {"config.json": {"model_type": "clip", "architectures": ["CLIPModel"]}}, "an image and text encoder (CLIPModel)"),
        (["config.json"], {"config.json": {"model_type": ["a"], "architectures": [1]}}, None),
        (["config.json"], {"config.json": {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.1"}},
         "a part of a diffusers pipeline (UNet2D"),
        (["config.json", "adapter_config.json", "adapter_model.safetensors"],
         {"config.json": {"model_type": "llama"}, "adapter_config.json": {"base_model_name_or_path": "a/b"}}, "a PEFT adapter for a/b"),
        (["adapter_config.json"], {"adapter_config.json": {"peft_type": "LORA"}}, "a LORA adapter, not a whole model"),
        (["model_index.json"], {"model_index.json": {}}, "a diffusers pipeline, not"),
        (["sub/config.json", "sub/model.safetensors"], {}, "has no config.json at its root, but one in sub/"),
        (["modules.json"], {}, "sentence-transformers"),
        ([], {}, "holds nothing"),
    ],
)  # fmt: skip
def test_not_a_model(files: list[str], documents: dict[str, Any], message: str | None) -> None:
    error = not_a_model(files, documents, name="x")
    if message is None:
        assert error is None
    else:
        assert error is not None
        assert message in error.message
        assert error.hint
        assert "\n" not in error.message


def test_documents_wanted() -> None:
    assert documents_wanted(["config.json", "model.safetensors", "adapter_config.json"]) == [
        "config.json"
    ]
    assert documents_wanted(["config.json", "adapter_config.json"]) == [
        "config.json",
        "adapter_config.json",
    ]
    assert documents_wanted(["model_index.json"]) == ["model_index.json"]
    assert documents_wanted(["params.json", "consolidated.safetensors"]) == ["params.json"]
    assert documents_wanted(["README.md"]) == []


def test_a_quantisation_that_only_modelopts_own_file_declares() -> None:
    files = ["config.json", "hf_quant_config.json", "model.safetensors"]
    assert documents_wanted(files) == ["config.json", "hf_quant_config.json"]
    beside = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]},
    }
    found = layout(files)
    config = configured(found, {"config.json": {"model_type": "x"}, "hf_quant_config.json": beside})
    assert config == {
        "model_type": "x",
        "quantization_config": {"quant_method": "modelopt", **beside["quantization"]},
    }
    own = {"model_type": "x", "quantization_config": {"quant_method": "fp8"}}
    assert configured(found, {"config.json": own, "hf_quant_config.json": beside}) == own
    assert configured(
        found, {"config.json": {"a": 1}, "hf_quant_config.json": {"quantization": 3}}
    ) == {"a": 1}


def test_names_of_many_digits_take_no_time() -> None:
    started = time.monotonic()
    assert len(layout(["config.json", "9" * 50_000 + "-of-.gguf"]).others) == 1
    assert time.monotonic() - started < 1
