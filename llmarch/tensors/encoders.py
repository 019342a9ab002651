"""Names and shapes of Vision Transformers and of the matrices around encoders."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.schema import Attention, Linear, QKNorm, Tower
from .parts import BlockTensors
from .template import TensorRow, norm_rows

VISION = "vision"


def matrix_rows(
    name: str,
    m: Linear,
    shape: tuple[int, ...] = (),
    proves: tuple[str, ...] = (),
    component: str = VISION,
) -> Iterator[TensorRow]:
    """Yield an encoder's matrix that stands alone.

    shape: how the matrix is stored, if not as [outputs, inputs].
    """
    yield TensorRow(f"{name}.weight", shape or (m.outputs, m.inputs), (), component, proves)
    if m.bias:
        yield TensorRow(f"{name}.bias", (m.outputs,), (), component)


def tower_rows(
    t: Tower, layer: str, norms: tuple[str, ...], attention: BlockTensors, ffn: BlockTensors
) -> Iterator[TensorRow]:
    """Yield the encoder layers of a tower, named under the pattern `layer`."""
    numbers = (tuple(range(t.layers)),)
    for name in norms:
        yield from norm_rows(layer + name, t.norm, t.hidden_size, numbers, VISION)
    for tensor in attention(_attention_of(t), t.hidden_size):
        facts = ("towers.vision.hidden_size",) if tensor.proves else ()
        yield TensorRow(layer + tensor.name, tensor.shape, numbers, VISION, facts)
    for tensor in ffn(t.ffn, t.hidden_size):
        facts = tuple(f"towers.vision.ffn.{name}" for name in tensor.proves)
        yield TensorRow(layer + tensor.name, tensor.shape, numbers, VISION, facts)


def _attention_of(t: Tower) -> Attention:
    """Return the attention of a tower's layers as a decoder's block."""
    return Attention(
        heads=t.heads,
        kv_heads=t.kv_heads or t.heads,
        head_dim=t.head_dim,
        v_head_dim=t.head_dim,
        qk_norm=QKNorm(scope="head") if t.qk_norm else None,
        qkv_bias=t.attention_bias,
        output_bias=t.attention_bias,
    )


def patch_rows(name: str, t: Tower, video: bool = False) -> Iterator[TensorRow]:
    """Yield the patch embedding as the convolution it is stored as.

    Its shape is [width, channels, p, p], or [width, channels, frames, p, p] for `video`.
    """
    frames = (t.patch_frames,) if video else ()
    channels = t.patch_embedding.inputs // (t.patch_size**2 * t.patch_frames)
    shape = (t.hidden_size, channels, *frames, t.patch_size, t.patch_size)
    yield from matrix_rows(name, t.patch_embedding, shape, ("towers.vision.patch_size",))


def position_rows(name: str, t: Tower, shape: tuple[int, ...] = ()) -> Iterator[TensorRow]:
    """Yield the table of positions, of another `shape` if it is not [positions, width]."""
    shape = shape or (t.positions, t.hidden_size)
    yield TensorRow(name, shape, (), VISION, ("towers.vision.positions",))


def projector_rows(t: Tower, *names: str) -> Iterator[TensorRow]:
    """Yield the matrices of the projector, a name each."""
    for name, matrix in zip(names, t.projector, strict=True):
        yield from matrix_rows(name, matrix)
