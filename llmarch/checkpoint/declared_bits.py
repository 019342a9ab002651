"""Bits a weight by component as the config declares them, module by module and layer by layer.

The names of modules are those of the family's template, so that lists of modules (left out, or with
a format of their own) are matched as they are for stored tensors.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import product

from ..analyses.weight_formats import FORMAT_BITS, QUANTISED_COMPONENTS, declared_bits
from ..architecture.dtypes import CONFIG_DTYPE_BITS
from ..architecture.schema import Quantization
from ..tensors.conversion import Conversion
from ..tensors.template import TensorRow
from .exclusions import ModuleList, expand_modules, module_names
from .indices import Index
from .list_readers import format_readers_of
from .logical import LogicalTensor
from .patterns import PatternBudget
from .quantization import (
    LINEAR_MODULES,
    SUBMODULES,
    DeclaredModules,
    is_left_plain,
)

EXPERT_MATRICES = re.compile(r"experts\.(?:gate_up|up|gate|down)_proj$")
"""Names of the matrices of all experts in one tensor."""


WRITTEN_BY_TRANSFORMERS = frozenset({"bitsandbytes"})
"""Methods whose checkpoints transformers itself writes, with experts as its classes have them."""


def bits_as_declared(
    rows: list[TensorRow],
    quantization: Quantization,
    dtype: str | None,
    conversion: Conversion | None = None,
) -> dict[str, float] | None:
    """Return the mean bits of a weight of each component; None if the config has no bits.

    rows: the tensor template.
    dtype: dtype of the unquantised weights.
    conversion: how transformers 5 finds the tensors; None: another version wrote the config, whose
    classes have a linear module for each expert.
    """
    own = _formats_of_modules(quantization)
    bits = declared_bits(quantization)
    if bits is None and not own:
        return None
    plain = float(CONFIG_DTYPE_BITS.get(dtype or "", 16))
    declared = DeclaredModules(quantization, conversion or Conversion())
    elements: defaultdict[str, int] = defaultdict(int)
    total: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        if row.component == "mtp" or not row.count:
            continue
        elements[row.component] += row.parameters
        if _is_plain_expert(row, quantization, conversion):
            total[row.component] += row.parameters * plain
            continue
        total[row.component] += row.parameters * _row_bits(
            row, quantization, declared, own, bits, plain
        )
    return {component: total[component] / n for component, n in elements.items() if n}


def _is_plain_expert(
    row: TensorRow, quantization: Quantization, conversion: Conversion | None
) -> bool:
    """Return whether a row's experts are one parameter, which the method leaves as it is."""
    if row.component != "experts" or quantization.method not in WRITTEN_BY_TRANSFORMERS:
        return False
    if conversion is None:
        return False
    return is_left_plain(row, row.shape, quantization.method, conversion)


def _row_bits(
    row: TensorRow,
    quantization: Quantization,
    declared: DeclaredModules,
    own: list[tuple[float, ModuleList]],
    bits: float | None,
    plain: float,
) -> float:
    """Return the mean bits of a weight of a row's tensors."""
    tensor = _as_tensor(row)
    spellings = module_names(tensor, [row], declared.conversion)
    left = set(tensor.indices)
    total = 0.0
    for own_bits, names in own:
        listed = left & names.matched_by_some(tensor, spellings)
        total += own_bits * len(listed)
        left -= listed
    quantised: set[Index] = set()
    if bits is not None and _is_quantised(row, quantization):
        quantised = left - declared.exclusions.matched_by_some(tensor, spellings)
        if declared.listed is not None:
            quantised &= declared.listed.matched_by_some(tensor, spellings)
        experts = FORMAT_BITS.get(quantization.experts or "")
        if experts is not None and row.component == "experts":
            bits = experts
        total += bits * len(quantised)
    total += plain * len(left - quantised)
    return total / len(tensor.indices)


def _is_quantised(row: TensorRow, quantization: Quantization) -> bool:
    """Return whether the method quantises a row's matrices by itself."""
    if row.component not in QUANTISED_COMPONENTS or len(row.shape) < 2:
        return False
    if quantization.method == "mxfp4":
        return row.component == "experts" and bool(EXPERT_MATRICES.search(row.pattern))
    if SUBMODULES.search(row.pattern):
        return False
    if row.component == "experts":
        return not row.pattern.endswith("_bias")
    return bool(LINEAR_MODULES.search(row.pattern))


def _as_tensor(row: TensorRow) -> LogicalTensor:
    """Return a row's tensors as one logical tensor; of experts only the first stands for all."""
    axes = [tuple(axis) for axis in row.axes]
    if row.component == "experts" and len(axes) > 1:
        axes = [*axes[:-1], axes[-1][:1]]
    indices: list[Index] = [tuple(numbers) for numbers in product(*axes)]
    return LogicalTensor(row.pattern, "", row.shape, indices, row.pattern)


def _formats_of_modules(quantization: Quantization) -> list[tuple[float, ModuleList]]:
    """Return the bits of modules that have a format of their own, with their names."""
    found: list[tuple[float, ModuleList]] = []
    readers, budget = format_readers_of(quantization.method), PatternBudget()
    for words, names in expand_modules(quantization.modules).items():
        bits = format_bits(words, quantization)
        if bits is not None:
            found.append((bits, ModuleList(names, readers, budget)))
    return found


def format_bits(words: str, quantization: Quantization) -> float | None:
    """Return the bits of a weight in a format as a module's entry has it; None if it says none.

    `8 bits`, `fp8`, `w4a16_nvfp4`: a format's name may have a prefix.
    """
    number = re.search(r"([\d.]+) bits", words)
    if number:
        scales = 0.0
        if quantization.group_size:
            scales = 16 / quantization.group_size
        return float(number[1]) + scales
    lowered = words.lower()
    for name in sorted(FORMAT_BITS, key=len, reverse=True):
        if name in lowered:
            return FORMAT_BITS[name]
    return None
