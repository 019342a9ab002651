"""What the files of a folder or repository are: which weights to read, what lies beside them, and whether there is a model at all.

Pure functions of the list of file names (and of the small JSON documents among them); local folders and the Hub share them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import NotAModel, printable

CONFIG, PARAMS, ADAPTER, PIPELINE = (
    "config.json",
    "params.json",
    "adapter_config.json",
    "model_index.json",
)
QUANTIZATION = "hf_quant_config.json"
"""ModelOpt's declaration, which some repositories have beside the config and not in it."""
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<total>\d+)\.safetensors")

_PYTORCH = re.compile(r"(?:pytorch_model.*|consolidated.*|model.*)\.(?:bin|pth|pt)")
_NO_WEIGHTS = re.compile(r"(?:training_args|optimizer|scheduler|rng_state|tokenizer|scaler).*")


@frozen
class Layout(Frozen):
    """The set of weights to read: `shards` as far as file names tell (an index may list more), `others` is everything beside."""

    config_file: str | None
    index_file: str | None
    shards: tuple[str, ...]
    others: tuple[Finding, ...]


def layout(files: Iterable[str]) -> Layout:
    """Choose among the files (paths relative to the root). Only files at the root are read; see DESIGN.md for what goes before what.

    model.safetensors goes before shards as in transformers; Mistral's native set (params.json, consolidated*) is read where there
    is no other, and named where there is.
    """
    names = set(files)
    root = sorted(n for n in names if "/" not in n and n.endswith(".safetensors"))
    native = [n for n in root if n.startswith("consolidated")]
    hf = [n for n in root if n not in native and not n.startswith("adapter_")]
    if PARAMS in names and (CONFIG not in names or (native and not hf)):
        shards, config = native or hf, PARAMS
    else:
        shards, config = _preferred(hf or native), CONFIG if CONFIG in names else None
    index = _index_for(
        shards, {n for n in names if "/" not in n and n.endswith(".safetensors.index.json")}, config
    )
    return Layout(config, index, tuple(shards), tuple(_others(names, set(shards), index)))


def _preferred(candidates: list[str]) -> list[str]:
    if SINGLE in candidates:
        return [SINGLE]
    sets: dict[str, list[str]] = {}
    for name in candidates:
        if found := SHARD.fullmatch(name):
            sets.setdefault(found["stem"] + "/" + found["total"], []).append(name)
    standard = [s for key, s in sets.items() if key.startswith(("model/", "model.safetensors/"))]
    if len(standard) == 1:
        return standard[0]
    return candidates


def _index_for(shards: list[str], indexes: set[str], config: str | None) -> str | None:
    """The index that goes with the shards, or, without shards, the one that could."""
    native = config == PARAMS or any(s.startswith("consolidated") for s in shards)
    wanted = "consolidated.safetensors.index.json" if native else INDEX
    if wanted in indexes:
        return wanted
    rest = sorted(
        i
        for i in indexes
        if i.startswith("consolidated") == native and not i.startswith("adapter_")
    )
    return rest[0] if len(rest) == 1 and SINGLE not in shards else None


def _others(names: set[str], shards: set[str], index: str | None) -> Iterable[Finding]:
    """One finding for each other set of weights beside those that are read."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names - shards):
        kind = _kind_of(name)
        if kind is not None and name != index:
            folder, _, base = name.rpartition("/")
            pattern = (
                re.sub(r"(?<!\d)\d+-of-\d+", "*", base)
                if "-of-" in base
                else re.sub(r"\.\d+\.", ".*.", base)
            )
            groups.setdefault((kind, f"{folder}/*" if folder else pattern), []).append(name)
    for (kind, pattern), members in groups.items():
        count = f"{len(members)} files" if len(members) > 1 else "1 file"
        path = pattern if len(members) > 1 else members[0]
        message = f"{printable(path)} ({count}): other weights ({kind}) beside those that are read; not counted"
        yield Finding(rule="other-weights", path=printable(path), message=message)


def _kind_of(name: str) -> str | None:
    """The format of a file of weights; None for any other file."""
    base, suffix = PurePosixPath(name).name, PurePosixPath(name).suffix
    if suffix == ".safetensors":
        return (
            "PEFT adapter"
            if base.startswith("adapter_")
            else "Mistral's native format"
            if base.startswith("consolidated")
            else "safetensors"
        )
    if suffix == ".gguf":
        return "GGUF"
    if suffix == ".onnx":
        return "ONNX"
    if base in ("tf_model.h5", "flax_model.msgpack", "rust_model.ot") or suffix in (
        ".h5",
        ".msgpack",
        ".tflite",
        ".mlmodel",
        ".nemo",
    ):
        return "another framework"
    if suffix in (".bin", ".pth", ".pt") and not _NO_WEIGHTS.match(base):
        return "PyTorch pickle" if _PYTORCH.fullmatch(base) or suffix == ".pth" else None
    return None


def other_weights(files: Iterable[str], read: Iterable[str], index: str | None) -> list[Finding]:
    """The `other-weights` findings, once it is known which files are read."""
    return list(_others(set(files), set(read), index))


# fmt: off
_ENCODERS = frozenset({
    "bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "distilbert", "mpnet", "electra", "albert", "deberta", "deberta-v2",
    "modernbert", "nomic_bert", "camembert", "longformer", "big_bird", "ernie", "funnel", "ibert", "layoutlm", "layoutlmv2",
    "layoutlmv3", "lilt", "luke", "markuplm", "mobilebert", "nystromformer", "squeezebert", "xlm", "flaubert", "convbert", "fnet",
    "roformer", "rembert", "megatron-bert", "eurobert", "jina_bert", "gte", "new",
})
_SEQ2SEQ = frozenset({
    "t5", "mt5", "umt5", "longt5", "switch_transformers", "bart", "mbart", "pegasus", "pegasus_x", "marian", "blenderbot",
    "blenderbot-small", "led", "m2m_100", "nllb-moe", "plbart", "prophetnet", "fsmt", "t5gemma", "encoder-decoder", "bigbird_pegasus",
})
_OTHER = {
    "an image encoder": {
        "vit", "deit", "beit", "swin", "swinv2", "convnext", "convnextv2", "dinov2", "dinov3_vit", "resnet", "mobilevit", "segformer",
        "detr", "yolos",
    },
    "an image and text encoder": {
        "clip", "chinese_clip", "siglip", "siglip2", "align", "altclip", "clip_vision_model", "siglip_vision_model",
    },
    "a speech encoder-decoder": {
        "whisper", "speech_to_text", "seamless_m4t", "seamless_m4t_v2", "speecht5",
    },
    "a speech encoder": {
        "wav2vec2", "wav2vec2-bert", "wavlm", "hubert", "unispeech", "data2vec-audio",
    },
    "an image model": {
        "timm_wrapper", "timm_backbone", "sam", "sam2",
    },
}
# fmt: on
_DECODER_CLASS = re.compile(r"(CausalLM|LMHeadModel|ForConditionalGeneration)$")


def not_a_model(
    files: Iterable[str], documents: Mapping[str, Mapping[str, Any]], *, name: str = "it"
) -> NotAModel | None:
    """The error to raise where files and documents show that `name` holds no decoder language model; None where there may be one.

    `documents`: the parsed JSON files that `documents_wanted` lists. One line says what it is, the hint what to look at instead.
    """
    names = set(files)
    config = documents.get(CONFIG)
    suffixes = {PurePosixPath(n).suffix for n in names}
    found = layout(names)
    if ADAPTER in names and not found.shards:
        return _adapter(documents.get(ADAPTER, {}), name)
    if PIPELINE in names and CONFIG not in names:
        kind = documents.get(PIPELINE, {}).get("_class_name")
        kind = f" ({printable(kind)})" if isinstance(kind, str) else ""
        hint = "its text encoder, if it has one, is a model of its own: download it and give its folder, such as ./text_encoder"
        return NotAModel(f"{name} is a diffusers pipeline{kind}, not a language model", hint)
    if config is not None and (found_kind := _not_a_decoder(config, names)) is not None:
        return NotAModel(
            f"{name} is {found_kind}, not a decoder language model",
            "llmarch reads decoder language models only",
        )
    if found.config_file is None and not found.shards and found.index_file is None:
        return _no_model_files(names, suffixes, name)
    return None


def documents_wanted(files: Iterable[str]) -> list[str]:
    """The JSON files that `not_a_model` and the reader need, in the order to read them."""
    names = set(files)
    found = layout(names)
    wanted = [found.config_file] if found.config_file else []
    if ADAPTER in names and not found.shards:
        wanted.append(ADAPTER)
    if PIPELINE in names and CONFIG not in names:
        wanted.append(PIPELINE)
    if QUANTIZATION in names and found.config_file == CONFIG:
        wanted.append(QUANTIZATION)
    return wanted


def configured(found: Layout, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The config; where it names no quantisation and ModelOpt's own file beside it does, with that as its `quantization_config`."""
    config = documents.get(found.config_file or "")
    beside: object = documents.get(QUANTIZATION, {}).get("quantization")
    if config is None:
        return None
    if "quantization_config" in config or not isinstance(beside, dict):
        return dict(config)
    return {
        **config,
        "quantization_config": {"quant_method": "modelopt", **cast("dict[str, Any]", beside)},
    }


def _adapter(document: Mapping[str, Any], name: str) -> NotAModel:
    kind = document.get("peft_type")
    kind = f"a {printable(kind)} adapter" if isinstance(kind, str) else "a PEFT adapter"
    base = document.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return NotAModel(
            f"{name} is {kind}, not a whole model",
            "look at its base model instead; the adapter does not name it",
        )
    base = printable(base)
    return NotAModel(
        f"{name} is {kind} for {base}, not a whole model",
        f"look at its base model: llmarch show {base}",
    )


def _not_a_decoder(config: Mapping[str, Any], names: set[str]) -> str | None:
    """What a config.json describes, if it is no decoder language model."""
    if "_diffusers_version" in config:
        kind = config.get("_class_name")
        return (
            f"a part of a diffusers pipeline ({printable(kind)})"
            if isinstance(kind, str)
            else "a part of a diffusers pipeline"
        )
    if "peft_type" in config:
        return "a PEFT adapter"
    architectures = config.get("architectures")
    classes = (
        [c for c in cast(list[object], architectures) if isinstance(c, str)]
        if isinstance(architectures, list)
        else []
    )
    model_type = config.get("model_type")
    model_type = model_type if isinstance(model_type, str) else ""
    named = classes[0] if classes else model_type
    shown = f" ({printable(named)})" if named else ""
    if model_type in _ENCODERS and not (
        config.get("is_decoder") is True or any(_DECODER_CLASS.search(c) for c in classes)
    ):
        return f"a sentence encoder{shown}" if "modules.json" in names else f"a text encoder{shown}"
    other = next((kind for kind, types in _OTHER.items() if model_type in types), None)
    if other is None and (model_type in _SEQ2SEQ or config.get("is_encoder_decoder") is True):
        other = "an encoder-decoder"
    return other + shown if other is not None else None


def _no_model_files(names: set[str], suffixes: set[str], name: str) -> NotAModel:
    def some(suffix: str) -> str:
        return printable(min(n for n in names if n.endswith(suffix)))

    original = (
        "look at the repository it was converted from, which has config.json and safetensors files"
    )
    if ".gguf" in suffixes:
        return NotAModel(
            f"{name} holds GGUF files only ({some('.gguf')}), no config.json and no safetensors files",
            original,
        )
    if ".onnx" in suffixes:
        return NotAModel(
            f"{name} holds ONNX files only ({some('.onnx')}), no config.json and no safetensors files",
            original,
        )
    if "modules.json" in names:
        return NotAModel(
            f"{name} is a sentence-transformers model without a config.json of its own",
            "look at the model it is built on",
        )
    for folder_config in sorted(n for n in names if n.endswith(("/config.json", "/params.json"))):
        folder = folder_config.rpartition("/")[0]
        hint = f"download it and give the folder: llmarch show ./{printable(folder)}"
        return NotAModel(
            f"{name} has no config.json at its root, but one in {printable(folder)}/", hint
        )
    held = (
        ", ".join(printable(n, 40) for n in sorted(names)[:4]) + (", …" if len(names) > 4 else "")
        if names
        else "nothing"
    )
    return NotAModel(
        f"{name} has neither a config.json nor safetensors files (it holds {held})",
        "is it a model repository?",
    )
