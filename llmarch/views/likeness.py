"""How alike the designs of models are, whatever their sizes: the nearest ones, and what is new.

A design is the terms of the glossary that an architecture has, weighted by how much of it they
decide, and a little each of what they do not name: words among its facts, and equal numbers. The
numbers tell which of several alike designs was taken; they weigh less than any term of a block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..analyses.parameters import count_parameters
from ..architecture.catalogue import find_fact, generic_path, iterate_facts
from ..architecture.documents import document_head
from ..architecture.fingerprint import is_reference
from ..architecture.frozen import Frozen, frozen
from ..architecture.paths import last_part
from ..architecture.schema import Architecture
from ..checkpoint.reading import Reading
from .documents import Sheet
from .evidence import explained_value
from .headline import DESIGN_SECTIONS
from .numbers import number, plural, three_digits
from .terms import ALL_TERMS

WEIGHTS = {
    # what mixes tokens
    "linear attention": 5.0,
    "delta rule": 3.5,
    "compressed attention (CSA, HCA)": 2.0,
    "sparse attention with an indexer (DSA)": 2.0,
    "block-sparse attention": 2.0,
    "sliding window": 2.0,
    "chunked attention": 2.0,
    "multi-head attention (MHA)": 1.5,
    "multi-query attention (MQA)": 1.5,
    "grouped-query attention (GQA)": 1.5,
    "multi-head latent attention (MLA)": 1.5,
    "Mamba": 0.5,
    "Mamba-2": 0.5,
    "Gated DeltaNet": 0.5,
    "Kimi Delta Attention (KDA)": 0.5,
    "lightning attention": 0.5,
    "RG-LRU": 0.5,
    "RWKV": 0.5,
    "mLSTM": 0.5,
    "query latent": 0.5,
    "short convolution": 0.25,
    "attention bias": 0.5,
    "query scaling": 0.5,
    "both directions": 0.25,
    "fixed factors": 0.25,
    "values from keys": 0.5,
    "softcap": 0.5,
    # positions
    "RoPE": 0.5,
    "NoPE": 0.5,
    "partial rotary": 0.5,
    "multimodal RoPE (M-RoPE)": 0.25,
    "YaRN": 0.25,
    "Llama 3 scaling": 0.25,
    "linear scaling": 0.25,
    "dynamic NTK scaling": 0.25,
    "LongRoPE": 0.25,
    "context": 0.0,
    # feed-forward
    "mixture of experts (MoE)": 3.0,
    "many experts": 0.0,
    "dense prefix": 0.5,
    "interleaved experts": 0.5,
    "squared ReLU": 0.5,
    "activation clamp": 0.5,
    "activation sparsity": 0.5,
    # the rest
    "one block a layer": 1.5,
    "parallel blocks": 2.0,
    "hyper-connections (mHC)": 2.0,
    "weight + 1": 0.5,
    "residual multiplier": 0.5,
    "scaling of the stream": 0.25,
    "embedding scale": 0.25,
    "logit scale": 0.25,
    "tied embedding": 0.0,
    "multi-token prediction (MTP)": 0.0,
    "encoder of images or sounds": 0.25,
    "quantisation": 0.0,
}
"""Weights of terms, 1 for others. What size, storage and training decide weighs nothing."""
ROUTER = (
    "renormalised router",
    "sigmoid router",
    "selection bias",
    "group limit",
    "routed scale",
)
"""Details of one small block: each weighs little, and all of them no more than ROUTER_AT_MOST."""
ROUTER_WEIGHT = 0.25
ROUTER_AT_MOST = 0.5
WORDS_WEIGHT = 0.5
"""What all words among the facts weigh together."""
NUMBERS_WEIGHT = 1.0
"""What all numbers weigh together."""
_NOT_DESIGN = (
    "family",
    "model_type",
    "decoder_type",
    "dtype",
    "layers",
    "quantization",
    "other",
    "mtp",
    "towers",
)
"""Facts about names, storage and what stands beside the decoder."""
_SAID_BY_TERMS = {"router", "kind", "variant"}
"""Parts of paths whose words are terms already."""


@frozen
class Design(Frozen):
    """What a model is, but for its size."""

    terms: frozenset[str]
    words: frozenset[tuple[str, Any]]
    """Path with `*` for names and the value, for facts that are words, yes, or there at all."""
    numbers: frozenset[tuple[str, float]]

    @property
    def own_words(self) -> frozenset[tuple[str, Any]]:
        """Return the words that no terms stand for."""
        return frozenset(one for one in self.words if not set(one[0].split(".")) & _SAID_BY_TERMS)


@frozen
class LikeModel(Frozen):
    """A bundled model, and how its design differs from the one that is asked about."""

    name: str
    released: str
    """Empty if it is not known."""
    distance: float
    lacks: tuple[str, ...]
    """Terms that the asked model has and this one has not."""
    adds: tuple[str, ...]
    """Terms that this one has and the asked one has not."""
    size: float
    """Its parameters by those of the asked one."""

    @property
    def differences(self) -> int:
        """Return how many terms differ."""
        return len(self.lacks) + len(self.adds)


@frozen
class Likeness(Frozen):
    """Where a model stands among the bundled ones."""

    name: str
    nearest: tuple[LikeModel, ...]
    """All others, the nearest first; of models as near the oldest first."""
    ancestor: LikeModel | None
    """The nearest of those that were released before; None without one, or without a date."""
    new_terms: tuple[str, ...]
    """Terms that no model from before has."""
    new_facts: tuple[str, ...]
    """Facts in words that no model from before has."""
    before: int
    """How many models are known to be from before; all, where the date is not known."""


def design_of(a: Architecture) -> Design:
    """Return the design of an architecture."""
    terms = frozenset(term.name for term in ALL_TERMS if term.is_in is not None and term.is_in(a))
    words: set[tuple[str, Any]] = set()
    numbers: set[tuple[str, float]] = set()
    for path, value in iterate_facts(a):
        if path.startswith(_NOT_DESIGN) or value in (None, False, ()):
            continue
        place = generic_path(path)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers.add((place, value))
        elif not isinstance(value, tuple) and not is_reference(last_part(path)):
            words.add((place, value))
    numbers.add(("layers", len(a.layers)))
    return Design(terms, frozenset(words), frozenset(numbers))


def design_distance(one: Design, other: Design) -> float:
    """Return how much two designs differ: 0 for the same one."""
    differing = one.terms ^ other.terms
    router = ROUTER_WEIGHT * sum(name in ROUTER for name in differing)
    found = min(router, ROUTER_AT_MOST)
    found += sum(WEIGHTS.get(name, 1.0) for name in differing if name not in ROUTER)
    found += WORDS_WEIGHT * share_differing(one.own_words, other.own_words)
    return found + NUMBERS_WEIGHT * share_differing(one.numbers, other.numbers)


def share_differing(one: frozenset[Any], other: frozenset[Any]) -> float:
    """Return which share of two sets is not in both."""
    if not one and not other:
        return 0.0
    differing = one ^ other
    total = one | other
    return len(differing) / len(total)


def is_before(date: str, other: str) -> bool:
    """Return whether a date is known to be before another one, of which one may be a year alone."""
    known = min(len(date), len(other))
    return bool(known) and date[:known] < other[:known]


def likeness(reading: Reading, others: Sequence[Reading]) -> Likeness:
    """Return where a model stands among others.

    reading: the model.
    others: the bundled models; the model itself may be among them.
    """
    own = design_of(reading.architecture)
    total = count_parameters(reading.architecture).total
    released = reading.raw.released or ""
    designs = {
        r.raw.reference: design_of(r.architecture) for r in others if not is_same(r, reading)
    }
    known = [r for r in others if r.raw.reference in designs]
    nearest = [like_model(own, total, r, designs[r.raw.reference]) for r in known]
    nearest.sort(key=lambda near: (round(near.distance, 6), near.released or "9999", near.name))
    earlier = known
    ancestor = None
    if released:
        earlier = [r for r in known if is_before(r.raw.released or "", released)]
        names = {r.raw.reference for r in earlier}
        ancestor = next((near for near in nearest if near.name in names), None)
    elif nearest:
        ancestor = nearest[0]
    before = [designs[r.raw.reference] for r in earlier]
    old_terms = frozenset[str]().union(*(design.terms for design in before))
    old_words = frozenset[tuple[str, Any]]().union(*(design.words for design in before))
    new_terms = in_order(own.terms - old_terms)
    return Likeness(
        name=reading.name,
        nearest=tuple(nearest),
        ancestor=ancestor,
        new_terms=new_terms,
        new_facts=tuple(new_fact_words(own.words - old_words, reading.architecture, new_terms)),
        before=len(before),
    )


def is_same(one: Reading, other: Reading) -> bool:
    """Return whether two readings are of one bundled model, or of one repository."""
    if one.raw.repo_id is not None and one.raw.repo_id == other.raw.repo_id:
        return True
    return one.raw.reference == other.raw.reference


def like_model(own: Design, total: int, r: Reading, design: Design) -> LikeModel:
    """Return how another model differs from the one that is asked about.

    own, total: design and parameters of the one that is asked about.
    r, design: the other one.
    """
    return LikeModel(
        name=r.raw.reference,
        released=r.raw.released or "",
        distance=design_distance(own, design),
        lacks=in_order(own.terms - design.terms),
        adds=in_order(design.terms - own.terms),
        size=count_parameters(r.architecture).total / total,
    )


def in_order(names: frozenset[str]) -> tuple[str, ...]:
    """Return terms by how much they weigh, and in the order of the glossary; not those of size."""
    found = [term.name for term in ALL_TERMS if term.name in names]
    counted = [name for name in found if term_weight(name) > 0]
    return tuple(sorted(counted, key=term_weight, reverse=True))


def term_weight(name: str) -> float:
    """Return what a term weighs."""
    if name in ROUTER:
        return ROUTER_WEIGHT
    return WEIGHTS.get(name, 1.0)


def new_fact_words(
    facts: frozenset[tuple[str, Any]], a: Architecture, told: Sequence[str]
) -> list[str]:
    """Return facts of the design in words: `router: scoring sqrt_softplus`.

    facts: their paths and values.
    a: the architecture that has them.
    told: terms that are told already, with the facts that they are about.
    """
    known = {path for term in ALL_TERMS if term.name in told for path in term.facts}
    found: dict[str, None] = {}
    for path, value in sorted(facts, key=str):
        fact = find_fact(path, a)
        field = last_part(path)
        if fact is None or fact.section not in DESIGN_SECTIONS:
            continue
        if path in known or field in _SAID_BY_TERMS:
            continue
        name = field.replace("_", " ")
        if value is not True:
            name = f"{name} {explained_value(value)}"
        found[name if name in fact.label else f"{fact.label}: {name}"] = None
    return list(found)


# Words


def difference_words(near: LikeModel) -> str:
    """Return how a model differs, in words: `with group limit, without NoPE`."""
    parts: list[str] = []
    if near.adds:
        added = ", ".join(near.adds)
        parts.append(f"with {added}")
    if near.lacks:
        lacking = ", ".join(near.lacks)
        parts.append(f"without {lacking}")
    if not parts:
        return "the same design"
    differences = plural(near.differences, "difference")
    joined = "; ".join(parts)
    return f"{differences}: {joined}"


def size_beside(size: float) -> str:
    """Return how large a model is by another one: `size × 1.53`, `size ÷ 4.2`."""
    if round(size, 2) == 1:
        return "size equal"
    if size < 1:
        return f"size ÷ {three_digits(1 / size)}"
    return f"size × {three_digits(size)}"


def like_words(*alike: LikeModel) -> str:
    """Return models that differ in the same way in a line: names, dates, sizes, differences."""
    dated = map(dated_name, alike)
    names = ", ".join(dated)
    difference = difference_words(alike[0])
    return f"{names}: {difference}"


def dated_name(near: LikeModel) -> str:
    """Return the name of a model with its date and size: `kimi-k2 (2025-07, size × 1.53)`."""
    told = ", ".join(filter(None, (near.released, size_beside(near.size))))
    return f"{near.name} ({told})"


def by_differences(models: Sequence[LikeModel]) -> list[list[LikeModel]]:
    """Return models in groups that differ in the same way, in the order of the first of each."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[LikeModel]] = {}
    for near in models:
        groups.setdefault((near.adds, near.lacks), []).append(near)
    return list(groups.values())


def likeness_sheet(found: Likeness, organizations: Mapping[str, str], maker: str, n: int) -> Sheet:
    """Return the nearest models as a sheet.

    found: where the model stands.
    organizations: the organisation of each bundled model.
    maker: that of the model; empty if it is not known.
    n: how many lines there are for models of other designs.
    """
    lines: list[tuple[str, list[str]]] = []
    same = [near for near in found.nearest if not near.differences]
    if same:
        lines.append(("same design", [", ".join(map(dated_name, same))]))
    if found.ancestor is not None:
        lines.append(("ancestor", [like_words(found.ancestor)]))
    if maker:
        others = (near for near in found.nearest if organizations[near.name] != maker)
        foreign = next(others, None)
        if foreign is not None and foreign != found.ancestor:
            lines.append(("another maker", [like_words(foreign)]))
    different = [near for near in found.nearest if near.differences]
    for i, alike in enumerate(by_differences(different)[:n], 1):
        lines.append((number(i), [like_words(*alike)]))
    headline = "The nearest bundled models by design, whatever their size"
    return Sheet(found.name, f"among {len(found.nearest)} models", headline, lines, [])


def news_lines(found: Likeness) -> list[tuple[str, list[str]]]:
    """Return the lines that `show --new` adds: what is new, and the ancestor."""
    new = [*found.new_terms, *found.new_facts]
    what = ", ".join(new) or "nothing that an earlier bundled model does not have"
    compared = f"against the {found.before} bundled models that are known to be older"
    lines = [("New", [what, compared])]
    if found.ancestor is not None:
        lines.append(("Ancestor", [like_words(found.ancestor)]))
    return lines


# JSON


def likeness_document(found: Likeness) -> dict[str, Any]:
    """Return where a model stands as a JSON document."""
    return {
        **document_head("like"),
        "model": found.name,
        "same_design": [near.name for near in found.nearest if not near.differences],
        "nearest": [like_record(near) for near in found.nearest],
        **news_record(found),
    }


def news_record(found: Likeness) -> dict[str, Any]:
    """Return what is new as JSON has it."""
    return {
        "new": [*found.new_terms, *found.new_facts],
        "older_models": found.before,
        "ancestor": like_record(found.ancestor) if found.ancestor else None,
    }


def like_record(near: LikeModel) -> dict[str, Any]:
    """Return one model as JSON has it."""
    return {
        "alias": near.name,
        "released": near.released or None,
        "distance": round(near.distance, 3),
        "differences": near.differences,
        "with": list(near.adds),
        "without": list(near.lacks),
        "size_ratio": round(near.size, 4),
    }
