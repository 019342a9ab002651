"""Parameter counts of encoders (vision and audio towers) with their projectors, from facts alone.

The schema describes what each kind of encoder is made of. See `parameters.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..architecture.schema import (
    Conformer,
    ConvBlock,
    ConvTower,
    Encoder,
    FeatureEmbedding,
    Linear,
    SpeechConformer,
    SpeechTower,
    Tower,
)
from .block_parameters import count_dense, count_norm, count_projection

TAPS = 3 * 3
"""Weights of a 3 x 3 convolution for each pair of channels."""
BOUNDS = 4
"""Stored bounds of a clipped linear: the least and the most of its inputs and of its outputs."""


def count_encoder(encoder: Encoder) -> int:
    """Count an encoder and its projector."""
    match encoder:
        case Tower():
            return count_tower(encoder)
        case Conformer():
            return count_conformer(encoder)
        case ConvTower():
            return count_conv_tower(encoder)
        case FeatureEmbedding():
            return count_feature_embedding(encoder)
        case SpeechTower():
            return count_speech_tower(encoder)
        case SpeechConformer():
            return count_speech_conformer(encoder)


def count_linears(linears: Iterable[Linear]) -> int:
    """Count matrices [outputs, inputs] with their biases."""
    total = 0
    for linear in linears:
        total += count_projection(linear.inputs, linear.outputs, linear.bias)
    return total


def count_feature_embedding(embedding: FeatureEmbedding) -> int:
    """Count what stands in the place of an encoder: matrices, LayerNorms, positions."""
    positions = embedding.positions * embedding.position_axes * embedding.projector[0].outputs
    return count_linears(embedding.projector) + 2 * sum(embedding.norms) + positions


# --- Vision Transformers ------------------------------------------------------------------------


def count_tower(tower: Tower) -> int:
    """Count a Vision Transformer and its projector."""
    width = tower.hidden_size
    total = sum(
        [
            count_linears(_present(tower.patch_embedding)),
            tower.positions * tower.position_axes * width,
            (tower.layers + tower.global_layers) * _count_tower_layer(tower),
            2 * tower.global_layers,  # gates
            tower.outer_norms * count_norm(tower.norm, width),
            _count_projectors(tower),
        ]
    )
    if tower.class_token:
        total += width
    if tower.relative_positions:
        total += _count_relative_positions(tower)
    if tower.neck:
        necks = 1 + tower.second_neck
        learned = int(tower.second_neck)
        total += necks * _count_neck(tower.hidden_size, tower.neck) + learned
    if tower.tile_layouts:
        total += _count_tiles(tower)
    if tower.pooling_head:
        total += _count_pooling_head(tower)
    if tower.inner_merge > 1:
        total += _count_inner_merger(tower)
    if tower.standardized:
        total += 2 * width  # mean and scale
    total += tower.separators * width
    total += sum(tower.queries) * width
    if tower.newline:
        total += tower.projector[-1].outputs
    if tower.view_separator:
        total += tower.projector[-1].outputs
    return total


def _present(matrix: Linear | None) -> list[Linear]:
    """Return a list of a matrix, an empty one for None."""
    if matrix is None:
        return []
    return [matrix]


def _count_neck(hidden: int, channels: int) -> int:
    """Count two convolutions, 1 x 1 and 3 x 3, with a LayerNorm each."""
    norm = 2 * channels
    first = count_projection(hidden, channels) + norm
    return first + TAPS * count_projection(channels, channels) + norm


def _count_tower_layer(tower: Tower) -> int:
    """Count attention, MLP, norms, layer scales and bounds of clipped linears."""
    width = tower.hidden_size
    queries = tower.heads * tower.head_dim
    keys = (tower.kv_heads or tower.heads) * tower.head_dim
    total = sum(
        [
            count_projection(width, queries + 2 * keys, tower.attention_bias),  # q, k, v
            count_projection(queries, width, _has_output_bias(tower)),
            count_dense(tower.ffn, width),
            tower.layer_norms * count_norm(tower.norm, width),
        ]
    )
    if tower.qk_norm:
        total += 2 * tower.head_dim
    if tower.qk_norm_whole:
        total += queries + keys
    if tower.layer_scales:
        total += 2 * width
    if tower.clipped:
        linears = 4 + 2 + tower.ffn.gated
        total += BOUNDS * linears
    return total


def _has_output_bias(tower: Tower) -> bool:
    if tower.output_bias is None:
        return tower.attention_bias
    return tower.output_bias


def _count_relative_positions(tower: Tower) -> int:
    """Count the vectors for distances of patches, 2 · side − 1 for each axis."""
    image, window = (tower.image_size or 0), (tower.window or 0)
    sides = [
        (image if window == 0 or i in tower.full_layers else window) // tower.patch_size
        for i in range(tower.layers)
    ]
    return sum(2 * (2 * side - 1) * tower.head_dim for side in sides)


def _count_tiles(tower: Tower) -> int:
    """Count the tables of tiles (modeling_mllama): positions, vectors before and after, gates."""
    layout = tower.tiles * tower.hidden_size
    return (tower.tile_layouts + 1) * layout * (tower.positions + 2) + 3


def _count_pooling_head(tower: Tower) -> int:
    """Count a learned query that attends to all patches, a norm and an MLP."""
    width = tower.hidden_size
    return sum(
        [
            width,  # query
            4 * count_projection(width, width, bias=True),  # q, k, v, o
            count_norm(tower.norm, width),
            count_dense(tower.ffn, width),
        ]
    )


def _count_inner_merger(tower: Tower) -> int:
    """Count attention with a norm, and an MLP with a norm over squares of patches."""
    width, patches = tower.hidden_size, tower.inner_merge**2
    joined, inner = patches * width, patches * tower.ffn.width
    return sum(
        [
            4 * count_projection(width, width, bias=True),
            count_norm(tower.norm, width),
            count_norm(tower.norm, joined),
            count_projection(joined, inner, bias=True),
            count_projection(inner, width, bias=True),
        ]
    )


def _count_projectors(tower: Tower) -> int:
    """Count the projector with its norms, and those of deepstack, each with a LayerNorm."""
    projector = count_linears(tower.projector)
    norms = sum(tower.projector_norms)
    if tower.projector_norm_bias:
        norms *= 2
    total = projector + norms
    if tower.projector_ffn:
        width = tower.projector[-1].outputs
        total += count_dense(tower.projector_ffn, width)
    total += count_linears(_present(tower.output))
    if tower.deepstack:
        layer_norm = 2 * tower.projector[0].inputs
        total += len(tower.deepstack) * (projector + layer_norm)
    return total


# --- audio --------------------------------------------------------------------------------------


def count_conformer(conformer: Conformer) -> int:
    """Count an audio encoder and its projector (modeling_gemma3n, modeling_gemma4)."""
    first, second = conformer.subsampling
    matrices = [conformer.subsampled, *conformer.projector]
    if conformer.output:
        matrices.append(conformer.output)
    return sum(
        [
            TAPS * count_projection(1, first),
            first,  # norm
            TAPS * count_projection(first, second),
            second,  # norm
            conformer.layers * _count_conformer_layer(conformer),
            count_linears(matrices),
            count_vocabulary(conformer),
        ]
    )


def _count_conformer_layer(conformer: Conformer) -> int:
    """Count two half FFNs, attention and a gated convolution, with their norms."""
    width = conformer.hidden_size
    square = count_projection(width, width)
    ffn = 2 * count_projection(width, conformer.width)
    norms = 2 + 2 + 2 + 2 + 1
    total = sum(
        [
            2 * ffn,
            5 * square,  # q, k, v, o, relative keys
            width // conformer.heads,  # scale of each head dim
            3 * square,  # matrices of the convolution
            conformer.conv_kernel * width,
            norms * count_norm(conformer.norm, width),
        ]
    )
    if conformer.clipped:
        linears = 2 * 2 + 4 + 2  # FFNs; q, k, v, o; convolution
        total += BOUNDS * linears
    return total


def count_vocabulary(encoder: Conformer | ConvTower) -> int:
    """Count the embedding of an encoder's own tokens, a norm of its rows and one of features."""
    if not encoder.vocabulary:
        return 0
    width = encoder.projector[0].inputs
    return encoder.vocabulary * width + 2 * width


def count_speech_tower(tower: SpeechTower) -> int:
    """Count an audio encoder as Whisper's, and its projector (modeling_whisper)."""
    width = tower.hidden_size
    square = count_projection(width, width)
    biases = 3 + tower.key_bias  # of q, v, o, and of k
    layer = sum(
        [
            4 * square + biases * width,
            count_dense(tower.ffn, width),
            2 * count_norm(tower.norm, width),
        ]
    )
    return sum(
        [
            _count_speech_inputs(tower),
            tower.positions * width,
            tower.layers * layer,
            count_norm(tower.norm, width),
            count_linears(tower.projector),
            2 * sum(tower.projector_norms),
            tower.boundary_tokens * tower.projector[-1].outputs,
        ]
    )


def _count_speech_inputs(tower: SpeechTower) -> int:
    """Count the convolutions from mel bins to the encoder's width, and the matrix behind them."""
    width, kernel = tower.hidden_size, 3
    if tower.subsampling is None or tower.subsampled is None:
        first = kernel * count_projection(tower.mel_bins, width) + width
        second = kernel * count_projection(width, width) + width
        return first + second
    channels = tower.subsampling
    further = (tower.halvings or 1) - 1
    first = TAPS * channels + channels
    others = further * (TAPS * count_projection(channels, channels) + channels)
    return first + others + count_linears([tower.subsampled])


def count_speech_conformer(t: SpeechConformer) -> int:
    """Count an audio encoder of gated Conformer layers (modeling_phi4_multimodal)."""
    channels = t.subsampling
    pair = TAPS * channels + channels + count_projection(channels, channels, bias=True)
    return sum(
        [
            2 * t.mel_bins,  # mean, inverse deviation
            TAPS * count_projection(1, channels) + channels,
            (t.halvings - 1) * pair,
            count_linears([t.subsampled]),
            t.buckets * t.heads,
            t.layers * _count_gated_layer(t),
            2 * count_linears(t.projector),
        ]
    )


def _count_gated_layer(t: SpeechConformer) -> int:
    """Count two half FFNs, attention and a gated convolution, with five norms."""
    width, norm = t.hidden_size, count_norm(t.norm, t.hidden_size)
    ffn = count_projection(width, 2 * t.width, True) + count_projection(t.width, width, True)
    deep = t.multiplier * width
    convolution = sum(
        [
            count_projection(width, 2 * t.gate_channels, bias=True),
            2 * t.gate_channels,
            deep * (t.conv_kernel + 1),
            count_projection(deep, t.separable_channels, bias=True),
            count_projection(width, t.gate_channels, bias=True),
        ]
    )
    attention = 4 * count_projection(width, width, bias=True)
    return 2 * ffn + attention + convolution + 5 * norm


# --- convolutional image encoders ---------------------------------------------------------------


def count_conv_tower(tower: ConvTower) -> int:
    """Count a convolutional image encoder and its projector (modeling_gemma3n)."""
    blocks = [block for stage in tower.stages for block in stage]
    return sum(
        [
            TAPS * count_projection(3, tower.stem),
            tower.stem,  # bias
            tower.stem,  # norm
            sum(map(count_conv_block, blocks)),
            _count_fusion(tower),
            count_linears(tower.projector),
            count_vocabulary(tower),
        ]
    )


def _count_fusion(tower: ConvTower) -> int:
    """Count the fusion of the last two stages: two matrices, a norm each and one over all."""
    width, outputs = tower.fusion_width, tower.outputs
    inputs = sum(stage[-1].outputs for stage in tower.stages[-2:])
    return sum(
        [
            count_projection(inputs, width),
            width,  # norm
            count_projection(width, outputs),
            outputs,  # norm
            outputs,  # norm over all
        ]
    )


def count_conv_block(block: ConvBlock) -> int:
    """Count a block of a convolutional encoder; each convolution has a norm behind it."""
    match block.kind:
        case "edge":
            return _count_edge_block(block)
        case "inverted":
            return _count_inverted_block(block)
        case "attention":
            return _count_attention_block(block)


def _count_edge_block(block: ConvBlock) -> int:
    return sum(
        [
            block.kernel**2 * count_projection(block.inputs, block.width),
            block.width,  # norm
            count_projection(block.width, block.outputs),
            block.outputs,  # norm
        ]
    )


def _count_inverted_block(block: ConvBlock) -> int:
    return sum(
        [
            _count_depthwise(block.inputs, block.kernel),
            count_projection(block.inputs, block.width),
            block.width,  # norm
            _count_depthwise(block.width, block.mid_kernel),
            count_projection(block.width, block.outputs),
            block.outputs,  # norm
            block.outputs,  # scale
        ]
    )


def _count_attention_block(block: ConvBlock) -> int:
    key = count_projection(block.inputs, block.key_width)
    downsampling = _count_depthwise(block.inputs, block.kernel)
    return sum(
        [
            block.inputs,  # norm
            count_projection(block.inputs, block.width),  # queries
            2 * (key + downsampling),  # key and value
            count_projection(block.width, block.outputs),
            block.outputs,  # scale
        ]
    )


def _count_depthwise(channels: int, kernel: int) -> int:
    """Count a depthwise convolution with its norm; 0 if the kernel is 0."""
    if kernel == 0:
        return 0
    norm = channels
    return kernel**2 * channels + norm
