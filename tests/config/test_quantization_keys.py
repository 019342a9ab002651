"""Every key of every method's declaration: a fact with checked values, without effect, or unread.

The keys are the arguments of transformers 5.23.0's config classes (utils/quantization_config.py)
and what GPTQModel, AutoAWQ, auto-round, Quark, ModelOpt and MLX write beside them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.checkpoint_fixtures import local_model
from helpers.paths import SPECS
from helpers.program import Run

from llmarch.checkpoint.reading import Reading, read_model
from llmarch.errors import ConfigError


class Keys(NamedTuple):
    """The keys of a method."""

    facts: str
    """Keys whose values are checked."""
    inert: str = ""
    """Keys that say nothing of what is stored."""
    unread: str = ""
    """Keys that are shown as unread."""
    needed: dict[str, Any] = {}
    """What a declaration of the method needs."""


SKIPPED = "modules_to_not_convert"
METHODS: dict[str, Keys] = {
    "auto-round": Keys(
        "bits group_size sym packing_format data_type act_bits act_dynamic extra_config fmt"
        " activation_scheme",
        "backend iters seqlen nsamples lr autoround_version block_name_to_quantize super_bits",
        "static_kv_dtype rotation_config",
    ),
    "hqq": Keys("quant_config skip_modules"),
    "bitsandbytes": Keys(
        "load_in_8bit llm_int8_threshold llm_int8_skip_modules llm_int8_enable_fp32_cpu_offload"
        " llm_int8_has_fp16_weight bnb_4bit_compute_dtype bnb_4bit_quant_type"
        " bnb_4bit_use_double_quant bnb_4bit_quant_storage",
        needed={"load_in_4bit": True},
    ),
    "gptq": Keys(
        "bits group_size desc_act sym format modules_in_block_to_quantize checkpoint_format"
        " lm_head pack_dtype dynamic",
        "tokenizer dataset damp_percent act_group_aware true_sequential meta backend model_seqlen"
        " block_name_to_quantize module_name_preceding_first_block batch_size pad_token_id"
        " max_input_length cache_block_outputs static_groups use_exllama",
        "hyb_act",
        {"bits": 4},
    ),
    "awq": Keys(
        f"bits group_size zero_point version w_bit q_group_size {SKIPPED}",
        "backend do_fuse fuse_max_seq_len modules_to_fuse exllama_config",
    ),
    "aqlm": Keys(
        "in_group_size out_group_size num_codebooks nbits_per_codebook"
        " linear_weights_not_to_quantize"
    ),
    "vptq": Keys(SKIPPED, unread="enable_proxy_error config_for_layers shared_layer_config"),
    "quanto": Keys(f"weights {SKIPPED}", unread="activations"),
    "eetq": Keys(f"weights {SKIPPED}"),
    "compressed-tensors": Keys(
        "config_groups format quantization_status kv_cache_scheme ignore sparsity_config",
        "global_compression_ratio dequantize transform_config version",
        "run_compressed use_optimized_inference",
    ),
    "fbgemm_fp8": Keys(f"activation_scale_ub {SKIPPED}"),
    "higgs": Keys(f"bits group_size {SKIPPED}", unread="p hadamard_size tune_metadata"),
    "fp_quant": Keys(
        f"forward_dtype {SKIPPED}",
        unread="forward_method backward_dtype store_master_weights hadamard_group_size"
        " pseudoquantization transform_init",
    ),
    "torchao": Keys(
        f"quant_type {SKIPPED}", unread="include_input_output_embeddings untie_embedding_weights"
    ),
    "bitnet": Keys(f"linear_class quantization_mode {SKIPPED}", unread="use_rms_norm rms_norm_eps"),
    "spqr": Keys(f"bits {SKIPPED}", unread="beta1 beta2 shapes"),
    "fp8": Keys(
        f"activation_scheme weight_block_size scale_fmt expert_dtype fmt {SKIPPED} ignored_layers"
        " kv_cache_scheme quantized_layers",
        "dequantize",
        "modules_to_convert",
    ),
    "mxfp8": Keys(
        f"activation_scheme weight_block_size scale_fmt expert_dtype {SKIPPED}",
        "dequantize",
        "modules_to_convert",
    ),
    "quark": Keys(
        "layer_quant_config exclude",
        "export algo_config quant_mode softmax_quant_spec",
        "layer_type_quant_config kv_cache_post_rope",
        {"global_quant_config": {"weight": {"dtype": "int8"}}},
    ),
    "mxfp4": Keys(SKIPPED, "dequantize"),
    "metal": Keys(f"bits group_size {SKIPPED}", "dequantize"),
    "fouroversix": Keys(
        SKIPPED,
        unread="activation_dtype activation_scale_rule gradient_dtype gradient_scale_rule"
        " keep_master_weights matmul_backend output_dtype quantize_backend scale_rule"
        " weight_dtype weight_scale_2d weight_scale_rule module_config_overrides",
    ),
    "sinq": Keys(f"nbits group_size method {SKIPPED}", unread="tiling_mode"),
    "gemma": Keys(f"num_bits quantize_embeddings module_quant_configs {SKIPPED}"),
    "nvfp4": Keys(SKIPPED),
    "gguf": Keys("", "dequantize", "gguf_file"),
    "modelopt": Keys(
        "kv_cache_quant_algo group_size exclude_modules ignore config_groups kv_cache_scheme"
        " quantized_layers has_zero_point pre_quant_scale",
        "producer",
        "lora_rank",
        {"quant_algo": "NVFP4"},
    ),
    "mlx": Keys("bits group_size mode"),
}
FACTS = [(method, key) for method, keys in METHODS.items() for key in keys.facts.split()]
WRONG: tuple[Any, ...] = (-7, [3], 3.7, {"x": 1})
"""Values of which no key takes more than one."""
TAKEN = {
    ("fbgemm_fp8", "activation_scale_ub"): (-7, 3.7),
    ("bitsandbytes", "llm_int8_threshold"): (-7, 3.7),
    ("compressed-tensors", "sparsity_config"): ({"x": 1},),
    ("torchao", "quant_type"): ({"x": 1},),
}
"""Wrong values that a key takes: numbers of any kind, and objects whose keys are unread."""

BASE: dict[str, Any] = json.loads((SPECS / "qwen3-0.6b.json").read_text())["config"]


def reading(method: str, key: str, value: Any) -> Reading:
    declared = {"quant_method": method, **METHODS[method].needed, key: value}
    return read_model(local_model({**BASE, "quantization_config": declared}))


@pytest.mark.parametrize(("method", "key"), FACTS)
def test_a_wrong_value_is_an_error_that_names_file_and_key(method: str, key: str) -> None:
    for value in WRONG:
        if value in TAKEN.get((method, key), ()):
            continue
        with pytest.raises(ConfigError) as error:
            reading(method, key, value)
        assert str(error.value).startswith("config.json: quantization_config.")
        assert key in str(error.value), value


@pytest.mark.parametrize("method", METHODS)
def test_keys_without_effect_and_unread_keys(method: str) -> None:
    keys = METHODS[method]
    for key in keys.inert.split():
        assert reading(method, key, "x").unread_keys == (), key
    for key in keys.unread.split():
        assert reading(method, key, "x").unread_keys == (f"quantization_config.{key}",), key


@pytest.mark.parametrize("command", ["show", "memory", "lock"])
@pytest.mark.parametrize("method", [method for method in METHODS if METHODS[method].facts])
def test_every_command_tells_of_a_wrong_value(
    run: Run, tmp_path: Path, method: str, command: str
) -> None:
    key = METHODS[method].facts.split()[0]
    declared = {"quant_method": method, **METHODS[method].needed, key: [3]}
    config = {**BASE, "quantization_config": declared}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = ["-o", str(tmp_path / "x.lock")] if command == "lock" else []
    _, error = run(command, str(tmp_path), *options, code=2)
    assert "config.json" in error
    assert f"quantization_config.{key}" in error
