"""Recognise repositories that contain no decoder language model, and report what they are instead.

Some are models of another kind, such as encoders. Their config and tensors can be compared, so they
are read where a `Reference` asks for models of any kind. Adapters and pipelines have no weights of
a whole model.

Pure functions of the list of file names and of the JSON documents among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, cast

from ..errors import AdapterAlone, NotAModel, OtherKindOfModel, printable
from .file_names import ADAPTER, CONFIG, PIPELINE
from .repo_files import choose_weights, is_adapter_alone

# The model_type of configs that are not read.
TEXT_ENCODERS = frozenset(
    """
    albert bert big_bird camembert convbert deberta deberta-v2 distilbert electra ernie eurobert
    flaubert fnet funnel gte ibert jina_bert layoutlm layoutlmv2 layoutlmv3 lilt longformer luke
    markuplm megatron-bert mobilebert modernbert mpnet new nomic_bert nystromformer rembert roberta
    roformer squeezebert xlm xlm-roberta xlm-roberta-xl
    """.split()
)
ENCODER_DECODERS = frozenset(
    """
    bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt led longt5 m2m_100 marian
    mbart mt5 nllb-moe pegasus pegasus_x plbart prophetnet switch_transformers t5 t5gemma umt5
    """.split()
)
KINDS_OF_ENCODERS = {
    "an image encoder": """
        beit convnext convnextv2 deit detr dinov2 dinov3_vit mobilevit resnet segformer swin swinv2
        vit yolos
    """.split(),
    "an image and text encoder": """
        align altclip chinese_clip clip clip_vision_model siglip siglip2 siglip_vision_model
    """.split(),
    "a speech encoder-decoder": """
        seamless_m4t seamless_m4t_v2 speech_to_text speecht5 whisper
    """.split(),
    "a speech encoder": """
        data2vec-audio hubert unispeech wav2vec2 wav2vec2-bert wavlm
    """.split(),
    "an image model": "sam sam2 timm_backbone timm_wrapper".split(),
}
MOST_FOLDERS_SHOWN = 20
"""Folders that a message lists."""
_DECODER_CLASS = re.compile(r"(CausalLM|LMHeadModel|ForConditionalGeneration)$")


def non_model_error(
    files: Iterable[str],
    documents: Mapping[str, Mapping[str, Any]],
    *,
    name: str = "it",
    any_kind: bool = False,
    adapters: bool = False,
) -> NotAModel | None:
    """Return the error to raise if `name` contains no decoder language model, else None.

    Its message says what `name` is, its hint what to look at instead.

    files: paths relative to the root.
    documents: the parsed JSON files of `repo_files.documents_to_read`, by name.
    name: what the user calls it.
    any_kind: whether models of another kind are read too.
    adapters: whether an adapter is accepted too.
    """
    names = set(files)
    weights = choose_weights(names)
    if is_adapter_alone(names):
        if adapters:
            return None
        adapter = documents.get(ADAPTER, {})
        return _adapter_error(adapter, name)
    if PIPELINE in names and CONFIG not in names:
        pipeline = documents.get(PIPELINE, {})
        return _pipeline_error(pipeline, names, name)
    kind = other_kind(documents.get(CONFIG), names)
    if kind and not any_kind:
        return OtherKindOfModel(name, kind)
    if weights.config_file is None and weights.index_file is None and not weights.shards:
        return _no_model_files_error(names, name)
    return None


def _adapter_error(document: Mapping[str, Any], name: str) -> AdapterAlone:
    kind = "a PEFT adapter"
    peft_type = document.get("peft_type")
    if isinstance(peft_type, str):
        kind = f"a {printable(peft_type)} adapter"
    base = document.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        hint = f"llmarch show {name} --base REF reads it; it does not name its base model"
        return AdapterAlone(f"{name} is {kind}, not a whole model", hint)
    base = printable(base)
    return AdapterAlone(
        f"{name} is {kind} for {base}, not a whole model",
        f"llmarch show {name} reads it; its base model: llmarch show {base}",
    )


def _pipeline_error(document: Mapping[str, Any], names: set[str], name: str) -> NotAModel:
    shown = _shown(document.get("_class_name"))
    encoders = text_encoders(names)
    hint = "it has no text_encoder folder, which could be a language model"
    if encoders:
        commands = [f"llmarch show {name.rstrip('/')}/{printable(folder)}" for folder in encoders]
        classes = [_part_class(document, folder) for folder in encoders]
        pairs = zip(commands, classes, strict=True)
        hint = "its text encoders: " + "; ".join(f"{command}{kind}" for command, kind in pairs)
    return NotAModel(f"{name} is a diffusers pipeline{shown}, not a language model", hint)


def text_encoders(files: Iterable[str]) -> list[str]:
    """Return the folders of a diffusers pipeline that hold its text encoders, sorted."""
    folders = {name.partition("/")[0] for name in files if name.count("/") == 1}
    return sorted(folder for folder in folders if folder.startswith("text_encoder"))


def _part_class(document: Mapping[str, Any], folder: str) -> str:
    """Return ` (CLASS)` of a part of a pipeline, as its model_index.json says it."""
    part = document.get(folder)
    return _shown(_strings(part)[-1]) if _strings(part) else ""


def other_kind(config: Mapping[str, Any] | None, names: set[str]) -> str:
    """Return what a config.json describes if that is not a decoder language model, else nothing.

    config: None where there is no config.json.
    names: of the files beside it.
    """
    if config is None:
        return ""
    if "_diffusers_version" in config:
        return f"a part of a diffusers pipeline{_shown(config.get('_class_name'))}"
    if "peft_type" in config:
        return "a PEFT adapter"
    classes = _strings(config.get("architectures"))
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        model_type = ""
    shown = _shown(classes[0] if classes else model_type)
    decodes = config.get("is_decoder") is True or any(map(_DECODER_CLASS.search, classes))
    if model_type in TEXT_ENCODERS and not decodes:
        kind = "a text encoder"
        if "modules.json" in names:
            kind = "a sentence encoder"
        return kind + shown
    for kind, model_types in KINDS_OF_ENCODERS.items():
        if model_type in model_types:
            return kind + shown
    if model_type in ENCODER_DECODERS or config.get("is_encoder_decoder") is True:
        return f"an encoder-decoder{shown}"
    return ""


def _no_model_files_error(names: set[str], name: str) -> NotAModel:
    """Return the error for a repository without config and safetensors files at its root."""
    converted = [n for n in names if PurePosixPath(n).suffix in (".onnx", ".gguf")]
    if converted:
        example = printable(min(converted))
        return NotAModel(
            f"{name} contains only files of other formats ({example}), "
            "no config.json and no safetensors files",
            "look at the repository it was converted from, "
            "which has config.json and safetensors files",
        )
    if "modules.json" in names:
        return NotAModel(
            f"{name} is a sentence-transformers model without a config.json of its own",
            "look at the model it is built on",
        )
    folders = model_folders(names)
    if folders:
        return _folders_error(folders, name)
    trainer = _trainer_error(names, name)
    if trainer is not None:
        return trainer
    some = [printable(n, 40) for n in sorted(names)[:4]]
    if len(names) > 4:
        some.append("…")
    return NotAModel(
        f"{name} has neither a config.json nor safetensors files "
        f"(it contains {', '.join(some) or 'nothing'})",
        "is it a model repository?",
    )


def model_folders(files: Iterable[str]) -> list[str]:
    """Return the folders that hold a model of their own, sorted: those with a config, else weights.

    What is below such a folder belongs to it.
    """
    names = sorted(files)
    found = {n.rpartition("/")[0] for n in names if n.endswith(("/config.json", "/params.json"))}
    if not found:
        found = {n.rpartition("/")[0] for n in names if n.endswith(".safetensors")} - {""}
    folders: list[str] = []
    for folder in sorted(found):
        if not any(folder.startswith(f"{outer}/") for outer in folders):
            folders.append(folder)
    return folders


def _folders_error(folders: list[str], name: str) -> NotAModel:
    """Return the error for a repository whose models are in folders."""
    name = name.rstrip("/")
    first = printable(folders[0])
    if len(folders) == 1:
        return NotAModel(
            f"{name} has no config.json at its root, but one in {first}/",
            f"name the folder: llmarch show {name}/{first}",
        )
    shown = [printable(folder, 80) for folder in folders[:MOST_FOLDERS_SHOWN]]
    if len(folders) > MOST_FOLDERS_SHOWN:
        shown.append(f"and {len(folders) - MOST_FOLDERS_SHOWN} more")
    return NotAModel(
        f"{name} has {len(folders)} models in folders: {', '.join(shown)}",
        f"name one: llmarch show {name}/{first}",
    )


def _trainer_error(names: set[str], name: str) -> NotAModel | None:
    """Return the error for a checkpoint of a trainer, which has a config of another form."""
    bases = {PurePosixPath(n).name for n in names}
    hint = "look at the checkpoint that was converted to Hugging Face's form, with a config.json"
    if any(n.endswith(".nemo") for n in bases):
        return NotAModel(f"{name} is a NeMo archive (.nemo), which is not unpacked", hint)
    if "model_config.yaml" in bases or {"context", "weights"} <= {n.split("/")[0] for n in names}:
        return NotAModel(f"{name} is a NeMo checkpoint (model_config.yaml, weights)", hint)
    is_megatron = bases & {"latest_checkpointed_iteration.txt", "model_optim_rng.pt"}
    if is_megatron or {"common.pt", "metadata.json"} <= bases:
        found = ", ".join(sorted(is_megatron)) or "common.pt, metadata.json"
        return NotAModel(f"{name} is a checkpoint of Megatron-LM ({found})", hint)
    if any(re.fullmatch(r"consolidated\.\d+\.pth", n) for n in bases):
        return NotAModel(
            f"{name} has Meta's weights (consolidated.*.pth) without params.json",
            "add params.json, which tells the architecture",
        )
    return None


def _shown(class_name: object) -> str:
    """Return ` (NAME)` for a message, or nothing if there is no name."""
    if not isinstance(class_name, str) or not class_name:
        return ""
    return f" ({printable(class_name)})"


def _strings(value: object) -> list[str]:
    """Return the strings in a list; none if the value is not a list."""
    if not isinstance(value, list):
        return []
    items = cast("list[object]", value)
    return [item for item in items if isinstance(item, str)]
