"""Hold what is stored for each packed tensor against what the config declares for its module.

For each method there is a function that lists what the declaration implies: the format, the dtype
of the values, which companions there are, what one scale covers. Sources are with each function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..architecture.schema import Finding, Quantization
from ..config.quantization_words import FP8_FORMATS, STORAGE_DTYPES, WORD_DTYPES
from .findings import info_finding, weights_finding
from .logical import LogicalTensor, Shape, StoredCompanion
from .method_names import AUTO_ROUND_METHODS, MODELOPT_METHODS
from .packing.awq import AWQ_METHODS
from .packing.base import (
    EXPONENTS,
    REAL_DTYPES,
    UINT8,
    blocks_of,
    ceil_div,
    format_shape,
)
from .packing.unpacking import alternatives

MAX_MIXED = 3
"""Tensors that are named for one companion that few have."""


class Problem(NamedTuple):
    """A disagreement between a declaration and a stored tensor."""

    key: str
    """The fact of the declaration: `symmetric`."""
    declared: object
    stored: object
    message: str
    is_obeyed: bool = True
    """Whether loaders go by the declaration. False: they go by what is stored, and it works."""


Problems = Iterator[Problem]


def storage_findings(packed: Iterable[LogicalTensor]) -> list[Finding]:
    """Return the findings about packed tensors that are stored in another way than declared."""
    tensors = [x for x in packed if x.declared is not None and x.dtype]
    found: dict[tuple[str, str, bool], list[tuple[LogicalTensor, Problem]]] = {}
    for tensor in tensors:
        for problem in _problems(tensor):
            kind = (problem.key, str(problem.declared), problem.is_obeyed)
            found.setdefault(kind, []).append((tensor, problem))
    findings = [_finding(*pairs[0], others=len(pairs) - 1) for pairs in found.values()]
    named = {finding.path for finding in findings}
    return findings + [f for f in mixed_companions(tensors) if f.path not in named]


def _finding(tensor: LogicalTensor, problem: Problem, others: int) -> Finding:
    """Return the finding about a tensor, and how many folded names have the same problem."""
    path = tensor.stored_name
    message = problem.message
    if others:
        message += f"; so are {others} more groups of tensors"
    if not problem.is_obeyed:
        return info_finding("declaration-not-obeyed", path, message)
    return weights_finding("tensor-dtype", path, message, problem.declared, problem.stored)


def _problems(tensor: LogicalTensor) -> Problems:
    declared = tensor.declared
    if declared is None:
        return
    check = _METHODS.get(declared.method)
    if check is not None:
        yield from check(tensor, declared)


# --- what tensors are -----------------------------------------------------------------------------


def companion(tensor: LogicalTensor, *suffixes: str) -> tuple[str, StoredCompanion] | None:
    """Return the first of these companions that is stored, with its suffix."""
    for suffix in suffixes:
        for name in (f".{suffix}", f"_{suffix}"):
            stored = tensor.companions.get(name)
            if stored is not None:
                return name, stored
    return None


def _needed(tensor: LogicalTensor, key: str, declared: object, *suffixes: str) -> Problems:
    """Yield the problem that none of these companions is stored."""
    if companion(tensor, *suffixes) is None:
        stored = f"stored without *.{suffixes[0]}"
        yield Problem(key, declared, None, f"{stored}, which {_statement(key, declared)} needs")


def _unwanted(tensor: LogicalTensor, key: str, declared: object, *suffixes: str) -> Problems:
    """Yield the problem that one of these companions is stored."""
    found = companion(tensor, *suffixes)
    if found is not None:
        message = f"stored with *{found[0]}, which {_statement(key, declared)} does not have"
        yield Problem(key, declared, found[0], message)


def _statement(key: str, declared: object) -> str:
    """Return a fact of the declaration in words: `symmetric true`."""
    if declared is None:
        return f"a declaration without {key}"
    word = str(declared).lower() if isinstance(declared, bool) else str(declared)
    return f"{key} {word}"


def _of_format(tensor: LogicalTensor, key: str, declared: object, *formats: str) -> Problems:
    """Yield the problem that a tensor is in none of these packing formats."""
    if tensor.format not in formats:
        message = f"stored as {tensor.packing}, but the config declares {key} {declared}"
        yield Problem(key, declared, tensor.packing, message)


def _of_dtype(tensor: LogicalTensor, key: str, declared: object, dtypes: Iterable[str]) -> Problems:
    """Yield the problem that the values have none of these dtypes."""
    if tensor.dtype not in dtypes:
        wanted = alternatives(dtypes)
        message = f"stored as {tensor.dtype}, but {_statement(key, declared)} is {wanted}"
        yield Problem(key, declared, tensor.dtype, message)


def _without_bits(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield the problem that no bits are declared, without which no loader reads the values."""
    if d.bits is None:
        message = f"stored with {tensor.width:g} bits, but the config declares none"
        yield Problem("bits", None, tensor.width, message)


def _covers(
    tensor: LogicalTensor, scale: StoredCompanion | None, shapes: dict[str, set[Shape]]
) -> Problems:
    """Yield the problem that a scale has none of the shapes that a declaration gives.

    shapes: by key and value of the declaration (`strategy channel`).
    """
    if scale is None or scale.shape is None or not shapes:
        return
    if any(scale.shape in each for each in shapes.values()):
        return
    needed = sorted({format_shape(shape) for each in shapes.values() for shape in each})
    words = " or ".join(shapes)
    message = (
        f"scales have shape {format_shape(scale.shape)}, but {words} needs {alternatives(needed)}"
    )
    yield Problem(words.partition(" ")[0], words, format_shape(scale.shape), message)


def _scale(tensor: LogicalTensor, *suffixes: str) -> StoredCompanion | None:
    found = companion(tensor, *suffixes)
    return found[1] if found is not None else None


def tensor_shapes(tensor: LogicalTensor) -> set[Shape]:
    """Return the shapes of one scale for a matrix, or of one for each of stacked ones."""
    lead = (tensor.shape or ())[:-2]
    one: set[Shape] = {(), (1,), (1, 1)}
    if lead:
        one = {lead, (*lead, 1), (*lead, 1, 1)}
    return one


def channel_shapes(tensor: LogicalTensor) -> set[Shape]:
    """Return the shapes of one scale for each output, a vector or a column.

    vLLM 0.33.0 has vectors for ModelOpt (KFp8StaticChannel) and Quark, and columns for others.
    """
    outputs = (tensor.shape or ())[:-1]
    return {outputs, (*outputs, 1)}


def column_shapes(tensor: LogicalTensor) -> set[Shape]:
    """Return the shape of one scale for each output, as a column.

    That is how compressed-tensors 0.20.0, FBGEMM and SGLang's w8a8 write and read them.
    """
    outputs = (tensor.shape or ())[:-1]
    return {(*outputs, 1)}


def group_shape(tensor: LogicalTensor, size: int) -> Shape:
    """Return the shape of one scale for each group of inputs."""
    *outputs, inputs = tensor.shape or (0,)
    return (*outputs, ceil_div(inputs, size))


# --- methods --------------------------------------------------------------------------------------


_COMPRESSED = {
    "pack-quantized": ("compressed-tensors",),
    "int-quantized": ("int8",),
    "float-quantized": ("fp8",),
    "naive-quantized": ("int8", "fp8"),
    "nvfp4-pack-quantized": ("nvfp4",),
    "mxfp4-pack-quantized": ("mxfp4",),
    "mxfp8-quantized": ("fp8",),
    "dense": (),
    "sparse-bitmask": (),
    "sparse-24-bitmask": (),
    "marlin-24": (),
    "mxfp6-pack-quantized": (),
}
"""Packing formats by `format`; empty: weights of no packing that llmarch unpacks."""
_INTEGER_FORMATS = ("compressed-tensors", "int8")


def _compressed(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what compressed-tensors does not store so.

    compressed-tensors 0.20.0: compressors/*/base.py, quantization/lifecycle/initialize.py (which
    scales a module has), quantization/quant_args.py (defaults). vLLM builds the same tensors
    (compressed_tensors/schemes) and refuses others.
    """
    format = d.format or ""
    if format in _COMPRESSED:
        yield from _of_format(tensor, "format", format, *_COMPRESSED[format])
    if d.number == "int":
        yield from _of_format(tensor, "number", "int", *_INTEGER_FORMATS)
    elif d.number == "float":
        yield from _of_format(tensor, "number", "float", "fp8", "nvfp4", "mxfp4")
    if tensor.format == "fp8":
        yield from _of_dtype(tensor, "number", d.number, {"F8_E4M3"})
        yield from _scale_names(tensor, d.method)
        if format != "mxfp8-quantized":
            yield from _real_scales(tensor, "format", format)
    if d.sparsity is not None:
        message = f"zeros are stored, but {_statement('sparsity', d.sparsity)} leaves them out"
        yield Problem("sparsity", d.sparsity, None, message)
    if d.symmetric is False:
        yield from _needed(tensor, "symmetric", False, "weight_zero_point")
    else:
        yield from _unwanted(tensor, "symmetric", True, "weight_zero_point")
    if tensor.format == "compressed-tensors":
        yield from _needed(tensor, "format", "pack-quantized", "weight_shape")
        yield from _of_dtype(tensor, "format", "pack-quantized", {"I32"})
        if d.activation_order:
            yield from _needed(tensor, "activation_order", True, "weight_g_idx")
        else:
            yield from _unwanted(tensor, "activation_order", False, "weight_g_idx")
    yield from _compressed_inputs(tensor, d)
    yield from _without_size(d)
    yield from _covers(tensor, _scale(tensor, "weight_scale"), _compressed_shapes(tensor, d))


def _without_size(d: Quantization) -> Problems:
    """Yield the problem of a strategy without the size that it needs."""
    if d.strategy in ("group", "tensor_group") and d.group_size is None:
        message = f"strategy {d.strategy} is declared without group_size, which it needs"
        yield Problem("strategy", d.strategy, None, message)
    if d.strategy == "group" and d.format == "nvfp4-pack-quantized":
        message = "strategy group is declared, but nvfp4-pack-quantized is tensor_group"
        yield Problem("strategy", d.strategy, d.format, message)
    if d.strategy == "block" and d.block is None:
        message = "strategy block is declared without block_structure, which it needs"
        yield Problem("strategy", d.strategy, None, message)


def _compressed_inputs(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield the problem of scales of activations, which static ones have and others have not."""
    suffix = "input_scale"
    is_scaled = d.activations == "static"
    if tensor.format == "nvfp4":
        yield from _needed(tensor, "format", "nvfp4-pack-quantized", "weight_global_scale")
        # One scale for all: each group has its own, found at run time ("local").
        suffix, is_scaled = "input_global_scale", d.activations is not None
    if is_scaled:
        yield from _needed(tensor, "activations", d.activations, suffix)
    else:
        yield from _unwanted(tensor, "activations", d.activations, suffix)


def _compressed_shapes(tensor: LogicalTensor, d: Quantization) -> dict[str, set[Shape]]:
    """Return the shapes that weight scales may have, by the declaration that gives them."""
    shape = tensor.shape
    if shape is None or len(shape) < 2 or tensor.uncertain:
        return {}
    strategy = d.strategy
    if strategy is None and d.block is not None:
        strategy = "block"
    if strategy is None and d.group_size is not None:
        strategy = "group"
    if strategy in ("group", "tensor_group") and d.group_size is not None:
        words = f"group_size {d.group_size}"
        needed = group_shape(tensor, d.group_size)
        return {words: {needed}}
    if strategy == "block" and d.block is not None:
        rows, columns = d.block[0], d.block[1]
        needed = blocks_of(shape, (rows, columns))
        return {f"block {rows} × {columns}": {needed}}
    channel = column_shapes
    if d.method in AUTO_ROUND_METHODS:
        channel = channel_shapes
    if strategy == "channel":
        return {"strategy channel": channel(tensor)}
    if strategy == "tensor":
        return {"strategy tensor": tensor_shapes(tensor)}
    if strategy is None:
        return {
            "strategy tensor": tensor_shapes(tensor),
            "strategy channel": channel(tensor),
        }
    return {}


_BLOCK_SCALES = ("weight_scale_inv", "scale_inv", "scale", "qscale_weight")
_TENSOR_SCALES = (*_BLOCK_SCALES, "weight_scale")
_STATIC_SCALES = ("input_scale", "activation_scale", "qscale_act")


def _fp8(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what the method fp8 does not store so.

    transformers 5.23.0 FP8Linear has `weight_scale_inv` always (it renames `scale` and
    `qscale_weight`), vLLM's Fp8LinearMethod that name for blocks, and `weight_scale` for tensors.
    Both have a stored scale of activations where the scheme is static, and there only. MXFP8 is
    `weight_scale_inv` in transformers, and `weight_scale` in vLLM 0.33.0 (ModelOptMxFp8Config).
    """
    if tensor.format != "fp8":
        return  # experts in FP4, and modules with a format of their own
    dtype = FP8_FORMATS.get((d.format or "").lower())
    if dtype is not None:
        yield from _of_dtype(tensor, "format", d.format, {dtype})
    names = _TENSOR_SCALES
    key, declared = "block", "none"
    if d.block is not None and d.method != "mxfp8":
        names, declared = _BLOCK_SCALES, f"{d.block[0]} × {d.block[1]}"
    found = companion(tensor, *_TENSOR_SCALES)
    if found is not None and companion(tensor, *names) is None:
        message = (
            f"scales are named *{found[0]}, but with {key} {declared} loaders look for *.{names[0]}"
        )
        yield Problem(key, declared, found[0], message)
    scale = found[1] if found is not None else None
    if d.block is None:
        yield from _covers(
            tensor,
            scale,
            {"a declaration without block": tensor_shapes(tensor)},
        )
    if d.method == "mxfp8":
        yield from _covers(tensor, scale, _block_shapes(tensor, "mxfp8", (1, 32)))
    yield from _exponents(scale, d)
    if d.activations == "static":
        yield from _needed(tensor, "activations", "static", *_STATIC_SCALES)
    else:
        yield from _unwanted(tensor, "activations", d.activations or "dynamic", *_STATIC_SCALES)


def _exponents(scale: StoredCompanion | None, d: Quantization) -> Problems:
    """Yield the problem of scales that are powers of two by their dtype alone.

    The converse is usual: DeepSeek V3.1 stores powers of two as F32.
    """
    if scale is None or scale.dtype not in EXPONENTS or d.scale_format == "ue8m0":
        return
    declared = d.scale_format or "float"
    message = f"scales are {scale.dtype}, but {_statement('scale_format', declared)} is F32"
    yield Problem("scale_format", declared, scale.dtype, message)


def _real_scales(tensor: LogicalTensor, key: str, declared: object) -> Problems:
    """Yield the problem of scales that are powers of two by their dtype, read as numbers."""
    scale = companion_scale(tensor)
    if scale is not None and scale.dtype in EXPONENTS:
        message = f"scales are {scale.dtype}, but {_statement(key, declared)} has real numbers"
        yield Problem(key, declared, scale.dtype, message)


def _exponent_scales(tensor: LogicalTensor, key: str, declared: object) -> Problems:
    """Yield the problem of scales that are not powers of two by their dtype."""
    scale = companion_scale(tensor)
    if scale is not None and scale.dtype not in ("", *EXPONENTS):
        message = (
            f"scales are {scale.dtype}, but {_statement(key, declared)} has"
            f" {alternatives(EXPONENTS)}"
        )
        yield Problem(key, declared, scale.dtype, message)


def _fbgemm(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what FBGEMM's FP8 does not store so (transformers' FbgemmFp8Linear, vLLM's config)."""
    yield from _of_format(tensor, "method", d.method, "fp8")
    yield from _of_dtype(tensor, "method", d.method, {"F8_E4M3"})
    yield from _scale_names(tensor, d.method)
    yield from _real_scales(tensor, "method", d.method)
    shapes = {f"method {d.method}": column_shapes(tensor)}
    yield from _covers(tensor, companion_scale(tensor), shapes)


def companion_scale(tensor: LogicalTensor) -> StoredCompanion | None:
    """Return the scales of FP8 values, whatever their name."""
    return _scale(tensor, *_TENSOR_SCALES)


def _scale_names(tensor: LogicalTensor, declared: str) -> Problems:
    """Yield the problem that FP8 scales have another name than `weight_scale`."""
    found = companion(tensor, *_TENSOR_SCALES)
    if found is None or companion(tensor, "weight_scale") is not None:
        return
    name, _ = found
    message = f"scales are named *{name}, but with {declared} loaders look for *.weight_scale"
    yield Problem("method", declared, name, message)


_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "fp8": ("fp8",),
    "fp8_per_channel_per_token": ("fp8",),
    "fp8_pb_wo": ("fp8",),
    "fp8_pb_real": ("fp8",),
    "fp8_2d_blockwise_weight_only": ("fp8",),
    "mxfp8": ("fp8",),
    "nvfp4": ("nvfp4",),
    "nvfp4_awq": ("nvfp4",),
    "w4a16_nvfp4": ("nvfp4",),
    "w4a8_nvfp4_fp8": ("nvfp4",),
    "mxfp4": ("mxfp4",),
    "nvfp4_svd": ("nvfp4",),
    "fp8_block_scales": ("fp8",),
    "w4a8_mxfp4_fp8": ("mxfp4",),
    "w4a16_awq": ("int4",),
    "w4a8_awq": ("int4",),
    "int4_awq": ("int4",),
    "w8a16": ("int8",),
    "int8_sq": ("int8",),
    "w8a8_sq_per_channel": ("int8",),
}
"""Packing formats by ModelOpt's algorithms; others are not compared."""


def _modelopt(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what ModelOpt does not store so.

    ModelOpt 0.47.0's export (torch/export/quant_utils.py: to_quantized_weight,
    process_layer_quant_config) and vLLM 0.33.0's modelopt.py (LINEAR_ALGOS, QuantKeyScheme): FP8
    has one scale a tensor and one of the activations; NVFP4 has a scale for each 16 values, one a
    tensor, and one of the activations unless only weights are quantised (W4A16, or groups whose
    activations are null); FP8_PB_WO one a block of 128 x 128; MXFP8 one for 32 inputs.
    """
    algorithm = d.format or ("nvfp4" if d.method == "petit_nvfp4" else "")
    formats = _ALGORITHMS.get(algorithm)
    if formats is None:
        return
    yield from _of_format(tensor, "format", algorithm, *formats)
    if tensor.format not in formats:
        return
    if tensor.format == "fp8":
        yield from _scale_names(tensor, algorithm)
        yield from _of_dtype(tensor, "format", algorithm, {"F8_E4M3"})
        check = _exponent_scales if algorithm == "mxfp8" else _real_scales
        yield from check(tensor, "format", algorithm)
    scale = companion_scale(tensor)
    if algorithm == "fp8":
        shapes = {"format fp8": tensor_shapes(tensor)}
        yield from _covers(tensor, scale, shapes)
        yield from _needed(tensor, "format", algorithm, "input_scale")
    elif algorithm == "fp8_per_channel_per_token":
        yield from _covers(tensor, scale, {f"format {algorithm}": channel_shapes(tensor)})
    if tensor.format == "nvfp4":
        yield from _needed(tensor, "format", algorithm, "weight_scale_2")
    if algorithm in _STATIC_INPUTS and d.activations == "static":
        yield from _needed(tensor, "format", algorithm, "input_scale")
    if algorithm == "w4a8_awq":
        yield from _needed(tensor, "format", algorithm, "weight_scale_2")
    if tensor.format == "int8":
        yield from _covers(tensor, scale, {f"format {algorithm}": channel_shapes(tensor)})
    if tensor.format == "int4" and d.group_size is not None and tensor.shape is not None:
        shapes = {f"group_size {d.group_size}": {group_shape(tensor, d.group_size)}}
        yield from _covers(tensor, scale, shapes)
    yield from _smoothing(tensor, algorithm)
    blocks = _BLOCK_ALGORITHMS.get(algorithm)
    if blocks is not None:
        yield from _covers(tensor, scale, _block_shapes(tensor, algorithm, blocks))


_STATIC_INPUTS = frozenset(
    {"nvfp4", "nvfp4_awq", "nvfp4_svd", "w4a8_awq", "int8_sq", "w8a8_sq_per_channel"}
)
"""Algorithms whose activations have a stored scale, beside FP8."""


def _smoothing(tensor: LogicalTensor, algorithm: str) -> Problems:
    """Yield the problem of factors of the inputs that are not one for each input.

    Some modules have none: ModelOpt puts theirs into the layer before.
    """
    factors = _scale(tensor, "pre_quant_scale")
    if factors is not None and tensor.shape is not None:
        yield from _covers(tensor, factors, {f"format {algorithm}": {tensor.shape[-1:]}})


_BLOCK_ALGORITHMS = {
    "fp8_pb_wo": (128, 128),
    "fp8_pb_real": (128, 128),
    "fp8_block_scales": (128, 128),
    "mxfp8": (1, 32),
}
"""What one scale covers, by algorithm."""


def _block_shapes(
    tensor: LogicalTensor, algorithm: str, block: tuple[int, int]
) -> dict[str, set[Shape]]:
    """Return the shapes of one scale for each block; FP8_PB_WO spreads them over four dimensions.

    vLLM 0.33.0 modelopt.py, KFp8Block128: it takes no others.
    """
    if tensor.shape is None or len(tensor.shape) < 2:
        return {}
    blocks = blocks_of(tensor.shape, block)
    *lead, rows, columns = blocks
    shapes: set[Shape] = set()
    if block[0] == 1 or algorithm == "fp8_pb_real":
        shapes.add(blocks)
    if block[0] > 1:
        shapes.add((*lead, rows, 1, columns, 1))
    return {f"format {algorithm}": shapes}


_QUARK_FORMATS: dict[str, tuple[str, ...]] = {
    "fp8_e4m3": ("fp8",),
    "fp4": ("mxfp4", "nvfp4"),
    "int8": ("int8",),
    "uint8": ("int8",),
    "int4": ("int4",),
    "uint4": ("int4",),
}
"""Packing formats by Quark's dtypes; others are not compared."""


def _quark(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what Quark does not store so (vLLM 0.33.0 quantization/quark/schemes)."""
    formats = _QUARK_FORMATS.get(d.format or "")
    if formats is None:
        return
    yield from _of_format(tensor, "format", d.format, *formats)
    if tensor.format not in formats:
        return
    if tensor.format == "fp8":
        yield from _of_dtype(tensor, "format", d.format, {"F8_E4M3"})
        yield from _scale_names(tensor, d.method)
        yield from _real_scales(tensor, "format", d.format)
        if d.activations == "static":
            yield from _needed(tensor, "activations", "static", "input_scale")
    if tensor.format in ("int4", "int8") and d.symmetric is False:
        yield from _needed(tensor, "symmetric", False, "weight_zero_point")
    shapes = {"tensor": tensor_shapes, "channel": channel_shapes}.get(d.strategy or "")
    if shapes is not None:
        words = f"strategy {d.strategy}"
        yield from _covers(tensor, companion_scale(tensor), {words: shapes(tensor)})


_AUTO_ROUND_FORMATS: dict[tuple[str, int], tuple[str, ...]] = {
    ("mx_fp", 4): ("mxfp4",),
    ("mx_fp", 8): ("fp8",),
    ("nv_fp", 4): ("nvfp4",),
    ("fp", 8): ("fp8",),
}
"""Packing formats by family of `data_type` and bits."""


def _auto_round(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what auto-round 0.16.1 does not store so (export/export_to_autoround).

    Integers are GPTQ's or AWQ's, with zero points in either case. Floats are
    `weight_packed` or FP8 values with `weight_scale`.
    """
    kind = (d.format or "").lower()
    family = next((name for name in ("mx_fp", "nv_fp", "fp") if kind.startswith(name)), None)
    if family is None:
        yield from _auto_round_integers(tensor, d)
        return
    formats = _AUTO_ROUND_FORMATS.get((family, int(d.bits or 0)))
    if formats is None:
        return
    yield from _of_format(tensor, "format", d.format, *formats)
    if tensor.format not in formats:
        return
    scale = companion_scale(tensor)
    if tensor.format == "fp8":
        dtype = "F8_E5M2" if "e5m2" in kind else "F8_E4M3"
        yield from _of_dtype(tensor, "format", d.format, {dtype})
    if family == "mx_fp":
        yield from _covers(tensor, scale, _block_shapes(tensor, kind, (1, 32)))
        yield from _exponent_scales(tensor, "format", d.format)
    elif family == "nv_fp":
        yield from _needed(tensor, "format", d.format, "weight_global_scale")
        if d.activations is not None:
            yield from _needed(tensor, "activations", d.activations, "input_global_scale")
    else:
        yield from _covers(tensor, scale, _compressed_shapes(tensor, d))
        yield from _real_scales(tensor, "format", d.format)
        yield from _needed(
            tensor, "format", d.format, "weight_scale_inv" if d.block else "weight_scale"
        )
        if d.activations == "static":
            yield from _needed(tensor, "activations", "static", "input_scale")


def _auto_round_integers(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what auto-round's integers are not: GPTQ's, or AWQ's for GEMM, as it names them."""
    layout = d.format or ""
    if "awq" in layout:
        yield from _of_format(tensor, "format", layout, "awq")
        if tensor.packing.endswith("GEMV"):
            message = f"stored as {tensor.packing}, but {_statement('format', layout)} is GEMM"
            yield Problem("format", layout, tensor.packing, message)
    elif "gptq" in layout:
        yield from _of_format(tensor, "format", layout, "gptq")
    else:
        yield from _of_format(tensor, "number", "int", "gptq", "awq")
    yield from _integers(tensor, d)


def _metal(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what transformers' method metal does not store so (MetalLinear)."""
    yield from _needed(tensor, "method", d.method, "scales")
    scale, biases = _scale(tensor, "scales"), _scale(tensor, "qbiases")
    if scale is not None and biases is not None and scale != biases:
        message = f"scales are {scale.dtype}, but qbiases are {biases.dtype}"
        if scale.shape != biases.shape:
            message = (
                f"qbiases of shape {format_shape(biases.shape or ())} do not fit scales"
                f" {format_shape(scale.shape or ())}"
            )
        yield Problem("method", d.method, biases.dtype, message)


def _w8a8_int8(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what SGLang's w8a8_int8 does not read so (0.5.23, W8A8Int8LinearMethod)."""
    shapes = {f"method {d.method}": column_shapes(tensor)}
    yield from _covers(tensor, companion_scale(tensor), shapes)


_GPTQ_LAYOUTS = frozenset({"gptq", "gptq_v2"})
_GEMM_LAYOUTS = frozenset({"gemm"})
_GEMV_LAYOUTS = frozenset({"gemv", "gemv_fast"})
_REPACKED = frozenset({"marlin", "bitblas", "marlin-24", "llm-awq"})
"""Layouts in which a kernel has other tensors: llmarch does not unpack them."""


_AWQ_LAYOUT_METHODS = AWQ_METHODS | {"gptq", "gptqmodel"}
"""Methods for which a layout of AutoAWQ names AWQ's tensors (AutoRound's are named otherwise)."""


def _integers(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what GPTQ and AWQ do not store so.

    vLLM 0.33.0's auto_gptq.py and auto_awq.py; GPTQModel's modules at f4c327a
    (nn_modules/qlinear, looper/awq_processor.py); AutoAWQ's at 88e4c76 (modules/linear/gemm.py).
    Both store zero points whether they are symmetric or not: 8 stands for none in four bits. GPTQ
    stores an index of groups whether they are consecutive or not.
    """
    if tensor.format not in ("gptq", "awq"):
        return
    yield from _without_bits(tensor, d)
    layout = (d.format or "").lower()
    if layout in _REPACKED:
        yield from _of_format(tensor, "format", d.format)
    elif layout in _GPTQ_LAYOUTS:
        yield from _of_format(tensor, "format", d.format, "gptq")
    elif layout in _GEMM_LAYOUTS | _GEMV_LAYOUTS and d.method in _AWQ_LAYOUT_METHODS:
        yield from _of_format(tensor, "format", d.format, "awq")
        is_gemv = tensor.packing.endswith("GEMV")
        if tensor.format == "awq" and is_gemv != (layout in _GEMV_LAYOUTS):
            message = f"stored as {tensor.packing}, but {_statement('format', d.format)} is another"
            yield Problem("format", d.format, tensor.packing, message)
    word = d.packed_dtype or "int32"
    dtype = WORD_DTYPES.get(word.removeprefix("torch.").lower())
    if dtype is not None:
        yield from _of_dtype(tensor, "packed_dtype", word, {dtype})
    if d.activation_order and tensor.format == "gptq" and d.group_size is not None:
        yield from _needed(tensor, "activation_order", True, "g_idx")
    yield from _needed(tensor, "method", d.method, "qzeros")
    yield from _integer_groups(tensor, d)


def _integer_groups(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield the problem of scales, [groups, outputs], that are for groups of another size."""
    scale = _scale(tensor, "scales")
    if tensor.shape is None or scale is None or scale.shape is None or not scale.shape:
        return
    if tensor.packing.endswith("GEMV"):
        return  # padded, so that the number of groups does not follow from the shape
    inputs = tensor.shape[-1]
    groups = ceil_div(inputs, d.group_size or inputs)
    if scale.shape[0] != groups:
        words = f"group_size {d.group_size or -1}"
        needed = format_shape((groups, *scale.shape[1:]))
        message = f"scales have shape {format_shape(scale.shape)}, but {words} needs {needed}"
        yield Problem("group_size", d.group_size, scale.shape[0], message)


def _bitsandbytes(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what bitsandbytes does not store so.

    Loaders read kind and nesting from the stored state (QuantState.from_dict), and do not look at
    the config for them.
    """
    is_int8 = companion(tensor, "SCB") is not None
    if is_int8 == (d.bits == 4):
        yield from _of_format(tensor, "bits", f"{d.bits:g}" if d.bits else None)
        return
    if is_int8:
        return
    yield from _needed(tensor, "method", d.method, "quant_map")
    yield from _needed(tensor, "method", d.method, *_QUANT_STATES)
    kinds = [name[-3:] for name in tensor.companions if "bitsandbytes__" in name]
    if kinds and d.format is not None and d.format not in kinds:
        message = f"stored as {kinds[0]}, but the config says {d.format}: loaders read the former"
        yield Problem("format", d.format, kinds[0], message, is_obeyed=False)
    nested = "quantised" if companion(tensor, "nested_absmax") else None
    if nested != d.scale_format:
        stored, said = ("", "not ") if nested else ("not ", "")
        message = (
            f"scales are stored {stored}quantised, but the config says {said}quantised: loaders"
            " read the former"
        )
        yield Problem("scale_format", d.scale_format, nested, message, is_obeyed=False)
    yield from _nested_state(tensor)
    dtype = STORAGE_DTYPES.get((d.packed_dtype or "uint8").removeprefix("torch.").lower())
    if dtype is not None:
        yield from _of_dtype(tensor, "packed_dtype", d.packed_dtype or "uint8", {dtype})


_QUANT_STATES = ("quant_state.bitsandbytes__nf4", "quant_state.bitsandbytes__fp4")


def _nested_state(tensor: LogicalTensor) -> Problems:
    """Yield the problem of bytes as scales without what they stand for, and the converse."""
    absmax = _scale(tensor, "absmax")
    if absmax is None:
        return
    nested = ("nested_absmax", "nested_quant_map")
    if absmax.dtype == "U8":
        for suffix in nested:
            yield from _needed(tensor, "scale_format", "quantised", suffix)
    elif absmax.dtype:
        yield from _unwanted(tensor, "scale_format", "F32", *nested)


_MLX_BITS = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}


def _mlx(tensor: LogicalTensor, d: Quantization) -> Problems:
    """Yield what MLX does not store so: affine modes have biases, others have bytes as scales."""
    if tensor.format != "mlx":
        return
    yield from _without_bits(tensor, d)
    mode = (d.format or "affine").lower()
    scale = _scale(tensor, "scales")
    dtypes = UINT8 if mode in _MLX_BITS else REAL_DTYPES
    if scale is not None and scale.dtype not in ("", *dtypes):
        message = f"scales are {scale.dtype}, but mode {mode} has {alternatives(dtypes)}"
        yield Problem("format", mode, scale.dtype, message)
    if mode in _MLX_BITS:
        yield from _unwanted(tensor, "mode", mode, "biases")
        if (tensor.width, d.group_size) != _MLX_BITS[mode]:
            bits, size = _MLX_BITS[mode]
            message = f"mode {mode} is {bits} bits in groups of {size}, stored as {tensor.packing}"
            yield Problem("format", mode, tensor.packing, message)
    else:
        yield from _needed(tensor, "mode", mode, "biases")
        biases = _scale(tensor, "biases")
        if scale is not None and biases is not None and scale.dtype != biases.dtype:
            message = f"scales are {scale.dtype}, but biases are {biases.dtype}"
            yield Problem("mode", mode, biases.dtype, message)


_METHODS: dict[str, Callable[[LogicalTensor, Quantization], Problems]] = {
    "compressed-tensors": _compressed,
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "ptpc_fp8": _fbgemm,
    "mxfp8": _fp8,
    "w8a8_fp8": _fbgemm,
    "w8a8_int8": _w8a8_int8,
    "metal": _metal,
    **dict.fromkeys((*MODELOPT_METHODS, "petit_nvfp4"), _modelopt),
    "gptq": _integers,
    "gptqmodel": _integers,
    "gptq_marlin": _integers,
    "auto_gptq": _integers,
    "moe_wna16": _integers,
    **dict.fromkeys(AUTO_ROUND_METHODS, _auto_round),
    **dict.fromkeys(AWQ_METHODS, _integers),
    "quark": _quark,
    "bitsandbytes": _bitsandbytes,
    "mlx": _mlx,
}
"""What each method's declaration implies."""


def formats_declared(d: Quantization) -> frozenset[str]:
    """Return the packing formats of a declaration, none where it can mean others than llmarch's."""
    given = d.format or ""
    if d.method == "compressed-tensors":
        return frozenset(_COMPRESSED.get(given, ()))
    if d.method in MODELOPT_METHODS:
        return frozenset(_ALGORITHMS.get(given, ()))
    if d.method == "quark":
        return frozenset(_QUARK_FORMATS.get(given, ()))
    return frozenset()


# --- one checkpoint, one way ----------------------------------------------------------------------

_SOMETIMES = frozenset({".pre_quant_scale", "_pre_quant_scale"})
"""Companions that some modules have and others have not."""


def mixed_companions(tensors: list[LogicalTensor]) -> list[Finding]:
    """Report companions that few tensors lack, or have in another dtype or form than those alike.

    Tensors are alike if they are in one format for one declaration. A tool writes them all in one
    way, so another one was lost or converted afterwards.
    """
    findings: list[Finding] = []
    alike: dict[tuple[str, float, str, Quantization | None], list[LogicalTensor]] = {}
    for tensor in tensors:
        declared = tensor.declared
        key = (tensor.format, tensor.width, tensor.dtype, declared)
        alike.setdefault(key, []).append(tensor)
    for group in alike.values():
        suffixes = dict.fromkeys(name for tensor in group for name in tensor.companions)
        for suffix in suffixes:
            if suffix not in _SOMETIMES:
                findings += _mixed(group, suffix)
    return findings


def _mixed(group: list[LogicalTensor], suffix: str) -> list[Finding]:
    """Report the tensors whose companion has another dtype or form than that of most of a group."""
    dtypes = _counted(group, suffix, _dtype_of)
    forms = _counted(group, suffix, _form_of)
    usual_dtype = dtypes.most_common(1)[0][0]
    usual_form = forms.most_common(1)[0][0] if forms.keys() >= {_VECTOR, _COLUMN} else ""
    findings: list[Finding] = []
    for tensor in group:
        kind, usual = _dtype_of(tensor, suffix), usual_dtype
        if kind in (usual, "") and usual_form and _form_of(tensor, suffix):
            kind, usual = _form_of(tensor, suffix), usual_form
        if kind in (usual, ""):
            continue
        path = tensor.stored_name
        message = f"stored with {kind} *{suffix}, where others like it have {usual}"
        findings.append(weights_finding("tensor-dtype", path, message, usual, kind))
    return findings[:MAX_MIXED]


def _counted(
    group: list[LogicalTensor], suffix: str, kind_of: Callable[[LogicalTensor, str], str]
) -> Counter[str]:
    """Return how many tensors have a companion of each kind."""
    counts: Counter[str] = Counter()
    for tensor in group:
        counts[kind_of(tensor, suffix)] += len(tensor.indices)
    return counts


def _dtype_of(tensor: LogicalTensor, suffix: str) -> str:
    """Return the dtype of a companion, `no` without one."""
    companion = tensor.companions.get(suffix)
    return "no" if companion is None else companion.dtype


_VECTOR, _COLUMN = "a vector as", "a column as"


def _form_of(tensor: LogicalTensor, suffix: str) -> str:
    """Return in which of two forms a matrix has a number for each output; "" for others."""
    companion = tensor.companions.get(suffix)
    if companion is None or tensor.shape is None or len(tensor.shape) != 2:
        return ""
    outputs = tensor.shape[0]
    if companion.shape == (outputs,):
        return _VECTOR
    if companion.shape == (outputs, 1):
        return _COLUMN
    return ""
