"""Every method of transformers over every packing: only what its loader looks for is verified.

Tensors of methods that llmarch does not unpack are as transformers 5.23.0, optimum-quanto 0.2.7 and
the packages of the methods write them.
"""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import Tensors, read, table_of
from helpers.quantised_checkpoints import CLEAN, packed, parts

from llmarch.checkpoint.method_loaders import OWN_TENSORS
from llmarch.checkpoint.packing import FORMATS, unpack

pytestmark = pytest.mark.covered


TRANSFORMERS = """
awq bitsandbytes_4bit bitsandbytes_8bit gptq aqlm quanto quark fouroversix fp_quant eetq higgs hqq
compressed-tensors fbgemm_fp8 torchao bitnet vptq spqr fp8 gguf nvfp4 mxfp8 auto-round mxfp4 metal
sinq gemma
""".split()
"""Names of AUTO_QUANTIZER_MAPPING, transformers 5.23.0."""

ENGINES = """
modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 auto_awq awq_marlin gptq_marlin inc moe_wna16
w8a8_int8 w8a8_fp8 petit_nvfp4 mlx
""".split()
"""Further names of vLLM 0.33.0, SGLang 0.5.23 and mlx-lm."""

FOUR_BITS = "gptq awq auto-round auto_awq awq_marlin gptq_marlin inc moe_wna16".split()
KEYS: dict[str, dict[str, Any]] = {
    **{method: {"bits": 4, "group_size": 128} for method in FOUR_BITS},
    "bitsandbytes_4bit": {"load_in_4bit": True},
    "bitsandbytes_8bit": {"load_in_8bit": True},
    "modelopt": {"quant_algo": "NVFP4"},
    "modelopt_fp4": {"quant_algo": "NVFP4"},
    "modelopt_mxfp8": {"quant_algo": "MXFP8"},
    "petit_nvfp4": {"quant_algo": "NVFP4"},
}
"""Keys that a declaration of a method needs."""


ALIKE = {("gemma", "int8"): "one scale a row, of another dtype, which is the finding"}
"""Methods and formats whose tensors have the same names, with what tells them apart."""


def style_of_each_format() -> dict[str, str]:
    """Return a clean style by the format that it is in."""
    found: dict[str, str] = {}
    for style, make in CLEAN.items():
        checkpoint = make()
        architecture, _ = read(checkpoint.config)
        table = table_of(checkpoint.tensors)
        for format in unpack(table, architecture.quantization).formats.values():
            found.setdefault(format.name, style)
    return found


def test_a_method_is_verified_over_its_own_formats_alone() -> None:
    styles = style_of_each_format()
    assert styles.keys() >= {format.name for format in FORMATS} - {"mlx"}
    for method in (*TRANSFORMERS, *ENGINES):
        declared = {"quant_method": method, **KEYS.get(method, {})}
        own = {format.name for format in FORMATS if method in format.methods}
        assert own or method in OWN_TENSORS
        for name, style in styles.items():
            if name in own:
                continue
            checkpoint = CLEAN[style]()
            config = {**checkpoint.config, "quantization_config": declared}
            config.pop("quantization", None)
            result = checkpoint._replace(config=config).verified()
            assert result.status == "conflict", (method, style)
            if (method, name) in ALIKE:
                continue
            said = [f.message for f in result.findings if "whose loaders look for" in f.message]
            assert said, (method, style)
            assert all(f"declares {method}, " in text for text in said)
            assert all("are read under" in text for text in said)


OWN: dict[str, tuple[dict[str, Any], Any]] = {
    "eetq": (
        {"weights": "int8"},
        lambda o, i: {"weight": ("I8", (i, o)), "weight_scales": ("F16", (o,))},
    ),
    "quanto": (
        {"weights": "int8", "activations": None},
        lambda o, i: {
            "weight._data": ("I8", (o, i)),
            "weight._scale": ("BF16", (o, 1)),
            "input_scale": ("BF16", ()),
            "output_scale": ("BF16", ()),
        },
    ),
    "torchao": (
        {"quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 64}}}},
        lambda o, i: {
            "_weight_qdata": ("I32", (o, i // 8)),
            "_weight_scale": ("BF16", (i // 64, o)),
            "_weight_zero_point": ("BF16", (i // 64, o)),
        },
    ),
    "hqq": (
        {"quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
        lambda o, i: {
            "W_q": ("U8", (o * i // 128, 64)),
            "scale": ("F16", (o * i // 64, 1)),
            "zero": ("F16", (o * i // 64, 1)),
            "shape": ("I64", (2,)),
            "nbits": ("I64", ()),
        },
    ),
    "higgs": (
        {"bits": 4, "group_size": 256},
        lambda o, i: {
            "weight": ("I16", (o // 4, i)),
            "scales": ("F16", (i // 256, o)),
            "tables": ("F16", (16,)),
            "tables2": ("F32", (16, 16, 2)),
        },
    ),
    "vptq": (
        {"config_for_layers": {}},
        lambda o, i: {
            "indices": ("I32", (1, o, i // 16)),
            "centroids.weight": ("BF16", (1, 65536 * 8)),
            "weight_scale": ("BF16", (i,)),
            "weight_bias": ("BF16", (i,)),
        },
    ),
    "aqlm": (
        {"num_codebooks": 1, "nbits_per_codebook": 16, "in_group_size": 8},
        lambda o, i: {
            "codebooks": ("F16", (1, 65536, 1, 8)),
            "codes": ("I16", (o, i // 8, 1)),
            "scales": ("F16", (o, 1, 1, 1)),
        },
    ),
    "spqr": (
        {"bits": 3},
        lambda o, i: {
            "dense_weights": ("I64", (1000,)),
            "row_offsets": ("I32", (o + 1,)),
            "col_vals": ("I32", (77,)),
            "in_perm": ("I16", (i,)),
        },
    ),
    "fp_quant": (
        {"forward_dtype": "nvfp4"},
        lambda o, i: {
            "qweight": ("U8", (o, i // 2)),
            "scales": ("U8", (o, i // 16)),
            "weight_global_scale": ("F32", (1,)),
            "forward_hadamard_matrix": ("BF16", (16, 16)),
        },
    ),
    "bitnet": (
        {"linear_class": "bitlinear"},
        lambda o, i: {"weight": ("U8", (o // 4, i)), "weight_scale": ("BF16", (1,))},
    ),
    "sinq": (
        {"nbits": 4, "group_size": 64},
        lambda o, i: {"W_q": ("U8", (o * i // 2,)), "meta": ("U8", (100,))},
    ),
    "fouroversix": (
        {"dtype": "nvfp4"},
        lambda o, i: {
            "quantized_weight_values": ("U8", (o, i // 2)),
            "quantized_weight_scale_factors": ("F8_E4M3", (o * i // 16,)),
            "quantized_weight_amax": ("F32", (1,)),
            "quantized_weight_metadata": ("I32", (4,)),
        },
    ),
}
"""Keys of a declaration and tensors of one module, by method that llmarch does not unpack."""

BITS = {"eetq": 8, "quanto": 8, "torchao": 4, "hqq": 4, "higgs": 4, "aqlm": 2, "spqr": 3}
BITS |= {"fp_quant": 4, "bitnet": 2, "sinq": 4}
"""Bits of a weight that the declarations say."""


@pytest.mark.parametrize("method", OWN)
def test_a_clean_checkpoint_of_a_method_that_is_not_unpacked(method: str) -> None:
    """It is no conflict, and not verified; what the declaration says of bits is read."""
    keys, own = OWN[method]
    declared = {"quant_method": method, "modules_to_not_convert": ["lm_head"], **keys}
    result = packed(declared, parts(own=own)).verified()
    assert [f.message for f in result.findings if f.severity != "info"] == []
    assert result.status == "partial"
    quantization = result.architecture.quantization
    assert quantization is not None
    assert quantization.bits == BITS.get(method)


BY_NAME = ("hqq", "quanto", "aqlm", "spqr", "vptq", "sinq")
"""Methods whose parts have names of their own; those of torchao say how they are stored."""
LISTS = {"hqq": "skip_modules", "aqlm": "linear_weights_not_to_quantize"}


@pytest.mark.parametrize("method", BY_NAME)
def test_an_excluded_module_in_parts_of_the_method_is_named(method: str) -> None:
    keys, own = OWN[method]
    key = LISTS.get(method, "modules_to_not_convert")
    end = ".weight" if method == "aqlm" else ""
    module = "model.layers.1.self_attn.q_proj"
    declared = {"quant_method": method, **keys, key: [f"{module}{end}", "lm_head"]}
    result = packed(declared, parts(own=own)).verified()
    assert result.status == "conflict"
    wrong = [f.path for f in result.findings if f.severity != "info"]
    assert wrong == [module]


def test_methods_that_are_not_unpacked_have_tensors_here() -> None:
    """But for those without tensors of their own in safetensors files."""
    assert OWN.keys() | {"gguf", "nvfp4"} == OWN_TENSORS.keys()


@pytest.mark.parametrize("method", ["humming", "qqq", "w4afp8"])
def test_a_method_whose_tensors_are_not_known_is_not_verified(method: str) -> None:
    checkpoint = CLEAN["gptq"]()
    config = {**checkpoint.config, "quantization_config": {"quant_method": method}}
    result = checkpoint._replace(config=config).verified()
    assert result.status == "partial"
    assert any("is not known" in f.message for f in result.findings)


def test_values_of_two_bits_are_told_by_the_declaration() -> None:
    """One scale a row says nothing of the bits of Gemma's integers."""
    tensors: Tensors = CLEAN["gemma-mixed"]().tensors
    assert tensors["model.layers.0.self_attn.q_proj.weight"][1] == (256, 64)
