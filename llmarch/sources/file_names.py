"""File names that have a meaning in a model repository. Constants and checks, no I/O."""

from __future__ import annotations

import re

CONFIG = "config.json"
PARAMS = "params.json"
"""Mistral's native config."""
ADAPTER = "adapter_config.json"
"""The config of a PEFT adapter."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""The tensors of a PEFT adapter."""
PIPELINE = "model_index.json"
"""The parts of a diffusers pipeline."""
QUANTIZATION = "hf_quant_config.json"
"""ModelOpt's quantization declaration: some repositories have it beside the config, not in it."""
QUANTIZE = ("quantize_config.json", "quant_config.json")
"""Declarations of GPTQ and AWQ tools, which wrote them beside the config until 2024."""
SINGLE = "model.safetensors"
CARD = "README.md"
"""The model card."""
MAX_CARD = 5_000_000
"""Bytes of a model card."""
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
"""Weights as torch.save writes them."""
PICKLE_INDEX = "pytorch_model.bin.index.json"
ADAPTER_PICKLE = "adapter_model.bin"
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<total>\d+)\.safetensors")

# Texts of patterns, which `re` compiles at their first use: at start-up nothing needs them.
_CODE = r".+\.py"
_SMALL_FILE = r"""(?x)
    generation_config\.json
    | (?:(?:additional_)?chat_templates/)?[^/]+\.jinja | chat_template\.json
    | tokenizer[^/]*\.(?:json|model) | (?:added_tokens|special_tokens_map|vocab|tekken)\.json
    | (?:vocab|merges)\.txt | vocab\.bpe | requirements[^/]*\.txt | adapter_config\.json
    | [^/]+\.tiktoken | [^/]*(?:spiece|sentencepiece|bpe)[^/]*\.model
    | (?:[a-z_]+_)?(?:pre)?processor_config\.json | feature_extractor[^/]*\.json
    """
_WEIGHTS = r"[^/]+\.safetensors"
_ABOUT = r"""(?xi)
    .+\.(?:md|png|jpe?g|gif|svg|webp|pdf|mp4|wav) | (?:.+/)?\.git(?:attributes|ignore)
    | (?:.+/)?(?:LICEN[CS]E|NOTICE|USE_POLICY)[^/]*
    """

MAX_NAME = 1000
"""Characters of a file name with its folders."""

_UNSAFE = r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|^[A-Za-z]:|[\x00-\x1f\x7f\\]"


def is_safe_name(name: str) -> bool:
    """Return whether a file name from a repository stays inside it.

    Names that are empty, too long or contain control characters are not safe either.
    """
    if not 0 < len(name) <= MAX_NAME:
        return False
    return re.search(_UNSAFE, name) is None


def is_pickle(name: str) -> bool:
    """Return whether a file of weights is one of torch.save, by its name."""
    return name.endswith(".bin")


def is_code_file(name: str) -> bool:
    """Return whether a file holds code that loaders may run."""
    return re.fullmatch(_CODE, name) is not None


def is_small_file(name: str) -> bool:
    """Return whether a file sets what the model is given or answers.

    That is generation, the chat template, the tokenizer and the processors.
    """
    return re.fullmatch(_SMALL_FILE, name) is not None


def is_weight_file(name: str) -> bool:
    """Return whether a file holds weights of the repository itself."""
    return re.fullmatch(_WEIGHTS, name) is not None


def is_unread_file(name: str) -> bool:
    """Return whether a file is never read, and says nothing by being there.

    That is the model card, pictures and licences, the tokenizer, and code.
    """
    if re.fullmatch(_ABOUT, name) is not None:
        return True
    return is_small_file(name) or is_code_file(name)


def is_beside_file(name: str) -> bool:
    """Return whether a file is compared by its content with that of another commit."""
    return is_code_file(name) or is_small_file(name) or is_weight_file(name)
