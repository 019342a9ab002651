"""What an adapter is: small tensors that are trained beside, or in place of, those of a base model.

The facts of a PEFT adapter as adapter_config.json states them. Which tensors follow is in
tensors/adapters.py.
"""

from __future__ import annotations

from dataclasses import field
from math import sqrt

from .frozen import Frozen, frozen

ALL_LINEAR = "all-linear"
"""The target that stands for every linear module but the head."""


@frozen
class Adapter(Frozen):
    """The facts of an adapter."""

    method: str
    """PEFT's name of the method, in lower case: `lora`, `ia3`, `prefix_tuning`."""
    base: str | None = None
    """The base model as the adapter names it. Null: it names none."""
    base_revision: str | None = None
    """Revision of the base model. Null: none is named."""
    task: str | None = None
    """The task, in lower case: `causal_lm`, `seq_cls`. Null: none is named."""
    written_by: str | None = None
    """Version of PEFT that wrote it. Null: it does not say."""
    rank: int | None = None
    """Rank of the matrices, where no pattern says another. Null: the method has none."""
    alpha: float | None = None
    """Numerator of the factor on what the adapter adds. Null: the method has none."""
    rank_stabilized: bool = False
    """Whether the factor is alpha / sqrt(rank) instead of alpha / rank (rsLoRA)."""
    dora: bool = False
    """Whether each target has a learned magnitude (DoRA)."""
    output_bias: bool = False
    """Whether the second matrix has a bias."""
    bias: str = "none"
    """Which biases of the base are trained: `none`, `all`, or those of targets (`lora_only`)."""
    targets: tuple[str, ...] = ()
    """Ends of names of the modules that are adapted; `all-linear` stands for all linear ones."""
    target_pattern: str | None = None
    """Regular expression for whole names of modules, in place of `targets`. Null: there is none."""
    target_parameters: tuple[str, ...] = ()
    """Ends of names of parameters that are adapted, as stacked experts are."""
    excluded: tuple[str, ...] = ()
    """Ends of names of modules that are not adapted."""
    excluded_pattern: str | None = None
    """Regular expression for modules that are not adapted. Null: there is none."""
    layers: tuple[int, ...] | None = None
    """Numbers of the layers in which modules are adapted. Null: all."""
    layer_lists: tuple[str, ...] = ()
    """Names of the lists of layers that `layers` counts in. Empty: the first list in a name."""
    replicated_layers: tuple[tuple[int, int], ...] = ()
    """Ranges of the base's layers, one after the other, of which the adapted model is made. Empty:
    it has the base's layers."""
    rank_pattern: dict[str, int] = field(default_factory=dict[str, int])
    """Rank by regular expression for the end of a module's name."""
    alpha_pattern: dict[str, float] = field(default_factory=dict[str, float])
    """Alpha by regular expression for the end of a module's name."""
    saved_modules: tuple[str, ...] = ()
    """Modules of the base that are trained and stored as a whole (`modules_to_save`)."""
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    """Number of tokens whose embedding is trained, by the name of the embedding."""
    feed_forward: tuple[str, ...] = ()
    """Of IA3: the targets whose inputs are scaled, not their outputs."""
    virtual_tokens: int | None = None
    """Tokens, or keys and values, that are put before the input. Null: the method adds none."""
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    """Further sizes that the method has, by PEFT's key."""
    options: dict[str, str] = field(default_factory=dict[str, str])
    """Further choices that the method has, by PEFT's key."""


@frozen
class AdaptedGroup(Frozen):
    """Modules alike that an adapter has the same tensors for."""

    module: str
    """Name of the module, with `{}` for numbers, as the class has it."""
    count: int
    """Number of such modules."""
    kind: str
    """`linear`, `embedding`, `norm`, `parameter`, or `unknown` where the base does not tell."""
    shape: tuple[int, ...] | None
    """Shape of the base's weight, [outputs, inputs], experts first. Null: not known."""
    rank: int | None
    """Rank in these modules. Null: the method has none, or it is not known."""
    scale: float | None
    """Factor on what the adapter adds. Null: the method has none, or it is not known."""
    parameters: int
    """Elements of the adapter's tensors for all these modules."""


def scale_of(alpha: float, rank: int, rank_stabilized: bool) -> float:
    """Return the factor on what a LoRA module adds (peft 0.21.2, lora/layer.py update_layer)."""
    if rank_stabilized:
        return alpha / sqrt(rank)
    return alpha / rank
