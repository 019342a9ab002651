"""Split the tensors of a layer into modules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .. import names as spelling
from ..indices import Index
from ..logical import LogicalTensor
from .stacks import NamedTensor

_STACKED = re.compile(r"((?:gate|up|down|gate_up)_proj)(?:\.weight)?")
_MAX_REPEATED = 4
"""A module that is repeated more often is one of experts."""

Modules = dict[str, list[NamedTensor]]
"""The tensors of each module, by their names within it."""


class LayerTensor(NamedTuple):
    """A pattern in one layer, with the indices that this layer holds."""

    position: int
    """The position of the pattern among all of the stack."""
    name: str
    tensor: LogicalTensor
    indices: list[Index]


def split_layers(tensors: Iterable[NamedTensor]) -> dict[int, list[LayerTensor]]:
    """Return what each layer holds, by its number."""
    layers: dict[int, list[LayerTensor]] = {}
    for position, (name, tensor) in enumerate(tensors):
        by_layer: dict[int, list[Index]] = {}
        for index in tensor.indices:
            by_layer.setdefault(index[0], []).append(index)
        for number, indices in by_layer.items():
            part = LayerTensor(position, name, tensor, indices)
            layers.setdefault(number, []).append(part)

    return layers


def join_layers(layers: Iterable[list[LayerTensor]]) -> list[NamedTensor]:
    """Return the tensors of several layers together."""
    joined: dict[int, LayerTensor] = {}
    for layer in layers:
        for part in layer:
            if part.position not in joined:
                joined[part.position] = part._replace(indices=[])
            joined[part.position].indices.extend(part.indices)
    return [NamedTensor(part.name, part.tensor.subset(part.indices)) for part in joined.values()]


def split_modules(tensors: Iterable[NamedTensor]) -> Modules:
    """Split the tensors of a layer by the first part of the name.

    A module that is there several times (`self_attn.0`) is as many modules. What belongs to experts
    but is named beside them (a router, shared experts) is put with them.
    """
    modules: Modules = {}
    for name, tensor in tensors:
        module, _, rest = spelling.canonical_in_layer(name).partition(".")
        for copy, part in _split_copies(module, NamedTensor(rest, tensor)):
            if copy != "experts":
                part = NamedTensor(_expert_name(part), part.tensor)
            modules.setdefault(copy, []).append(part)

    _join_experts(modules)
    _join_single_matrices(modules)
    _join_shared_experts(modules)
    return modules


def _split_copies(module: str, part: NamedTensor) -> list[tuple[str, NamedTensor]]:
    """Split `self_attn.{}.q_proj` into self_attn_0 and self_attn_1.

    Many copies, and those of experts, stay one module.
    """
    name, tensor = part
    if not name.startswith("{}.") or "expert" in module or "moe" in module:
        return [(module, part)]

    numbers = sorted({index[1] for index in tensor.indices})
    if len(numbers) > _MAX_REPEATED:
        return [(module, part)]

    name = name.removeprefix("{}.")
    copies: list[tuple[str, NamedTensor]] = []
    for number in numbers:
        indices = [index for index in tensor.indices if index[1] == number]
        copy = NamedTensor(name, tensor.subset(indices))
        copies.append((f"{module}_{number}", copy))

    return copies


def _expert_name(part: NamedTensor) -> str:
    """Return the name of a part, `experts.up_proj` for a stack of matrices called `up_proj`."""
    match = _STACKED.fullmatch(part.name)
    shape = part.tensor.shape
    if match is None or shape is None or len(shape) != 3:
        return part.name
    return f"experts.{match[1]}"


def _join_experts(modules: Modules) -> None:
    """Put experts that are a module of the layer into one module with their router."""
    if "experts" not in modules:
        return
    experts = _within("experts", modules.pop("experts"))
    router = _within("router", modules.pop("router", []))
    modules["moe"] = [*modules.pop("moe", []), *experts, *router]


def _join_single_matrices(modules: Modules) -> None:
    """Put fc1 and fc2 that do not belong to a module into one."""
    if "fc1" in modules and "fc2" in modules:
        modules["ffn"] = [
            *_within("fc1", modules.pop("fc1")),
            *_within("fc2", modules.pop("fc2")),
        ]


def _join_shared_experts(modules: Modules) -> None:
    """Put shared experts into the module that has the experts."""
    shared = "shared_experts"
    if shared not in modules:
        return

    others = [parts for module, parts in modules.items() if module != shared]
    for parts in others:
        if any(part.name.startswith("experts.") for part in parts):
            parts += _within(shared, modules.pop(shared))
            return


def _within(module: str, parts: list[NamedTensor]) -> list[NamedTensor]:
    return [NamedTensor(f"{module}.{name}", tensor) for name, tensor in parts]
