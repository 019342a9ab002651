"""What is declared is what is stored: every key of a declaration, and every tensor beside values.

Each key is changed to each other legal value, and each kind of tensor is dropped, converted,
reshaped and renamed, in one module and in all.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from helpers.checkpoint_fixtures import Tensors, check
from helpers.quantised_checkpoints import (
    CLEAN,
    GPTQ,
    MODELOPT_FP8,
    NVFP4,
    QuantisedCheckpoint,
    plain,
)

import llmarch
from llmarch.checkpoint.reading import Reading
from llmarch.errors import ConfigError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines


@cache
def clean(style: str) -> QuantisedCheckpoint:
    return CLEAN[style]()


WEIGHTS = "config_groups/group_0/weights"
INPUTS = "config_groups/group_0/input_activations"
FORMATS = (
    "pack-quantized",
    "int-quantized",
    "float-quantized",
    "naive-quantized",
    "nvfp4-pack-quantized",
    "mxfp4-pack-quantized",
    "dense",
)
CT_KEYS: dict[str, tuple[Any, ...]] = {
    "format": FORMATS,
    f"{WEIGHTS}/num_bits": (2, 4, 8),
    f"{WEIGHTS}/type": ("int", "float"),
    f"{WEIGHTS}/symmetric": (True, False),
    f"{WEIGHTS}/strategy": ("tensor", "channel", "group"),
    f"{WEIGHTS}/actorder": ("group", "weight", None),
    f"{INPUTS}/dynamic": (True, False),
    "config_groups/group_0/targets": (["Linear"], ["re:.*self_attn.*"], ["Foo"]),
    "config_groups": ({},),
    "ignore": ([], ["lm_head", "re:.*up_proj"]),
    "sparsity_config": ({"format": "sparse-24-bitmask"}, {"format": "sparse-bitmask"}),
    "quant_method": ("fp8", "gptq", "modelopt", "bitsandbytes", "foo"),
}
KEYS: dict[str, dict[str, tuple[Any, ...]]] = {
    "ct-int4": {
        **CT_KEYS,
        f"{WEIGHTS}/group_size": (32, 64, 128),
        f"{INPUTS}": ({"num_bits": 8, "type": "int", "dynamic": False},),
    },
    "ct-int4-channel": CT_KEYS,
    "ct-int4-asymmetric": CT_KEYS,
    "ct-int4-reordered": CT_KEYS,
    "ct-int8": CT_KEYS,
    "ct-int8-static": CT_KEYS,
    "ct-fp8-dynamic": CT_KEYS,
    "ct-fp8-static": CT_KEYS,
    "ct-fp8-block": {**CT_KEYS, f"{WEIGHTS}/block_structure": ([64, 64], [128, 64])},
    "ct-nvfp4": {
        **{k: v for k, v in CT_KEYS.items() if k != f"{INPUTS}/dynamic"},
        INPUTS: (None,),
        f"{WEIGHTS}/group_size": (32,),
    },
    "ct-mixed": {
        "config_groups/group_1/format": FORMATS,
        "config_groups/group_1/targets": (["re:.*up_proj"],),
        "config_groups/group_1/weights/strategy": ("tensor", "group", "block"),
        "config_groups/group_1/weights/type": ("int",),
        "config_groups/group_1/input_activations/dynamic": (False,),
        "config_groups/group_0/weights/group_size": (64,),
    },
    "modelopt-nvfp4": {
        "quant_algo": ("FP8", "MXFP4", "FP8_PER_CHANNEL_PER_TOKEN", "INT8_SQ", "foo"),
        "ignore": (["lm_head", "*up_proj*"],),
        "config_groups/group_0/targets": (["re:.*self_attn.*"], ["Foo"]),
        f"{WEIGHTS}/num_bits": (8,),
        f"{WEIGHTS}/group_size": (32,),
        "quant_method": ("fp8", "compressed-tensors", "foo"),
    },
    "modelopt-fp8": {
        "quant_algo": ("NVFP4", "MXFP4", "FP8_PER_CHANNEL_PER_TOKEN", "INT8_SQ", "foo"),
        "ignore": (["lm_head", "*up_proj*"],),
    },
    "gptq": {
        "bits": (2, 3, 8, None),
        "group_size": (32, 64, -1),
        "desc_act": (True, False),
        "sym": (True, False),
        "lm_head": (True,),
        "checkpoint_format": ("gptq_v2", "marlin", "bitblas", "gemm", "foo"),
        "pack_dtype": ("int8", "int16", "int64", "foo"),
        "modules_in_block_to_quantize": ([["self_attn.q_proj"]],),
        "modules_to_not_convert": (["q_proj"],),
        "dynamic": ({"+:.*q_proj": {"bits": 8}}, {"-:.*q_proj": {}}),
        "quant_method": ("awq", "fp8", "GPTQ", None, "foo"),
    },
    "gptq-without-index": {"desc_act": (True,)},
    "gptq-head": {"lm_head": (False,)},
    "awq": {
        "bits": (8, None),
        "group_size": (32, 64, -1),
        "zero_point": (False,),
        "version": ("gemv", "gemv_fast", "marlin", "foo"),
        "modules_to_not_convert": (["q_proj"],),
        "quant_method": ("gptq", "fp8", "AWQ", "foo"),
    },
    "bnb-nf4": {
        "bnb_4bit_quant_type": ("fp4", "foo"),
        "bnb_4bit_use_double_quant": (False,),
        "bnb_4bit_quant_storage": ("bfloat16", "float16", "foo"),
        "llm_int8_skip_modules": (["q_proj"],),
        "load_in_4bit": (False,),
        "quant_method": ("gptq", "fp8", "foo"),
    },
    "bnb-int8": {"load_in_4bit": (True,), "llm_int8_skip_modules": (["q_proj"],)},
    "mlx": {
        "bits": (2, 3, 6, 8, None),
        "group_size": (32, 128),
        "mode": ("mxfp4", "mxfp8", "nvfp4", "foo"),
        "model.layers.0.self_attn.q_proj": (False, {"bits": 8}, {"group_size": 32, "bits": 4}),
    },
    "mlx-mxfp4": {"mode": ("affine", "mxfp8", "nvfp4"), "bits": (8,), "group_size": (64,)},
    "fp8-block": {
        "fmt": ("e5m2", "foo"),
        "activation_scheme": ("static", "foo"),
        "weight_block_size": (None, [64, 64], [128, 64], "absent"),
        "scale_fmt": ("ue8m0", "foo"),
        "modules_to_not_convert": (["lm_head", "q_proj"],),
        "quant_method": ("fbgemm_fp8", "compressed-tensors", "modelopt", "FP8", "foo"),
    },
    "fp8-block-ue8m0": {"scale_fmt": ("float", "absent")},
    "fp8-static": {
        "activation_scheme": ("dynamic",),
        "weight_block_size": ([128, 128],),
        "fmt": ("e5m2",),
        "quant_method": ("fbgemm_fp8", "compressed-tensors", "modelopt"),
    },
    "fbgemm": {
        "quant_method": ("fp8",),
        "modules_to_not_convert": (["lm_head"], ["lm_head", "mlp", "self_attn"]),
    },
}
"""Keys of declarations, with legal values and one that is not."""

UNPACKED = (
    "ct-int8",
    "ct-int8-static",
    "ct-fp8-dynamic",
    "ct-fp8-static",
    "ct-fp8-block",
    "ct-nvfp4",
)
NOT_STORED: dict[tuple[str, str], str] = {
    ("awq", "zero_point"): "zero points are stored either way: 8 where it is symmetric",
    ("gptq", "sym"): "zero points are stored either way",
    ("gptq", "desc_act"): "an index is stored either way; without one, desc_act needs it",
    ("gptq", "checkpoint_format=gptq_v2"): "zero points are one less, in the same tensors",
    ("fp8-block", "scale_fmt=ue8m0"): "DeepSeek V3.1 stores powers of two as F32",
    ("ct-int8", "format=naive-quantized"): "the same tensors under an older name",
    ("ct-int8-static", "format=naive-quantized"): "the same tensors under an older name",
    ("ct-fp8-dynamic", "format=naive-quantized"): "the same tensors under an older name",
    ("ct-fp8-static", "format=naive-quantized"): "the same tensors under an older name",
    ("ct-fp8-block", "format=naive-quantized"): "the same tensors under an older name",
    ("ct-mixed", "config_groups/group_1/format=naive-quantized"): "an older name",
    **{
        (style, f"{WEIGHTS}/actorder={value}"): "groups are consecutive as without it"
        for style in KEYS
        for value in ("weight", None)
        if style != "ct-int4-reordered"
    },
    **{
        (style, f"{WEIGHTS}/actorder=group"): "only packed integers have an index"
        for style in UNPACKED
    },
}
"""Values that differ from what a style declares and have no other tensors, with the reason."""


def is_unstored(style: str, key: str, value: Any) -> bool:
    """Return whether a value has no other tensors than the declared one."""
    return (style, key) in NOT_STORED or (style, f"{key}={value}") in NOT_STORED


def value_at(style: str, key: str) -> Any:
    found: Any = clean(style).config["quantization_config"]
    for name in key.split("/"):
        if not isinstance(found, dict) or name not in found:
            return "absent"
        found = cast("dict[str, Any]", found)[name]
    return found


def changes() -> list[tuple[str, str, Any]]:
    """Return each key with each value that differs from the declared one."""
    found: list[tuple[str, str, Any]] = []
    for style, keys in KEYS.items():
        for key, values in keys.items():
            parent, _, _ = key.rpartition("/")
            if parent and not isinstance(value_at(style, parent), dict):
                continue  # no activations are quantised
            found += [(style, key, v) for v in values if v != value_at(style, key)]
    return found


@pytest.mark.parametrize("style", CLEAN)
def test_a_clean_checkpoint_is_verified(style: str) -> None:
    result = clean(style).verified()
    assert [f for f in result.findings if f.severity != "info"] == []
    assert result.status == "verified"


def read_or_none(checkpoint: QuantisedCheckpoint) -> Reading | None:
    """Return what the headers say, None where the config is refused."""
    try:
        return checkpoint.verified()
    except ConfigError:
        return None


@pytest.mark.parametrize(("style", "key", "value"), changes(), ids=str)
def test_another_declaration_is_a_finding(style: str, key: str, value: Any) -> None:
    result = read_or_none(clean(style).declaring(key, value))
    if is_unstored(style, key, value):
        assert result is not None
        assert result.status == "verified", [f.message for f in result.findings]
        return
    assert result is None or result.findings, f"{style} declared with {key} {value}"


LOADERS_OBEY_THE_FILE = {
    ("bnb-nf4", "bnb_4bit_quant_type"),
    ("bnb-nf4", "bnb_4bit_use_double_quant"),
}
"""Keys whose value bitsandbytes reads in the checkpoint itself (QuantState.from_dict)."""


@pytest.mark.parametrize(("style", "key", "value"), changes(), ids=str)
def test_loaders_that_obey_the_declaration_make_it_a_conflict(
    style: str, key: str, value: Any
) -> None:
    if is_unstored(style, key, value) or ((style, key) in LOADERS_OBEY_THE_FILE and value != "foo"):
        return
    result = read_or_none(clean(style).declaring(key, value))
    assert result is None or result.status == "conflict", f"{style} declared with {key} {value}"


# --- tensors --------------------------------------------------------------------------------------

ONE = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj")
"""Modules whose tensors are changed: the first that is packed."""

ANY_LENGTH = ("quant_state.bitsandbytes__nf4", "quant_state.bitsandbytes__fp4")
"""Tensors of serialised text, which may be longer or shorter."""

OTHER_DTYPES = ("I64", "F64", "BF16", "F8_E5M2", "U8", "I8")


def parts(style: str) -> list[str]:
    """Return the names of the tensors of one packed module."""
    tensors = clean(style).tensors
    for module in ONE:
        names = [n for n in tensors if n.startswith(f"{module}.")]
        if len(names) > 1:
            return names
    return []


def suffix_of(name: str) -> str:
    module = next(module for module in ONE if name.startswith(f"{module}."))
    return name.removeprefix(f"{module}.")


def cases() -> list[tuple[str, str]]:
    return [(style, suffix_of(name)) for style in CLEAN for name in parts(style)]


def changed_tensors(style: str, suffix: str, everywhere: bool) -> tuple[Tensors, list[str]]:
    """Return the tensors, and the names of those that are to be changed."""
    tensors = clean(style).tensors
    if everywhere:
        return tensors, [n for n in tensors if n.endswith(f".{suffix}") and "_proj" in n]
    return tensors, [n for n in parts(style) if suffix_of(n) == suffix]


def conflicts(style: str, tensors: Tensors) -> bool:
    return clean(style).with_tensors(tensors).verified().status == "conflict"


CONSECUTIVE = (
    "gptq",
    "gptq-v2",
    "gptq-head",
    "gptq-rules",
    "gptq-blocks",
    "auto-round-excluded",
)
"""Styles whose modules may all lack the index of groups."""


OPTIONAL = {
    "weight_format": "the first versions had none, and loaders do without it",
    "input_activation_scale": "0, which a module without one has, means not calibrated",
    "output_activation_scale": "0, which a module without one has, means not calibrated",
    "pre_quant_scale": "ModelOpt puts it into the layer before, where there is one",
}
"""Tensors that all modules may lack, with the reason."""


@pytest.mark.parametrize("everywhere", [False, True], ids=["one", "all"])
@pytest.mark.parametrize(("style", "suffix"), cases(), ids=str)
def test_a_lost_tensor_is_a_conflict(style: str, suffix: str, everywhere: bool) -> None:
    tensors, names = changed_tensors(style, suffix, everywhere)
    if everywhere and style in CONSECUTIVE and suffix == "g_idx":
        return
    left = {n: t for n, t in tensors.items() if n not in names}
    if everywhere and suffix in OPTIONAL:
        return
    assert conflicts(style, left), f"{style} without {names[0]}"


@pytest.mark.parametrize("everywhere", [False, True], ids=["one", "all"])
@pytest.mark.parametrize(("style", "suffix"), cases(), ids=str)
def test_a_renamed_tensor_is_a_conflict(style: str, suffix: str, everywhere: bool) -> None:
    tensors, names = changed_tensors(style, suffix, everywhere)
    if suffix in ("weight", "qweight", "weight_packed") and everywhere:
        return  # the sweep of lost tensors has it
    renamed = {(f"{n}_x" if n in names else n): t for n, t in tensors.items()}
    assert conflicts(style, renamed), f"{style}: {names[0]}_x"


@pytest.mark.parametrize(("style", "suffix"), cases(), ids=str)
def test_a_reshaped_tensor_is_a_conflict(style: str, suffix: str) -> None:
    if style == "bnb-fp4" and suffix == "weight.absmax":
        return  # another number of blocks is legal: the state says how large they are
    tensors, names = changed_tensors(style, suffix, everywhere=False)
    dtype, shape = tensors[names[0]]
    assert shape is not None
    others: list[tuple[int, ...]] = [(7,), (3, 5)]
    if shape:
        others += [(*shape, 1), (1, *shape)]
    if shape and shape != (1,):
        others.append(())  # loaders read one number of either shape
    if shape and suffix.removeprefix("weight.") not in ANY_LENGTH:
        others += [(*shape[:-1], shape[-1] * 2), (*shape[:-1], shape[-1] + 1)]
    for other in others:
        stored = {**tensors, names[0]: (dtype, other)}
        assert conflicts(style, stored), f"{style}: {names[0]} {shape} -> {other}"


@pytest.mark.parametrize(("style", "suffix"), cases(), ids=str)
def test_a_converted_tensor_is_a_conflict(style: str, suffix: str) -> None:
    tensors, names = changed_tensors(style, suffix, everywhere=False)
    dtype, shape = tensors[names[0]]
    for other in OTHER_DTYPES:
        if other == dtype:
            continue
        stored = {**tensors, names[0]: (other, shape)}
        assert conflicts(style, stored), f"{style}: {names[0]} {dtype} -> {other}"


@pytest.mark.parametrize(("style", "suffix"), cases(), ids=str)
def test_tensors_that_are_all_converted_are_a_conflict(style: str, suffix: str) -> None:
    """To dtypes that no writer gives to them; scales in another float are usual."""
    tensors, names = changed_tensors(style, suffix, everywhere=True)
    for other in ("F64", "I16", "F8_E5M2"):
        stored = {n: (other if n in names else d, s) for n, (d, s) in tensors.items()}
        assert conflicts(style, stored), f"{style}: all {suffix} -> {other}"


ONE_CHANGE: list[tuple[str, str, str, Any]] = [
    ("gptq", "qzeros", "qzeros", ("I32", ())),
    ("gptq", "qweight", "qweight", ("U32", (32, 256))),
    ("ct-int4", "weight_packed", "weight_packed", ("U32", (256, 32))),
    ("awq", "qweight", "qweight", ("I32", (256, 32, 1))),
    ("ct-all-ignored", "weight", "weight.x", ("BF16", (256, 256))),
]


@pytest.mark.parametrize(("style", "old", "new", "tensor"), ONE_CHANGE)
def test_changes_that_a_fuzzer_found(style: str, old: str, new: str, tensor: Any) -> None:
    left = {n: t for n, t in clean(style).tensors.items() if n != f"{ONE[0]}.{old}"}
    assert len(left) == len(clean(style).tensors) - 1
    assert conflicts(style, {**left, f"{ONE[0]}.{new}": tensor})


@pytest.mark.parametrize(
    ("style", "key", "value"),
    [
        ("mlx", "bits", 7),
        ("gptq", "bits", 16),
        ("bnb-nf4", "bnb_4bit_compute_dtype", "bfloat16x"),
        ("modelopt-fp8", "kv_cache_quant_algo", "FP9"),
        ("fp8-block", "expert_dtype", "fp5"),
    ],
)
def test_a_value_that_no_loader_knows_is_named(style: str, key: str, value: Any) -> None:
    result = clean(style).declaring(key, value).verified()
    found = [f.path for f in result.findings if f.rule == "quantization-word-unknown"]
    assert (result.status, found) == ("conflict", [f"quantization_config.{key}"])


# --- modules that are not linear ------------------------------------------------------------------

UP = "model.layers.0.mlp.up_proj."
"""A module of the shape of the embedding and the head."""
EMBEDDING = "model.embed_tokens."
WITH_PACKED_UP = [s for s in CLEAN if sum(n.startswith(UP) for n in clean(s).tensors) > 1]


def stored_as_up(style: str, module: str) -> QuantisedCheckpoint:
    """Return the checkpoint of a style with another module stored as `UP` is."""
    tensors = clean(style).tensors
    left = {n: t for n, t in tensors.items() if not n.startswith(module)}
    moved = {n.replace(UP, module): t for n, t in tensors.items() if n.startswith(UP)}
    return clean(style).with_tensors({**left, **moved})


@pytest.mark.parametrize("style", WITH_PACKED_UP)
def test_a_packed_embedding_is_a_conflict(style: str) -> None:
    """But with MLX, whose loader alone replaces embeddings too."""
    result = stored_as_up(style, EMBEDDING).verified()
    assert (result.status == "verified") is style.startswith("mlx")
    if result.status == "conflict":
        assert any(f.path.startswith(EMBEDDING) for f in result.findings)


@pytest.mark.parametrize("target", ["Embedding", "re:.*embed_tokens"])
def test_a_packed_embedding_that_is_a_target(target: str) -> None:
    declared = {"config_groups/group_0/targets": ["Linear", target]}
    checkpoint = stored_as_up("ct-int4", EMBEDDING)
    for key, value in declared.items():
        checkpoint = checkpoint.declaring(key, value)
    assert checkpoint.verified().status == "verified"


@pytest.mark.parametrize("style", [s for s in WITH_PACKED_UP if s.startswith("modelopt")])
@pytest.mark.parametrize("excluded", [["model.embed_tokens"], "absent"])
def test_a_plain_head_that_modelopt_does_not_exclude(style: str, excluded: Any) -> None:
    """vLLM and SGLang build it quantised, unless single modules are listed."""
    checkpoint = clean(style)
    if "ignore" in checkpoint.config["quantization_config"]:
        checkpoint = checkpoint.declaring("ignore", excluded)
    result = checkpoint.verified()
    assert (result.status == "verified") is (style == "modelopt-mixed")


@pytest.mark.parametrize(
    "name", ["minimax-m2-reduced-fp8-block", "mimo-v2-flash-reduced-fp8-block"]
)
def test_a_packed_router_is_a_conflict(name: str) -> None:
    def pack(tensors: Tensors) -> Tensors:
        packed = dict(tensors)
        for router in [n for n in tensors if n.endswith(".gate.weight")]:
            _, shape = tensors[router]
            assert shape is not None
            blocks = tuple(-(-size // 128) for size in shape)
            packed[router] = ("F8_E4M3", shape)
            packed[f"{router}_scale_inv"] = ("F32", blocks)
        return packed

    def include(config: dict[str, Any]) -> None:
        names = config["quantization_config"].get("modules_to_not_convert", [])
        names[:] = [name for name in names if "gate" not in name]

    result = check(name, pack, include)
    assert result.status == "conflict"
    assert {f.path.rpartition(".")[2] for f in result.findings if "router" in f.message} == {
        "weight"
    }


# --- two declarations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beside", "path"),
    [
        ({"group_size": 64, "bits": 8}, "quantization.bits"),
        ({"group_size": 32, "bits": 4}, "quantization.group_size"),
        ({"group_size": 64, "bits": 4, "a.b": {"bits": 8}}, "quantization.a.b"),
        ({"group_size": 64, "bits": 4}, ""),
    ],
)
def test_two_declarations_in_one_config(beside: dict[str, Any], path: str) -> None:
    """MLX writes its declaration twice; mlx-lm reads another of them than transformers."""
    mlx = clean("mlx")
    result = mlx._replace(config={**mlx.config, "quantization": beside}).verified()
    found = [f.path for f in result.findings if f.rule == "config-contradiction"]
    assert found == ([path] if path else [])
    assert result.status == ("conflict" if path else "verified")


@pytest.mark.parametrize(
    ("style", "file", "document", "key"),
    [
        ("modelopt-nvfp4", "hf_quant_config.json", {"quantization": NVFP4}, ""),
        ("modelopt-nvfp4", "hf_quant_config.json", {"quantization": MODELOPT_FP8}, "quant_algo"),
        ("gptq", "quantize_config.json", GPTQ, ""),
        ("gptq", "quantize_config.json", {**GPTQ, "bits": 8}, "bits"),
        ("gptq", "quantize_config.json", {**GPTQ, "group_size": 32}, "group_size"),
        ("awq", "quant_config.json", {"w_bit": 4, "q_group_size": 128}, ""),
        ("awq", "quant_config.json", {"w_bit": 8, "q_group_size": 128}, "w_bit"),
        ("gptq", "quant_config.json", {"w_bit": 4, "q_group_size": 128}, "quant_method"),
    ],
)
def test_a_declaration_beside_the_config_that_differs(
    tmp_path: Path, style: str, file: str, document: dict[str, Any], key: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(clean(style).config))
    (tmp_path / file).write_text(json.dumps(document))
    found = [f for f in llmarch.inspect(str(tmp_path)).findings if f.severity != "info"]
    assert [f.path for f in found] == ([f"{file}: {key}"] if key else [])


@pytest.mark.parametrize("declared", ["fp8", [4], 8])
def test_a_declaration_that_is_no_object_is_an_error(declared: Any) -> None:
    config, tensors = plain()
    broken = QuantisedCheckpoint({**config, "quantization_config": declared}, tensors)
    with pytest.raises(ConfigError, match=r"quantization_config is .* an object is needed"):
        broken.verified()


def test_an_empty_declaration_is_none() -> None:
    config, tensors = plain()
    result = QuantisedCheckpoint({**config, "quantization_config": {}}, tensors).verified()
    assert (result.status, result.unread_keys) == ("verified", ())
