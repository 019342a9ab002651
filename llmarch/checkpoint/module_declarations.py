"""What a config declares for each module: its own format, or else that of the rest."""

from __future__ import annotations

from dataclasses import replace

from ..architecture.quantization import ModuleFormat, Quantization, parse_module_format
from ..config.quantization import algorithm_bits
from ..errors import FactError
from .exclusions import ModuleList, any_names, expand_modules
from .indices import Index
from .list_readers import format_readers_of
from .logical import LogicalTensor
from .patterns import PatternBudget

WHOLE_FORMATS = frozenset({"compressed-tensors"})
"""Methods that give the whole format of a module, so that nothing of another group holds for it."""


class ModuleDeclarations:
    """The declaration of a config, module by module."""

    def __init__(self, declared: Quantization) -> None:
        self.declared = declared
        self._own: list[tuple[Quantization, ModuleList]] = []
        """Declarations of single modules, with the names of these. The first counts."""
        try:
            modules = expand_modules(declared.modules)
        except FactError:  # reported where the list itself is checked
            modules = {}
        readers, budget = format_readers_of(declared.method), PatternBudget()
        for words, names in modules.items():
            own = apply_format(declared, parse_module_format(words))
            if any(map(is_class_name, names)):
                self.declared = own
            of_names = ModuleList(names, readers, budget)
            self._own.append((own, of_names))

    @property
    def is_complete(self) -> bool:
        """Return whether every name of a module could be compared."""
        return all(names.is_complete for _, names in self._own)

    @property
    def has_own_formats(self) -> bool:
        """Return whether any module has a format of its own."""
        return bool(self._own)

    def parts(self, tensor: LogicalTensor) -> list[tuple[Quantization, list[Index]]]:
        """Return the indices of a tensor by what is declared for their modules."""
        rest = tensor.indices
        parts: list[tuple[Quantization, list[Index]]] = []
        spellings = any_names(tensor)
        for own, names in self._own:
            listed = names.matched_by_some(tensor, spellings)
            mine = [index for index in rest if index in listed]
            if mine:
                parts.append((own, mine))
                rest = [index for index in rest if index not in listed]
        if rest:
            parts.append((self.declared, rest))
        return parts


def is_class_name(name: str) -> bool:
    """Return whether a target is the name of a class (`Linear`), not of modules."""
    return name.isidentifier() and name[:1].isupper()


def apply_format(declared: Quantization, own: ModuleFormat) -> Quantization:
    """Return a declaration with the format of a module in place of that of the rest."""
    stated = {name: value for name, value in own._asdict().items() if value is not None}
    if declared.method in WHOLE_FORMATS:
        stated = {**own._asdict(), "format": own.format or declared.format}
    elif own.format is not None and own.bits is None:
        bits = algorithm_bits(own.format.upper())
        stated = {**stated, "bits": bits, "group_size": own.group_size}
    return replace(declared, **stated)
