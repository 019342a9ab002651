"""Which repositories contain no decoder language model, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from llmarch.sources.file_names import INDEX
from llmarch.sources.non_models import non_model_error

ADAPTER = ["config.json", "adapter_config.json", "adapter_model.safetensors"]
BASE = {"base_model_name_or_path": "a/b"}


def check(files: list[str], documents: dict[str, Any], message: str | None) -> None:
    """Check the message of the error, or that there is none."""
    error = non_model_error(files, documents, name="x")
    if message is None:
        assert error is None
        return
    assert error is not None
    assert message in error.message
    assert error.hint
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("files", "config", "message"),
    [
        (["model.safetensors"], {"model_type": "llama"}, None),
        (["x.gguf"], {"model_type": "llama"}, None),
        (["onnx/model.onnx"], {"model_type": "qwen3"}, None),
        (["model.safetensors"], {}, None),
        (
            ["modules.json", "model.safetensors"],
            {"model_type": "qwen3", "architectures": ["Qwen3Model"]},
            None,
        ),
        (
            [],
            {"model_type": "bert", "architectures": ["BertLMHeadModel"], "is_decoder": True},
            None,
        ),
        ([], {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}, None),
        (
            [],
            {"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"]},
            "a text encoder (XLMRobertaModel)",
        ),
        (["modules.json"], {"model_type": "mpnet"}, "a sentence encoder (mpnet)"),
        (
            [],
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
            "an encoder-decoder",
        ),
        (
            [],
            {"model_type": "new_thing", "is_encoder_decoder": True},
            "an encoder-decoder (new_thing)",
        ),
        (
            [],
            {"model_type": "whisper", "is_encoder_decoder": True},
            "a speech encoder-decoder (whisper)",
        ),
        (
            [],
            {"model_type": "clip", "architectures": ["CLIPModel"]},
            "an image and text encoder (CLIPModel)",
        ),
        ([], {"model_type": ["a"], "architectures": [1]}, None),
        (
            [],
            {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.1"},
            "a part of a diffusers pipeline (UNet2D",
        ),
    ],
)
def test_configs(files: list[str], config: dict[str, Any], message: str | None) -> None:
    check(["config.json", *files], {"config.json": config}, message)


@pytest.mark.parametrize(
    ("files", "documents", "message"),
    [
        (["model.safetensors"], {}, None),
        ([INDEX], {}, None),
        (
            ADAPTER,
            {"config.json": {"model_type": "llama"}, "adapter_config.json": BASE},
            "a PEFT adapter for a/b",
        ),
        (
            ["adapter_config.json"],
            {"adapter_config.json": {"peft_type": "LORA"}},
            "a LORA adapter, not a whole model",
        ),
        (["model_index.json"], {"model_index.json": {}}, "a diffusers pipeline, not"),
        (
            ["sub/config.json", "sub/model.safetensors"],
            {},
            "has no config.json at its root, but one in sub/",
        ),
        (["modules.json"], {}, "sentence-transformers"),
        ([], {}, "contains nothing"),
    ],
)
def test_other_files(files: list[str], documents: dict[str, Any], message: str | None) -> None:
    check(files, documents, message)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["model.nemo"], "a NeMo archive"),
        (["model_config.yaml", "model_weights/a"], "a NeMo checkpoint"),
        (["context/model.yaml", "weights/metadata.json"], "a NeMo checkpoint"),
        (["latest_checkpointed_iteration.txt", "iter_1/x"], "a checkpoint of Megatron-LM"),
        (["mp_rank_00/model_optim_rng.pt"], "a checkpoint of Megatron-LM"),
        (["common.pt", "metadata.json", "__0_0.distcp"], "a checkpoint of Megatron-LM"),
        (["consolidated.00.pth"], "Meta's weights"),
    ],
)
def test_checkpoints_of_trainers_are_named(files: list[str], words: str) -> None:
    error = non_model_error(files, {}, name="it")
    assert error is not None
    assert words in error.message
    assert error.hint
