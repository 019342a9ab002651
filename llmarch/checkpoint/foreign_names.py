"""Find what stands in stored names besides those that the model's loaders look for.

Training code saves models inside its own wrappers: the names of these stand before all names, or
before those of each layer. A checkpoint may also have any other prefix. Both are recognised here so
that the tensors are matched and the finding names the prefix; no loader finds them (loaders.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..tensors.template import TensorRow
from .indices import split_by_axes
from .logical import LogicalTensor

WRITERS = {
    "_orig_mod.": "torch.compile",
    "_fsdp_wrapped_module.": "FSDP",
    "_checkpoint_wrapped_module.": "activation checkpointing",
    "_forward_module.": "Lightning Fabric",
    "base_model.model.": "PEFT",
    "module.": "DataParallel and DeepSpeed",
}
"""Parts of names that training code adds, and who does."""

_PARTS = "|".join(map(re.escape, WRITERS))
_WRAPPER = re.compile(rf"(?:(?<=^)|(?<=\.))(?:{_PARTS})")

MAX_SAMPLES = 200
MAX_CUTS = 6
"""How many names, and how many parts of each, are tried as a prefix: checkpoints may have 100,000
names of which none is known."""


def wrappers_in(pattern: str) -> list[str]:
    """Return the wrappers of training code in a name: `_orig_mod.`, in their order."""
    return _WRAPPER.findall(pattern)


def unwrapped(pattern: str) -> str:
    """Return a name without the wrappers of training code."""
    return _WRAPPER.sub("", pattern)


def foreign_prefixes(
    unknown: Sequence[LogicalTensor],
    rows: Mapping[str, Sequence[TensorRow]],
    stored: Mapping[str, Sequence[LogicalTensor]],
    canonical_name: Callable[[str], str],
) -> dict[str, str]:
    """Return the unknown prefix of each name that is one of the template's without it.

    unknown: stored tensors whose names the template does not have.
    rows, stored: the rows of the template and the tensors with known names, by canonical name.
    canonical_name: what gives the canonical name of a stored one.
    """
    votes: Counter[str] = Counter()
    for tensor in unknown[:MAX_SAMPLES]:
        votes.update(_known_cuts(tensor, rows, stored, canonical_name))
    found: dict[str, str] = {}
    taken: dict[str, list[LogicalTensor]] = {key: [*tensors] for key, tensors in stored.items()}
    for prefix, _ in votes.most_common(MAX_CUTS):
        for tensor in unknown:
            if tensor.pattern in found or not tensor.pattern.startswith(prefix):
                continue
            key = canonical_name(tensor.pattern[len(prefix) :])
            # A name without a row may be that of a fused tensor.
            if key not in rows or _is_free(tensor, rows[key], taken.get(key, ())):
                found[tensor.pattern] = prefix
                taken.setdefault(key, []).append(tensor)
    return found


def _known_cuts(
    tensor: LogicalTensor,
    rows: Mapping[str, Sequence[TensorRow]],
    stored: Mapping[str, Sequence[LogicalTensor]],
    canonical_name: Callable[[str], str],
) -> Iterable[str]:
    """Yield the prefixes without which a name is one of the template's that is not stored."""
    ends = [match.end() for match in re.finditer(r"\.", tensor.pattern)]
    for end in ends[:MAX_CUTS]:
        prefix = tensor.pattern[:end]
        if "{}" in prefix:
            return
        key = canonical_name(tensor.pattern[end:])
        if _is_free(tensor, rows.get(key, ()), stored.get(key, ())):
            yield prefix


def _is_free(
    tensor: LogicalTensor, rows: Sequence[TensorRow], stored: Sequence[LogicalTensor]
) -> bool:
    """Return whether rows have the numbers of a tensor, and no tensor is stored for them."""
    first = tensor.indices[0]
    width = len(first)
    outside = tensor.indices
    for row in rows:
        if not outside:
            break
        if len(row.axes) == width:
            _, outside = split_by_axes(outside, row.axes)
    if outside:
        return False
    wanted = set(tensor.indices)
    return all(wanted.isdisjoint(other.indices) for other in stored)
