"""Which repositories contain no decoder language model, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from llmarch.sources.file_names import INDEX
from llmarch.sources.non_models import non_model_error


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
        ([], {}, "contains nothing"),
    ],
)  # fmt: skip
def test_non_model_error(files: list[str], documents: dict[str, Any], message: str | None) -> None:
    error = non_model_error(files, documents, name="x")
    if message is None:
        assert error is None
    else:
        assert error is not None
        assert message in error.message
        assert error.hint
        assert "\n" not in error.message
