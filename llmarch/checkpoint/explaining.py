"""Find the facts whose other values explain what is stored otherwise than the config says.

A hypothesis is another value of one key of the config or of one fact. It is tested by all that it
predicts: the template is built with it, and matched with all stored tensors again. It holds if
something fits that did not, and everything still fits that did.

The value comes from sizes: of a dimension, or of how many experts or layers there are. What a size
does when the fact changes is tried with one other value first.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt
from typing import Any, NamedTuple

from ..architecture.frozen import Frozen
from ..architecture.paths import find_value, last_part, replace_value
from ..architecture.schema import Architecture, Evidence, Finding
from ..tensors.conversion import Conversion
from ..tensors.template import UNPREDICTABLE, TensorRow
from .conflicts import Conflict, conflict_finding, format_value
from .fusing import match_fused
from .indices import Index, folded_names
from .logical import LogicalTensor
from .matching import Match, Matching
from .packing.base import format_shape
from .roles import LAYER_NAME
from .variants import KeyVariants, TemplateOf, integer_facts

MAX_CAUSES = 4
"""How many facts are blamed one after the other."""
MAX_TRIALS = 6
"""How many values of one fact are tried."""
MAX_SIZES = 60
"""How many sizes are asked for the value of a fact."""
MAX_ALTERNATIVES = 2
"""How many other explanations a message names."""

CHOICES = {"qk_norm.scope": ("head", "projection")}
"""Facts that are words, of which each gives a tensor another shape."""

USUAL_HEAD_DIMS = (128, 64)
"""Nearly all published models have one of these, most the first. Of two explanations, that which
leaves a usual one comes first."""

LAYERS_PATH = "layers"
"""The path of the kinds of layers."""
COUNTS = ("heads", "kv_heads")
"""Facts that stand in a dimension multiplied by another one."""


class _Size(NamedTuple):
    """A size by the config and as it is stored: of a dimension, or how many numbers there are."""

    key: str
    """Canonical name of the tensors."""
    number: Index | None
    """The numbers of one of them; None for how many numbers there are."""
    position: int
    """Which dimension, or which number of the name."""
    expected: int
    stored: int


class _Knob(NamedTuple):
    """A key of the config, or a fact, that may have another value."""

    is_key: bool
    name: str


_Changes = Mapping[_Knob, Any]


@dataclass(slots=True)
class _Variant:
    """An architecture with other values."""

    architecture: Architecture
    rows: list[TensorRow]
    changes: _Changes
    evidence: Mapping[str, Evidence]
    """Of facts, if keys of the config have other values."""


@dataclass(slots=True)
class _Outcome:
    """A variant compared with what is stored."""

    variant: _Variant
    matching: Matching
    misfits: list[Match] = field(default_factory=list[Match])
    """Matches of other shapes, of which no row fits elsewhere."""
    problems: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """How many tensors have another shape, are missing or have no place, by name."""


class _Hypothesis(NamedTuple):
    """Another value that explains something, and breaks nothing."""

    knob: _Knob
    outcome: _Outcome
    explained: int
    """How many tensors more are as expected."""


def explained_by_facts(
    a: Architecture,
    rows: list[TensorRow],
    tensors: list[LogicalTensor],
    template_of: TemplateOf,
    *,
    conversion: Conversion,
    keys: KeyVariants | None,
    partial: bool,
) -> list[Finding]:
    """Return a finding for each fact whose other value explains what is stored.

    a: the architecture by the config.
    rows: its template.
    tensors: what is stored.
    template_of: gives the template of another architecture.
    conversion: how transformers finds the tensors of the model_type.
    keys: the config, to be read again; None if there is none.
    partial: some headers could not be read, so that an absence proves nothing.
    """
    search = _Search(_Variant(a, rows, {}, {}), tensors, template_of, conversion, keys, partial)
    return search.run()


class _Search:
    """Looks for the facts to blame, one after the other until all is explained."""

    def __init__(
        self,
        config: _Variant,
        tensors: list[LogicalTensor],
        template_of: TemplateOf,
        conversion: Conversion,
        keys: KeyVariants | None,
        partial: bool,
    ) -> None:
        self.architecture = config.architecture
        self.tensors = tensors
        self.template_of = template_of
        self.conversion = conversion
        self.keys = keys
        self.partial = partial
        self.depth = len(config.architecture.layers)
        """How many layers an explanation has: another number is reported elsewhere."""
        self.config = self.outcome(config)

    def run(self) -> list[Finding]:
        """Return the findings of all causes."""
        findings: list[Finding] = []
        current = self.with_stored_layers()
        for _ in range(MAX_CAUSES):
            hypotheses = self.hypotheses(current)
            if not hypotheses:
                break
            best, *others = hypotheses
            findings += self.findings(current, best, others)
            current = best.outcome
        return findings

    def with_stored_layers(self) -> _Outcome:
        """Return the config with as many layers as are stored, if that explains more.

        Which kind a layer is may depend on their number: Gemma 4's last one is always full.
        """
        stored = _stored_layers(self.config.matching)
        expected = self.depth
        if self.keys is None or stored in (0, expected):
            return self.config
        self.depth = stored
        for name in [name for name, value in self.keys.values.items() if value == expected]:
            variant = self.variant({_Knob(is_key=True, name=name): stored})
            if variant is None:
                continue
            outcome = self.outcome(variant)
            if _explained(self.config, outcome):
                return outcome
        self.depth = expected
        return self.config

    # --- hypotheses ---

    def hypotheses(self, current: _Outcome) -> list[_Hypothesis]:
        """Return what explains the most, the likeliest first; nothing if nothing explains any.

        Facts by themselves are tried where no key of the config explains all.
        """
        sizes = self.sizes(current)
        if not current.problems:
            return []
        found = self.explanations(self.keys_of_config(), current, sizes)
        if not any(self.explains_all(h.outcome) for h in found):
            found += self.explanations(self.facts(current, sizes), current, sizes)
        most = max((h.explained for h in found), default=0)
        best = [h for h in found if h.explained == most]
        best.sort(key=self.unlikeliness)
        return _distinct(best)

    def explanations(
        self, knobs: Iterable[_Knob], current: _Outcome, sizes: Sequence[_Size]
    ) -> list[_Hypothesis]:
        """Return the values of these keys and facts that explain something."""
        found: list[_Hypothesis] = []
        for knob in knobs:
            for value in self.values(knob, current, sizes):
                variant = self.variant({**current.variant.changes, knob: value})
                if variant is None:
                    continue
                outcome = self.outcome(variant)
                explained = _explained(current, outcome)
                if explained:
                    found.append(_Hypothesis(knob, outcome, explained))
        return found

    def explains_all(self, outcome: _Outcome) -> bool:
        """Return whether nothing is left that another value could explain."""
        return not outcome.misfits and not self.sizes(outcome)

    def unlikeliness(self, hypothesis: _Hypothesis) -> tuple[int, bool, int, str]:
        """Return the order of equal explanations."""
        variant = hypothesis.outcome.variant
        knob = hypothesis.knob
        unusual = _unusual_heads(variant.architecture)
        return (unusual, not knob.is_key, len(self.changed_facts(variant)), knob.name)

    def sizes(self, outcome: _Outcome) -> list[_Size]:
        """Return the sizes that are stored otherwise than the architecture has them."""
        sizes: dict[_Size, None] = {}
        for match in outcome.misfits:
            sizes.update(dict.fromkeys(_sizes_of_shape(match)))
        if not self.partial:
            for key in outcome.matching.rows:
                sizes.update(dict.fromkeys(_sizes_of_numbers(outcome.matching, key)))
        return list(sizes)[:MAX_SIZES]

    def keys_of_config(self) -> list[_Knob]:
        """Return the keys of the config."""
        if self.keys is None:
            return []
        names = self.keys.values
        return [_Knob(is_key=True, name=name) for name in names]

    def facts(self, current: _Outcome, sizes: Sequence[_Size]) -> list[_Knob]:
        """Return the facts of the blocks whose tensors differ."""
        rows = [row for match in current.misfits for row in match.rows]
        for size in sizes:
            rows += current.matching.rows.get(size.key, ())
        paths = {path for row in rows if row.component != "mtp" for path in row.proves}
        a = current.variant.architecture
        facts = {"hidden_size", "vocab_size"}
        facts.update(path for path in paths if type(find_value(a, path)) is int)
        facts.update(path for path in paths if path.endswith(tuple(CHOICES)))
        for block in {_block_of(path) for path in paths if "." in path}:
            facts.update(integer_facts(a, block))
        return [_Knob(is_key=False, name=path) for path in sorted(facts)]

    def values(self, knob: _Knob, current: _Outcome, sizes: Sequence[_Size]) -> list[Any]:
        """Return the values of a key or fact that could give what is stored."""
        variant = current.variant
        for name, choices in CHOICES.items():
            if knob.name.endswith(name):
                now = find_value(variant.architecture, knob.name)
                return [choice for choice in choices if choice != now]

        value = self.value(knob, variant)
        if not value or value < 0:
            return self.values_instead_of_none(knob, current)
        values: Counter[int] = Counter()
        rewires = False
        for other in (value // 2 or value + 1, 2 * value, value + 1):
            tried = self.variant({**variant.changes, knob: other})
            if tried is None:
                continue
            if tried.rows == variant.rows:
                return []
            rewires = tried.architecture.layers != variant.architecture.layers
            outcome = self.outcome(tried, sizes)
            for size in sizes:
                values.update(_solutions(size, value, other, _size_in(outcome, size)))
            if values:
                break
        del values[value]
        # A fact is no larger than the sizes that it is a factor of.
        largest = max((size.stored for size in sizes), default=0)
        likely = [v for v, _ in values.most_common() if v <= largest][:MAX_TRIALS]
        if rewires and not likely:
            likely = [v for v in range(1, MAX_TRIALS + 1) if v != value]
        if any(kind == "missing" for kind, _ in current.problems):
            likely.append(0)
        return likely

    def values_instead_of_none(self, knob: _Knob, current: _Outcome) -> list[int]:
        """Return the values of a count that is 0 or absent, if tensors have no place without it.

        They are 1, and what the sizes that 1 gives have to be multiplied by.
        """
        if not current.matching.extra:
            return []
        tried = self.variant({**current.variant.changes, knob: 1})
        if tried is None or tried.rows == current.variant.rows:
            return []
        factors: Counter[int] = Counter()
        for size in self.sizes(self.outcome(tried)):
            factor, rest = divmod(size.stored, size.expected)
            if not rest:
                factors[factor] += 1
        return [1, *(factor for factor, _ in factors.most_common(MAX_TRIALS))]

    def value(self, knob: _Knob, variant: _Variant) -> int | None:
        """Return the present value of a key or fact, None for none."""
        if not knob.is_key:
            return find_value(variant.architecture, knob.name)
        assert self.keys is not None
        return variant.changes.get(knob, self.keys.values[knob.name])

    # --- outcomes ---

    def variant(self, changes: _Changes) -> _Variant | None:
        """Return the architecture with other values; None where they make no model of `depth`."""
        a = self.architecture
        evidence: Mapping[str, Evidence] = {}
        of_keys: dict[str, Any] = {}
        of_facts: dict[str, Any] = {}
        for knob, value in changes.items():
            of_kind = of_keys if knob.is_key else of_facts
            of_kind[knob.name] = value
        if of_keys:
            assert self.keys is not None
            read = self.keys.read(of_keys)
            if read is None or len(read.architecture.layers) != self.depth:
                return None
            a, evidence = read
        try:
            for path, value in of_facts.items():
                a = replace_value(a, path, value)
            rows = self.template_of(a)
        except UNPREDICTABLE:
            return None
        return _Variant(a, rows, changes, evidence)

    def changed_facts(self, variant: _Variant) -> list[str]:
        """Return the facts that have other values than the config's."""
        paths: list[str] = []
        for knob in variant.changes:
            if knob.is_key:
                paths += _facts_of_key(self.architecture, variant, knob.name)
            else:
                paths.append(knob.name)
        return paths

    def outcome(self, variant: _Variant, sizes: Sequence[_Size] | None = None) -> _Outcome:
        """Compare a variant with what is stored.

        sizes: what is to be known alone. That of a row of the template needs no comparison.
        """
        if sizes is not None:
            without_tensors = Matching(variant.rows, [], self.conversion)
            if all(size.key in without_tensors.rows for size in sizes):
                return _Outcome(variant, without_tensors)

        matching = Matching(variant.rows, self.tensors, self.conversion)
        matching.match_by_name()
        match_fused(matching)
        outcome = _Outcome(variant, matching)

        fitting = {row for match in matching.matches if match.fits for row in match.rows}
        for match in matching.matches:
            if match.fits or not match.compared:
                continue
            outcome.problems["shape", match.key] += len(match.indices)
            if fitting.isdisjoint(match.rows):
                outcome.misfits.append(match)
        for key, missing in matching.missing.items():
            rows = [m for m in missing if m.row.component != "mtp"]
            if rows and not self.partial:
                outcome.problems["missing", key] += sum(m.missing_count for m in rows)
        for key, tensors in matching.extra.items():
            outcome.problems["extra", key] += sum(len(tensor.indices) for tensor in tensors)
        return outcome

    # --- findings ---

    def findings(
        self, before: _Outcome, best: _Hypothesis, others: Sequence[_Hypothesis]
    ) -> list[Finding]:
        """Return the findings of one cause. The first names the other explanations."""
        variant = best.outcome.variant
        explanations = [self.description(before, other) for other in others[:MAX_ALTERNATIVES]]
        findings: list[Finding] = []
        for path in self.new_facts(before, best):
            if path.startswith("mtp."):
                continue  # copies leave the modules out, or have others
            conflict = self.conflict(path, variant, best.knob)
            names = _names_of_sources(before, best.outcome, conflict)
            findings.append(conflict_finding(conflict, names, explanations))
            explanations = []
        return findings

    def conflict(self, path: str, variant: _Variant, knob: _Knob) -> Conflict:
        """Return a fact with its two values; of kinds of layers, the key that wires them."""
        if path == LAYERS_PATH and knob.is_key:
            assert self.keys is not None
            old = f"{knob.name} {self.keys.values[knob.name]}"
            return Conflict(path, old, f"{knob.name} {variant.changes[knob]}")
        old = find_value(self.architecture, path)
        new = find_value(variant.architecture, path)
        if isinstance(old, Frozen) or isinstance(new, Frozen):  # something that is there or not
            old, new = old is not None, new is not None
        return Conflict(path, old, new, self.absent_key(knob))

    def absent_key(self, knob: _Knob) -> str | None:
        """Return the name of a key that the config does not have, None for any other knob."""
        is_absent = self.keys is not None and knob.is_key and knob.name in self.keys.assumed
        return knob.name if is_absent else None

    def new_facts(self, before: _Outcome, hypothesis: _Hypothesis) -> list[str]:
        """Return the facts that a hypothesis adds to those that have other values already."""
        known = self.changed_facts(before.variant)
        return [p for p in self.changed_facts(hypothesis.outcome.variant) if p not in known]

    def description(self, before: _Outcome, hypothesis: _Hypothesis) -> str:
        """Return what a hypothesis says: `mixers.full.kv_heads 4`."""
        variant, knob = hypothesis.outcome.variant, hypothesis.knob
        new = [self.conflict(p, variant, knob) for p in self.new_facts(before, hypothesis)]
        return " with ".join(f"{conflict.path} {format_value(conflict.new)}" for conflict in new)


# --- sizes --------------------------------------------------------------------------------------


def _sizes_of_shape(match: Match) -> Iterator[_Size]:
    """Yield the dimensions in which the tensors of a match differ from the template."""
    stored = match.stored_shape
    if stored is None or len(stored) != len(match.expected_shape):
        return
    for position, sizes in enumerate(zip(match.expected_shape, stored, strict=True)):
        if sizes[0] != sizes[1]:
            yield _Size(match.key, match.indices[0], position, *sizes)


def _sizes_of_numbers(matching: Matching, key: str) -> Iterator[_Size]:
    """Yield which numbers of a name are more or fewer than expected, both counted from 0.

    A gap is not another number of experts or layers, but something missing.
    """
    expected = _numbers_of_rows(matching.rows[key])
    stored = _numbers_of_tensors(matching.stored.get(key, ()), len(expected))
    for position, counts in enumerate(zip(expected, stored, strict=True)):
        if 0 not in counts and counts[0] != counts[1]:
            yield _Size(key, None, position, *counts)


def _stored_layers(matching: Matching) -> int:
    """Return how many layers are stored, those of MTP modules among them; 0 for none."""
    numbers = {
        index[0]
        for key, tensors in matching.stored.items()
        if LAYER_NAME.match(key)
        for tensor in tensors
        for index in tensor.indices
    }
    return _count_without_gaps(max(numbers, default=-1) + 1, len(numbers))


def _numbers_of_rows(rows: Sequence[TensorRow]) -> list[int]:
    """Return how many numbers each `{}` of the rows' name may be; 0 where they have gaps."""
    counts: list[int] = []
    for position in range(len(rows[0].axes)):
        axes = {row.axes[position] for row in rows if position < len(row.axes)}
        numbers = [max(axis) for axis in axes if axis]
        counts.append(_count_without_gaps(max(numbers, default=-1) + 1, sum(map(len, axes))))
    return counts


def _numbers_of_tensors(tensors: Iterable[LogicalTensor], positions: int) -> list[int]:
    """Return how many numbers each `{}` of the tensors' name has; 0 where they have gaps."""
    numbers: list[set[int]] = [set() for _ in range(positions)]
    for tensor in tensors:
        for position, found in enumerate(numbers):
            found.update(index[position] for index in tensor.indices if position < len(index))
    return [_count_without_gaps(max(found, default=-1) + 1, len(found)) for found in numbers]


def _count_without_gaps(end: int, count: int) -> int:
    return count if end == count else 0


def _size_in(outcome: _Outcome, size: _Size) -> int | None:
    """Return a size as another architecture has it; None if that has no such tensor."""
    rows = outcome.matching.rows.get(size.key, [])
    sizes: Sequence[int] = ()
    if size.number is None:
        if rows:
            sizes = _numbers_of_rows(rows)
    elif rows:
        sizes = next((row.shape for row in rows if _has_number(row, size.number)), ())
    else:
        matches = outcome.matching.matches
        found = (m for m in matches if m.key == size.key and size.number in m.indices)
        sizes = next((match.expected_shape for match in found), ())
    if size.position >= len(sizes):
        return None
    return sizes[size.position]


def _has_number(row: TensorRow, number: Index) -> bool:
    return len(row.axes) == len(number) and all(map(operator.contains, row.axes, number))


def _solutions(size: _Size, value: int, other: int, tried: int | None) -> set[int]:
    """Return the values that could give the stored size, if the fact has to do with the size.

    The size may be a product with the fact or its square, a quotient, or one of these and a
    constant.

    value: the fact as it is.
    other, tried: the value that was tried, and the size that it gave.
    """
    expected, stored = size.expected, size.stored
    if tried is None or tried == expected or not stored or not expected:
        return set()
    ratio = Fraction(stored, expected)
    share = Fraction(stored - expected, tried - expected)
    inverse = Fraction(1, value) + share * (Fraction(1, other) - Fraction(1, value))
    candidates = [value * ratio, value / ratio, value + share * (other - value)]
    if inverse:
        candidates.append(1 / inverse)
    square = value * value * ratio
    root = isqrt(square.numerator)
    if square.denominator == 1 and root * root == square:
        candidates.append(Fraction(root))
    return {c.numerator for c in candidates if c.denominator == 1 and c > 0}


# --- comparing hypotheses -----------------------------------------------------------------------


def _explained(before: _Outcome, after: _Outcome) -> int:
    """Return how many tensors more are as expected; 0 if any is so no longer."""
    for name, count in after.problems.items():
        if count > before.problems[name]:
            return 0
    return before.problems.total() - after.problems.total()


def _unusual_heads(a: Architecture) -> int:
    """Return how unusual the widths of heads are: 0 where all have the most usual one."""
    unusual = 0
    for mixer in a.mixers.values():
        for name in ("head_dim", "key_head_dim"):
            width = getattr(mixer, name, None)
            if width in USUAL_HEAD_DIMS:
                unusual += USUAL_HEAD_DIMS.index(width)
            elif width is not None:
                unusual += len(USUAL_HEAD_DIMS)
    return unusual


def _distinct(hypotheses: Iterable[_Hypothesis]) -> list[_Hypothesis]:
    """Return the first hypothesis of each architecture."""
    distinct: list[_Hypothesis] = []
    known: list[Architecture] = []
    for hypothesis in hypotheses:
        a = hypothesis.outcome.variant.architecture
        if a not in known:
            known.append(a)
            distinct.append(hypothesis)
    return distinct


def _facts_of_key(before: Architecture, variant: _Variant, key: str) -> list[str]:
    """Return the facts that are another value of a key, or else those that follow from it."""
    after, evidence = variant.architecture, variant.evidence
    changed = [path for path in evidence if find_value(before, path) != find_value(after, path)]
    of_key = [p for p in changed if evidence[p].kind == "config" and evidence[p].ref == key]
    if not of_key and LAYERS_PATH in changed:
        return [LAYERS_PATH]
    first_of_block: dict[str, str] = {}  # head_dim, which may give v_head_dim its value
    for path in of_key or changed:
        first_of_block.setdefault(_block_of(path), path)
    return list(first_of_block.values())


def _block_of(path: str) -> str:
    """Return `mixers.full` of `mixers.full.rope.theta`; the path itself if it is in no block."""
    return ".".join(path.split(".")[:2])


# --- words --------------------------------------------------------------------------------------


def _names_of_sources(before: _Outcome, after: _Outcome, conflict: Conflict) -> list[str]:
    """Return the tensors that contradict a fact: all that now fit, the plainest first."""
    fitted = [m for m in before.misfits if after.problems["shape", m.key] == 0]
    fitted.sort(key=lambda match: _distance(match, conflict))
    names = [_name_of_source(match, conflict) for match in fitted]
    if names:
        return names
    changed = [key for kind, key in before.problems if after.problems[kind, key] == 0]
    stored = [tensor for key in changed for tensor in before.matching.stored.get(key, ())]
    names = [name for tensor in stored for name in folded_names(tensor.source, tensor.indices)[:1]]
    return names or ["what is missing"]


def _distance(match: Match, conflict: Conflict) -> tuple[bool, bool]:
    """Return how far tensors are from being a fact: it is a dimension of them, they prove it."""
    proves = any(conflict.path in row.proves for row in match.rows)
    return conflict.new not in (match.stored_shape or ()), not proves


def _name_of_source(match: Match, conflict: Conflict) -> str:
    """Return a tensor with its shape, and how much of it one unit of a number takes."""
    tensor = match.tensors[0]
    name = tensor.stored_name
    if match.stored_shape is None:
        return name
    text = f"{name} {format_shape(match.stored_shape)}"
    field_name = last_part(conflict.path)
    if field_name in COUNTS:
        for expected, stored in zip(match.expected_shape, match.stored_shape, strict=False):
            each, rest = divmod(stored, conflict.new)
            is_product = expected == each * conflict.old and not rest
            if expected != stored and is_product and each > 1:
                text += f" ({each} for each)"
    return text
