"""Features of architectures by date: which model was first with each, and how many have it."""

from __future__ import annotations

from collections.abc import Sequence

from ..architecture.frozen import Frozen, frozen
from ..checkpoint.reading import Reading
from .terms import ALL_TERMS
from .terms.term import Term

UNKNOWN_DATE = "9999"
"""Sorts models without a date behind all others."""


@frozen
class DatedFeature(Frozen):
    """A feature with the models that have it, among those that are looked at."""

    title: str
    first: tuple[int, ...]
    """Numbers of the models that may be the first with it, as far as dates are known."""
    date: str
    """When these were released, the year if the months differ; empty if it is not known."""
    models: tuple[int, ...]
    """Numbers of all models with it."""
    years: tuple[int, ...]
    """How many of each year's models have it, in the order of `FeatureTable.years`."""


@frozen
class FeatureTable(Frozen):
    """Features by the date of the first model with each."""

    years: tuple[str, ...]
    totals: tuple[int, ...]
    """Models of each year."""
    features: tuple[DatedFeature, ...]


FEATURES = tuple(term for term in ALL_TERMS if term.feature)
"""The terms that are features of some models, in the order of their subjects."""


def release_order(released: str | None) -> str:
    """Return what sorts models by date: `2025` stands behind the months of 2025."""
    if not released:
        return UNKNOWN_DATE
    return released if len(released) > 4 else f"{released}-99"


def feature_table(readings: Sequence[Reading]) -> FeatureTable:
    """Return the features that models have, by the date of the first with each.

    A date may be a year alone: then the model may be older than one of a month of that year, and
    both may be the first.
    """
    dates = [r.raw.released or "" for r in readings]
    years = sorted({date[:4] for date in dates if date})
    found: list[DatedFeature] = []
    for term in FEATURES:
        having = numbers_having(term, readings)
        if having:
            found.append(dated_feature(term.feature, having, dates, years))
    found.sort(key=lambda feature: feature.date or UNKNOWN_DATE)
    totals = [sum(date[:4] == year for date in dates) for year in years]
    return FeatureTable(tuple(years), tuple(totals), tuple(found))


def numbers_having(term: Term, readings: Sequence[Reading]) -> list[int]:
    """Return the numbers of the models that have what a term names."""
    if term.is_in is None:
        return []
    having: list[int] = []
    for i, r in enumerate(readings):
        if term.is_in(r.architecture):
            having.append(i)
    return having


def dated_feature(
    title: str, having: Sequence[int], dates: Sequence[str], years: Sequence[str]
) -> DatedFeature:
    """Return a feature with its first models.

    title: its name.
    having: numbers of the models that have it.
    dates: the date of each model, empty if it is not known.
    years: the years that are counted.
    """
    first = possible_first(having, dates)
    known = {dates[i] for i in first}
    date = known.pop() if len(known) == 1 else dates[first[0]][:4]
    counts = [sum(dates[i][:4] == year for i in having) for year in years]
    return DatedFeature(title, tuple(first), date, tuple(having), tuple(counts))


def possible_first(having: Sequence[int], dates: Sequence[str]) -> list[int]:
    """Return the models that may be the oldest: no other one is older for certain."""
    sure = min(release_order(dates[i]) for i in having)
    return [i for i in having if (dates[i] or UNKNOWN_DATE) <= sure]
