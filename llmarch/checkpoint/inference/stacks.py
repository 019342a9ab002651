"""Find the stack of decoder layers, and what lies outside of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..logical import LogicalTensor
from ..roles import MTP_NAME, MTP_TENSOR
from .towers import tower_of

LAYERS = re.compile(r"^(.*?)\b(layers|layer|h|blocks|block)\.\{\}\.")
"""The start of a name in a stack of layers, up to the number of the layer."""

_EXPERTS_MODULE = ".block_sparse_moe."
_BLOCKS = re.compile(r"(?:^|\.)blocks\.\{\}\.")


class NamedTensor(NamedTuple):
    """A logical tensor under a name that may be shortened (its canonical name, or a part of it)."""

    name: str
    tensor: LogicalTensor


class Stack(NamedTuple):
    """The decoder's layers and the tensors around them."""

    prefix: str
    """What the names of the layers start with, `layers.{}.`; "" if there are no layers."""
    inside: list[NamedTensor]
    """Named within the layer."""
    outside: list[NamedTensor]
    """Named within the module that holds the layers, where they are in it."""


def find_stack(tensors: list[NamedTensor]) -> Stack:
    """Split tensors at the decoder's layers: the stack outside of towers that holds most."""
    sizes = stack_sizes(tensors)
    prefix = max(sizes, key=lambda p: (sizes[p], p), default="")
    if not prefix:
        return Stack("", [], tensors)

    match = LAYERS.match(prefix)
    holder = prefix[: match.end(1)] if match is not None else ""
    inside: list[NamedTensor] = []
    outside: list[NamedTensor] = []
    for name, tensor in tensors:
        if name.startswith(prefix):
            inside.append(NamedTensor(name.removeprefix(prefix), tensor))
        else:
            outside.append(NamedTensor(name.removeprefix(holder), tensor))

    return Stack(prefix, inside, outside)


def stack_sizes(tensors: Iterable[NamedTensor]) -> Counter[str]:
    """Return the elements of each stack outside of towers and MTP modules, by its prefix.

    Where sizes are not known, each tensor counts as one element.
    """
    sizes: Counter[str] = Counter()
    for name, tensor in tensors:
        match = LAYERS.match(name)
        if match is None or tower_of(name) or MTP_NAME.search(name):
            continue
        sizes[match[0]] += max(tensor.total_elements, len(tensor.indices))
    return sizes


def separate_blocks(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Name a stack called `blocks` so again, where there is one called `layers` beside it.

    Canonical names have `layers` for both, but such a checkpoint has two stacks.
    """
    prefix = "layers.{}."
    in_layers: set[str] = set()
    for name, tensor in tensors:
        if name.startswith(prefix):
            in_layers.add(tensor.pattern)
    blocks = set(filter(_BLOCKS.search, in_layers))
    if blocks == in_layers:
        return tensors

    separated: list[NamedTensor] = []
    for name, tensor in tensors:
        if tensor.pattern in blocks:
            name = "blocks." + name.removeprefix("layers.")
        separated.append(NamedTensor(name, tensor))

    return separated


def separate_experts(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Name a module called `block_sparse_moe` so again, where its layers have an `mlp` beside it.

    Canonical names have `mlp` for both. In Grok 2 they are two blocks, experts and a dense one.
    """
    layers_of_experts: set[int] = set()
    layers_of_mlp: set[int] = set()
    for name, tensor in tensors:
        if not tensor.indices[0] or ".mlp." not in name:
            continue
        numbers = {index[0] for index in tensor.indices}
        if _EXPERTS_MODULE in tensor.pattern:
            layers_of_experts |= numbers
        else:
            layers_of_mlp |= numbers
    if layers_of_experts.isdisjoint(layers_of_mlp):
        return tensors

    separated: list[NamedTensor] = []
    for name, tensor in tensors:
        if _EXPERTS_MODULE in tensor.pattern:
            name = name.replace(".mlp.", _EXPERTS_MODULE, 1)
        separated.append(NamedTensor(name, tensor))
    return separated


class MTPSplit(NamedTuple):
    """The tensors of a stack's layers, and of its MTP modules."""

    layers: list[NamedTensor]
    mtp: list[NamedTensor]


def split_mtp(tensors: list[NamedTensor]) -> MTPSplit:
    """Split off the layers that are MTP modules by their tensors (eh_proj, enorm, ...)."""
    marks = [t for name, t in tensors if MTP_TENSOR.search("." + name)]
    numbers = {index[0] for tensor in marks for index in tensor.indices}
    if not numbers:
        return MTPSplit(tensors, [])

    split = MTPSplit([], [])
    for name, tensor in tensors:
        of_mtp = [index for index in tensor.indices if index[0] in numbers]
        of_layers = [index for index in tensor.indices if index[0] not in numbers]
        if of_mtp:
            split.mtp.append(NamedTensor(name, tensor.subset(of_mtp)))
        if of_layers:
            split.layers.append(NamedTensor(name, tensor.subset(of_layers)))

    return split
