"""Match tensors with lists of module names, in the ways that engines match them.

An entry of a list is the name of a module or a part of it, a glob (ModelOpt's ignore:
`model.layers.0*`), or `re:` and a regular expression (compressed-tensors' ignore). What it matches
depends on the engine (list_readers.py). A module has several names: as it is published, as the
class of transformers names it, and, in a wrapper, as engines rename it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, NamedTuple

from ..errors import FactError
from ..sources.raw import fold, unfold
from ..tensors.conversion import Conversion
from ..tensors.template import TensorRow
from .indices import Index
from .list_readers import LOOSE_WAYS, ListReader, MatchingWay
from .logical import LogicalTensor
from .names import wrapper_prefix
from .patterns import (
    ModulePattern,
    PatternBudget,
    PatternNotComparedError,
    PatternRefusedError,
    compile_own_pattern,
    compile_pattern,
    join_patterns,
)

MAX_REGEXES = 2000
"""Regular expressions of one list that are compared."""
MAX_PATTERNS = 2000
"""Folded names of which parts are compared; of further ones whole parts alone."""
MAX_GLOBS = 2000
"""Globs of one list that are compared; those that differ only in numbers count once."""
MAX_BRACED = 100_000
"""Modules that one folded name may stand for."""

_WRAPPERS = ("model.", "language_model.model.", "model.language_model.")
"""Beginnings under which engines know the modules of a wrapped language model."""
_WRAPPED = ("language_model.", "text_model.")
_FUSED = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj"), "qkv_proj"),
    **dict.fromkeys(("gate_proj", "up_proj"), "gate_up_proj"),
}
"""The modules that vLLM and SGLang fuse others into."""
_EXPERTS = re.compile(r"^.*\.experts(?=\.|$)")
_BRACES = re.compile(r"\{([\d,-]+)\}")
_EXPRESSION_MARKS = re.compile(r"[\\*+?^$()\[\]{}|]")
_FINAL_DOT = re.compile(r"(?:\\?\.)?$")
_GLOB_MARKS = re.compile(r"[*?\[]")
_PARTIAL_NUMBER = re.compile(r"\d\*|\?|\*\d|\[|\*.*\{\}")
"""A glob that is compared with each name: of a part of a number, or of a number after any text."""


def module_names(
    tensor: LogicalTensor, rows: Iterable[TensorRow], conversion: Conversion
) -> tuple[str, ...]:
    """Return the names under which engines know the modules of a tensor, numbers folded.

    tensor: the tensor, as it is stored.
    rows: the rows of the template that it is matched with.
    conversion: how transformers finds the tensors of the model_type.
    """
    width = tensor.pattern.count("{}")
    found: dict[str, None] = {}
    for name in (tensor.pattern, *(row.pattern for row in rows)):
        if name.count("{}") != width:
            continue
        own = conversion.spellings(name)
        found |= dict.fromkeys(own)
        prefix = wrapper_prefix(name)
        rest = name.removeprefix(prefix)
        is_wrapped = any(part in wrapper_prefix(spelling) for spelling in own for part in _WRAPPED)
        if is_wrapped or prefix == "backbone.":
            found |= {f"{wrapper}{rest}": None for wrapper in (*_WRAPPERS, "")}
        else:
            others = (f"{wrapper}{rest}" for wrapper in _WRAPPERS)
            found |= {other: None for other in others if conversion.renamed(other) in own}
    return tuple(dict.fromkeys(name.removesuffix(".weight") for name in found))


def any_names(tensor: LogicalTensor) -> tuple[str, ...]:
    """Return the names of a tensor's modules in any wrapper, where the family is not known."""
    name = tensor.pattern.removesuffix(".weight")
    rest = name.removeprefix(wrapper_prefix(name))
    names = (name, *(f"{wrapper}{rest}" for wrapper in (*_WRAPPERS, "backbone.", "")))
    return tuple(dict.fromkeys(names))


class _Run(NamedTuple):
    """A run of parts of a module's name."""

    text: str
    numbers_before: int
    is_first: bool
    """Whether the name begins with it."""
    is_last: bool
    """Whether the name ends with it."""


class ModuleList:
    """A list of module names, as a declaration has them, and what its readers make of it."""

    def __init__(
        self,
        names: Iterable[str],
        readers: tuple[ListReader, ...],
        budget: PatternBudget | None = None,
    ) -> None:
        """Parse a list.

        names: its entries.
        readers: the engines that read it.
        budget: the time for regular expressions, shared with other lists of the declaration.
        """
        self.readers = readers
        self.modules: dict[str, set[Index]] = {}
        """The numbers of each folded module name."""
        self.globs: dict[str, set[Index]] = {}
        """The numbers of each folded glob."""
        self.unread: dict[str, None] = {}
        """The entries that cannot be compared, as they are written, each once."""
        self.refused: dict[str, None] = {}
        """The regular expressions that no engine compiles, as they are written, each once."""
        self.refused_names: dict[str, None] = {}
        """The names that transformers takes for regular expressions, and cannot compile."""
        self._budget = budget or PatternBudget()
        self._ways = frozenset[MatchingWay]().union(*(reader.ways for reader in readers))
        self._expressions: dict[MatchingWay, list[ModulePattern]] = {
            "marked": [],
            "boundary": [],
            "search": [],
        }
        """The regular expressions, by the way in which they match."""
        self._partial_globs: list[str] = []
        """Globs of a part of a number: `layers.0*`."""
        for name in names:
            self._add(name)
        for way in ("marked", "boundary"):
            self._expressions[way] = self._joined(self._expressions[way])
        inside = [f"{glob}.*" for glob in self._partial_globs]
        self._partial = self._glob_pattern(self._partial_globs)
        self._partial_parents = self._glob_pattern(inside)

    @property
    def is_complete(self) -> bool:
        """Return whether every entry could be compared so far."""
        return not self.unread and not self.refused

    # --- entries ---

    def _add(self, name: str) -> None:
        if name.startswith("re:") and "marked" in self._ways:
            self._add_expression(name.removeprefix("re:"), "marked")
            return
        if self._ways & {"run", "parent"}:
            name = name.rstrip(".")
        folded, index = fold(f"{name}.")
        folded = folded[:-1]
        if not _GLOB_MARKS.search(name) or not self._ways & {"glob", "glob-parent"}:
            self.modules.setdefault(folded, set()).add(index)
        else:
            self._add_glob(name, folded, index)
        if _EXPRESSION_MARKS.search(name):
            self._add_unmarked(name)

    def _add_unmarked(self, name: str) -> None:
        """Add a name that some readers take for a regular expression."""
        if "search" in self._ways:
            self._add_expression(f".*(?:{name})", "search", name)
        if "boundary" not in self._ways:
            return
        # transformers asks for the end of a part after it by a look-behind and a look-ahead, of
        # which RE2 has none: a dot at the end of the expression is left to what follows.
        end = _FINAL_DOT.sub("", name)
        self._add_expression(f"(?:{end})(?:\\.|$)", "boundary", name)

    def _add_expression(self, expression: str, way: MatchingWay, written: str = "") -> None:
        """Compile a regular expression, or note that it cannot be compared or is none.

        way: how it matches.
        written: the entry, where readers that differ take it for a name or for an expression.
        """
        try:
            if sum(map(len, self._expressions.values())) >= MAX_REGEXES:
                raise PatternNotComparedError(expression)
            self._expressions[way].append(compile_pattern(expression, self._budget))
        except PatternRefusedError:
            is_name_elsewhere = bool(written) and len(self.readers) > 1
            refused = self.refused_names if is_name_elsewhere else self.refused
            refused[written or expression] = None
        except PatternNotComparedError:
            self.unread[written or expression] = None

    def _add_glob(self, name: str, folded: str, index: Index) -> None:
        count = len(self.globs) + len(self._partial_globs)
        if folded in self.globs:
            self.globs[folded].add(index)
        elif count >= MAX_GLOBS:
            self.unread[name] = None
        elif _PARTIAL_NUMBER.search(folded):
            self._partial_globs.append(name)
        else:
            self.globs[folded] = {index}

    def _glob_pattern(self, globs: list[str]) -> ModulePattern | None:
        if not globs:
            return None
        expressions = "|".join(map(_glob_expression, globs))
        pattern = compile_own_pattern(expressions, self._budget)
        if pattern is None:
            self.unread |= dict.fromkeys(globs)
        return pattern

    def _joined(self, patterns: list[ModulePattern]) -> list[ModulePattern]:
        """Return expressions that match what these match: one for those with digits, one more.

        A name is then compared once or twice, however long the list is.
        """
        groups: dict[bool, list[ModulePattern]] = {}
        joined: list[ModulePattern] = []
        for pattern in patterns:
            if pattern.is_linear:
                groups.setdefault(has_digits(pattern.expression), []).append(pattern)
            else:
                joined.append(pattern)
        for group in groups.values():
            joined += join_patterns(group, self._budget)
        return joined

    # --- matching ---

    def matched_by_some(self, tensor: LogicalTensor, names: Sequence[str]) -> set[Index]:
        """Return the indices of a tensor whose modules are in the list as some engine reads it.

        names: the names of its modules, numbers folded.
        """
        return set[Index]().union(*self._by_reader(tensor, names))

    def plainly_matched(self, tensor: LogicalTensor, names: Sequence[str]) -> set[Index]:
        """Return the indices whose modules the list names, as some engine reads it.

        Those that an engine takes with them because characters agree are not among them.
        """
        ways = (reader.ways - LOOSE_WAYS for reader in self.readers)
        return set[Index]().union(*(self._matched(names, tensor, some) for some in ways))

    def matched_by_all(self, tensor: LogicalTensor, names: Sequence[str]) -> set[Index]:
        """Return the indices of a tensor whose modules are in the list as every engine reads it.

        names: the names of its modules, numbers folded.
        """
        return set(tensor.indices).intersection(*self._by_reader(tensor, names))

    def matched_by(
        self, reader: ListReader, tensor: LogicalTensor, names: Sequence[str]
    ) -> set[Index]:
        """Return the indices of a tensor whose modules are in the list as one engine reads it."""
        return self._matched(names, tensor, reader.ways)

    def _by_reader(self, tensor: LogicalTensor, names: Sequence[str]) -> list[set[Index]]:
        return [self.matched_by(reader, tensor, names) for reader in self.readers]

    def _matched(
        self, names: Sequence[str], tensor: LogicalTensor, ways: frozenset[MatchingWay]
    ) -> set[Index]:
        """Return the indices that are in the list under some name of the module."""
        found: set[Index] = set()
        for module in names:
            found |= self._matched_name(module, tensor, ways)
        return found

    def _matched_name(
        self, module: str, tensor: LogicalTensor, ways: frozenset[MatchingWay]
    ) -> set[Index]:
        """Return the indices that are in the list under one name of the module."""
        found = self._runs_matched(module, tensor, ways)
        if "class" in ways and "Linear" in self.modules:
            found |= set(tensor.indices)
        if ways & {"tail", "substring"} and len(self.modules) <= MAX_PATTERNS:
            found |= self._characters_matched(module, tensor, "substring" in ways)
        if "fused" in ways:
            parent, _, last = module.rpartition(".")
            numbers = self.modules.get(f"{parent}.{_FUSED.get(last, '')}")
            if numbers is not None:
                found |= _having(tensor.indices, numbers, 0)
        if "experts" in ways:
            found |= self._experts_matched(module, tensor)
        if "glob" in ways:
            found |= self._globs_matched(module, tensor, "", self._partial)
        if "glob-parent" in ways:
            found |= self._globs_matched(module, tensor, ".*", self._partial_parents)
        for way, patterns in self._expressions.items():
            if way in ways:
                for pattern in patterns:
                    found |= self._pattern_matched(pattern, tensor, module)
        return found

    def _runs_matched(
        self, module: str, tensor: LogicalTensor, ways: frozenset[MatchingWay]
    ) -> set[Index]:
        found: set[Index] = set()
        if not self.modules:
            return found
        for run in _runs(module):
            numbers = self.modules.get(run.text)
            if numbers is not None and _is_matched(run, ways):
                found |= _having(tensor.indices, numbers, run.numbers_before)
        return found

    def _characters_matched(self, module: str, tensor: LogicalTensor, anywhere: bool) -> set[Index]:
        """Return the indices of names that end with an entry, or have it anywhere."""
        found: set[Index] = set()
        for entry, numbers in self.modules.items():
            place = module.find(entry) if anywhere else len(module) - len(entry)
            if place >= 0 and module.startswith(entry, place):
                found |= _having(tensor.indices, numbers, module.count("{}", 0, place))
        return found

    def _experts_matched(self, module: str, tensor: LogicalTensor) -> set[Index]:
        """Return the indices of experts of which anything is in the list."""
        experts = _EXPERTS.match(module)
        if experts is None:
            return set()
        inside = experts[0]
        width = inside.count("{}")
        listed: set[Index] = set()
        for entry, numbers in self.modules.items():
            if entry.startswith(inside):
                listed |= {index[:width] for index in numbers}
        return {index for index in tensor.indices if index[:width] in listed}

    def _globs_matched(
        self, module: str, tensor: LogicalTensor, end: str, partial: ModulePattern | None
    ) -> set[Index]:
        """Return the indices of names that a glob matches.

        end: what follows each glob.
        partial: all globs of a part of a number, with that end.
        """
        found: set[Index] = set()
        for glob, numbers in self.globs.items():
            if fnmatchcase(module, f"{glob}{end}"):
                found |= _having(tensor.indices, numbers, 0)
        if partial is not None:
            found |= self._pattern_matched(partial, tensor, module)
        return found

    def _pattern_matched(
        self, pattern: ModulePattern, tensor: LogicalTensor, module: str
    ) -> set[Index]:
        """Return the indices whose names a regular expression matches.

        Where the expression has no digits, only how many digits a number of a name has makes a
        difference, and one name stands for all that are alike in it.
        """
        if pattern.expression in self.unread:
            return set()
        verdicts: dict[tuple[int, ...], bool] = {}
        is_each = has_digits(pattern.expression)
        found: set[Index] = set()
        for index in tensor.indices:
            alike = index if is_each else tuple(len(str(number)) for number in index)
            verdict = verdicts.get(alike)
            if verdict is None:
                try:
                    verdict = pattern.matches(unfold(module, index))
                except PatternNotComparedError:
                    self.unread[pattern.expression] = None
                    return found
                verdicts[alike] = verdict
            if verdict:
                found.add(index)
        return found


def _is_matched(run: _Run, ways: frozenset[MatchingWay]) -> bool:
    """Return whether a run of parts that is an entry matches in one of these ways."""
    if "run" in ways or (run.is_first and run.is_last):
        return True
    if run.is_first and "parent" in ways:
        return True
    if run.is_last and "end" in ways:
        return True
    return "part" in ways and "." not in run.text


def _runs(module: str) -> list[_Run]:
    """Return every run of parts of a path."""
    parts = module.split(".")
    runs: list[_Run] = []
    numbers = 0
    for start, part in enumerate(parts):
        for end in range(start + 1, len(parts) + 1):
            text = ".".join(parts[start:end])
            runs.append(_Run(text, numbers, start == 0, end == len(parts)))
        numbers += part == "{}"
    return runs


def _having(indices: list[Index], numbers: set[Index], first: int) -> set[Index]:
    """Return the indices whose numbers from place `first` on are among `numbers`."""
    width = len(next(iter(numbers)))
    if width == 0:
        return set(indices)
    return {index for index in indices if index[first : first + width] in numbers}


def has_digits(expression: str) -> bool:
    """Return whether the values of numbers can make a difference to an expression."""
    if any(character.isdigit() for character in expression):
        return True
    return "(?P=" in expression or "\\N" in expression


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
            parts.append(re.escape(character))
        position += 1
    return f"(?s:{''.join(parts)})$"


def expand_modules(entries: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the names of a quantization's `modules` by format, numbers unfolded.

    Raises FactError for an entry that stands for too many.
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
            raise FactError(f"{entry} stands for {size:,} modules")
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
