"""Choose the files to read in a repository: the weights, the index and the JSON documents.

Pure functions of the list of file names, and of the small JSON documents among them. Local folders
and the Hub share them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, cast

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Finding
from ..errors import printable
from .file_names import (
    ADAPTER,
    ADAPTER_PICKLE,
    ADAPTER_WEIGHTS,
    CONFIG,
    INDEX,
    PARAMS,
    PICKLE,
    PICKLE_INDEX,
    PIPELINE,
    QUANTIZATION,
    QUANTIZE,
    SHARD,
    SINGLE,
    is_pickle,
)
from .strict_json import JsonObject, repeated_keys

_PYTORCH = re.compile(r"(?:pytorch_model.*|consolidated.*|model.*)\.(?:bin|pth|pt)")
_NO_WEIGHTS = re.compile(r"(?:training_args|optimizer|scheduler|rng_state|tokenizer|scaler).*")
_PICKLE_SHARD = re.compile(r"pytorch_model-\d+-of-\d+\.bin")
_NATIVE_PREFIX = "consolidated"
"""Beginning of the names of Mistral's native weights."""
_NATIVE_INDEX = "consolidated.safetensors.index.json"
_ADAPTER_PREFIX = "adapter_"
DECLARING_KEYS = ("quantization_config", "compression_config", "quantization")
"""Keys under which a config declares its quantization."""
_FRAMEWORKS = "another framework"
_FORMATS = {
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".h5": _FRAMEWORKS,
    ".msgpack": _FRAMEWORKS,
    ".tflite": _FRAMEWORKS,
    ".mlmodel": _FRAMEWORKS,
    ".nemo": _FRAMEWORKS,
}
"""Formats of weights by suffix; safetensors and PyTorch files also depend on the name."""


@frozen
class WeightFiles(Frozen):
    """The config and the set of weights to read."""

    config_file: str | None
    index_file: str | None
    shards: tuple[str, ...]
    """As far as file names tell; where there is an index, its files count instead."""
    is_one_set: bool
    """Whether the names tell that all of `shards` belong together."""
    other_weights: tuple[Finding, ...]
    """One finding for each other set of weights, which is not read."""

    @property
    def is_pickled(self) -> bool:
        """Return whether the weights are files of torch.save."""
        return self.index_file == PICKLE_INDEX or any(map(is_pickle, self.shards))


def choose_weights(files: Iterable[str]) -> WeightFiles:
    """Choose the config and the weights to read. Only files at the root are chosen.

    model.safetensors is preferred to shards, as in transformers. Mistral's native set (params.json,
    consolidated*) is read only if there is no other, and files of torch.save beside a config.json
    alone, without safetensors.

    files: paths relative to the root.
    """
    names = set(files)
    at_root = sorted(n for n in names if "/" not in n)
    weights = [n for n in at_root if n.endswith(".safetensors")]
    native = [n for n in weights if _is_native(n)]
    standard = [n for n in weights if not n.startswith((_NATIVE_PREFIX, _ADAPTER_PREFIX))]
    only_native = bool(native) and not standard
    config = CONFIG if CONFIG in names else None
    if PARAMS in names and (config is None or only_native):
        config = PARAMS
        shards = native or standard
    else:
        shards = _choose_set(standard or native)
    is_one_set = shards == [SINGLE] or len(_model_sets(shards)) == 1
    indexes = [n for n in at_root if n.endswith(".safetensors.index.json")]
    index = _choose_index(shards, indexes, config)
    if config == CONFIG and index is None and not shards and ADAPTER not in names:
        index, shards = _choose_pickles(names)
        is_one_set = bool(shards)
    others = find_other_weights(names, shards, index)
    return WeightFiles(config, index, tuple(shards), is_one_set, tuple(others))


def _choose_pickles(names: set[str]) -> tuple[str | None, list[str]]:
    """Return the index of files of torch.save and the files; without an index the single file."""
    if PICKLE in names:
        return None, [PICKLE]
    if PICKLE_INDEX not in names:
        return None, []
    return PICKLE_INDEX, sorted(name for name in names if _PICKLE_SHARD.fullmatch(name))


def is_adapter_alone(files: Iterable[str]) -> bool:
    """Return whether files are an adapter and hold no weights of a whole model."""
    names = set(files)
    return ADAPTER in names and not choose_weights(names).shards


def choose_adapter(files: Iterable[str]) -> WeightFiles:
    """Return the config of an adapter, and the file of its tensors if there is one.

    files: paths relative to the root, which `is_adapter_alone` accepts.
    """
    names = set(files)
    shards = tuple(name for name in (ADAPTER_WEIGHTS, ADAPTER_PICKLE) if name in names)[:1]
    others = find_other_weights(names, shards, None)
    return WeightFiles(ADAPTER, None, shards, True, tuple(others))


def weights_to_read(files: Iterable[str], *, adapters: bool) -> WeightFiles:
    """Return the files of an adapter, if one may be read and there is nothing else, or of a model.

    files: paths relative to the root.
    """
    names = set(files)
    if adapters and is_adapter_alone(names):
        return choose_adapter(names)
    return choose_weights(names)


def is_gguf_alone(files: Iterable[str]) -> bool:
    """Return whether files hold no other model than GGUF ones: no config and no safetensors."""
    names = set(files)
    if not names.isdisjoint((CONFIG, PARAMS, ADAPTER, PIPELINE)):
        return False
    weights = choose_weights(names)
    return weights.index_file is None and not weights.shards


def documents_to_read(files: Iterable[str]) -> list[str]:
    """Return the JSON files that `non_model_error` and the reader need, in reading order."""
    names = set(files)
    weights = choose_weights(names)
    wanted = [weights.config_file] if weights.config_file else []
    if ADAPTER in names and not weights.shards:
        wanted.append(ADAPTER)
    if PIPELINE in names and CONFIG not in names:
        wanted.append(PIPELINE)
    if weights.config_file == CONFIG:
        wanted += [name for name in (QUANTIZATION, *QUANTIZE) if name in names]
    return wanted


def effective_config(
    weights: WeightFiles, documents: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the config, completed by a quantization file; None if there is no config.

    That file becomes the `quantization_config` of a config that declares none.

    documents: the parsed JSON files of `documents_to_read`, by name.
    """
    config = documents.get(weights.config_file or "")
    if config is None:
        return None
    declaration = find_declaration(weights, documents)
    if declaration is None:
        return dict(config)
    return {**config, "quantization_config": declaration.quantization}


class Declaration(NamedTuple):
    """A quantization that a file beside the config declares."""

    file: str
    quantization: dict[str, Any]

    @property
    def finding(self) -> Finding:
        """Return the remark that not every loader reads the file."""
        message = (
            f"only {self.file} declares the quantisation: vLLM reads that file, transformers "
            "reads config.json alone and does not"
        )
        return Finding(rule="quantization-beside-config", path=self.file, message=message)


def find_declaration(
    weights: WeightFiles, documents: Mapping[str, Mapping[str, Any]]
) -> Declaration | None:
    """Return what a file beside config.json declares, None where the config declares it itself.

    The files are those of vLLM's quantization configs (get_config_filenames, vllm 0.33.0), which
    are read where config.json has no declaration. Files that leave out their method are ModelOpt's,
    AutoGPTQ's or AutoAWQ's, by name and keys.

    documents: the parsed JSON files of `documents_to_read`, by name.
    """
    config = documents.get(weights.config_file or "")
    if config is None or _declares_quantization(config):
        return None
    modelopt: object = documents.get(QUANTIZATION, {}).get("quantization")
    if isinstance(modelopt, dict):
        keys = cast("dict[str, Any]", modelopt)
        declared = {"quant_method": "modelopt", **keys}
        return Declaration(QUANTIZATION, declared)
    for name in QUANTIZE:
        keys = documents.get(name, {})
        if "bits" in keys or "w_bit" in keys:
            method = _method_of(name, keys)
            declared = {"quant_method": method, **keys}
            return Declaration(name, declared)
    return None


READERS_BESIDE = {
    QUANTIZATION: "TensorRT-LLM reads the latter",
    QUANTIZE[0]: "GPTQModel reads the latter",
    QUANTIZE[1]: "AutoAWQ reads the latter",
}
"""Who reads a file that declares the quantization beside a config that declares it too."""

_ONE_THING = (
    ("quant_method",),
    ("quant_algo",),
    ("bits", "w_bit"),
    ("group_size", "q_group_size"),
    ("desc_act",),
    ("sym",),
    ("zero_point",),
    ("checkpoint_format",),
)
"""Keys of declarations that mean the same."""


def declarations_that_differ(
    weights: WeightFiles, documents: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return a finding for each value of a declaration beside the config that the config denies.

    documents: the parsed JSON files of `documents_to_read`, by name.
    """
    config = documents.get(weights.config_file or "")
    if config is None:
        return []
    key = next((k for k in DECLARING_KEYS if isinstance(config.get(k), dict)), None)
    if key is None:
        return []
    declared = cast("dict[str, Any]", config[key])
    findings: list[Finding] = []
    weights_only = {name: document for name, document in documents.items() if name != CONFIG}
    for name in (QUANTIZATION, *QUANTIZE):
        alone = {CONFIG: cast("Mapping[str, Any]", {}), name: weights_only.get(name, {})}
        standalone = find_declaration(weights, alone)
        if standalone is not None:
            findings += _differences(key, declared, standalone)
    return findings


def keys_stated_twice(weights: WeightFiles, documents: Mapping[str, JsonObject]) -> list[Finding]:
    """Return a finding for each key that a file states twice, with another value.

    documents: the parsed JSON files of `documents_to_read`, by name.
    """
    findings: list[Finding] = []
    for name, document in sorted(documents.items()):
        findings += repeated_keys(name, document, is_config=name == weights.config_file)
    return findings


def _differences(key: str, declared: dict[str, Any], standalone: Declaration) -> list[Finding]:
    """Return the findings about what a file declares in another way than the config."""
    findings: list[Finding] = []
    for names in _ONE_THING:
        mine = next((n for n in names if declared.get(n) is not None), None)
        other = next((n for n in names if standalone.quantization.get(n) is not None), None)
        if mine is None or other is None:
            continue
        if names == ("quant_method",) and "quant_algo" in declared:
            continue  # ModelOpt's keys under another method (DeepSeek V4)
        first, second = declared[mine], standalone.quantization[other]
        if str(first).lower() == str(second).lower():
            continue
        words = f"{key}.{mine} is {printable(str(first))}, but {standalone.file} says"
        message = (
            f"{words} {printable(str(second))}: transformers and vLLM read the former,"
            f" {READERS_BESIDE[standalone.file]}"
        )
        path = f"{standalone.file}: {other}"
        findings.append(
            Finding(
                rule="quantization-files-differ",
                path=path,
                message=message,
                severity="behaviour",
                old=second,
                new=first,
            )
        )
    return findings


def _declares_quantization(config: Mapping[str, Any]) -> bool:
    """Return whether a config, or its text part, says how its weights are stored."""
    text: object = config.get("text_config")
    if isinstance(text, dict) and _declares_quantization(cast("dict[str, Any]", text)):
        return True
    return any(isinstance(config.get(key), dict) for key in DECLARING_KEYS)


def _method_of(file: str, keys: Mapping[str, Any]) -> str:
    """Return the method of a declaration that may leave it out."""
    if file == "quant_config.json" or "w_bit" in keys or "zero_point" in keys:
        return "awq"
    return "gptq"


_ADAPTER_LOADED = (
    f". Where PEFT is installed, transformers goes by {ADAPTER}: it adds the adapter to the weights"
    " of a folder, and for a repository loads the base model that is named there instead"
)
"""transformers 5.23.0 auto_factory.py (from_pretrained) and integrations/peft.py."""


def find_other_weights(
    files: Iterable[str], read: Iterable[str], index: str | None
) -> list[Finding]:
    """Return one `other-weights` finding for each set of weights that is not read.

    files: all names in the repository.
    read: those that are read.
    index: the index that is used, if any.
    """
    files = [*files]
    sets: dict[tuple[str, str], list[str]] = {}
    for name in sorted({*files} - {*read}):
        weight_format = _weight_format(name)
        if weight_format is not None and name != index:
            members = sets.setdefault((weight_format, _set_pattern(name)), [])
            members.append(name)
    findings: list[Finding] = []
    for (weight_format, pattern), members in sets.items():
        count = f"{len(members)} files"
        path = printable(pattern)
        if len(members) == 1:
            count = "1 file"
            path = printable(members[0])
        message = f"{path} ({count}): other weights ({weight_format}), not read and not counted"
        if members == [ADAPTER_WEIGHTS] and ADAPTER in files:
            message += _ADAPTER_LOADED
        findings.append(Finding(rule="other-weights", path=path, message=message))
    return findings


def _is_native(name: str) -> bool:
    """Return whether a file belongs to Mistral's native weights."""
    return name.startswith(_NATIVE_PREFIX)


def _choose_set(candidates: list[str]) -> list[str]:
    """Return the single file or the only set of model shards; if neither exists, all candidates."""
    if SINGLE in candidates:
        return [SINGLE]
    sets = _model_sets(candidates)
    if len(sets) != 1:
        return candidates
    (only,) = sets.values()
    return only


def _model_sets(candidates: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Return the shards of each set that has the usual names, by stem and number of files."""
    sets: dict[tuple[str, str], list[str]] = {}
    for name in candidates:
        match = SHARD.fullmatch(name)
        if match is not None and match["stem"] in ("model", "model.safetensors"):
            members = sets.setdefault((match["stem"], match["total"]), [])
            members.append(name)
    return sets


def _choose_index(shards: list[str], indexes: list[str], config: str | None) -> str | None:
    """Return the index that belongs to the shards, or, without shards, the one that may."""
    is_native = config == PARAMS or any(map(_is_native, shards))
    usual = _NATIVE_INDEX if is_native else INDEX
    if usual in indexes:
        return usual
    possible = [
        index
        for index in indexes
        if _is_native(index) == is_native and not index.startswith(_ADAPTER_PREFIX)
    ]
    if len(possible) != 1 or SINGLE in shards:
        return None
    return possible[0]


def _set_pattern(name: str) -> str:
    """Return the pattern that the files of one set share: `model-*.safetensors`, `original/*`."""
    folder, _, base = name.rpartition("/")
    if folder:
        return f"{folder}/*"
    if "-of-" in base:
        return re.sub(r"(?<!\d)\d+-of-\d+", "*", base)
    return re.sub(r"\.\d+\.", ".*.", base)


def _weight_format(name: str) -> str | None:
    """Return the format of a file of weights; None for any other file."""
    path = PurePosixPath(name)
    base, suffix = path.name, path.suffix
    if suffix == ".safetensors":
        if base.startswith(_ADAPTER_PREFIX):
            return "PEFT adapter"
        return "Mistral's native format" if _is_native(base) else "safetensors"
    if suffix in (".bin", ".pth", ".pt"):
        has_weights = suffix == ".pth" or _PYTORCH.fullmatch(base)
        if not has_weights or _NO_WEIGHTS.match(base):
            return None
        return "PyTorch pickle"
    if base == "rust_model.ot":
        return _FRAMEWORKS
    return _FORMATS.get(suffix)
