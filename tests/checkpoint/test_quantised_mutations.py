"""Single mutations of quantised checkpoints: none is verified, and no clean one is a conflict."""

from __future__ import annotations

import random
from typing import Any

import pytest
from helpers.checkpoint_fixtures import (
    NAMES,
    Tensors,
    load,
    read,
    table_of,
    tensors_of,
    verify_headers,
)
from helpers.quantised_checkpoints import CLEAN

from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.packing import FORMATS, unpack
from llmarch.checkpoint.verify import Verification
from llmarch.tensors.template import TensorRow

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

QUANTISED = (
    "deepseek-v4-flash-reduced-mtp-fp4",
    "glm-5.2-reduced-nvfp4",
    "gpt-oss-20b-mxfp4",
    "kimi-k2-thinking-reduced-compressed-int4",
    "mimo-v2-flash-reduced-fp8-block",
    "minimax-m2-reduced-fp8-block",
    "mistral-large-3-reduced-native-fp8",
    "qwen2.5-7b-reduced-gptq",
    "qwen3-0.6b-reduced-awq",
    "qwen3-0.6b-reduced-bnb-int8",
    "qwen3-0.6b-reduced-bnb-nf4",
    "qwen3-0.6b-reduced-fp8-block",
    "qwen3-0.6b-reduced-gptq",
    "qwen3-0.6b-reduced-mlx-4bit",
    "qwen3-0.6b-reduced-nvfp4",
    "qwen3-30b-a3b-reduced-nvfp4",
    "qwen3.6-35b-a3b-reduced-nvfp4",
)
ROUNDS = 12
"""Mutations of each kind and checkpoint."""


class Checkpoint:
    """A clean checkpoint: what its config says, its tensors, and how these are packed."""

    def __init__(self, name: str) -> None:
        fixture = load(name)
        self.config: dict[str, Any] = fixture["config"]
        self.tensors = tensors_of(fixture)
        self.facts = read(self.config)


def verified(facts: tuple[Architecture, list[TensorRow]], tensors: Tensors) -> Verification:
    return verify_headers(*facts, table_of(tensors))


def packed_names(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the stored tensors of packed values, with logical names and shapes."""
    architecture, _ = checkpoint.facts
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    table = table_of(checkpoint.tensors)
    for tensor in unpack(table, architecture.quantization).logical:
        if not tensor.packing or tensor.shape is None:
            continue
        for index in tensor.indices:
            name = tensor.source.format(*index)
            found[name] = (tensor.pattern.format(*index), tensor.shape)
    return found


def suffixes() -> tuple[str, ...]:
    return tuple(suffix for format in FORMATS for suffix in format.scales)


@pytest.fixture(scope="module", params=QUANTISED)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return Checkpoint(request.param)


def test_the_list_has_every_packing() -> None:
    found = set[str]()
    for name in QUANTISED:
        one = Checkpoint(name)
        formats = unpack(table_of(one.tensors), one.facts[0].quantization).formats
        found |= {format.name for format in formats.values()}
    for make in CLEAN.values():
        style = make()
        architecture, _ = read(style.config)
        found |= {
            t.format for t in unpack(table_of(style.tensors), architecture.quantization).logical
        }
    assert found >= {f.name for f in FORMATS}
    assert set(QUANTISED) <= set(NAMES)


def test_a_clean_checkpoint_is_verified(checkpoint: Checkpoint) -> None:
    result = verified(checkpoint.facts, checkpoint.tensors)
    assert [f for f in result.findings if f.severity != "info"] == []
    assert result.status == "verified"


def assert_conflict(result: Verification, what: str) -> None:
    assert result.status == "conflict", what
    worst = {f.severity for f in result.findings} - {"info"}
    assert worst & {"weights", "behaviour"}, what


def sample(seed: str, names: list[str]) -> list[str]:
    chooser = random.Random(seed)
    return chooser.sample(sorted(names), min(ROUNDS, len(names)))


def test_dropped_tensors(checkpoint: Checkpoint) -> None:
    """Of values and of the scales beside them, which no loader does without."""
    scales = [n for n in checkpoint.tensors if n.endswith(suffixes())]
    names = [n for n in (*packed_names(checkpoint), *scales) if not n.startswith("mtp.")]
    for name in sample("drop", names):
        tensors = {n: t for n, t in checkpoint.tensors.items() if n != name}
        assert_conflict(verified(checkpoint.facts, tensors), f"without {name}")


def test_retyped_values(checkpoint: Checkpoint) -> None:
    """Packed bytes under a plain dtype are neither the packing nor the matrix."""
    for name in sample("retype", list(packed_names(checkpoint))):
        shape = checkpoint.tensors[name][1]
        for dtype in ("BF16", "F32"):
            tensors = {**checkpoint.tensors, name: (dtype, shape)}
            assert_conflict(verified(checkpoint.facts, tensors), f"{name} as {dtype}")


def test_modules_stored_plain(checkpoint: Checkpoint) -> None:
    """One module in 16 bits, without its scales, which the config does not exclude."""
    packed = packed_names(checkpoint)
    layers = [name for name in packed if "layers." in name and not name.startswith("mtp.")]
    for name in sample("plain", layers):
        logical, shape = packed[name]
        stem = logical.removesuffix(".weight")
        kept = {
            n: t
            for n, t in checkpoint.tensors.items()
            if n != name and not (n.startswith((f"{stem}.", f"{stem}_")) and n != f"{stem}.bias")
        }
        assert len(kept) < len(checkpoint.tensors)
        tensors = {**kept, logical: ("BF16", shape)}
        result = verified(checkpoint.facts, tensors)
        assert_conflict(result, f"{name} in 16 bits")


def test_undeclared(checkpoint: Checkpoint) -> None:
    config = {k: v for k, v in checkpoint.config.items() if not k.startswith("quant")}
    assert_conflict(verified(read(config), checkpoint.tensors), "without the declaration")


@pytest.mark.parametrize(
    "declared",
    [
        {"quant_method": "fp8", "weight_block_size": [128, 128]},
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        {"quant_method": "mxfp4"},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
    ],
    ids=lambda d: d["quant_method"],
)
def test_another_method_declared(checkpoint: Checkpoint, declared: dict[str, Any]) -> None:
    architecture, _ = checkpoint.facts
    own = architecture.quantization
    assert own is not None
    if own.method == declared["quant_method"]:
        return
    keys = [k for k in checkpoint.config if k.startswith("quant")]
    config = {k: v for k, v in checkpoint.config.items() if k not in keys}
    config["quantization_config"] = declared
    assert_conflict(verified(read(config), checkpoint.tensors), f"declared {declared}")


@pytest.mark.parametrize("method", ["aqlm", "hqq", "spqr", "vptq"])
def test_method_with_tensors_of_its_own_declared(checkpoint: Checkpoint, method: str) -> None:
    """Loaders of these methods find none of their tensors in a checkpoint of another packing."""
    keys = [k for k in checkpoint.config if k.startswith("quant")]
    config = {k: v for k, v in checkpoint.config.items() if k not in keys}
    config["quantization_config"] = {"quant_method": method}
    assert_conflict(verified(read(config), checkpoint.tensors), f"declared {method}")


def test_declared_though_plain(checkpoint: Checkpoint) -> None:
    """The whole checkpoint in 16 bits, under its declaration."""
    packed = packed_names(checkpoint)
    stems = tuple(logical.removesuffix(".weight") for logical, _ in packed.values())
    if not stems:
        return
    endings = tuple(
        suffix for format in FORMATS for suffix in (*format.companions, ".qweight", "_blocks")
    )
    plain = {logical: ("BF16", shape) for logical, shape in packed.values()}
    kept = {n: t for n, t in checkpoint.tensors.items() if n not in packed}
    kept = {n: t for n, t in kept.items() if not n.endswith(endings)}
    result = verified(checkpoint.facts, {**kept, **plain})
    assert_conflict(result, "nothing is packed")


def test_bits_that_mlx_does_not_declare() -> None:
    """One module of 6 bits in a checkpoint of 4, without an override; with one it is declared."""
    one = Checkpoint("qwen3-0.6b-reduced-mlx-4bit")
    name = "model.layers.1.mlp.up_proj"
    dtype, shape = one.tensors[f"{name}.weight"]
    assert shape is not None
    tensors = {**one.tensors, f"{name}.weight": (dtype, (shape[0], shape[1] * 6 // 4))}
    result = verified(one.facts, tensors)
    assert_conflict(result, "6 bits")
    assert [f.path for f in result.findings if f.severity != "info"] == [f"{name}.weight"]
    config = dict(one.config)
    for key in ("quantization", "quantization_config"):
        if key in config:
            config[key] = {**config[key], name: {"group_size": 64, "bits": 6}}
    assert verified(read(config), tensors).status == "verified"


def test_reshaped_scales(checkpoint: Checkpoint) -> None:
    """Scales, zero points and indices of another shape than the values need."""
    ignored = (".weight_format", "bitsandbytes__nf4", "bitsandbytes__fp4", ".weight_shape")
    companions = tuple(suffix for format in FORMATS for suffix in format.companions)
    names = [n for n in checkpoint.tensors if n.endswith(companions) and not n.endswith(ignored)]
    for name in sample("reshape", [n for n in names if not n.startswith("mtp.")]):
        dtype, shape = checkpoint.tensors[name]
        assert shape is not None
        others = [(7,)]
        if shape:
            last = shape[-1]
            others = [(*shape[:-1], last * 2), (*shape[:-1], last + 1), shape[:-1]]
        for other in others:
            tensors = {**checkpoint.tensors, name: (dtype, other)}
            assert_conflict(verified(checkpoint.facts, tensors), f"{name} {shape} -> {other}")
