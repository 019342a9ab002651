"""What one recurrent layer keeps for a sequence, by the rules of an inference engine.

Columns of the short convolution and the recurrent state; nothing depends on the number of tokens.
Shapes are from vllm: model_executor/layers/mamba/mamba_utils.py MambaStateShapeCalculator; sglang:
srt/configs/mamba_utils.py.
"""

from __future__ import annotations

from ..architecture.schema import Architecture, LinearAttention
from .cache_parts import ELEMENT_BYTES, CachePart, Convention

SHORT_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""The short names of the dtypes that configs name."""
MODEL_DTYPE_VARIANTS = ("lightning", "mlstm")
"""Variants whose own code keeps the state in the model's dtype."""


def recurrent_parts(
    a: Architecture, mixer: LinearAttention, convention: Convention
) -> list[CachePart]:
    """Return the convolution's columns and the state of one layer, those that it has."""
    parts: list[CachePart] = []
    columns = count_conv_columns(mixer, convention) * count_conv_channels(a, mixer)
    if columns:
        dtype = convention.unquantised_dtype
        parts.append(CachePart("conv", dtype, columns * ELEMENT_BYTES[dtype], law="fixed"))
    elements = count_state_elements(a, mixer)
    if elements:
        dtype = choose_state_dtype(a, mixer, convention)
        parts.append(CachePart("state", dtype, elements * ELEMENT_BYTES[dtype], law="fixed"))
    return parts


def count_conv_columns(mixer: LinearAttention, convention: Convention) -> int:
    """Return how many columns the short convolution keeps: K - 1, in transformers K.

    RWKV keeps the token before, for time mixing and for channel mixing.
    """
    if mixer.variant in ("rwkv4", "rwkv7"):
        return 2
    if not mixer.conv_kernel:
        return 0
    if convention.engine == "transformers":
        return mixer.conv_kernel
    return mixer.conv_kernel - 1


def count_conv_channels(a: Architecture, mixer: LinearAttention) -> int:
    """Return the channels of the short convolution.

    They are q, k and v together, in Mamba-2 x, B and C; in Mamba-1 and the gated convolution x
    alone.
    """
    if mixer.variant in ("rwkv4", "rwkv7"):
        return a.hidden_size
    values = mixer.value_heads * mixer.value_head_dim
    if mixer.variant in ("mamba", "short_conv"):
        return values
    keys = mixer.key_heads * mixer.key_head_dim
    return 2 * keys + values


def count_state_elements(a: Architecture, mixer: LinearAttention) -> int:
    """Return the elements of the recurrent state: n_v * d_k * d_v.

    RWKV-4 has a numerator, a denominator and a maximum for each channel; mLSTM a normaliser and a
    maximum for each head in addition to its matrix.
    """
    if mixer.variant == "short_conv":
        return 0
    if mixer.variant == "rwkv4":
        return 3 * a.hidden_size
    matrix = mixer.value_heads * mixer.key_head_dim * mixer.value_head_dim
    if mixer.variant == "mlstm":
        normaliser = mixer.value_heads * mixer.key_head_dim
        maximum = mixer.value_heads
        return matrix + normaliser + maximum
    return matrix


def choose_state_dtype(a: Architecture, mixer: LinearAttention, convention: Convention) -> str:
    """Return the dtype of the recurrent state.

    transformers: what the model's own code computes, float32 but for Lightning and mLSTM (measured:
        tests/oracle/cache_bytes.py).
    vllm: what the config says (LinearAttention.state_dtype), else the model's dtype, but float32
        for KDA, RWKV and Nemotron-H (mamba_utils.py MambaStateDtypeCalculator, models/config.py).
    sglang: what the config says, else float32 (srt/configs/mamba_utils.py mamba2_state_dtype).
    ideal: what the config says, else as transformers.
    """
    model_dtype = convention.unquantised_dtype
    configured = SHORT_DTYPES.get(mixer.state_dtype or "")
    computed = "fp32"
    if mixer.variant in MODEL_DTYPE_VARIANTS:
        computed = model_dtype
    match convention.engine:
        case "transformers":
            return computed
        case "vllm":
            if mixer.variant in MODEL_DTYPE_VARIANTS:
                return model_dtype
            return configured or _vllm_state_dtype(a, mixer, model_dtype)
        case "sglang":
            return configured or "fp32"
        case "ideal":
            return configured or computed


def _vllm_state_dtype(a: Architecture, mixer: LinearAttention, model_dtype: str) -> str:
    """Return vLLM's default where the config does not name a dtype."""
    if mixer.variant in ("kda", "rwkv4", "rwkv7") or a.model_type == "nemotron_h":
        return "fp32"
    return model_dtype
