"""Names and shapes of the tensors of recurrent mixers that several families have."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.schema import LinearAttention
from .parts import BlockTensor, BlockTensors, Module


def mamba2_parts(prefix: str) -> BlockTensors:
    """Return the names of Mamba-2, whose gate, x, B, C and dt come from one projection."""
    module = Module(prefix, "attention")
    facts = ("value_heads", "value_head_dim", "key_heads", "key_head_dim")

    def parts(a: LinearAttention, hidden: int) -> Iterator[BlockTensor]:
        """Yield the projections, the convolution, and the numbers of each head."""
        gate_rows = a.value_heads * a.value_head_dim
        group_rows = a.key_heads * a.key_head_dim
        channels = gate_rows + 2 * group_rows
        rows = gate_rows + channels + a.value_heads
        yield from module.linear("in_proj", rows, hidden, *facts, bias=a.bias)

        kernel = a.conv_kernel or 0
        convolution = (channels, 1, kernel)
        yield module.tensor("conv1d.weight", convolution, "conv_kernel")
        if a.conv_bias:
            yield module.vector("conv1d.bias", channels, "conv_bias")

        for name in ("A_log", "D", "dt_bias"):
            yield module.vector(name, a.value_heads, "value_heads")

        if a.output_norm:
            yield module.vector("norm.weight", gate_rows)
        output_bias = a.output_bias
        if output_bias is None:
            output_bias = a.bias
        yield from module.linear("out_proj", hidden, gate_rows, bias=output_bias)

    return parts


def mamba_parts(prefix: str) -> BlockTensors:
    """Return the names of Mamba-1, whose time steps, B and C come from its own channels."""
    module = Module(prefix, "attention")
    facts = ("value_head_dim",)

    def parts(a: LinearAttention, hidden: int) -> Iterator[BlockTensor]:
        """Yield the projections, the convolution, the decay, and the norms within."""
        channels = a.value_heads * a.value_head_dim
        states = a.key_heads * a.key_head_dim
        rank = a.dt_rank or 0
        yield from module.linear("in_proj", 2 * channels, hidden, *facts, bias=a.bias)

        convolution = (channels, 1, a.conv_kernel or 0)
        yield module.tensor("conv1d.weight", convolution, "conv_kernel")
        if a.conv_bias:
            yield module.vector("conv1d.bias", channels, "conv_bias")

        yield from module.linear("x_proj", rank + 2 * states, channels)
        yield from module.linear("dt_proj", channels, rank, "dt_rank", bias=True)
        yield module.tensor("A_log", (channels, states), "key_head_dim")
        yield module.vector("D", channels)

        if a.inner_norm == "weighted":
            sizes = {"dt_layernorm": rank, "b_layernorm": states, "c_layernorm": states}
            for name, size in sizes.items():
                yield module.vector(f"{name}.weight", size, "inner_norm")

        yield from module.linear("out_proj", hidden, channels, bias=a.bias)

    return parts


def short_conv_parts(a: LinearAttention, hidden: int) -> Iterator[BlockTensor]:
    """Yield the tensors of LFM's short convolution."""
    module = Module("conv", "attention")
    rows = 3 * hidden
    yield from module.linear("in_proj", rows, hidden, bias=a.bias)

    kernel = a.conv_kernel or 0
    convolution = (hidden, 1, kernel)
    yield module.tensor("conv.weight", convolution, "conv_kernel")
    if a.conv_bias:
        yield module.vector("conv.bias", hidden, "conv_bias")

    yield from module.linear("out_proj", hidden, hidden, bias=a.bias)
