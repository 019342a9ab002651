"""How configs say that their checkpoints are quantised: each tool its own way, some without their name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.checkpoint.reading import read
from llmarch.sources.raw import RawModel

BASE: dict[str, Any] = json.loads((SPECS / "qwen3-0.6b.json").read_text())["config"]
FP8_WEIGHTS = {
    "group_0": {
        "weights": {"num_bits": 8, "type": "float"},
        "input_activations": {"dynamic": False},
    }
}

DECLARED: list[tuple[str, dict[str, Any], tuple[str, float | None, str | None]]] = [
    (
        "quantization_config",
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        ("gptq", 4, None),
    ),
    (
        "quantization_config",
        {"quant_method": "modelopt", "quant_algo": "NVFP4"},
        ("modelopt", 4, "nvfp4"),
    ),
    # Qwen3-32B-FP8-Static-PerTensor
    (
        "quantization_config",
        {"config_groups": FP8_WEIGHTS, "quant_algo": "FP8", "ignore": ["lm_head"]},
        ("modelopt", 8, "fp8"),
    ),
    (
        "quantization_config",
        {"config_groups": FP8_WEIGHTS, "format": "float-quantized"},
        ("compressed-tensors", 8, "float-quantized"),
    ),
    (
        "compression_config",
        {"quant_method": "compressed-tensors", "config_groups": FP8_WEIGHTS},
        ("compressed-tensors", 8, None),
    ),
    ("quantization", {"bits": 4, "group_size": 64}, ("mlx", 4, None)),
    ("quantization_config", {"bits": 4, "group_size": 64, "mode": "affine"}, ("mlx", 4, "affine")),
    ("quantization_config", {"bits": 4, "secret": True}, ("unknown", 4, None)),
]


@pytest.mark.parametrize(("key", "declared", "expected"), DECLARED)
def test_declared(
    key: str, declared: dict[str, Any], expected: tuple[str, float | None, str | None]
) -> None:
    raw = RawModel(
        reference="x",
        kind="local",
        name="x",
        config={**BASE, key: declared},
        config_file="config.json",
    )
    reading = read(raw)
    q = reading.architecture.quantization
    assert q is not None
    assert (q.method, q.bits, q.format) == expected
    said = "config" if "quant_method" in declared else "derived"
    assert reading.evidence["quantization.method"].kind == said
