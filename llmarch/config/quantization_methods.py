"""Read the declarations of methods that have keys of their own, beside those of the usual ones.

Sources: the config classes of transformers 5.23.0 (utils/quantization_config.py), vLLM 0.33.0
(model_executor/layers/quantization/quark).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..architecture.quantization import ModuleFormat
from .evidence import derived, same_evidence
from .keys import ConfigKeys
from .quantization_values import invalid_value, read_bits, read_flag, read_group_size, read_names
from .quantization_words import (
    BITNET_LAYERS,
    BITNET_MODES,
    FP_QUANT_DTYPES,
    QUANTO_WEIGHTS,
    QUARK_DTYPES,
    QUARK_SCHEMES,
    SINQ_METHODS,
    checked_word,
    report_missing,
)

Declared = dict[str, Any]
"""Facts of a declaration by field of the Quantization."""

_SKIPPED = "modules_to_not_convert"


def _metal(q: ConfigKeys) -> Declared:
    return {
        "bits": read_bits(q, "bits", default=4.0),
        "group_size": read_group_size(q, "group_size", default=64),
        "excluded": read_names(q, _SKIPPED),
    }


def _sinq(q: ConfigKeys) -> Declared:
    return {
        "bits": read_bits(q, "nbits", default=4.0),
        "group_size": read_group_size(q, "group_size", default=64),
        "format": checked_word(q, "method", SINQ_METHODS, default="sinq"),
        "excluded": read_names(q, _SKIPPED),
    }


def _gemma(q: ConfigKeys) -> Declared:
    """Read Gemma's keys: regular expressions of modules with bits of their own."""
    rules = q.child("module_quant_configs")
    modules: list[str] = []
    for rule in rules.data:
        bits = read_bits(rules.child(rule), "num_bits").value
        if bits is not None:
            modules.append(f"re:.*(?:{rule}): {ModuleFormat(bits=bits).words}")
    q.flag("quantize_embeddings", default=False)
    return {
        "bits": read_bits(q, "num_bits", default=4.0),
        "number": "int",
        "excluded": read_names(q, _SKIPPED),
        "modules": modules,
    }


def _hqq(q: ConfigKeys) -> Declared:
    """Read HQQ's keys: one format for all modules, or one for each tag of modules."""
    config = q.child("quant_config")
    if "weight_quant_params" not in config.data:
        modules: list[str] = []
        for tag in config.data:
            words = _hqq_format(config.child(tag)).words
            modules.append(f"{tag}: {words}")
        return {"excluded": read_names(q, "skip_modules"), "modules": modules}
    own = _hqq_format(config)
    location = "quant_config.weight_quant_params"
    return {
        "bits": derived(own.bits, f"{location}.nbits"),
        "group_size": derived(own.group_size, f"{location}.group_size"),
        "excluded": read_names(q, "skip_modules"),
    }


def _hqq_format(part: ConfigKeys) -> ModuleFormat:
    weights = part.child("weight_quant_params") if "weight_quant_params" in part.data else part
    return ModuleFormat(
        bits=read_bits(weights, "nbits").value,
        group_size=read_group_size(weights, "group_size").value,
    )


def _quanto(q: ConfigKeys) -> Declared:
    word = checked_word(q, "weights", QUANTO_WEIGHTS, default="int8")
    return {
        "bits": same_evidence(QUANTO_WEIGHTS.get(word.value), word),
        "format": word,
        "excluded": read_names(q, _SKIPPED),
    }


def _eetq(q: ConfigKeys) -> Declared:
    word = checked_word(q, "weights", {"int8"}, default="int8")
    return {"bits": 8.0, "format": word, "excluded": read_names(q, _SKIPPED)}


def _aqlm(q: ConfigKeys) -> Declared:
    """Read AQLM's keys: codes for groups of weights; the bits of a weight follow from them."""
    keys = ("num_codebooks", "nbits_per_codebook", "in_group_size", "out_group_size")
    defaults = (1, 16, 8, 1)
    sizes = [q.size(key, default=value).value for key, value in zip(keys, defaults, strict=True)]
    codebooks, bits, inputs, outputs = sizes
    skipped = read_names(q, "linear_weights_not_to_quantize")
    return {
        "bits": derived(codebooks * bits / (inputs * outputs), ", ".join(keys)),
        "excluded": [name.removesuffix(".weight") for name in skipped.value],
    }


def _bits_and_groups(q: ConfigKeys) -> Declared:
    """Read the keys of HIGGS and SpQR."""
    return {
        "bits": read_bits(q, "bits"),
        "group_size": read_group_size(q, "group_size"),
        "excluded": read_names(q, _SKIPPED),
    }


def _fp_quant(q: ConfigKeys) -> Declared:
    word = checked_word(q, "forward_dtype", FP_QUANT_DTYPES, default="nvfp4")
    return {
        "bits": 4.0,
        "number": "float",
        "format": word,
        "group_size": same_evidence(FP_QUANT_DTYPES.get(word.value), word),
        "excluded": read_names(q, _SKIPPED),
    }


def _bitnet(q: ConfigKeys) -> Declared:
    """Read BitNet's keys: packed ternary weights, or plain ones for AutoBitLinear."""
    layers = checked_word(q, "linear_class", BITNET_LAYERS, default="bitlinear")
    checked_word(q, "quantization_mode", BITNET_MODES, default="offline")
    bits = None if layers.value == "autobitlinear" else 2.0
    return {
        "bits": same_evidence(bits, layers),
        "format": layers,
        "excluded": read_names(q, _SKIPPED),
    }


def _torchao(q: ConfigKeys) -> Declared:
    """Read torchao's keys: a class of torchao and its arguments, or only a word."""
    kind = q.value("quant_type", default=None)
    name: object = kind.value
    size = None
    if isinstance(name, Mapping):
        default = q.child("quant_type").child("default")
        name = default.word("_type", default=None).value
        size = read_group_size(default.child("_data"), "group_size").value
    if name is not None and not isinstance(name, str):
        raise invalid_value(q, "quant_type", "a name, or an object with `default`")
    found = re.search(r"(?:int|uint|float|fp)(\d)", (name or "").lower().replace("_", ""))
    return {
        "bits": same_evidence(float(found[1]) if found else None, kind),
        "format": same_evidence(name, kind),
        "group_size": same_evidence(size, kind),
        "excluded": read_names(q, _SKIPPED),
    }


_QUARK_INERT = """
    observer_cls is_dynamic ch_axis round_method scale_type zero_point_type scale_calculation_mode
    mx_element_dtype is_scale_quant scale_format
    """.split()
"""Keys about how Quark quantised; the tensors of a dtype have one layout whatever they say."""


def _quark(q: ConfigKeys) -> Declared:
    """Read Quark's keys: one format for all layers, and one for each name with wildcards."""
    q.ignore("export", "algo_config", "quant_mode", "softmax_quant_spec")
    if not q.has("global_quant_config") and not q.has("layer_quant_config"):
        report_missing(q, "global_quant_config", "quark")
    formats: list[str] = []
    layers = q.child("layer_quant_config")
    for name in layers.data:
        own = _quark_format(layers.child(name))
        if own != ModuleFormat():
            formats.append(f"{name}: {own.words}")
    every = _quark_format(q.child("global_quant_config"))
    location = "global_quant_config.weight"
    return {
        "bits": derived(every.bits, f"{location}.dtype"),
        "number": derived(every.number, f"{location}.dtype"),
        "format": derived(every.format, f"{location}.dtype"),
        "group_size": derived(every.group_size, f"{location}.group_size"),
        "symmetric": derived(every.symmetric, f"{location}.symmetric"),
        "strategy": derived(every.strategy, f"{location}.qscheme"),
        "activations": derived(every.activations, "global_quant_config.input_tensors"),
        "excluded": read_names(q, "exclude"),
        "modules": formats,
    }


def _quark_format(part: ConfigKeys) -> ModuleFormat:
    """Return what a part of Quark's config says of weights. Weights of two steps say nothing."""
    part.ignore("weight", "input_tensors", "output_tensors", "bias", "target_device")
    if not isinstance(part.data.get("weight"), dict):
        return ModuleFormat()
    weights = part.child("weight")
    weights.ignore(*_QUARK_INERT)
    word = checked_word(weights, "dtype", QUARK_DTYPES, default=None).value
    scheme = checked_word(weights, "qscheme", QUARK_SCHEMES, default=None).value
    number, bits = QUARK_DTYPES.get(word or "", (None, None))
    return ModuleFormat(
        number=number,
        bits=bits,
        group_size=read_group_size(weights, "group_size").value,
        strategy=(scheme or "").removeprefix("per_") or None,
        symmetric=read_flag(weights, "symmetric").value,
        activations=_quark_activations(part.data.get("input_tensors")),
        format=word,
    )


def _quark_activations(inputs: object) -> str | None:
    if not isinstance(inputs, dict):
        return None
    spec = cast("dict[str, Any]", inputs)
    return "dynamic" if spec.get("is_dynamic") else "static"


def _gguf(q: ConfigKeys) -> Declared:
    """Read llama.cpp's file type; the type of each tensor is in its info."""
    return {"format": q.word("format", default=None)}


METHOD_READERS: dict[str, Callable[[ConfigKeys], Declared]] = {
    "aqlm": _aqlm,
    "bitnet": _bitnet,
    "eetq": _eetq,
    "fp_quant": _fp_quant,
    "gemma": _gemma,
    "gguf": _gguf,
    "higgs": _bits_and_groups,
    "hqq": _hqq,
    "metal": _metal,
    "quanto": _quanto,
    "quark": _quark,
    "sinq": _sinq,
    "spqr": _bits_and_groups,
    "torchao": _torchao,
}
"""The reader of each method's keys."""
