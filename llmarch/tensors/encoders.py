"""Names and shapes of Vision Transformers and of the matrices around encoders."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.schema import Attention, Linear, QKNorm, Tower
from .parts import BlockTensors
from .template import TensorRow, norm_rows

_VISION = "vision"


def matrix_rows(
    name: str,
    matrix: Linear,
    shape: tuple[int, ...] = (),
    proves: tuple[str, ...] = (),
    component: str = _VISION,
) -> Iterator[TensorRow]:
    """Yield an encoder's matrix that stands alone.

    shape: how the matrix is stored, if not as [outputs, inputs].
    """
    usual_shape = (matrix.outputs, matrix.inputs)
    yield TensorRow(
        pattern=f"{name}.weight",
        shape=shape or usual_shape,
        axes=(),
        component=component,
        proves=proves,
    )

    if matrix.bias:
        yield TensorRow(
            pattern=f"{name}.bias",
            shape=(matrix.outputs,),
            axes=(),
            component=component,
        )


def encoder_layer_rows(
    tower: Tower, layer: str, norms: tuple[str, ...], attention: BlockTensors, ffn: BlockTensors
) -> Iterator[TensorRow]:
    """Yield the encoder layers of a tower, named under the pattern `layer`."""
    width = tower.hidden_size
    axes = (tuple(range(tower.layers)),)

    for name in norms:
        yield from norm_rows(layer + name, tower.norm, width, axes, _VISION)

    mixer = _attention_of_tower(tower)
    for tensor in attention(mixer, width):
        facts: tuple[str, ...] = ()
        if tensor.proves:
            facts = ("towers.vision.hidden_size",)
        yield TensorRow(
            pattern=layer + tensor.name,
            shape=tensor.shape,
            axes=axes,
            component=_VISION,
            proves=facts,
        )

    for tensor in ffn(tower.ffn, width):
        facts = tuple(f"towers.vision.ffn.{name}" for name in tensor.proves)
        yield TensorRow(
            pattern=layer + tensor.name,
            shape=tensor.shape,
            axes=axes,
            component=_VISION,
            proves=facts,
        )


def _attention_of_tower(tower: Tower) -> Attention:
    """Return the attention of a tower's layers as a decoder's block."""
    norm = None
    if tower.qk_norm:
        norm = QKNorm(scope="head")
    return Attention(
        heads=tower.heads,
        kv_heads=tower.kv_heads or tower.heads,
        head_dim=tower.head_dim,
        v_head_dim=tower.head_dim,
        qk_norm=norm,
        qkv_bias=tower.attention_bias,
        output_bias=tower.attention_bias,
    )


def patch_rows(name: str, tower: Tower, video: bool = False) -> Iterator[TensorRow]:
    """Yield the patch embedding as the convolution it is stored as.

    Its shape is [width, channels, p, p], or [width, channels, frames, p, p] for `video`.
    """
    matrix = tower.patch_embedding
    side = tower.patch_size
    frames = tower.patch_frames
    pixels = side * side * frames
    channels = matrix.inputs // pixels

    shape: tuple[int, ...] = (tower.hidden_size, channels, side, side)
    if video:
        shape = (tower.hidden_size, channels, frames, side, side)

    facts = ("towers.vision.patch_size",)
    yield from matrix_rows(name, matrix, shape, facts)


def position_rows(name: str, tower: Tower, shape: tuple[int, ...] = ()) -> Iterator[TensorRow]:
    """Yield the table of positions, of another `shape` if it is not [positions, width]."""
    usual_shape = (tower.positions, tower.hidden_size)
    yield TensorRow(
        pattern=name,
        shape=shape or usual_shape,
        axes=(),
        component=_VISION,
        proves=("towers.vision.positions",),
    )


def projector_rows(tower: Tower, *names: str) -> Iterator[TensorRow]:
    """Yield the matrices of the projector, a name each."""
    named_matrices = zip(names, tower.projector, strict=True)
    for name, matrix in named_matrices:
        yield from matrix_rows(name, matrix)
