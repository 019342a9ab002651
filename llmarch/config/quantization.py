"""Read how a config says its checkpoint is stored.

The usual tools write `quantization_config`, MLX writes `quantization`. What is not read here has no
effect on the architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..architecture.schema import Quantization
from .evidence import Draft, Sourced, derived, draft, same_evidence
from .keys import ConfigKeys

CONFIG_KEYS = ("quantization_config", "compression_config", "quantization")


def quantization(c: ConfigKeys) -> Draft | None:
    """Read the quantization of a config, None if it declares none.

    In a wrapper the text part may declare it (Kimi K2.6).
    """
    key = next((k for k in CONFIG_KEYS if isinstance(c.data.get(k), dict)), None)
    if key is None:
        nested = isinstance(c.data.get("text_config"), dict)
        return quantization(c.child("text_config")) if nested else None
    q = c.child(key)
    q.ignore(*q.data)
    if q.has("qformat_weight"):
        return _mistral(q)
    method = q.word("quant_method") if q.has("quant_method") else _unnamed_method(q, key)
    read = READERS.get(method.value, _plain)
    return draft(Quantization, method=method, **read(q))


def _unnamed_method(q: ConfigKeys, key: str) -> Sourced:
    """Return the tool that leaves its name out, by the keys that it writes."""
    for written, method in (("quant_algo", "modelopt"), ("config_groups", "compressed-tensors")):
        if q.has(written):
            return derived(method, f"{written} without a quant_method")
    if key == "quantization" or set(q.data) <= {"group_size", "bits", "mode"}:
        return derived("mlx", "bits and group_size without a quant_method")
    return derived("unknown", "there is no quant_method")


def _excluded(q: ConfigKeys, *keys: str) -> Sourced:
    """Read the list of modules that are not quantized."""
    given = q.value(*keys, default=None)
    value: object = given.value
    names = cast("list[object]", value) if isinstance(value, list) else []
    return same_evidence([name for name in names if isinstance(name, str)], given)


def _plain(q: ConfigKeys) -> dict[str, Any]:
    """Read bits and group size, as GPTQ, AWQ and MLX write them."""
    group = q.value("group_size", default=None)
    return {
        "bits": q.number("bits", "w_bit", default=None),
        "group_size": same_evidence(_positive(group.value), group),
        "format": q.value("version", "checkpoint_format", "mode", default=None),
        "excluded": _excluded(q, "modules_to_not_convert"),
    }


def _fp8(q: ConfigKeys) -> dict[str, Any]:
    """Read FP8, with a scale for each block or each tensor."""
    block = q.items("weight_block_size", default=None, entry=int)
    return {
        "bits": 8.0,
        "format": q.word("fmt", default="e4m3"),
        "block": same_evidence(block.value or None, block),
        "activations": q.word("activation_scheme", default=None),
        "excluded": _excluded(q, "modules_to_not_convert", "ignored_layers"),
    }


def _mxfp4(q: ConfigKeys) -> dict[str, Any]:
    """Read MXFP4."""
    return {
        "bits": 4.0,
        "format": "mxfp4",
        "group_size": 32,
        "excluded": _excluded(q, "modules_to_not_convert"),
    }


def _bitsandbytes(q: ConfigKeys) -> dict[str, Any]:
    """Read bitsandbytes, of 4 or 8 bits."""
    four_bit = q.flag("load_in_4bit", "_load_in_4bit", default=False)
    bits = 8.0
    stored_format: Sourced | str = "int8"
    if four_bit.value:
        bits = 4.0
        stored_format = q.word("bnb_4bit_quant_type", default="nf4")
    return {
        "bits": derived(bits, four_bit.evidence.ref),
        "format": stored_format,
        "excluded": _excluded(q, "llm_int8_skip_modules"),
    }


def _modelopt(q: ConfigKeys) -> dict[str, Any]:
    """Read ModelOpt, whose algorithm names the bits: FP8, NVFP4, W4A8_AWQ."""
    algorithm = q.value("quant_algo", default=None)
    name = str(algorithm.value or "").upper()
    bits = None
    if "4" in name:
        bits = 4.0
    elif "8" in name:
        bits = 8.0
    return {
        "bits": derived(bits, f"quant_algo {name}"),
        "format": same_evidence(name.lower() or None, algorithm),
        "group_size": 16 if name.startswith("NVFP4") else None,
        "excluded": _excluded(q, "ignore", "exclude_modules"),
    }


def _object(value: object) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _compressed_tensors(q: ConfigKeys) -> dict[str, Any]:
    """Read compressed-tensors, by the first of its groups that is not empty."""
    groups = _object(q.value("config_groups", default={}).value)
    first = next((g for g in map(_object, groups.values()) if g), _object(None))
    weights = _object(first.get("weights"))
    inputs = _object(first.get("input_activations"))
    bits = weights.get("num_bits")
    block = weights.get("block_structure")
    path = "config_groups.*.weights."
    return {
        "bits": derived(float(bits) if isinstance(bits, int) else None, f"{path}num_bits"),
        "format": q.word("format", default=None),
        "block": derived(block if isinstance(block, list) else None, f"{path}block_structure"),
        "group_size": derived(_positive(weights.get("group_size")), f"{path}group_size"),
        "activations": derived(_activations(inputs), "config_groups.*.input_activations"),
        "excluded": _excluded(q, "ignore"),
    }


def _positive(value: object) -> int | None:
    """Return a positive integer, None for anything else."""
    return value if isinstance(value, int) and value > 0 else None


def _activations(inputs: dict[str, Any]) -> str | None:
    """Return whether scales of activations are computed at run time or stored; None for neither."""
    if not inputs:
        return None
    return "dynamic" if inputs.get("dynamic") else "static"


def _mistral(q: ConfigKeys) -> Draft:
    """Read Mistral's own: one FP8 scale a tensor.

    Scales of activations are stored (TENSOR) or computed (NO_SCALES).
    """
    scheme = q.value("qscheme_act", default="TENSOR")
    activations = "dynamic" if scheme.value == "NO_SCALES" else "static"
    stored_format = q.word("qformat_weight")
    return draft(
        Quantization,
        method=same_evidence("fp8", stored_format),
        bits=8.0,
        format=same_evidence("e4m3", stored_format),
        activations=same_evidence(activations, scheme),
    )


READERS: dict[str, Callable[[ConfigKeys], dict[str, Any]]] = {
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "mxfp4": _mxfp4,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
}
"""Readers by the name of the method; others have `bits` and `group_size`."""
