"""What one recurrent layer keeps for a sequence, by the rules of an inference engine.

Columns of the short convolution and the recurrent state; nothing depends on the number of tokens.
Shapes are from vllm: model_executor/layers/mamba/mamba_utils.py MambaStateShapeCalculator; sglang:
srt/configs/mamba_utils.py.
"""

from __future__ import annotations

from ..architecture.schema import Architecture, LinearAttention
from .cache_parts import ELEMENT_BYTES, CachePart, Convention
from .engines import engine_of


def recurrent_parts(
    a: Architecture, mixer: LinearAttention, convention: Convention
) -> list[CachePart]:
    """Return the convolution's columns and the state of one layer, those that it has."""
    engine = engine_of(convention.engine)
    parts: list[CachePart] = []
    channels = count_conv_channels(a, mixer)
    columns = engine.conv_columns(mixer)
    if columns and channels:
        dtype = engine.conv_dtype(convention)
        size = columns * channels * ELEMENT_BYTES[dtype]
        form = (channels,)
        conv = CachePart("conv", dtype, size, law="fixed", kind="recurrent", form=form)
        parts.append(conv)
    elements = count_state_elements(a, mixer)
    if elements:
        dtype = engine.state_dtype(a, mixer, convention)
        size = elements * ELEMENT_BYTES[dtype]
        state = CachePart("state", dtype, size, law="fixed", kind="recurrent")
        parts.append(state)
    return parts


def count_conv_channels(a: Architecture, mixer: LinearAttention) -> int:
    """Return the channels of the short convolution.

    They are q, k and v together, in Mamba-2 x, B and C; in Mamba-1, RG-LRU and the gated
    convolution x alone.
    """
    if mixer.variant in ("rwkv4", "rwkv7"):
        return a.hidden_size
    values = mixer.value_heads * mixer.value_head_dim
    if mixer.variant in ("mamba", "short_conv", "rg_lru"):
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
        return 3 * mixer.value_heads * mixer.value_head_dim
    matrix = mixer.value_heads * mixer.key_head_dim * mixer.value_head_dim
    if mixer.variant == "mlstm":
        normaliser = mixer.value_heads * mixer.key_head_dim
        maximum = mixer.value_heads
        return matrix + normaliser + maximum
    return matrix
