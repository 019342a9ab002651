"""How many bits a weight takes: as stored, or in a format that is asked for.

Which types a GGUF file mixes is in `ggml_files.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from ..architecture.dtypes import CONFIG_DTYPE_BITS
from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Quantization
from ..errors import ImpossiblePlan
from .ggml_files import GGML_BITS, GGML_FILES, component_bits

QUANTISED_COMPONENTS = ("attention", "mlp", "experts", "shared_experts", "latent_projections")
"""Components that quantised checkpoints quantise; embedding, head, norms, routers and encoders
usually stay at 16 bits."""
FORMAT_BITS: dict[str, float] = {
    "fp8": 8 + 32 / (128 * 128),
    "mxfp8": 8 + 8 / 32,
    "int8": 8 + 16 / 4096,
    "int4": 4 + 16 / 128,
    "awq": 4 + (16 + 4) / 128,
    "gptq": 4 + (16 + 4) / 128,
    "nf4": 4 + 32 / 64,
    "fp4": 4 + 8 / 32,
    "mxfp4": 4 + 8 / 32,
    "nvfp4": 4 + 8 / 16,
}
"""Bits a weight in the layers' matrices, the share of scales included.

fp8: a float32 scale per 128 x 128 (DeepSeek-V3's layout).
mxfp8, mxfp4, fp4 (DeepSeek V4's experts): an 8-bit scale per 32.
int8: a 16-bit scale per row, of some 4,096 weights.
int4 (also called w4a16): a 16-bit scale per 128.
awq, gptq: the same, and a zero point of 4 bits.
nf4: a float32 scale per 64 (bitsandbytes).
nvfp4: an 8-bit scale per 16.
"""
GGML_MIXES = tuple(name for name in GGML_FILES if name not in GGML_BITS)
"""File types that are not types of a matrix."""
GGML_FORMATS = (*GGML_BITS, *GGML_MIXES)
"""Types and file types of GGUF files."""
SIXTEEN_BITS = ("bf16", "fp16")
WEIGHT_FORMATS = tuple(
    dict.fromkeys((*SIXTEEN_BITS, "fp32", *FORMAT_BITS, *GGML_BITS, *GGML_MIXES, "as-stored"))
)
"""The names of all formats."""
FORMAT_WORDS = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "float32": "fp32",
    "f32": "fp32",
    "w4a16": "int4",
    "w8a8": "int8",
    "w8a16": "int8",
    "int8-bnb": "int8",
    "fp8_e4m3": "fp8",
    "q3_k": "q3_k_m",
    "q4_k": "q4_k_m",
    "q5_k": "q5_k_m",
    "bnb": "nf4",
    "bnb-4bit": "nf4",
    "auto": "as-stored",
    "stored": "as-stored",
}
"""What else formats are called."""
PADDED_FORMATS = ("mxfp4", "fp4", "nvfp4")
"""Formats of experts whose kernels may pad them."""


@frozen
class Weights(Frozen):
    """How many bits a weight takes."""

    name: str
    """The weight format."""
    bits: dict[str, float]
    """Bits a weight by component."""
    other_bits: float
    """Bits a weight of the other components."""
    source: str
    """From where the bits are known."""
    experts: str = ""
    """Format of the routed experts, if it is one that kernels may pad."""

    def bits_of(self, component: str) -> float:
        """Return the bits a weight of a component."""
        return self.bits.get(component, self.other_bits)

    def bytes_of(self, parameters: Mapping[str, int]) -> int:
        """Return the bytes of parameters by component."""
        return parameter_bytes(parameters, self)


def cast_float32(weights: Weights) -> Weights:
    """Return weights with those in 32 bits loaded in 16."""
    widest = max(weights.other_bits, *weights.bits.values(), 0)
    if widest <= 16:
        return weights
    bits = {component: min(16, n) for component, n in weights.bits.items()}
    source = f"{weights.source}, 32 bits loaded as 16"
    return replace(weights, bits=bits, other_bits=min(16, weights.other_bits), source=source)


def parameter_bytes(parameters: Mapping[str, int], weights: Weights) -> int:
    """Return the bytes of parameters by component in a format."""
    bits = 0.0
    for component, n in parameters.items():
        of_weight = weights.bits_of(component)
        bits += n * of_weight
    return round(bits / 8)


def canonical_format(name: str) -> str:
    """Return our name of a weight format, whatever its case; an unknown one as it is."""
    lowered = name.lower()
    return FORMAT_WORDS.get(lowered, lowered)


def resolve_weights(
    a: Architecture,
    name: str,
    stored_bits: Mapping[str, float] | None = None,
    stored_words: str = "as the headers say",
) -> Weights:
    """Return a weight format for an architecture.

    stored_bits: bits a weight by component as the checkpoint stores them or the config declares
        them, if that is known.
    stored_words: who says so.

    Raises ImpossiblePlan if the config does not say how the weights are stored.
    """
    if name in SIXTEEN_BITS:
        return Weights(name, {}, 16, "16 bits a weight")
    if name == "fp32":
        return Weights(name, {}, 32, "32 bits a weight")
    if name in FORMAT_BITS:
        bits = FORMAT_BITS[name]
        source = f"{bits:.3f} bits in layers' matrices, 16 elsewhere"
        padded = name if name in PADDED_FORMATS else ""
        return Weights(name, dict.fromkeys(QUANTISED_COMPONENTS, bits), 16, source, padded)
    if name in GGML_BITS or name in GGML_FILES:
        return _ggml_weights(a, name)
    other_bits = CONFIG_DTYPE_BITS.get(a.dtype or "", 16)
    if stored_bits:
        experts = stored_experts(a, stored_bits)
        return Weights(name, dict(stored_bits), other_bits, stored_words, experts)
    if a.quantization is not None:
        raise ImpossiblePlan(f"how many bits {a.quantization.method} takes is not in the config")
    if a.dtype not in CONFIG_DTYPE_BITS:
        raise ImpossiblePlan("the config does not say how its weights are stored")
    return Weights(name, {}, other_bits, f"{a.dtype}, as the config says")


def stored_experts(a: Architecture, stored_bits: Mapping[str, float]) -> str:
    """Return the format of stored experts, if it is one that kernels may pad."""
    quantization = a.quantization
    bits = stored_bits.get("experts", 16)
    if quantization is None or not 4 <= bits < 5:
        return ""
    words = f"{quantization.experts or ''} {quantization.method} {quantization.format or ''}"
    for name in ("nvfp4", "mxfp4", "fp4"):
        if name in words:
            return name
    return ""


def _ggml_weights(a: Architecture, name: str) -> Weights:
    """Return the weights of a GGUF file: of a file type, or of one type in all matrices."""
    bits = component_bits(a, name) | {"router": 32.0, "norms": 32.0}
    most = GGML_BITS[GGML_FILES.get(name, name)]
    others = sorted({round(n, 2) for n in bits.values() if n < 16 and abs(n - most) > 0.01})
    source = f"{most:g} bits in most matrices, 16 in encoders"
    if others:
        source = f"{most:g} bits in most matrices, up to {others[-1]:g} in others, 16 in encoders"
    return Weights(name, bits, 16, source)


def declared_bits(quantization: Quantization) -> float | None:
    """Return the bits a weight takes with its share of scales; None if the config has no bits.

    fp8: a scale of 32 bits a block.
    mxfp4, nvfp4: a scale of 8 bits a group.
    bitsandbytes nf4: 32 bits per 64 weights.
    Others: a scale of 16 bits a group, and a zero point as wide as a weight (gptq, awq) or of 16
        bits (mlx).

    Scales per channel or per tensor are left out: they are almost nothing.
    """
    bits = quantization.bits
    if bits is None:
        return None
    method = quantization.method
    if "fp4" in f"{method} {quantization.format or ''}":
        return bits + 8 / (quantization.group_size or 16)
    if method == "bitsandbytes":
        if bits == 4:
            return bits + 32 / 64
        return bits
    if quantization.block:
        return bits + 32 / prod(quantization.block)
    if quantization.group_size:
        zero_points = {"gptq": bits, "awq": bits, "mlx": 16}
        return bits + (16 + zero_points.get(method, 0)) / quantization.group_size
    return bits
