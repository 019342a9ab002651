"""How configs say that their checkpoints are quantised: each tool its own way, some without their
name.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.paths import SPECS

from llmarch.architecture.schema import Quantization
from llmarch.checkpoint.reading import read_model
from llmarch.errors import ConfigError
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
    reading = read_model(raw_model({key: declared}))
    q = reading.architecture.quantization
    assert q is not None
    assert (q.method, q.bits, q.format) == expected
    said = "config" if "quant_method" in declared else "derived"
    assert reading.evidence["quantization.method"].kind == said


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"quant_method": "gptq", "bits": -4}, "bits"),
    ({"quant_method": "gptq", "bits": 0}, "bits"),
    ({"quant_method": "gptq", "bits": "four"}, "bits"),
    ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size"),
    ({"quant_method": "gptq", "bits": 4, "group_size": -2}, "group_size"),
    ({"quant_method": "gptq", "bits": 4, "group_size": "all"}, "group_size"),
    ({"quant_method": "gptq", "bits": 4, "desc_act": "no"}, "desc_act"),
    ({"quant_method": "gptq", "bits": 4, "sym": 1}, "sym"),
    ({"quant_method": "awq", "bits": 4, "version": 2}, "version"),
    ({"quant_method": "awq", "bits": 4, "zero_point": "yes"}, "zero_point"),
    ({"quant_method": "awq", "bits": 4, "modules_to_not_convert": "x"}, "modules_to_not_convert"),
    ({"quant_method": "fp8", "weight_block_size": [0, 0]}, "weight_block_size"),
    ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size"),
    ({"quant_method": "fp8", "weight_block_size": 128}, "weight_block_size"),
    ({"quant_method": "fp8", "scale_fmt": 8}, "scale_fmt"),
    ({"quant_method": "modelopt", "quant_algo": 4}, "quant_algo"),
    ({"quant_method": "modelopt", "quant_algo": "FP8", "quantized_layers": []}, "quantized_layers"),
    ({"quant_method": "modelopt", "kv_cache_quant_algo": 8}, "kv_cache_quant_algo"),
    ({"quant_method": "modelopt", "kv_cache_scheme": {"num_bits": -8}}, "num_bits"),
    ({"quant_method": "compressed-tensors", "config_groups": []}, "config_groups"),
    (
        {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": 4}}},
        "config_groups.a.weights",
    ),
    (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"a": {"weights": {"num_bits": 0}}},
        },
        "config_groups.a.weights.num_bits",
    ),
    (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"a": {"weights": {"num_bits": 4, "symmetric": "yes"}}},
        },
        "config_groups.a.weights.symmetric",
    ),
]


@pytest.mark.parametrize(("declared", "key"), INVALID)
def test_a_value_that_no_checkpoint_can_have_is_an_error(
    declared: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as error:
        declared_in("quantization_config", declared)
    assert str(error.value).startswith("config.json: quantization_config.")
    assert key in str(error.value)


def test_an_error_in_a_file_beside_the_config_names_that_file() -> None:
    raw = raw_model({"quantization_config": {"quant_method": "gptq", "bits": -4}})
    raw.quantization_file = "quantize_config.json"
    with pytest.raises(ConfigError, match=r"^quantize_config\.json: bits is -4"):
        read_model(raw)


def raw_model(keys: dict[str, Any]) -> RawModel:
    return local_model({**BASE, **keys})


def declared_in(key: str, declared: dict[str, Any], **keys: Any) -> Quantization:
    """Return what a config declares, all of whose keys must be read."""
    reading = read_model(raw_model({key: declared, **keys}))
    assert reading.unread_keys == ()
    assert reading.architecture.quantization is not None
    return reading.architecture.quantization


def test_keys_that_say_how_weights_are_scaled_are_facts() -> None:
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
    q = declared_in("quantization_config", gptq)
    assert (q.symmetric, q.activation_order) == (True, False)
    awq = {"quant_method": "awq", "bits": 4, "zero_point": True, "version": "gemm"}
    assert declared_in("quantization_config", awq).symmetric is False
    fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"}
    q = declared_in("quantization_config", fp8, expert_dtype="fp4")
    assert (q.scale_format, q.experts) == ("ue8m0", "fp4")


@pytest.mark.parametrize(
    ("keys", "dtype"),
    [
        ({"kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"kv_cache_quant_algo": None}, None),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False}}, "fp8"),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "int"}}, "int8"),
        ({"kv_cache_scheme": "FP8"}, "fp8"),
        ({}, None),
    ],
)
def test_the_dtype_of_the_cache(keys: dict[str, Any], dtype: str | None) -> None:
    modelopt = {"quant_method": "modelopt", "quant_algo": "NVFP4", **keys}
    assert declared_in("quantization_config", modelopt).cache_dtype == dtype


def test_modules_with_a_format_of_their_own_are_folded() -> None:
    layers = {f"model.layers.{i}.mlp.up_proj": {"quant_algo": "FP8"} for i in (0, 1, 2, 5)}
    layers["lm_head"] = {"quant_algo": "NVFP4", "group_size": 16}
    modelopt = {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    q = declared_in("quantization_config", modelopt)
    assert q.modules == ("lm_head: nvfp4", "model.layers.{0-2,5}.mlp.up_proj: fp8")
    mlx = {"group_size": 64, "bits": 4, "model.norm": False, "lm_head": {"bits": 6}}
    q = declared_in("quantization", mlx)
    assert (q.modules, q.excluded) == (("lm_head: 6 bits",), ("model.norm",))


def test_a_format_for_each_of_many_modules_costs_little() -> None:
    """As NVIDIA's MiniMax M3 has them."""
    layers = {f"model.layers.{i}.mlp.up_proj": {"quant_algo": "FP8"} for i in range(22_000)}
    layers["lm_head"] = {"quant_algo": "FP8", "twist": "3"}
    modelopt = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}
    started = time.process_time()
    config = {"quantization_config": {**modelopt, "quantized_layers": layers}}
    reading = read_model(raw_model(config))
    assert time.process_time() - started < 5, "some 0.7 s"
    assert reading.unread_keys == ("quantization_config.quantized_layers.lm_head.twist",)


def test_a_key_that_is_not_read_is_shown() -> None:
    reading = read_model(raw_model({"quantization_config": {"quant_method": "gptq", "twist": 3}}))
    assert reading.unread_keys == ("quantization_config.twist",)


def test_rules_for_single_modules_of_gptq_and_autoround() -> None:
    gptq = {
        "quant_method": "gptq",
        "bits": 4,
        "dynamic": {r"-:.*lm_head": {}, r"+:.*\.down_proj": {"bits": 8, "group_size": 64}},
    }
    q = declared_in("quantization_config", gptq)
    assert q.excluded == ("re:.*lm_head",)
    assert q.modules == (r"re:.*\.down_proj: 8 bits, groups of 64",)
    autoround = {
        "quant_method": "auto-round",
        "bits": 4,
        "extra_config": {"model.layers.0.mlp.up_proj": {"bits": 8}, "lm_head": {"bits": 16}},
    }
    q = declared_in("quantization_config", autoround)
    assert (q.modules, q.excluded) == (("model.layers.0.mlp.up_proj: 8 bits",), ("lm_head",))


def test_names_with_braces_are_no_modules() -> None:
    layers = {"model.{0-99999999}.x": {"quant_algo": "FP8"}, "a{b": {"quant_algo": "FP8"}}
    q = declared_in("quantization_config", {"quant_algo": "FP8", "quantized_layers": layers})
    assert q.modules == ()
