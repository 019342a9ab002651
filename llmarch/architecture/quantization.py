"""How a checkpoint stores its weights, and the exclusion patterns that quantisation tools write."""

from __future__ import annotations

import re

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


MAX_PATTERN_LENGTH = 300
"""Longest regular expression that is compiled, and longest name that it is matched with."""
MAX_REPETITIONS = 3


def compile_pattern(expression: str) -> re.Pattern[str] | None:
    """Compile a regular expression of an exclusion list, or return None if it could be slow.

    The expression comes from a repository, so it is not trusted. Accepted are short ones with at
    most three repetitions, none of a group, no look-around and no back-reference: matching these
    cannot take exponential time.
    """
    repetitions = len(re.findall(r"(?<!\\)[*+{]", expression))
    if len(expression) > MAX_PATTERN_LENGTH or repetitions > MAX_REPETITIONS:
        return None
    repeated_group_or_reference = re.search(r"\)[*+{?]|\\[1-9]", expression)
    if "(?" in expression or repeated_group_or_reference:
        return None
    try:
        return re.compile(expression)
    except re.error:
        return None
