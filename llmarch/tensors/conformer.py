"""Names and shapes of Conformers, the audio encoders of Gemma 3n and Gemma 4."""

from __future__ import annotations

from collections.abc import Iterator

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Conformer
from .template import TensorRow

AUDIO = "audio"


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
        shapes: dict[str, tuple[int, int]] = {}
        for half in self.halves:
            shapes[f"{half}.ffw_layer_1"] = (width, hidden)
            shapes[f"{half}.ffw_layer_2"] = (hidden, width)
        for name in ("q_proj", "k_proj", "v_proj"):
            shapes[self.attention + name] = (hidden, hidden)
        shapes[self.output] = (hidden, hidden)
        shapes["lconv1d.linear_start"] = (2 * hidden, hidden)
        shapes["lconv1d.linear_end"] = (hidden, hidden)
        return shapes


def conformer_rows(t: Conformer, prefix: str, names: ConformerNames) -> Iterator[TensorRow]:
    """Yield the subsampling and the layers of a Conformer under `prefix`."""
    yield from _subsampling_rows(t, f"{prefix}subsample_conv_projection.", names)
    width = t.hidden_size
    layer = prefix + names.layer
    numbers = (tuple(range(t.layers)),)
    facts = (f"towers.{AUDIO}.width",)
    for name, shape in names.matrices(t.width, width).items():
        yield TensorRow(f"{layer}{name}.{names.matrix}", shape, numbers, AUDIO, facts)
    yield TensorRow(f"{layer}{names.positions}", (width, width), numbers, AUDIO, facts)
    half_norms = [f"{half}.{at}_layer_norm" for half in names.halves for at in ("pre", "post")]
    for name in (*half_norms, *names.norms):
        yield TensorRow(f"{layer}{name}.weight", (width,), numbers, AUDIO)
    scales = f"{layer}{names.attention}per_dim_scale"
    yield TensorRow(scales, (width // t.heads,), numbers, AUDIO, (f"towers.{AUDIO}.heads",))
    convolution = f"{layer}lconv1d.depthwise_conv1d.weight"
    facts = (f"towers.{AUDIO}.conv_kernel",)
    yield TensorRow(convolution, (width, 1, t.conv_kernel), numbers, AUDIO, facts)


def _subsampling_rows(t: Conformer, prefix: str, names: ConformerNames) -> Iterator[TensorRow]:
    """Yield the two convolutions that shorten the input, each with a norm, and a matrix."""
    first, second = t.subsampling
    facts = (f"towers.{AUDIO}.subsampling",)
    for i, shape in enumerate(((first, 1, 3, 3), (second, first, 3, 3))):
        name = prefix + names.convolution.format(i)
        yield TensorRow(f"{name}.conv.weight", shape, (), AUDIO, facts)
        yield TensorRow(f"{name}.norm.weight", shape[:1], (), AUDIO)
    shape = (t.hidden_size, t.subsampled.inputs)
    yield TensorRow(f"{prefix}input_proj_linear.weight", shape, (), AUDIO)
