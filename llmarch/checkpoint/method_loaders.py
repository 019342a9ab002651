"""What the loaders of each quantisation method look for in a checkpoint.

Sources: transformers 5.23.0 (quantizers/auto.py, integrations/), vLLM 0.33.0
(model_executor/layers/quantization), SGLang 0.5.23 (srt/layers/quantization), auto-round 0.16.1
(export/export_to_autoround), optimum-quanto 0.2.7 (tensor/qbytes.py, qbits.py), ModelOpt 0.47.0.
"""

from __future__ import annotations

from ..architecture.schema import Quantization
from .logical import LogicalTensor
from .packing import FORMATS, PackingFormat
from .packing.unpacking import alternatives

OWN_TENSORS = {
    "aqlm": "*.codes, *.codebooks and *.scales",
    "bitnet": "*.weight of four values a byte along the outputs, with one *.weight_scale",
    "eetq": "*.weight [inputs, outputs] in I8, with *.weight_scales",
    "fouroversix": "the four parts of each weight that the package fouroversix writes",
    "fp_quant": "*.qweight in U8 with *.scales, or *.dqweight",
    "gguf": "a GGUF file",
    "higgs": "*.weight with *.scales, *.tables and *.tables2",
    "hqq": "*.W_q with its *.scale and *.zero",
    "nvfp4": "plain weights, which transformers quantises while it loads them",
    "quanto": "*.weight._data with *.weight._scale",
    "sinq": "*.W_q with its *.meta",
    "spqr": "*.dense_weights, *.row_offsets, *.col_vals and *.in_perm",
    "torchao": "the parts of torchao's tensors, such as *._weight_qdata and *._weight_scale",
    "vptq": "*.indices with *.centroids",
}
"""Methods whose tensors llmarch does not unpack, and which have names or layouts of their own.
Their loaders find nothing in the formats that are unpacked here."""

_ON_LOAD = frozenset({"experts_int8"})
"""Methods that quantise plain weights while they are loaded (vLLM)."""

_USUAL = (
    "fp8",
    "mxfp4",
    "gptq",
    "awq",
    "compressed-tensors",
    "modelopt",
    "bitsandbytes",
    "quark",
    "auto-round",
    "mlx",
    "metal",
    "gemma",
)
"""Methods in the order in which they are named, the most usual first."""


def is_known_method(declared: Quantization) -> bool:
    """Return whether the declared method is that of some format that llmarch unpacks."""
    return any(declared.method in format.methods for format in FORMATS)


def loads_plain(declared: Quantization) -> bool:
    """Return whether loaders of a declaration take plain weights: they quantise them themselves.

    BitNet's AutoBitLinear has plain weights, and computes with ternary ones.
    """
    return declared.method in _ON_LOAD or (
        declared.method == "bitnet" and declared.format == "autobitlinear"
    )


def tensors_looked_for(method: str) -> str | None:
    """Return what loaders of a method look for, in words; None if llmarch does not know it."""
    own = OWN_TENSORS.get(method)
    if own is not None:
        return own
    names = {format.name for format in FORMATS if method in format.methods}
    if not names:
        return None
    return f"{alternatives(names)} tensors"


def formats_of(tensor: LogicalTensor) -> list[PackingFormat]:
    """Return the formats of a packed tensor's name: some have several spellings of it."""
    return [
        format
        for format in FORMATS
        if format.name == tensor.format and tensor.source.endswith(format.endings)
    ]


def usual_methods(format: PackingFormat) -> str:
    """Return the most usual methods that a format is declared as: `gptq or auto-round`."""
    usual = [method for method in _USUAL if method in format.methods]
    return alternatives(usual[:3] or format.methods)
