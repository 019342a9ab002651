"""How a checkpoint stores its weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from .frozen import Strict, frozen


@frozen(kw_only=True)
class Quantization(Strict):
    """The storage format of the weights that the config declares.

    The architecture is the same without it. What is stored is in the tensor headers.
    """

    method: str
    """Tool or format that wrote the checkpoint: `fp8`, `mxfp4`, `gptq`, `awq`, `bitsandbytes`,
    `compressed-tensors`, `modelopt`, `mlx`; `unknown` where the config names none."""
    bits: float | None = None
    """Bits of a quantised weight, without its share of the scales. None: the config does not say,
    or declares several widths."""
    format: str | None = None
    """Number format or layout, in the words of the method: `e4m3`, `nf4`, `pack-quantized`. None:
    the config does not say."""
    block: tuple[int, ...] | None = None
    """Block of weights that share one scale, as [rows, columns]. None: not by blocks."""
    group_size: int | None = None
    """Number of consecutive weights of a row that share one scale. None: not by groups."""
    activations: str | None = None
    """How activations are quantised at run time: `static` (stored scales) or `dynamic` (scales
    computed for each input). None: they are not, or the config does not say."""
    strategy: str | None = None
    """What one scale is for, in the words of the method: `tensor`, `channel`, `group`, `block`.
    None: the config does not say."""
    symmetric: bool | None = None
    """Whether integers are symmetric around zero, so that a scale has no zero point (GPTQ's `sym`;
    AWQ's `zero_point` is the opposite). None: the config does not say."""
    activation_order: bool | None = None
    """Whether columns were quantised in the order of their activations, so that groups are not
    consecutive (GPTQ's `desc_act`). None: the config does not say."""
    scale_format: str | None = None
    """Number format of the scales: `ue8m0`, or `quantised` where scales are quantised a second time
    (bitsandbytes). None: the config does not say."""
    number: str | None = None
    """What quantised weights are: `int` or `float`. None: the config does not say."""
    packed_dtype: str | None = None
    """Dtype of the words that hold packed weights (GPTQModel's `pack_dtype`, bitsandbytes'
    `bnb_4bit_quant_storage`): `int32`, `uint8`. None: the config does not say."""
    sparsity: str | None = None
    """Format of weights without their zeros, in compressed-tensors' words: `sparse-24-bitmask`.
    None: zeros are stored as other weights."""
    experts: str | None = None
    """Format of the routed experts where it is another than that of other modules: `fp4` in
    DeepSeek V4. None: they are stored as other modules."""
    cache_dtype: str | None = None
    """Dtype of the KV cache that the checkpoint was calibrated for: `fp8`. None: the config does
    not say."""
    targets: tuple[str, ...] = ()
    """Classes or names of the modules that are quantised, as compressed-tensors writes them. Empty:
    those that the method quantises by itself."""
    modules: tuple[str, ...] = ()
    """Modules with a format of their own, each with it, numbers folded:
    `model.layers.{0-3}.mlp.gate: 8 bits`."""
    excluded: tuple[str, ...] = ()
    """Modules that are left unquantised, as the method writes them: module names, globs, or `re:`
    and a regular expression."""
    excludes_none: bool = False
    """Whether the list of unquantised modules is stated and empty: transformers, which leaves the
    head as it is where there is no list, then quantises it too."""


class ModuleFormat(NamedTuple):
    """What a declaration says of single modules; None where it says the same as of the others."""

    number: str | None = None
    """Kind of number: `int` or `float`."""
    bits: float | None = None
    """Bits of a weight."""
    group_size: int | None = None
    """Weights of a row that share a scale."""
    block: tuple[int, int] | None = None
    """Rows and columns that share a scale."""
    strategy: str | None = None
    """What shares a scale: `tensor`, `channel`, `group`, `block`."""
    symmetric: bool | None = None
    """Whether there are no zero points."""
    activation_order: bool | None = None
    """Whether columns are reordered by their activations."""
    activations: str | None = None
    """Dtype of the activations."""
    format: str | None = None
    """Name of the packing."""

    @property
    def words(self) -> str:
        """Return the format in words: `int, 4 bits, groups of 128, asymmetric`."""
        words = [self.number] if self.number else []
        if self.bits is not None:
            words.append(f"{self.bits:g} bits")
        if self.group_size:
            words.append(f"groups of {self.group_size}")
        if self.block is not None:
            words.append(f"blocks {self.block[0]} × {self.block[1]}")
        if self.strategy is not None and not self.group_size and self.block is None:
            words.append(f"per {self.strategy}")
        if self.symmetric is False:
            words.append("asymmetric")
        if self.activation_order:
            words.append("reordered")
        if self.activations is not None:
            words.append(f"{self.activations} activations")
        if self.format is not None:
            words.append(self.format)
        return ", ".join(words)


_NUMBERS = ("int", "float")


def parse_module_format(words: str) -> ModuleFormat:
    """Return the format that `ModuleFormat.words` puts into words, as far as these tell."""
    found: dict[str, Any] = {}
    for word in words.split(", "):
        first, _, rest = word.partition(" ")
        if word in _NUMBERS:
            found["number"] = word
        elif rest == "bits":
            found["bits"] = float(first)
        elif word.startswith("groups of "):
            found["group_size"] = int(rest.removeprefix("of "))
        elif first == "blocks":
            rows, columns = rest.split(" × ")
            found["block"] = (int(rows), int(columns))
        elif first == "per":
            found["strategy"] = rest
        elif word == "asymmetric":
            found["symmetric"] = False
        elif word == "reordered":
            found["activation_order"] = True
        elif rest == "activations":
            found["activations"] = first
        elif word:
            found["format"] = word
    return ModuleFormat(**found)
