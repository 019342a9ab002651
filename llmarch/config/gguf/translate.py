"""Make a config of the metadata of a GGUF file: the keys that all architectures share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...architecture.schema import Evidence
from ...errors import ConfigError, UnknownFamily, printable
from .architectures import ARCHITECTURES, GgufArchitecture
from .document import GgufConfig, GgufDocument, GgufKeys

_COMMON = {
    "hidden_size": "embedding_length",
    "max_position_embeddings": "context_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "intermediate_size": "feed_forward_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "vocab_size": "vocab_size",
}
"""Keys of config.json, and their names after the architecture's in GGUF."""
_NEVER_FACTS = (
    "rope.dimension_count",
    "attention.value_length",
    "rope.scaling.type",
    "rope.scaling.finetuned",
    "expert_gating_func",
)
"""Keys that say nothing beside others: half of them are checked against those."""
_EMBEDDING = "token_embd.weight"
_HEAD = "output.weight"
_ROPE_TABLES = ("rope_freqs.weight", "rope_factors_long.weight")
"""Tensors of factors on RoPE's frequencies (Llama 3's scaling, LongRoPE)."""
_UNSTATED = {
    "rope.scaling.truncate": ("gpt-oss", "there is no key for it; llama.cpp rounds YaRN's range"),
    "query_scaling": ("mistral4", "llama.cpp's converter writes no key for it"),
}
"""Ends of the paths of facts that files of one architecture lack."""
_ANY_CONTEXT = 1 << 20
_RECURRENT = ("granitehybrid", "mamba", "mamba2", "nemotron_h", "nemotron_h_moe")
"""Architectures whose files say _ANY_CONTEXT, whatever the config says."""
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
"""llama.cpp's file types (llama_ftype in include/llama.h)."""
_FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class GgufTranslation(NamedTuple):
    """A config in the keys that families read, and the key of the file for each."""

    config: dict[str, Any]
    native_keys: GgufKeys


def translate_gguf(data: Mapping[str, Any], file: str) -> GgufTranslation:
    """Translate the metadata of a GGUF file.

    Keys of the architecture without a counterpart are kept, which no family reads, so that they are
    shown as unread. Raises UnknownFamily for an architecture that llmarch does not know, and
    ConfigError for keys without a usable value.

    data: the nested metadata, with the tensors in short.
    file: its name, for messages.
    """
    try:
        document = GgufDocument(data)
        architecture = ARCHITECTURES.get(document.architecture)
        if architecture is None:
            raise UnknownFamily(
                f'GGUF architecture "{printable(document.architecture)}" is not supported'
            )
        config = _translate(document, architecture)
    except UnknownFamily as error:
        raise UnknownFamily(f"{printable(file)}: {error.message}", error.hint) from None
    except ConfigError as error:
        raise ConfigError(f"{printable(file)}: {error.message}", error.hint) from None
    return GgufTranslation(config.config, config.native_keys)


def unstated_facts(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the ends of the paths of facts that a GGUF file has in no key, each with the reason.

    They are in weights, which a header does not have, or the converter writes another value.
    data: the nested metadata, with the tensors in short.
    """
    document = GgufDocument(data)
    reasons: dict[str, str] = {}
    for pattern in _ROPE_TABLES:
        if document.has_tensor(pattern) and document.architecture != "gemma4":
            reason = f"its factors are the values of {pattern}, and a header has none"
            reasons["rope.scaling"] = reason
    for end, (architecture, reason) in _UNSTATED.items():
        if document.architecture == architecture:
            reasons[end] = reason
    if document.get("context_length") == _ANY_CONTEXT and document.architecture in _RECURRENT:
        name = document.name("context_length")
        reason = f"llama.cpp's converter writes {name} {_ANY_CONTEXT:,} for every such model"
        reasons["context_length"] = reason
    return reasons


def _translate(document: GgufDocument, architecture: GgufArchitecture) -> GgufConfig:
    config = GgufConfig(document)
    source = Evidence(kind="config", ref="general.architecture")
    config.put("model_type", architecture.model_type_of(document), source)
    _add_layers(config)
    for path, key in {**_COMMON, **architecture.names}.items():
        if key:
            config.copy(path, key)
    _add_vocabulary(config)
    _add_head(config)
    _add_rope_scaling(config)
    _add_storage(config)
    if architecture.extra is not None:
        architecture.extra(config)
    for path, value in architecture.implied.items():
        config.imply(path, value, f"src/models of {document.architecture}")
    for path, key in architecture.renamed.items():
        _rename(config, path, key)
    for path in architecture.absent_keys:
        config.config.pop(path, None)
    document.read_keys.update(_NEVER_FACTS)
    document.read_keys.update(architecture.inert)
    for key in document.unread():
        name = f"GGUF {key}"  # with dots of its own, so it is not a path
        config.config[name] = document.get(key)
        config.native_keys[name] = document.name(key)
    return config


def _rename(config: GgufConfig, path: str, name: str) -> None:
    """Give a key the name that a family reads."""
    if path in config.config:
        config.config[name] = config.config.pop(path)
    source = config.native_keys.pop(path, None)
    if source is not None:
        config.native_keys[name] = source


def _add_layers(config: GgufConfig) -> None:
    """Add the number of layers; those of multi-token prediction are at the end, and counted."""
    document = config.document
    config.put("num_hidden_layers", document.layers, document.name("block_count"))
    further = document.count("nextn_predict_layers")
    if further:
        key = document.name("nextn_predict_layers")
        config.put("num_nextn_predict_layers", further, key)


def _add_vocabulary(config: GgufConfig) -> None:
    """Add the size of the vocabulary: of a key, of the tokenizer, else of the embedding."""
    document = config.document
    if config.has("vocab_size"):
        return
    rows = document.shape(_EMBEDDING)
    if rows:
        config.observe("vocab_size", rows[0], _EMBEDDING)
    elif document.tokens is not None:
        source = "tokenizer.ggml.tokens"
        config.put("vocab_size", document.tokens, source)


def _add_head(config: GgufConfig) -> None:
    """Add whether the head is tied, which only the tensors tell."""
    document = config.document
    if not document.tensors:
        return
    is_stored = document.has_tensor(_HEAD)
    found = _HEAD if is_stored else f"no {_HEAD}"
    config.observe("tie_word_embeddings", not is_stored, found)


def _add_rope_scaling(config: GgufConfig) -> None:
    """Add how RoPE is stretched, as far as keys state it."""
    document = config.document
    kind = document.get("rope.scaling.type")
    factor = document.get("rope.scaling.factor")
    if kind not in ("linear", "yarn") or factor is None:
        document.read_keys.update(("rope.scaling.original_context_length",))
        return
    config.put("rope_scaling.rope_type", kind, document.name("rope.scaling.type"))
    config.copy("rope_scaling.factor", "rope.scaling.factor")
    if kind == "linear":
        return
    original = "rope_scaling.original_max_position_embeddings"
    config.copy(original, "rope.scaling.original_context_length")
    config.copy("rope_scaling.beta_fast", "rope.scaling.yarn_beta_fast")
    config.copy("rope_scaling.beta_slow", "rope.scaling.yarn_beta_slow")
    config.copy("rope_scaling.attention_factor", "rope.scaling.yarn_attn_factor")
    multiplier = document.get("rope.scaling.yarn_log_multiplier")
    if isinstance(multiplier, (int, float)):
        # the converter writes 0.1 · mscale_all_dim
        value = round(float(multiplier) * 10, 6)
        config.derive("rope_scaling.mscale_all_dim", value, "rope.scaling.yarn_log_multiplier")
        config.derive("rope_scaling.mscale", value, "rope.scaling.yarn_log_multiplier")


def _add_storage(config: GgufConfig) -> None:
    """Add the file type: a float dtype, or a quantisation."""
    document = config.document
    number = document.general.get("file_type")
    name = _FILE_TYPES.get(number) if isinstance(number, int) else None
    source = "general.file_type"
    if name in _FLOATS:
        config.put("dtype", _FLOATS[name], source)
    elif name is not None:
        config.put("quantization_config", {"quant_method": "gguf", "format": name}, source)
    config.native_keys["quantization_config.format"] = source
    config.native_keys["quantization_config.quant_method"] = source
