"""Whether ranks hold whole blocks of quantised weights.

Scales of FP8 are for blocks of rows and columns, those of AWQ for groups of a row: a rank's part of
a matrix must be whole blocks. From vllm 0.33.0: model_executor/layers/quantization/utils/
fp8_utils.py validate_fp8_block_shape and validate_fp8_block_shape_moe, auto_awq.py create_weights;
sglang 0.5.23: srt/layers/quantization/fp8.py. SGLang checks queries, keys and values as well; vLLM
lets matrices of several parts end within a block (model_executor/layers/linear.py
_maybe_allow_fp8_block_shape_mismatch).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..architecture.layers import used_mixers
from ..architecture.schema import Architecture, Attention, Dense, LatentAttention, MoE
from .sharding import Parallel, shard_ffn, shard_mixer
from .weight_formats import Weights

FULL_BITS = 16
"""Bits of a weight that is not quantised."""
BLOCKS_OF_FORMATS = {"fp8": 128, "int4": 128, "awq": 128, "gptq": 128, "mxfp8": 32, "mxfp4": 32}
"""Weights of a scale in formats that may be asked for, as `weight_formats.FORMAT_BITS` counts."""


class RankSize(NamedTuple):
    """A size of a rank's matrix that must be whole blocks."""

    component: str
    label: str
    size: int


def block_errors(
    a: Architecture, parallel: Parallel, weights: Weights, with_columns: bool = False
) -> list[str]:
    """Return why a rank's matrices are not whole blocks, in words; empty if they are.

    with_columns: whether queries, keys and values must be whole blocks each.
    """
    declared = a.quantization
    if declared is None or weights.name != "as-stored":
        return []
    if declared.block is not None:
        block = max(declared.block[-2:])
        sizes = list(_row_sizes(a, parallel))
        if with_columns:
            sizes = [*_column_sizes(a, parallel), *sizes]
    elif declared.method == "awq" and declared.group_size and declared.group_size > 0:
        block = declared.group_size
        sizes = list(_row_sizes(a, parallel))
    else:
        return []
    if declared.experts is not None:
        sizes = [size for size in sizes if size.component != "experts"]
    return _broken_blocks(sizes, block, weights)


def block_warnings(
    a: Architecture, parallel: Parallel, weights: Weights, with_columns: bool = False
) -> list[str]:
    """Return why a format that is asked for has no scales in its usual blocks, as sentences.

    Such a checkpoint may be had with smaller blocks, or scales a channel: it is not an error.
    """
    block = BLOCKS_OF_FORMATS.get(weights.name)
    if block is None:
        return []
    sizes = list(_row_sizes(a, parallel))
    if with_columns and weights.name == "fp8":
        sizes += _column_sizes(a, parallel)
    broken = _broken_blocks(sizes, block, weights)
    if not broken:
        return []
    reasons = "; ".join(broken)
    return [f"{weights.name} is refused with scales of {block}: {reasons}"]


def _broken_blocks(sizes: Iterable[RankSize], block: int, weights: Weights) -> list[str]:
    """Return which sizes of quantised matrices are not whole blocks, in words."""
    errors: list[str] = []
    for component, label, size in sizes:
        if weights.bits_of(component) < FULL_BITS and size % block:
            errors.append(f"{size:,} {label} a rank are not whole blocks of {block}")
    return list(dict.fromkeys(errors))


def _row_sizes(a: Architecture, parallel: Parallel) -> Iterator[RankSize]:
    """Yield the inputs of a rank's matrices that are divided by rows: outputs of each block."""
    if parallel.tensor > 1:
        for mixer in used_mixers(a).values():
            share = shard_mixer(mixer, parallel.tensor)
            if isinstance(share, Attention | LatentAttention):
                size = share.heads * share.v_head_dim
                yield RankSize("attention", "channels of the output projection", size)
    for ffn in a.ffns.values():
        share_ffn = shard_ffn(ffn, parallel)
        match share_ffn:
            case Dense(width=width) if parallel.tensor > 1:
                yield RankSize("mlp", "feed-forward channels", width)
            case MoE(expert_width=width, shared_width=shared):
                if isinstance(ffn, MoE) and width != ffn.expert_width:
                    yield RankSize("experts", "channels of an expert", width)
                if shared and parallel.tensor > 1:
                    yield RankSize("shared_experts", "channels of shared experts", shared)
            case _:
                pass


def _column_sizes(a: Architecture, parallel: Parallel) -> Iterator[RankSize]:
    """Yield the outputs of a rank's matrices that are divided by columns."""
    if parallel.tensor == 1:
        return
    for mixer in used_mixers(a).values():
        share = shard_mixer(mixer, parallel.tensor)
        if isinstance(share, Attention):
            yield RankSize("attention", "channels of queries", share.heads * share.head_dim)
            yield RankSize("attention", "channels of keys", share.kv_heads * share.head_dim)
            yield RankSize("attention", "channels of values", share.kv_heads * share.v_head_dim)
