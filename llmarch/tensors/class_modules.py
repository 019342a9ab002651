"""The modules of a transformers class, as the tensors that a family predicts tell them.

Adapters name modules as the class has them, which is not always how checkpoints are published:
transformers 5 renames tensors when it loads them, and stacks experts to parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ..architecture.frozen import Frozen, frozen
from .conversion import Conversion
from .template import Axes, TensorRow, fold_numbers

ModuleKind = Literal["linear", "embedding", "norm", "parameter", "other"]
_WEIGHT = ".weight"
_BIAS = ".bias"
_TABLES = ("embedding", "per_layer_embedding")
_TABLE_NAME = re.compile(
    r"(?<!patch_)(?:embed|embedding|embeddings|embed_positions|bias_values|audio_bos_eos_token)$"
)
"""Names of tables of positions, which are embeddings."""


@frozen
class ClassModule(Frozen):
    """Modules of a class that are alike but for numbers in their names.

    Or parameters that stand in a module by themselves, as stacked experts do.
    """

    pattern: str
    """The name with `{}` for numbers: `model.layers.{}.self_attn.q_proj`."""
    kind: ModuleKind
    shape: tuple[int, ...]
    """Shape of the weight as [outputs, inputs]; stacked experts are [experts, outputs, inputs]."""
    axes: Axes
    component: str
    bias: int = 0
    """Elements of the bias; 0: there is none."""
    is_head: bool = False
    """Whether it gives the logits."""


def class_modules(
    rows: Iterable[TensorRow],
    conversion: Conversion,
    *,
    head: str,
    tied_head: tuple[int, int] | None,
    inputs_first: bool = False,
    experts_inputs_first: bool = False,
    stacks_experts: bool = True,
) -> list[ClassModule]:
    """Return the modules of a class.

    rows: the template of the model.
    conversion: what transformers makes of the published names. Its `linear_router` says whether the
    class has routers as linear modules.
    head: the name of the module that gives the logits.
    tied_head: the shape of a head that has no tensor of its own; None: it is not tied.
    inputs_first: whether matrices are stored as [inputs, outputs], as GPT-2's are.
    experts_inputs_first: whether stacked experts are.
    stacks_experts: False for the classes of transformers 4, which had experts one by one, and
    routers as linear modules.
    """
    if not stacks_experts:
        conversion = replace(conversion, merges=(), linear_router=True)
    stacked: dict[str, list[TensorRow]] = {}
    weights: dict[tuple[str, Axes], list[TensorRow]] = {}
    biases: dict[tuple[str, Axes], int] = {}
    for published in rows:
        row = fold_numbers(published)
        names = conversion.parameters([row.pattern])
        part = row
        if len(names) > 1:  # one tensor that becomes several, as fused queries and keys do
            outputs, *others = row.shape
            part = replace(row, shape=(outputs // len(names), *others))
        for name in sorted(names):
            if name.count("{}") < row.pattern.count("{}"):
                members = stacked.setdefault(name, [])
                members.append(row)
            elif name.endswith(_BIAS):
                biases[name.removesuffix(_BIAS), row.axes] = part.shape[0]
            else:
                members = weights.setdefault((name, row.axes), [])
                members.append(part)
    modules = [_module(name, _joined(rows), conversion) for (name, _), rows in weights.items()]
    if inputs_first:
        modules = [_with_inputs_last(module) for module in modules]
    for name, members in stacked.items():
        modules.extend(_stacked(name, members))
    modules = [replace(m, bias=biases.get((m.pattern, m.axes), 0)) for m in modules]
    if experts_inputs_first:
        modules = [_turned(module) for module in modules]
    if tied_head is not None:
        modules.append(ClassModule(head, "linear", tied_head, (), "head"))
    return [replace(m, is_head=True) if m.pattern == head else m for m in modules]


def _joined(rows: list[TensorRow]) -> TensorRow:
    """Return the row of several that become one tensor, as gate and up do: one above the other."""
    first, *others = rows
    if not others:
        return first
    outputs = sum(row.shape[0] for row in rows)
    return replace(first, shape=(outputs, *first.shape[1:]))


def _module(name: str, row: TensorRow, conversion: Conversion) -> ClassModule:
    """Return the module that has a weight, or the parameter that stands by itself."""
    kind = _kind(name, row, conversion)
    pattern = name
    if kind != "parameter":
        pattern = name.removesuffix(_WEIGHT)
    return ClassModule(pattern, kind, row.shape, row.axes, row.component)


def _with_inputs_last(module: ClassModule) -> ClassModule:
    """Return a module whose matrix is stored as [inputs, outputs]."""
    if module.kind != "linear" or module.component == "head":
        return module
    inputs, outputs = module.shape
    shape = (outputs, inputs)
    return replace(module, shape=shape)


def _kind(name: str, row: TensorRow, conversion: Conversion) -> ModuleKind:
    """Return what a weight belongs to, by its name, shape and component."""
    if not name.endswith(_WEIGHT):
        return "parameter"
    dims = len(row.shape)
    module = name.removesuffix(_WEIGHT)
    is_router = row.component == "router" and module.endswith((".gate", ".router"))
    if is_router and not conversion.linear_router:
        return "parameter"
    if dims == 1:
        return "norm"
    if dims != 2:
        return "other"
    if row.component in _TABLES or _TABLE_NAME.search(module):
        return "embedding"
    return "linear"


def _stacked(name: str, rows: list[TensorRow]) -> list[ClassModule]:
    """Return the parameters into which transformers stacks experts, for each kind of layer."""
    by_layers: dict[Axes, list[TensorRow]] = {}
    for row in rows:
        members = by_layers.setdefault(row.axes, [])
        members.append(row)
    modules: list[ClassModule] = []
    for axes, members in by_layers.items():
        *outer, experts = axes
        shapes = [row.shape for row in members]
        if any(len(shape) != 2 for shape in shapes):
            continue
        outputs = sum(shape[0] for shape in shapes)
        shape = (len(experts), outputs, shapes[0][1])
        component = members[0].component
        modules.append(ClassModule(name, "parameter", shape, tuple(outer), component))
    return modules


def _turned(module: ClassModule) -> ClassModule:
    """Return stacked experts that are stored as [experts, inputs, outputs] the usual way."""
    if module.kind != "parameter" or len(module.shape) != 3:
        return module
    experts, inputs, outputs = module.shape
    return replace(module, shape=(experts, outputs, inputs))
