"""The words that a declaration of quantisation may have, and findings about words that none has.

Sources: the config classes of transformers 5.23.0 (utils/quantization_config.py), of vLLM 0.33.0
(model_executor/layers/quantization), SGLang 0.5.23 (srt/layers/quantization), of compressed-tensors
0.20.0 (quant_args.py, CompressionFormat), the names of algorithms of ModelOpt 0.47.0
(torch/export/quant_utils.py, process_layer_quant_config) and of formats of GPTQModel at f4c327a
(quantization/config.py).
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from ..architecture.schema import Finding
from .evidence import Sourced
from .findings import add, quoted
from .keys import ConfigKeys


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


METHODS = _words(
    """
    aqlm auto-round auto-round-int8 auto_awq auto_gptq awq awq_marlin bitblas bitnet bitsandbytes
    bitsandbytes_4bit bitsandbytes_8bit blockwise_int8 compressed-tensors deepgemm_fp8
    deepseek_v4_fp8 deepspeedfp eetq experts_int8 fbgemm_fp8 fouroversix fp4 fp8 fp_quant gemma gguf
    gpt_oss_mxfp4 gptq gptq_bitblas gptq_marlin gptq_marlin_24 gptqmodel higgs hqq humming inc
    intel/auto-round ipex marlin metal minimax_m3_nvfp4 mistral mlx modelopt modelopt_fp4
    modelopt_fp8 modelopt_mixed modelopt_mxfp8 modelslim moe_wna16 mxfp4 mxfp8 mxfp_w4a8
    neuron_quant nvfp4 petit_nvfp4 ptpc_fp8 qqq quanto quark quark_int4fp8_moe quark_mxfp4 rtn sinq
    spqr torchao tpu_int8 vptq w4afp8 w8a8_fp8 w8a8_int8
    """
)
"""Methods that transformers, vLLM or SGLang load, and MLX."""
FP8_FORMATS = {
    "e4m3": "F8_E4M3",
    "float8_e4m3": "F8_E4M3",
    "float8_e4m3fn": "F8_E4M3",
    "e5m2": "F8_E5M2",
    "float8_e5m2": "F8_E5M2",
}
"""Values of `fmt`, with the dtype of the weights."""
ACTIVATION_SCHEMES = _words("dynamic static")
SCALE_FORMATS = _words("float ue8m0")
NUMBER_KINDS = _words("int float")
STRATEGIES = _words("tensor channel group block token tensor_group attn_head")
ACTIVATION_ORDERS = {"group": True, "dynamic": True, "weight": False, "static": False}
"""Values of `actorder`, and whether the groups of a row are then not consecutive."""
COMPRESSED_FORMATS = _words(
    """
    dense fakequant sparse-bitmask sparse-24-bitmask int-quantized float-quantized naive-quantized
    pack-quantized marlin-24 mixed-precision nvfp4-pack-quantized mxfp4-pack-quantized
    mxfp6-pack-quantized mxfp8-quantized
    """
)
SPARSE_FORMATS = _words("dense sparse-bitmask sparse-24-bitmask marlin-24")
STATUSES = _words("initialized calibration frozen compressed decompressed")
GPTQ_FORMATS = _words("gptq gptq_v2 marlin bitblas exllama exllama_v2 ipex auto_round")
AWQ_FORMATS = _words("gemm gemv gemv_fast marlin exllama exllama_v2 ipex llm-awq")
WORD_DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64"}
"""Values of `pack_dtype`, with the dtype of the packed words."""
STORAGE_DTYPES = {
    "uint8": "U8",
    "int8": "I8",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}
"""Values of `bnb_4bit_quant_storage`, with the dtype of the packed words."""
TORCH_DTYPES = _words(
    "bfloat16 float16 float32 float64 half float double int8 int16 int32 int64 uint8 float8_e4m3fn"
    " float8_e5m2"
)
"""Values of `bnb_4bit_compute_dtype`: transformers takes any dtype of torch."""
CACHE_ALGORITHMS = _words("fp8 int8 nvfp4 nvfp4_affine")
"""Values of ModelOpt's `kv_cache_quant_algo`, in small letters."""
EXPERT_DTYPES = _words("fp8 fp4")
SINQ_METHODS = _words("sinq asinq")
BITNET_LAYERS = _words("bitlinear autobitlinear")
BITNET_MODES = _words("online offline")
FP_QUANT_DTYPES = {"mxfp4": 32, "nvfp4": 16}
"""Values of `forward_dtype`, with the weights that share a scale."""
QUANTO_WEIGHTS = {"float8": 8.0, "int8": 8.0, "int4": 4.0, "int2": 2.0}
"""Values of `weights`, with the bits."""
QUARK_DTYPES: dict[str, tuple[str, float]] = {
    "fp8_e4m3": ("float", 8.0),
    "fp8_e5m2": ("float", 8.0),
    "fp6_e2m3": ("float", 6.0),
    "fp6_e3m2": ("float", 6.0),
    "fp4": ("float", 4.0),
    "int8": ("int", 8.0),
    "uint8": ("int", 8.0),
    "int4": ("int", 4.0),
    "uint4": ("int", 4.0),
    "int3": ("int", 3.0),
    "int2": ("int", 2.0),
}
"""Quark's dtypes, with kind of number and bits."""
QUARK_SCHEMES = _words("per_tensor per_channel per_group")
AUTO_ROUND_TYPES = _words("int mx_fp nv_fp fp mx_int")
"""Families of auto-round's `data_type`."""
METHOD_BITS = {
    "mlx": (2, 3, 4, 5, 6, 8),
    "metal": (2, 4, 8),
    "higgs": (2, 3, 4),
    "spqr": (3,),
    **dict.fromkeys(("gptq", "gptqmodel", "auto_gptq", "awq"), (2, 3, 4, 5, 6, 7, 8)),
}
"""Bits that a method has: mlx.core.quantize, and the config classes of transformers 5.23.0, of
which vLLM 0.33.0 takes fewer for GPTQ and AWQ."""
FOUR_BIT_TYPES = _words("nf4 fp4")
MLX_MODES = _words("affine mxfp4 mxfp8 nvfp4")
ALGORITHMS = _words(
    """
    fp8 fp8_per_channel_per_token fp8_pb_wo fp8_pb_real fp8_block_scales
    fp8_2d_blockwise_weight_only int8_sq int8_weight_only w8a8_sq_per_channel
    w8a8_sq_per_tensor_plugin w8a16 w8a16_gptq w4a16 w4a16_awq w4a16_gptq w4a8_awq int4_awq nvfp4
    nvfp4_awq nvfp4_svd nvfp4_svdquant w4a16_nvfp4 w4a8_nvfp4_fp8 mxfp4 w4a8_mxfp4_fp8
    w4a8_mxfp4_mxfp8 mxfp8
    mixed_precision
    """
)
"""ModelOpt's `quant_algo`, in small letters."""


def checked_word(
    q: ConfigKeys, key: str, words: Collection[str], *, default: str | None
) -> Sourced:
    """Look up a word, and report one that is not in `words` (in small letters)."""
    word = q.word(key, default=default)
    if q.has(key):
        report_unknown(q, key, word.value, words)
    return word


def report_unknown(q: ConfigKeys, key: str, word: str, words: Collection[str]) -> None:
    """Report a word that no loader has for a key."""
    if word.removeprefix("torch.").lower() in words:
        return
    close = get_close_matches(word.lower(), sorted(words), n=1)
    hint = f"; did you mean {quoted(close[0])}?" if close else ""
    path = q.key(key)
    message = f"{path} is {quoted(word)}, which no loader knows{hint}"
    add_word_finding(q, path, message, word)


def report_method(q: ConfigKeys, method: Sourced, key: str) -> None:
    """Report a declaration whose method no loader knows, or which leaves it out.

    key: of the declaration.
    """
    path = q.key("quant_method")
    if not q.has("quant_method"):
        if method.value == "unknown":
            message = f"{key} has no quant_method, without which transformers and vLLM refuse it"
            add_word_finding(q, path, message, None)
        return
    if method.value in METHODS:
        return
    if method.value.lower() in METHODS:
        message = (
            f"{path} is {quoted(method.value)}: transformers knows only"
            f" {quoted(method.value.lower())} and refuses it, vLLM reads it in small letters"
        )
        add_word_finding(q, path, message, method.value)
        return
    report_unknown(q, "quant_method", method.value, METHODS)


def report_bits(q: ConfigKeys, method: str, bits: float | None) -> None:
    """Report bits that a method does not have.

    bits: what `bits` says, None for nothing.
    """
    possible = METHOD_BITS.get(method)
    if possible is None or bits is None or bits in possible:
        return
    path = q.key("bits")
    words = ", ".join(map(str, possible))
    message = f"{path} is {bits:g}, which no loader of {method} reads: it has {words}"
    add_word_finding(q, path, message, f"{bits:g}")


def report_missing(q: ConfigKeys, key: str, method: str) -> None:
    """Report a key that is missing or null, without which no loader reads the method's tensors."""
    path = q.key(key)
    add_word_finding(q, path, f"{path} has no value, without which no loader reads {method}", None)


def add_word_finding(q: ConfigKeys, path: str, message: str, word: str | None) -> None:
    """Add the finding that a declaration of quantisation has a word that loaders refuse."""
    add(
        q,
        Finding(
            rule="quantization-word-unknown",
            path=path,
            message=message,
            severity="weights",
            new=word,
        ),
    )
