"""Small quantised checkpoints in the styles of the tools that write them: declaration and tensors.

Each style packs the matrices of one small model. Names, dtypes and shapes are those of
compressed-tensors 0.20.0, ModelOpt, GPTQModel, AutoAWQ, bitsandbytes, MLX, FBGEMM and DeepSeek.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from helpers.checkpoint_fixtures import Tensors, local_model, read, table_of
from helpers.paths import SPECS
from llmarch.checkpoint.reading import Reading, read_model

Pack = Callable[[str, int, int], Tensors]
"""Return the tensors of a module by its name, outputs and inputs."""

LAYERS = r"\.layers\."
HEAD = "lm_head"


class QuantisedCheckpoint(NamedTuple):
    """A config with its declaration, and the tensors."""

    config: dict[str, Any]
    tensors: Tensors

    def declaring(self, key: str, value: Any) -> QuantisedCheckpoint:
        """Return it with another value at a key of the declaration; `absent` removes it."""
        config = json.loads(json.dumps(self.config))
        declared = config["quantization_config"]
        *parents, name = key.split("/")
        for parent in parents:
            declared = declared[parent]
        declared[name] = value
        if value == "absent":
            del declared[name]
        return self._replace(config=config)

    def with_tensors(self, tensors: Tensors) -> QuantisedCheckpoint:
        return self._replace(tensors=tensors)

    def verified(self) -> Reading:
        """Return its reading, compared with the headers."""
        return read_model(local_model(self.config, table_of(self.tensors)))


@cache
def plain() -> tuple[dict[str, Any], Tensors]:
    """Return the config and the plain tensors of a small Qwen3 with a head of its own."""
    config = json.loads((SPECS / "qwen3-0.6b.json").read_text())["config"]
    config |= {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "num_hidden_layers": 2,
        "max_window_layers": 2,
        "vocab_size": 512,
        "tie_word_embeddings": False,
    }
    _, rows = read(config)
    tensors: Tensors = {}
    for row in rows:
        for index in product(*row.axes):
            tensors[row.pattern.format(*index)] = ("BF16", row.shape)
    return config, tensors


def packed(
    declared: dict[str, Any], pack: Pack | dict[str, Pack], *, key: str = "quantization_config"
) -> QuantisedCheckpoint:
    """Return a checkpoint whose modules are packed.

    pack: for all matrices of layers, or by regular expression; the first that matches counts.
    """
    config, tensors = plain()
    packs: dict[str, Pack] = {LAYERS: pack} if callable(pack) else pack
    stored: Tensors = {}
    for name, (dtype, shape) in tensors.items():
        chosen = next((p for pattern, p in packs.items() if re.search(pattern, name)), None)
        if chosen is None or shape is None or len(shape) != 2:
            stored[name] = (dtype, shape)
        else:
            stored |= chosen(name.removesuffix(".weight"), *shape)
    return QuantisedCheckpoint({**config, key: declared}, stored)


def kept_plain(name: str, outputs: int, inputs: int) -> Tensors:
    return {f"{name}.weight": ("BF16", (outputs, inputs))}


# --- compressed-tensors ---------------------------------------------------------------------------


def ct_config(
    weights: dict[str, Any],
    format: str,
    inputs: dict[str, Any] | None = None,
    ignore: tuple[str, ...] = (HEAD,),
    targets: tuple[str, ...] = ("Linear",),
) -> dict[str, Any]:
    group = {"targets": list(targets), "weights": weights, "input_activations": inputs}
    return {
        "quant_method": "compressed-tensors",
        "format": format,
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "sparsity_config": {},
        "config_groups": {"group_0": group},
    }


def ct_weights(**keys: Any) -> dict[str, Any]:
    return {"num_bits": 4, "type": "int", "symmetric": True, "dynamic": False, **keys}


def ct_packed(
    group: int | None, *, bits: int = 4, asymmetric: bool = False, index: bool = False
) -> Pack:
    def pack(name: str, outputs: int, inputs: int) -> Tensors:
        groups = inputs // group if group else 1
        tensors: Tensors = {
            f"{name}.weight_packed": ("I32", (outputs, inputs * bits // 32)),
            f"{name}.weight_scale": ("BF16", (outputs, groups)),
            f"{name}.weight_shape": ("I64", (2,)),
        }
        if asymmetric:
            tensors[f"{name}.weight_zero_point"] = ("I32", (outputs * bits // 32, groups))
        if index:
            tensors[f"{name}.weight_g_idx"] = ("I32", (inputs,))
        return tensors

    return pack


def scaled(
    dtype: str,
    *,
    per: str,
    name_of_scale: str = "weight_scale",
    scale_dtype: str = "F32",
    inputs_scaled: str = "",
    zero_point: bool = False,
) -> Pack:
    """Return the packing of 8-bit values of their logical shape.

    per: what one scale is for: `tensor`, `channel` (as a column), `vector` (the same), or `block`.
    """

    def pack(name: str, outputs: int, inputs: int) -> Tensors:
        shapes: dict[str, tuple[int, ...]] = {
            "tensor": (),
            "channel": (outputs, 1),
            "vector": (outputs,),
            "block": (-(-outputs // 128), -(-inputs // 128)),
        }
        tensors: Tensors = {
            f"{name}.weight": (dtype, (outputs, inputs)),
            f"{name}.{name_of_scale}": (scale_dtype, shapes[per]),
        }
        if inputs_scaled:
            tensors[f"{name}.{inputs_scaled}"] = ("F32", ())
        if zero_point:
            tensors[f"{name}.weight_zero_point"] = ("I8", shapes[per])
        return tensors

    return pack


def ct_fp4(name: str, outputs: int, inputs: int) -> Tensors:
    return {
        f"{name}.weight_packed": ("U8", (outputs, inputs // 2)),
        f"{name}.weight_scale": ("F8_E4M3", (outputs, inputs // 16)),
        f"{name}.weight_global_scale": ("F32", (1,)),
        f"{name}.input_global_scale": ("F32", (1,)),
    }


def ct_fp4_weights_only(name: str, outputs: int, inputs: int) -> Tensors:
    tensors = ct_fp4(name, outputs, inputs)
    del tensors[f"{name}.input_global_scale"]
    return tensors


def ct_mxfp4(name: str, outputs: int, inputs: int) -> Tensors:
    return {
        f"{name}.weight_packed": ("U8", (outputs, inputs // 2)),
        f"{name}.weight_scale": ("U8", (outputs, inputs // 32)),
    }


# --- other tools ----------------------------------------------------------------------------------


def modelopt_fp4(name: str, outputs: int, inputs: int) -> Tensors:
    return {
        f"{name}.weight": ("U8", (outputs, inputs // 2)),
        f"{name}.weight_scale": ("F8_E4M3", (outputs, inputs // 16)),
        f"{name}.weight_scale_2": ("F32", ()),
        f"{name}.input_scale": ("F32", ()),
    }


def gptq(name: str, outputs: int, inputs: int, bits: int = 4, group: int = 128) -> Tensors:
    groups = inputs // group
    return {
        f"{name}.qweight": ("I32", (inputs * bits // 32, outputs)),
        f"{name}.qzeros": ("I32", (groups, outputs * bits // 32)),
        f"{name}.scales": ("F16", (groups, outputs)),
        f"{name}.g_idx": ("I32", (inputs,)),
    }


def gptq_of(bits: int, group: int) -> Pack:
    return lambda name, outputs, inputs: gptq(name, outputs, inputs, bits, group)


def gptq_without_index(name: str, outputs: int, inputs: int) -> Tensors:
    tensors = gptq(name, outputs, inputs)
    del tensors[f"{name}.g_idx"]
    return tensors


def awq(name: str, outputs: int, inputs: int, group: int = 128) -> Tensors:
    return {
        f"{name}.qweight": ("I32", (inputs, outputs // 8)),
        f"{name}.qzeros": ("I32", (inputs // group, outputs // 8)),
        f"{name}.scales": ("F16", (inputs // group, outputs)),
    }


def awq_of(group: int) -> Pack:
    return lambda name, outputs, inputs: awq(name, outputs, inputs, group)


def nf4(*, nested: bool, kind: str = "nf4") -> Pack:
    def pack(name: str, outputs: int, inputs: int) -> Tensors:
        blocks = outputs * inputs // 64
        weight = f"{name}.weight"
        tensors: Tensors = {
            weight: ("U8", (outputs * inputs // 2, 1)),
            f"{weight}.absmax": ("U8" if nested else "F32", (blocks,)),
            f"{weight}.quant_map": ("F32", (16,)),
            f"{weight}.quant_state.bitsandbytes__{kind}": ("U8", (86,)),
        }
        if nested:
            tensors[f"{weight}.nested_absmax"] = ("F32", (-(-blocks // 256),))
            tensors[f"{weight}.nested_quant_map"] = ("F32", (256,))
        return tensors

    return pack


def int8_bnb(name: str, outputs: int, inputs: int) -> Tensors:
    return {
        f"{name}.weight": ("I8", (outputs, inputs)),
        f"{name}.SCB": ("F32", (outputs,)),
        f"{name}.weight_format": ("U8", ()),
    }


def mlx(bits: int, group: int, *, affine: bool = True) -> Pack:
    def pack(name: str, outputs: int, inputs: int) -> Tensors:
        tensors: Tensors = {
            f"{name}.weight": ("U32", (outputs, inputs * bits // 32)),
            f"{name}.scales": ("BF16" if affine else "U8", (outputs, inputs // group)),
        }
        if affine:
            tensors[f"{name}.biases"] = ("BF16", (outputs, inputs // group))
        return tensors

    return pack


def parts(*, own: Callable[[int, int], Tensors]) -> Pack:
    """Return the packing of modules whose tensors are given by suffix, for outputs and inputs."""
    return lambda name, outputs, inputs: {
        f"{name}.{suffix}": tensor for suffix, tensor in own(outputs, inputs).items()
    }


def fp8_by_block(outputs: int, inputs: int) -> Tensors:
    return {
        "weight": ("F8_E4M3", (outputs, inputs)),
        "weight_scale": ("F32", (-(-outputs // 128), 1, -(-inputs // 128), 1)),
    }


def mxfp8(name_of_scale: str, dtype: str = "U8") -> Pack:
    return parts(
        own=lambda outputs, inputs: {
            "weight": ("F8_E4M3", (outputs, inputs)),
            name_of_scale: (dtype, (outputs, inputs // 32)),
        }
    )


def mxfp4(outputs: int, inputs: int) -> Tensors:
    return {
        "weight": ("U8", (outputs, inputs // 2)),
        "weight_scale": ("U8", (outputs, inputs // 32)),
    }


def int4_bytes(*, activations: bool) -> Pack:
    def own(outputs: int, inputs: int) -> Tensors:
        tensors: Tensors = {
            "weight": ("U8", (outputs // 2, inputs)),
            "weight_scale": ("BF16", (outputs, inputs // 128)),
            "pre_quant_scale": ("BF16", (inputs,)),
        }
        if activations:
            tensors |= {"weight_scale_2": ("F32", ()), "input_scale": ("F32", ())}
        return tensors

    return parts(own=own)


def int4_words(outputs: int, inputs: int) -> Tensors:
    return {
        "weight": ("I32", (inputs, outputs // 8)),
        "weight_scale": ("BF16", (inputs // 128, outputs)),
        "weight_zero_point": ("I32", (inputs // 128, outputs // 8)),
    }


def gemma(bits: int) -> Pack:
    return parts(
        own=lambda outputs, inputs: {
            "weight": ("I8" if bits == 8 else "U8", (outputs, inputs * bits // 8)),
            "weight_scale": ("F32", (outputs, 1)),
            "input_activation_scale": ("F32", ()),
            "output_activation_scale": ("F32", ()),
        }
    )


def metal(outputs: int, inputs: int) -> Tensors:
    return {
        "weight": ("U32", (outputs, inputs // 8)),
        "scales": ("BF16", (outputs, inputs // 64)),
        "qbiases": ("BF16", (outputs, inputs // 64)),
    }


def modelopt_fp4_weights(name: str, outputs: int, inputs: int) -> Tensors:
    tensors = modelopt_fp4(name, outputs, inputs)
    del tensors[f"{name}.input_scale"]
    return tensors


MLX_MODULES = r"proj|embed|lm_head"
STATIC = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
DYNAMIC = {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": True}
INT8 = {"num_bits": 8, "type": "int", "symmetric": True, "dynamic": False, "strategy": "channel"}
FP8 = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False}
FP4 = {
    "num_bits": 4,
    "type": "float",
    "symmetric": True,
    "dynamic": False,
    "strategy": "tensor_group",
    "group_size": 16,
}
FP4_INPUTS = {**FP4, "dynamic": "local"}
GPTQ = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 128,
    "desc_act": False,
    "sym": True,
    "lm_head": False,
    "checkpoint_format": "gptq",
    "pack_dtype": "int32",
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
NF4 = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "load_in_8bit": False,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_quant_storage": "uint8",
    "llm_int8_skip_modules": None,
}
FP8_BLOCK = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
    "modules_to_not_convert": [HEAD],
}
NVFP4 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "ignore": [HEAD],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "float", "group_size": 16, "dynamic": False},
            "input_activations": {"num_bits": 4, "type": "float", "group_size": 16},
        }
    },
}
MODELOPT_FP8 = {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": [HEAD]}


def mixed_groups() -> dict[str, Any]:
    """Return a declaration of int4 for attention, and of FP8 for all other linear modules."""
    declared = ct_config(
        ct_weights(strategy="group", group_size=32),
        "mixed-precision",
        targets=("re:.*self_attn.*",),
    )
    declared["config_groups"]["group_0"]["format"] = "pack-quantized"
    declared["config_groups"]["group_1"] = {
        "targets": ["re:.*mlp.*"],
        "format": "float-quantized",
        "weights": {**FP8, "strategy": "channel"},
        "input_activations": DYNAMIC,
    }
    return declared


GROUP = {"strategy": "group", "group_size": 32}
ROW = {"strategy": "channel"}
MLX_MODES: dict[str, tuple[int, int]] = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
SKIPPED: dict[str, Any] = {"modules_to_not_convert": [HEAD]}


def modelopt(algorithm: str, method: str = "modelopt", **keys: Any) -> dict[str, Any]:
    return {"quant_method": method, "quant_algo": algorithm, "ignore": [HEAD], **keys}


def quark(dtype: str, scheme: str, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    weight: dict[str, Any] = {"dtype": dtype, "qscheme": scheme, "is_dynamic": False}
    weight["symmetric"] = not dtype.startswith("u")
    if scheme == "per_group":
        weight["group_size"] = 32 if dtype == "fp4" else 128
    return {
        "quant_method": "quark",
        "global_quant_config": {"weight": weight, "input_tensors": inputs},
        "export": {"kv_cache_group": [], "pack_method": "reorder"},
        "exclude": [HEAD],
        "layer_quant_config": {},
        "quant_mode": "eager_mode",
    }


def auto_round(
    data_type: str, bits: int, group: int | list[int], format: str, **keys: Any
) -> dict[str, Any]:
    return {
        "quant_method": "auto-round",
        "data_type": data_type,
        "bits": bits,
        "group_size": group,
        "sym": True,
        "packing_format": f"auto_round:{format}",
        "block_name_to_quantize": "model.layers",
        "autoround_version": "0.16.1",
        **keys,
    }


EIGHT_BITS = {"act_bits": 8, "act_dynamic": False}
W4A16 = {
    "group_0": {
        "targets": ["Linear"],
        "weights": {"num_bits": 4, "type": "float", "group_size": 16, "dynamic": False},
        "input_activations": None,
    }
}
PER_TENSOR = {**FP8_BLOCK, "weight_block_size": None, "activation_scheme": "static"}

CLEAN: dict[str, Callable[[], QuantisedCheckpoint]] = {
    "ct-int4": lambda: packed(ct_config(ct_weights(**GROUP), "pack-quantized"), ct_packed(32)),
    "ct-int4-channel": lambda: packed(
        ct_config(ct_weights(**ROW), "pack-quantized"), ct_packed(None)
    ),
    "ct-int4-asymmetric": lambda: packed(
        ct_config(ct_weights(**GROUP, symmetric=False), "pack-quantized"),
        ct_packed(32, asymmetric=True),
    ),
    "ct-int4-reordered": lambda: packed(
        ct_config(ct_weights(**GROUP, actorder="group"), "pack-quantized"),
        ct_packed(32, index=True),
    ),
    "ct-int4-weight-order": lambda: packed(
        ct_config(ct_weights(**GROUP, actorder="weight"), "pack-quantized"), ct_packed(32)
    ),
    "ct-int8": lambda: packed(
        ct_config(INT8, "int-quantized", {**DYNAMIC, "type": "int"}),
        scaled("I8", per="channel", scale_dtype="BF16"),
    ),
    "ct-int8-static": lambda: packed(
        ct_config(INT8, "int-quantized", {**STATIC, "type": "int"}),
        scaled("I8", per="channel", inputs_scaled="input_scale"),
    ),
    "ct-fp8-dynamic": lambda: packed(
        ct_config({**FP8, "strategy": "channel"}, "float-quantized", DYNAMIC),
        scaled("F8_E4M3", per="channel", scale_dtype="BF16"),
    ),
    "ct-fp8-static": lambda: packed(
        ct_config({**FP8, "strategy": "tensor"}, "float-quantized", STATIC),
        scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale"),
    ),
    "ct-fp8-block": lambda: packed(
        ct_config(
            {**FP8, "strategy": "block", "block_structure": [128, 128]},
            "float-quantized",
            {**DYNAMIC, "strategy": "group", "group_size": 128},
        ),
        scaled("F8_E4M3", per="block"),
    ),
    "ct-nvfp4": lambda: packed(ct_config(FP4, "nvfp4-pack-quantized", FP4_INPUTS), ct_fp4),
    "ct-nvfp4-weights": lambda: packed(ct_config(FP4, "nvfp4-pack-quantized"), ct_fp4_weights_only),
    "ct-mxfp4": lambda: packed(
        ct_config({**FP4, "strategy": "group", "group_size": 32}, "mxfp4-pack-quantized"), ct_mxfp4
    ),
    "ct-mixed": lambda: packed(
        mixed_groups(),
        {"self_attn": ct_packed(32), "mlp": scaled("F8_E4M3", per="channel")},
    ),
    "ct-head": lambda: packed(
        ct_config(ct_weights(**GROUP), "pack-quantized", ignore=()),
        {"layers|lm_head": ct_packed(32)},
    ),
    "ct-targets": lambda: packed(
        ct_config(ct_weights(**GROUP), "pack-quantized", targets=("re:.*self_attn.*",)),
        {"self_attn": ct_packed(32)},
    ),
    "ct-all-ignored": lambda: packed(
        ct_config(ct_weights(**GROUP), "pack-quantized", ignore=(HEAD, "re:.*")), kept_plain
    ),
    "modelopt-nvfp4": lambda: packed(NVFP4, modelopt_fp4),
    "modelopt-fp8": lambda: packed(
        MODELOPT_FP8, scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale")
    ),
    "modelopt-fp8-channel": lambda: packed(
        {**MODELOPT_FP8, "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"},
        scaled("F8_E4M3", per="vector"),
    ),
    "modelopt-mixed": lambda: packed(
        {
            "quant_method": "modelopt",
            "quant_algo": "MIXED_PRECISION",
            "quantized_layers": {
                f"model.layers.{i}.{module}": {"quant_algo": algo}
                for i in (0, 1)
                for module, algo in (("self_attn", "FP8"), ("mlp", "NVFP4"))
            },
        },
        {
            "self_attn": scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale"),
            "mlp": modelopt_fp4,
        },
    ),
    "gptq": lambda: packed(GPTQ, gptq),
    "gptq-v2": lambda: packed({**GPTQ, "checkpoint_format": "gptq_v2"}, gptq),
    "gptq-reordered": lambda: packed({**GPTQ, "desc_act": True}, gptq),
    "gptq-without-index": lambda: packed(GPTQ, gptq_without_index),
    "gptq-head": lambda: packed({**GPTQ, "lm_head": True}, {"layers|lm_head": gptq}),
    "gptq-rules": lambda: packed(
        {
            **GPTQ,
            "dynamic": {
                r"+:.*\.down_proj": {"bits": 8, "group_size": 64},
                r"-:.*\.o_proj": {},
            },
        },
        {"down_proj": gptq_of(8, 64), "o_proj": kept_plain, LAYERS: gptq},
    ),
    "gptq-blocks": lambda: packed(
        {**GPTQ, "modules_in_block_to_quantize": [["mlp.up_proj", "mlp.gate_proj"]]},
        {r"up_proj|gate_proj": gptq},
    ),
    "awq": lambda: packed(AWQ, awq),
    "awq-excluded": lambda: packed(
        {**AWQ, "modules_to_not_convert": ["o_proj"]}, {"o_proj": kept_plain, LAYERS: awq}
    ),
    "bnb-nf4": lambda: packed(NF4, nf4(nested=True)),
    "bnb-fp4": lambda: packed(
        {**NF4, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False},
        nf4(nested=False, kind="fp4"),
    ),
    "bnb-int8": lambda: packed(
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}, int8_bnb
    ),
    "mlx": lambda: packed({"group_size": 64, "bits": 4}, {MLX_MODULES: mlx(4, 64)}),
    "mlx-mixed": lambda: packed(
        {
            "group_size": 64,
            "bits": 4,
            "model.layers.0.self_attn.q_proj": {"group_size": 32, "bits": 4},
            "model.layers.1.mlp.down_proj": {"group_size": 64, "bits": 8},
            "model.layers.1.mlp.up_proj": False,
        },
        {
            r"layers.0.self_attn.q_proj": mlx(4, 32),
            r"layers.1.mlp.down_proj": mlx(8, 64),
            r"layers.1.mlp.up_proj": kept_plain,
            MLX_MODULES: mlx(4, 64),
        },
    ),
    **{
        f"mlx-{mode}": lambda mode=mode, bits=bits, group=group: packed(
            {"group_size": group, "bits": bits, "mode": mode},
            {MLX_MODULES: mlx(bits, group, affine=False)},
        )
        for mode, (bits, group) in MLX_MODES.items()
    },
    "fp8-block": lambda: packed(
        FP8_BLOCK, scaled("F8_E4M3", per="block", name_of_scale="weight_scale_inv")
    ),
    "fp8-block-ue8m0": lambda: packed(
        {**FP8_BLOCK, "scale_fmt": "ue8m0"},
        scaled("F8_E4M3", per="block", name_of_scale="weight_scale_inv", scale_dtype="F8_E8M0"),
    ),
    "fp8-static": lambda: packed(
        PER_TENSOR,
        scaled(
            "F8_E4M3",
            per="tensor",
            name_of_scale="weight_scale_inv",
            inputs_scaled="activation_scale",
        ),
    ),
    "fp8-static-vllm": lambda: packed(
        PER_TENSOR, scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale")
    ),
    "fbgemm": lambda: packed(
        {
            "quant_method": "fbgemm_fp8",
            "activation_scale_ub": 1200.0,
            "modules_to_not_convert": [HEAD, "self_attn"],
        },
        {"mlp": scaled("F8_E4M3", per="channel")},
    ),
    "mxfp8": lambda: packed({"quant_method": "mxfp8", **SKIPPED}, mxfp8("weight_scale_inv")),
    "mxfp8-vllm": lambda: packed(
        {"quant_method": "mxfp8", "ignored_layers": [HEAD]}, mxfp8("weight_scale")
    ),
    "metal": lambda: packed(
        {"quant_method": "metal", "bits": 4, "group_size": 64, **SKIPPED}, parts(own=metal)
    ),
    "gemma-4-bits": lambda: packed(
        {"quant_method": "gemma", "num_bits": 4, "quantize_embeddings": False, **SKIPPED}, gemma(4)
    ),
    "gemma-mixed": lambda: packed(
        {
            "quant_method": "gemma",
            "num_bits": 8,
            "module_quant_configs": {r"self_attn": {"num_bits": 2}},
            **SKIPPED,
        },
        {"self_attn": gemma(2), "mlp": gemma(8)},
    ),
    "quark-fp8": lambda: packed(
        quark("fp8_e4m3", "per_tensor", {"dtype": "fp8_e4m3", "is_dynamic": False}),
        scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale"),
    ),
    "quark-fp8-channel": lambda: packed(
        quark("fp8_e4m3", "per_channel", {"dtype": "fp8_e4m3", "is_dynamic": True}),
        scaled("F8_E4M3", per="vector"),
    ),
    "quark-mxfp4": lambda: packed(quark("fp4", "per_group"), parts(own=mxfp4)),
    "quark-int4": lambda: packed(quark("uint4", "per_group"), parts(own=int4_words)),
    "quark-int8": lambda: packed(quark("int8", "per_channel"), scaled("I8", per="channel")),
    "modelopt-int4": lambda: packed(
        modelopt("W4A16_AWQ", group_size=128), int4_bytes(activations=False)
    ),
    "modelopt-int4-fp8": lambda: packed(
        modelopt("W4A8_AWQ", group_size=128), int4_bytes(activations=True)
    ),
    "modelopt-fp8-block": lambda: packed(modelopt("FP8_PB_WO"), parts(own=fp8_by_block)),
    "modelopt-int8": lambda: packed(
        modelopt("W8A8_SQ_PER_CHANNEL"), scaled("I8", per="channel", inputs_scaled="input_scale")
    ),
    "modelopt-nvfp4-weights": lambda: packed(
        modelopt("W4A16_NVFP4", group_size=16), modelopt_fp4_weights
    ),
    "modelopt-nvfp4-null-inputs": lambda: packed(
        modelopt("NVFP4", config_groups=W4A16), modelopt_fp4_weights
    ),
    "modelopt-mxfp8": lambda: packed(
        modelopt("MXFP8", "modelopt_mxfp8", group_size=32), mxfp8("weight_scale")
    ),
    "modelopt-mxfp4": lambda: packed(modelopt("MXFP4", group_size=32), parts(own=mxfp4)),
    "auto-round-gptq": lambda: packed(auto_round("int", 4, 128, "auto_gptq"), gptq_without_index),
    "auto-round-awq": lambda: packed(auto_round("int", 4, 128, "auto_awq"), awq),
    "auto-round-mxfp4": lambda: packed(
        auto_round("mx_fp", 4, 32, "llm_compressor", act_bits=4, act_dynamic=True), ct_mxfp4
    ),
    "auto-round-mxfp8": lambda: packed(
        auto_round("mx_fp", 8, 32, "llm_compressor", act_bits=8, act_dynamic=True),
        mxfp8("weight_scale"),
    ),
    "auto-round-nvfp4": lambda: packed(
        auto_round("nv_fp", 4, 16, "llm_compressor", act_bits=4, act_dynamic=True), ct_fp4
    ),
    "auto-round-fp8": lambda: packed(
        auto_round("fp", 8, -1, "fp8", fmt="e4m3", activation_scheme="static", **EIGHT_BITS),
        scaled("F8_E4M3", per="channel", inputs_scaled="input_scale"),
    ),
    "auto-round-fp8-tensor": lambda: packed(
        auto_round("fp", 8, 0, "fp8", fmt="e4m3", activation_scheme="static", **EIGHT_BITS),
        scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale"),
    ),
    "auto-round-fp8-block": lambda: packed(
        auto_round("fp", 8, [128, 128], "fp8", fmt="e4m3", act_bits=8, act_dynamic=True),
        scaled("F8_E4M3", per="block", name_of_scale="weight_scale_inv"),
    ),
    "auto-round-excluded": lambda: packed(
        auto_round(
            "int",
            4,
            128,
            "auto_gptq",
            extra_config={
                r".*o_proj.*": {"bits": 16, "data_type": "float"},
                "model.layers.0.mlp.up_proj": {"bits": 8, "group_size": 64},
            },
        ),
        {"o_proj": kept_plain, r"0\.mlp\.up_proj": gptq_of(8, 64), LAYERS: gptq},
    ),
    "awq-symmetric": lambda: packed({**AWQ, "zero_point": False}, awq),
    "w8a8-int8": lambda: packed({"quant_method": "w8a8_int8"}, scaled("I8", per="channel")),
    "w8a8-fp8": lambda: packed({"quant_method": "w8a8_fp8"}, scaled("F8_E4M3", per="channel")),
    "bitnet-plain": lambda: packed(
        {"quant_method": "bitnet", "linear_class": "autobitlinear"}, kept_plain
    ),
}
"""Clean checkpoints, by style."""
