"""How a config says its checkpoint is stored: `quantization_config` of the usual tools, and MLX's `quantization`, as one fact tree."""

from __future__ import annotations

from typing import Any, cast

from ..architecture.schema import Quantization
from .evidence import Draft, Sourced, derived, draft, same_evidence
from .keys import ConfigKeys


def quantization(c: ConfigKeys) -> Draft | None:
    """The Quantization node of a config, None where it declares nothing. Of a wrapper, the text part may declare it (Kimi K2.6)."""
    key = next(
        (
            k
            for k in ("quantization_config", "compression_config", "quantization")
            if isinstance(c.data.get(k), dict)
        ),
        None,
    )
    if key is None:
        return (
            quantization(c.child("text_config"))
            if isinstance(c.data.get("text_config"), dict)
            else None
        )
    q = c.child(key)
    q.ignore(
        *q.data
    )  # how weights are stored is not the architecture: what is not read here is of no effect on it
    read = {
        "bitsandbytes": _bitsandbytes,
        "compressed-tensors": _compressed,
        "modelopt": _modelopt,
        "mxfp4": _mxfp4,
        "fp8": _fp8,
        "fbgemm_fp8": _fp8,
    }
    if q.has("qformat_weight"):
        return _native(q)
    method = q.word("quant_method") if q.has("quant_method") else _unsaid(q, key)
    facts = read.get(method.value, _plain)(q)
    return draft(Quantization, method=method, **facts)


def _unsaid(q: ConfigKeys, key: str) -> Sourced:
    """The tool that leaves its name out, from the keys that it writes."""
    for tell, method in (("quant_algo", "modelopt"), ("config_groups", "compressed-tensors")):
        if q.has(tell):
            return derived(method, f"{tell} without a quant_method")
    if key == "quantization" or set(q.data) <= {"group_size", "bits", "mode"}:
        return derived("mlx", "bits and group_size without a quant_method")
    return derived("unknown", "there is no quant_method")


def _excluded(q: ConfigKeys, *keys: str) -> Sourced:
    fact = q.value(*keys, default=None)
    value: object = fact.value
    names = cast("list[object]", value) if isinstance(value, list) else []
    return same_evidence([n for n in names if isinstance(n, str)], fact)


def _plain(q: ConfigKeys) -> dict[str, Any]:
    """GPTQ, AWQ, MLX: bits and group size."""
    group = q.value("group_size", default=None)
    return {
        "bits": q.number("bits", "w_bit", default=None),
        "group_size": group
        if isinstance(group.value, int) and group.value > 0
        else same_evidence(None, group),
        "format": q.value("version", "checkpoint_format", "mode", default=None),
        "excluded": _excluded(q, "modules_to_not_convert"),
    }


def _fp8(q: ConfigKeys) -> dict[str, Any]:
    block = q.items("weight_block_size", default=None, entry=int)
    return {
        "bits": 8.0,
        "format": q.word("fmt", default="e4m3"),
        "block": block if block.value else same_evidence(None, block),
        "activations": q.word("activation_scheme", default=None),
        "excluded": _excluded(q, "modules_to_not_convert", "ignored_layers"),
    }


def _mxfp4(q: ConfigKeys) -> dict[str, Any]:
    return {
        "bits": 4.0,
        "format": "mxfp4",
        "group_size": 32,
        "excluded": _excluded(q, "modules_to_not_convert"),
    }


def _bitsandbytes(q: ConfigKeys) -> dict[str, Any]:
    four = q.flag("load_in_4bit", "_load_in_4bit", default=False)
    return {
        "bits": derived(4.0 if four.value else 8.0, f"{four.evidence.ref}"),
        "format": q.word("bnb_4bit_quant_type", default="nf4") if four.value else "int8",
        "excluded": _excluded(q, "llm_int8_skip_modules"),
    }


def _modelopt(q: ConfigKeys) -> dict[str, Any]:
    algo = q.value("quant_algo", default=None)
    name = str(algo.value or "").upper()
    bits = 4.0 if "4" in name else 8.0 if "8" in name else None
    return {
        "bits": derived(bits, f"quant_algo {name}"),
        "format": same_evidence(name.lower() or None, algo),
        "group_size": 16 if name.startswith("NVFP4") else None,
        "excluded": _excluded(q, "ignore", "exclude_modules"),
    }


def _object(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _compressed(q: ConfigKeys) -> dict[str, Any]:
    groups = _object(q.value("config_groups", default={}).value)
    first = next((g for g in map(_object, groups.values()) if g), _object(None))
    weights, inputs = _object(first.get("weights")), _object(first.get("input_activations"))
    bits, block, group = (weights.get(k) for k in ("num_bits", "block_structure", "group_size"))
    return {
        "bits": derived(
            float(bits) if isinstance(bits, int) else None, "config_groups.*.weights.num_bits"
        ),
        "format": q.word("format", default=None),
        "block": derived(
            block if isinstance(block, list) else None, "config_groups.*.weights.block_structure"
        ),
        "group_size": derived(
            group if isinstance(group, int) and group > 0 else None,
            "config_groups.*.weights.group_size",
        ),
        "activations": derived(
            ("dynamic" if inputs.get("dynamic") else "static") if inputs else None,
            "config_groups.*.input_activations",
        ),
        "excluded": _excluded(q, "ignore"),
    }


def _native(q: ConfigKeys) -> Draft:
    """Mistral's own: one FP8 scale a tensor, activations static (TENSOR) or dynamic (NO_SCALES)."""
    scheme = q.value("qscheme_act", default="TENSOR")
    return draft(
        Quantization,
        method=same_evidence("fp8", q.word("qformat_weight")),
        bits=8.0,
        format=same_evidence("e4m3", q.word("qformat_weight")),
        activations=same_evidence("dynamic" if scheme.value == "NO_SCALES" else "static", scheme),
    )
