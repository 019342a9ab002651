"""Names and shapes of Conformers, the audio encoders of Gemma 3n and Gemma 4."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Conformer
from .template import TensorRow

_AUDIO = "audio"
WIDTH_FACTS = ("towers.audio.width",)
HEADS_FACTS = ("towers.audio.heads",)
KERNEL_FACTS = ("towers.audio.conv_kernel",)
SUBSAMPLING_FACTS = ("towers.audio.subsampling",)


@frozen
class ConformerNames(Frozen):
    """What a family calls the parts of a Conformer."""

    convolution: str
    """A subsampling convolution, with `{}` for its number."""
    layer: str
    """The prefix of a layer, with `{}` for its number."""
    halves: tuple[str, str]
    """The feed-forward blocks before and after attention and convolution."""
    attention: str
    """The prefix of the matrices q, k and v."""
    output: str
    """Attention's output matrix."""
    positions: str
    """The matrix of relative positions, with its last part."""
    norms: tuple[str, ...]
    """The norms of a layer beside those of the halves."""
    matrix: str
    """The last part of a matrix's name."""

    def matrices(self, width: int, hidden: int) -> dict[str, tuple[int, int]]:
        """Return the shapes of a layer's matrices by name, without those of positions."""
        widen = (width, hidden)
        narrow = (hidden, width)
        square = (hidden, hidden)
        shapes: dict[str, tuple[int, int]] = {}

        for half in self.halves:
            shapes[f"{half}.ffw_layer_1"] = widen
            shapes[f"{half}.ffw_layer_2"] = narrow

        for name in ("q_proj", "k_proj", "v_proj"):
            shapes[self.attention + name] = square
        shapes[self.output] = square

        shapes["lconv1d.linear_start"] = (2 * hidden, hidden)
        shapes["lconv1d.linear_end"] = square
        return shapes

    def half_norms(self) -> list[str]:
        """Return the norms before and after each half."""
        norms: list[str] = []
        for half in self.halves:
            norms.append(f"{half}.pre_layer_norm")
            norms.append(f"{half}.post_layer_norm")
        return norms


def conformer_rows(tower: Conformer, prefix: str, names: ConformerNames) -> Iterator[TensorRow]:
    """Yield the subsampling and the layers of a Conformer under `prefix`."""
    subsampling = f"{prefix}subsample_conv_projection."
    yield from _subsampling_rows(tower, subsampling, names)

    width = tower.hidden_size
    layer = prefix + names.layer
    axes = (tuple(range(tower.layers)),)
    matrices = names.matrices(tower.width, width)
    for name, shape in matrices.items():
        yield TensorRow(
            pattern=f"{layer}{name}.{names.matrix}",
            shape=shape,
            axes=axes,
            component=_AUDIO,
            proves=WIDTH_FACTS,
        )

    yield TensorRow(
        pattern=f"{layer}{names.positions}",
        shape=(width, width),
        axes=axes,
        component=_AUDIO,
        proves=WIDTH_FACTS,
    )

    for name in (*names.half_norms(), *names.norms):
        yield TensorRow(
            pattern=f"{layer}{name}.weight",
            shape=(width,),
            axes=axes,
            component=_AUDIO,
        )

    head_dim = width // tower.heads
    yield TensorRow(
        pattern=f"{layer}{names.attention}per_dim_scale",
        shape=(head_dim,),
        axes=axes,
        component=_AUDIO,
        proves=HEADS_FACTS,
    )
    yield TensorRow(
        pattern=f"{layer}lconv1d.depthwise_conv1d.weight",
        shape=(width, 1, tower.conv_kernel),
        axes=axes,
        component=_AUDIO,
        proves=KERNEL_FACTS,
    )


def _subsampling_rows(tower: Conformer, prefix: str, names: ConformerNames) -> Iterator[TensorRow]:
    """Yield the two convolutions that shorten the input, each with a norm, and a matrix."""
    first, second = tower.subsampling
    shapes = (
        (first, 1, 3, 3),
        (second, first, 3, 3),
    )
    for i, shape in enumerate(shapes):
        name = prefix + names.convolution.format(i)
        channels = shape[0]
        yield TensorRow(
            pattern=f"{name}.conv.weight",
            shape=shape,
            axes=(),
            component=_AUDIO,
            proves=SUBSAMPLING_FACTS,
        )
        yield TensorRow(
            pattern=f"{name}.norm.weight",
            shape=(channels,),
            axes=(),
            component=_AUDIO,
        )

    inputs = tower.subsampled.inputs
    yield TensorRow(
        pattern=f"{prefix}input_proj_linear.weight",
        shape=(tower.hidden_size, inputs),
        axes=(),
        component=_AUDIO,
    )
