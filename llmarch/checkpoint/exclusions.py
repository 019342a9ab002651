"""Match tensors with lists of module names, in the ways that quantization tools write them.

A name is one of these:

- a module, or any run of parts of its path: `lm_head`, `mlp.gate`, `model.layers.3` (transformers'
  modules_to_not_convert, vLLM's is_layer_skipped)
- a glob (ModelOpt's ignore): `model.layers.0*`
- `re:` and a regular expression (compressed-tensors' ignore), matched by RE2 in linear time

Wrappers do not matter: engines rename `model.language_model.`, `language_model.model.` and
`backbone.` before they compare.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import product
from typing import Any

from ..architecture.quantization import (
    MAX_PATTERN_LENGTH,
    LinearPattern,
    compile_linear,
    compile_pattern,
)
from ..sources.raw import fold, unfold
from .indices import Index
from .logical import LogicalTensor
from .names import canonical

MAX_REGEXES = 100
MAX_PATTERNS = 2000
"""Folded names whose other spellings are known; further ones are compared as they are written."""
MAX_GLOBS = 2000
"""Globs of one list that are compared; those that differ only in numbers count once."""
MAX_BRACED = 100_000
"""Modules that one folded name may stand for."""

_WRAPPERS = ("", "model.", "language_model.model.", "model.language_model.", "backbone.")
"""Beginnings of the module names that regular expressions are written for."""
_BRACES = re.compile(r"\{([\d,-]+)\}")


class Exclusions:
    """A list of module names, as an exclusion list has them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.regexes: list[LinearPattern] = []
        self.modules: dict[str, set[Index]] = {}
        """The numbers of each folded module name."""
        self.globs: dict[str, set[Index]] = {}
        """The numbers of each folded glob."""
        self.is_complete = True
        """Whether every name can be compared: not every regular expression can."""
        self.unread: list[str] = []
        """The regular expressions that cannot be compared, as they are written."""
        self._patterns: dict[str, str] = {}
        """Module names as they are compared, by name as it is written, both folded."""
        self._partial: list[str] = []
        """Globs of a part of a number: `layers.0*`."""
        for name in names:
            if name.startswith("re:"):
                self._add_regex(name.removeprefix("re:"))
            else:
                self._add_module(name)
        self.regexes = _joined(self.regexes)
        self._partial_regex: LinearPattern | None = None
        if self._partial:
            self._partial_regex = compile_linear("|".join(map(_glob_expression, self._partial)))
            self.is_complete &= self._partial_regex is not None

    def _add_regex(self, text: str) -> None:
        """Add a regular expression, if RE2 takes it."""
        regex = None
        if len(self.regexes) < MAX_REGEXES:
            regex = compile_pattern(text)
        if regex is None:
            self.is_complete = False
            self.unread.append(text)
            return
        self.regexes.append(regex)

    def _add_module(self, name: str) -> None:
        folded, index = fold(f"{name}.")
        pattern = self._patterns.get(folded)
        if pattern is None:
            is_rewritten = len(self._patterns) < MAX_PATTERNS
            pattern = canonical(folded).removesuffix(".") if is_rewritten else folded[:-1]
            self._patterns[folded] = pattern
        is_glob = any(mark in pattern for mark in "*?[")
        if not is_glob:
            self.modules.setdefault(pattern, set()).add(index)
        elif len(self.globs) + len(self._partial) >= MAX_GLOBS:
            self.is_complete = False
        elif re.search(r"\d\*|\?|\*\d|\[", pattern):
            glob = unfold(pattern, index)
            self._partial += [glob, f"{glob}.*"]
        else:
            self.globs.setdefault(pattern, set()).add(index)

    def excluded_indices(self, tensor: LogicalTensor, key: str = "") -> list[Index]:
        """Return the indices of a tensor whose modules are in the list.

        tensor: the tensor, as it is stored.
        key: its canonical name, if that is known better than from the tensor's own.
        """
        own = canonical(tensor.pattern).removesuffix(".weight")
        excluded = self._excluded(tensor, own)
        # Some names are canonical only with their ending, which entries of lists do not have.
        written = canonical(f"{tensor.pattern.removesuffix('.weight')}.").removesuffix(".")
        if written != own:
            excluded |= self._excluded(tensor, written)
        known = canonical(key).removesuffix(".weight")
        if known not in ("", own) and known.count("{}") == own.count("{}"):
            excluded |= self._excluded(tensor, known)
        return [index for index in tensor.indices if index in excluded]

    def _excluded(self, tensor: LogicalTensor, module: str) -> set[Index]:
        """Return the indices that are excluded under this name of the module."""
        excluded: set[Index] = set()
        for pattern, first in _parts(module):
            numbers = self.modules.get(pattern)
            if numbers is not None:
                excluded |= _having(tensor.indices, numbers, first)
        for pattern, numbers in self.globs.items():
            if fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*"):
                excluded |= _having(tensor.indices, numbers, 0)
        if self._partial_regex is not None:
            matches = self._partial_regex.match
            excluded.update(i for i in tensor.indices if matches(unfold(module, i)))
        for regex in self.regexes:
            excluded |= _matching(regex, tensor, module)
        return excluded


def _parts(module: str) -> list[tuple[str, int]]:
    """Return every run of parts of a path, with how many numbers stand before it."""
    parts = module.split(".")
    runs: list[tuple[str, int]] = []
    numbers = 0
    for start, part in enumerate(parts):
        runs += [(".".join(parts[start:end]), numbers) for end in range(start + 1, len(parts) + 1)]
        numbers += part == "{}"
    return runs


def _having(indices: list[Index], numbers: set[Index], first: int) -> set[Index]:
    """Return the indices whose numbers from place `first` on are among `numbers`."""
    width = len(next(iter(numbers)))
    if width == 0:
        return set(indices)
    return {index for index in indices if index[first : first + width] in numbers}


@lru_cache(maxsize=4)
def exclusions_of(names: tuple[str, ...]) -> Exclusions:
    """Return the list of these names. Made once for a list, which may have 100,000."""
    return Exclusions(names)


def _joined(regexes: list[LinearPattern]) -> list[LinearPattern]:
    """Return regular expressions that match what these match: one for those with digits, one more.

    A name is then compared once or twice, however long the list is.
    """
    groups: dict[bool, list[LinearPattern]] = {}
    for regex in regexes:
        groups.setdefault(has_digits(regex.pattern), []).append(regex)
    joined: list[LinearPattern] = []
    for group in groups.values():
        one = compile_linear("|".join(f"(?:{regex.pattern})" for regex in group))
        joined += group if one is None or len(group) == 1 else [one]
    return joined


def has_digits(expression: str) -> bool:
    """Return whether the numbers of a name can make a difference to an expression."""
    return any(character.isdigit() for character in expression)


def _glob_expression(glob: str) -> str:
    """Return a glob as a regular expression for the whole name, as fnmatch means it."""
    parts: list[str] = []
    position = 0
    while position < len(glob):
        character = glob[position]
        end = glob.find("]", position + 2) if character == "[" else -1
        if end > 0:
            members = glob[position + 1 : end].replace("\\", "\\\\")
            negated = "^" if members.startswith("!") else ""
            parts.append(f"[{negated}{members.removeprefix('!')}]")
            position = end
        elif character in "*?":
            parts.append(".*" if character == "*" else ".")
        else:
            parts.append(f"\\x{{{ord(character):x}}}")
        position += 1
    return f"(?s:{''.join(parts)})$"


def _matching(regex: LinearPattern, tensor: LogicalTensor, module: str) -> set[Index]:
    """Return the indices whose names a regular expression matches, in any of their spellings.

    Where the expression has no digits, the numbers of a name make no difference, and one name
    stands for all.
    """
    stored = tensor.source.removesuffix(".weight")
    spellings = [stored, *(wrapper + module for wrapper in _WRAPPERS)]
    if not has_digits(regex.pattern):
        name = tensor.indices[0]
        is_match = any(_matches(regex, unfold(spelling, name)) for spelling in spellings)
        return set(tensor.indices) if is_match else set()
    return {
        index
        for index in tensor.indices
        if any(_matches(regex, unfold(spelling, index)) for spelling in spellings)
    }


def _matches(regex: LinearPattern, name: str) -> bool:
    return len(name) <= MAX_PATTERN_LENGTH and regex.match(name) is not None


def expand_modules(entries: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the names of a quantization's `modules` by format, numbers unfolded.

    Raises ValueError for an entry that stands for too many.
    """
    names: dict[str, list[str]] = {}
    for entry in entries:
        folded, _, words = entry.rpartition(": ")
        if folded.startswith("re:"):
            names.setdefault(words, []).append(folded)
            continue
        pieces = _BRACES.split(folded)
        axes: list[list[str]] = [_numbers(piece) for piece in pieces[1::2]]
        size = 1
        for axis in axes:
            size *= len(axis)
        if size > MAX_BRACED:
            raise ValueError(f"{entry} stands for {size:,} modules")
        for numbers in product(*axes):
            parts: list[Any] = [*pieces]
            parts[1::2] = numbers
            names.setdefault(words, []).append("".join(parts))
    return names


def _numbers(runs: str) -> list[str]:
    """Return the numbers of `0-2,5`."""
    numbers: list[str] = []
    for run in runs.split(","):
        first, _, last = run.partition("-")
        numbers += map(str, range(int(first), int(last or first) + 1))
    return numbers
