"""Find the modules of a base model that an adapter targets, as PEFT does.

Source: peft 0.21.2, tuners/tuners_utils.py (check_target_module_exists, _inject_parameters,
_maybe_include_all_linear_layers) and utils/other.py (get_pattern_key, _set_trainable).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from ...architecture.adapters import ALL_LINEAR, Adapter
from ...errors import ConfigError, printable
from ...sources.raw import unfold
from ...tensors.class_modules import ClassModule
from ..patterns import (
    ModulePattern,
    PatternBudget,
    PatternNotComparedError,
    PatternRefusedError,
    compile_pattern,
)

MAX_MODULES = 200_000
"""Modules of a base that are compared with targets; the largest models have some thousands."""


class BaseModule(NamedTuple):
    """One module of the base."""

    name: str
    module: ClassModule


@dataclass
class Targets:
    """What an adapter targets in its base."""

    modules: list[BaseModule] = field(default_factory=list[BaseModule])
    """Modules that are adapted."""
    parameters: list[BaseModule] = field(default_factory=list[BaseModule])
    """Parameters that are adapted, in the order of the class."""
    saved: list[BaseModule] = field(default_factory=list[BaseModule])
    """Modules that are trained as a whole."""
    missing: list[str] = field(default_factory=list[str])
    """Targets that match no module."""


class TargetMatcher:
    """Matches names of modules with what an adapter's config states.

    Raises ConfigError for an expression that Python does not compile.
    """

    def __init__(self, adapter: Adapter, file: str) -> None:
        self._adapter = adapter
        self._file = file
        self._budget = PatternBudget()
        self.not_compared: list[str] = []
        """Expressions that could not be matched in bounded time."""
        self._targets = self._whole(adapter.target_pattern)
        self._excluded = self._whole(adapter.excluded_pattern)
        self._saved = [self._compiled(rf"(^|.*\.){name}($|\..*)") for name in adapter.saved_modules]
        lists = adapter.layer_lists
        self._lists = [self._compiled(rf"(?:^|.*?\.){name}\.\d+\.") for name in lists]
        self._ranks = self._by_end(adapter.rank_pattern)
        self._alphas = self._by_end(adapter.alpha_pattern)

    def rank(self, name: str) -> int | None:
        """Return the rank in a module."""
        for pattern, rank in self._ranks:
            if self._matches(pattern, name):
                return int(rank)
        return self._adapter.rank

    def alpha(self, name: str) -> float | None:
        """Return the alpha of a module."""
        for pattern, alpha in self._alphas:
            if self._matches(pattern, name):
                return alpha
        return self._adapter.alpha

    def is_target(self, base: BaseModule) -> bool:
        """Return whether a module is adapted."""
        name = base.name
        if self._is_excluded(name):
            return False
        adapter = self._adapter
        if adapter.targets == (ALL_LINEAR,):
            return base.module.kind == "linear" and not base.module.is_head
        if adapter.target_pattern is not None:
            return self._targets is not None and self._matches(self._targets, name)
        if not has_end(name, adapter.targets):
            return False
        return adapter.layers is None or self._layer(name) in adapter.layers

    def is_saved(self, name: str) -> bool:
        """Return whether a module, or one that it is in, is trained as a whole."""
        parts = name.split(".")
        outer = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return any(o.endswith(saved) for o in outer for saved in self._adapter.saved_modules)

    def _is_excluded(self, name: str) -> bool:
        if self._excluded is not None and self._matches(self._excluded, name):
            return True
        if has_end(name, self._adapter.excluded):
            return True
        return any(p is not None and self._matches(p, name) for p in self._saved)

    def _layer(self, name: str) -> int | None:
        """Return the number of a module's layer: the first number after a name, or after a list."""
        if not self._adapter.layer_lists:
            found = re.match(r".*?\.[^.]*\.(\d+)\.", name)
            return int(found[1]) if found else None
        for pattern, listed in zip(self._lists, self._adapter.layer_lists, strict=True):
            if pattern is not None and self._matches(pattern, name):
                numbers = re.findall(r"\.(\d+)(?=\.)", name)
                before = re.split(r"\.\d+\.", name)[0]
                if numbers and has_end(before, (listed,)):
                    return int(numbers[0])
        return None

    def _by_end(self, patterns: Mapping[str, float]) -> list[tuple[ModulePattern, float]]:
        """Return compiled patterns for ends of names, each with its number."""
        compiled: list[tuple[ModulePattern, float]] = []
        for text, number in patterns.items():
            pattern = self._compiled(rf"(.*\.)?({text})$")
            if pattern is not None:
                compiled.append((pattern, number))
        return compiled

    def _whole(self, expression: str | None) -> ModulePattern | None:
        """Return a compiled expression for a whole name."""
        if expression is None:
            return None
        return self._compiled(rf"(?:{expression})\Z", expression)

    def _compiled(self, expression: str, stated: str | None = None) -> ModulePattern | None:
        """Return a compiled expression; None, which is noted, where it cannot be matched."""
        try:
            return compile_pattern(expression, self._budget)
        except PatternRefusedError:
            shown = printable(stated or expression, 60)
            message = f"{printable(self._file)}: {shown} is not a regular expression"
            raise ConfigError(message) from None
        except PatternNotComparedError:
            self.not_compared.append(stated or expression)
            return None

    def _matches(self, pattern: ModulePattern, name: str) -> bool:
        try:
            return pattern.matches(name)
        except PatternNotComparedError:
            if pattern.expression not in self.not_compared:
                self.not_compared.append(pattern.expression)
            return False


def has_end(name: str, ends: Sequence[str]) -> bool:
    """Return whether a name is one of these, or ends with one after a dot."""
    return any(name == end or name.endswith(f".{end}") for end in ends)


def find_targets(
    adapter: Adapter, modules: Sequence[ClassModule], matcher: TargetMatcher
) -> Targets:
    """Return what an adapter targets.

    modules: the modules of the base's class.
    """
    targets = Targets()
    found: set[str] = set()
    for base in every_module(modules, adapter.replicated_layers):
        name, kind = base.name, base.module.kind
        if kind == "parameter":
            ends = [end for end in adapter.target_parameters if has_end(name, (end,))]
            if ends:
                targets.parameters.append(base)
                found.update(ends)
        else:
            found.update(end for end in adapter.targets if has_end(name, (end,)))
            if matcher.is_target(base):
                targets.modules.append(base)
        holder = name.rpartition(".")[0] if kind == "parameter" else name
        if matcher.is_saved(holder):
            targets.saved.append(base)
    stated = [*adapter.targets, *adapter.target_parameters]
    targets.missing = [end for end in stated if end not in found and end != ALL_LINEAR]
    return targets


def every_module(
    modules: Sequence[ClassModule], replicated: Sequence[tuple[int, int]] = ()
) -> Iterator[BaseModule]:
    """Yield each single module, at most MAX_MODULES of them.

    replicated: ranges of layers of which the adapted model is made; empty: it has the base's.
    """
    numbers = [i for start, end in replicated for i in range(start, min(end, start + 10_000))]
    new_numbers: dict[int, list[int]] = {}
    for new, old in enumerate(numbers):
        places = new_numbers.setdefault(old, [])
        places.append(new)
    count = 0
    for module in modules:
        for index in product(*module.axes):
            indices = [index]
            if numbers and index:
                indices = [(new, *index[1:]) for new in new_numbers.get(index[0], ())]
            for own in indices:
                count += 1
                if count > MAX_MODULES:
                    return
                yield BaseModule(unfold(module.pattern, own), module)
