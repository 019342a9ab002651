"""What a shell offers for the values of options: names that begin as what was typed.

A list separated by commas is completed at its last name.
"""

from __future__ import annotations

from collections.abc import Iterable


def last_names(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return what was typed with its last name completed by each name that begins so."""
    before, comma, last = incomplete.rpartition(",")
    start = f"{before}{comma}"
    typed = last.lower()
    return [start + name for name in names if name.lower().startswith(typed)]


def complete_gpus(incomplete: str) -> list[str]:
    """Return the GPUs that begin so, with the number before them: `8xH` -> `8xH100`."""
    from ..sources.gpus import list_gpus

    before, times, _ = incomplete.rpartition("x")
    number = before.rpartition(",")[2]
    count = f"{number}{times}" if number.isdecimal() else ""
    return last_names(incomplete, (count + str(gpu["name"]) for gpu in list_gpus()))


def complete_engines(incomplete: str) -> list[str]:
    """Return the engines that begin so."""
    from ..analyses.engines import ENGINES

    return last_names(incomplete, ENGINES)


def complete_weights(incomplete: str) -> list[str]:
    """Return the formats of weights that begin so."""
    from ..analyses.weight_formats import WEIGHT_FORMATS

    return last_names(incomplete, ("as-stored", *WEIGHT_FORMATS))


def complete_cache_dtypes(incomplete: str) -> list[str]:
    """Return the dtypes of the cache that begin so."""
    from ..analyses.cache_parts import CACHE_DTYPES

    return last_names(incomplete, ("auto", *CACHE_DTYPES))


def complete_rules(incomplete: str) -> list[str]:
    """Return the rules that begin so."""
    from ..compare.rules import RULES

    return last_names(incomplete, (rule.id for rule in RULES))


def complete_levels(incomplete: str) -> list[str]:
    """Return the severities and rules that begin so."""
    from ..compare.rules import SEVERITIES

    return [*last_names(incomplete, SEVERITIES), *complete_rules(incomplete)]


def complete_paths(incomplete: str) -> list[str]:
    """Return the names and ends of paths of facts that begin so."""
    from ..views.model_list import INDEX_COLUMNS, fact_names

    return last_names(incomplete, (name for name in fact_names() if name not in INDEX_COLUMNS))


def complete_locked(incomplete: str) -> list[str]:
    """Return the models of the lock in this folder, and bundled ones, that begin so."""
    from ..errors import LlmarchError
    from ..sources.aliases import bundled_models
    from ..sources.project import read_lock

    names = list(bundled_models())
    try:
        document, _ = read_lock("llmarch.lock")
        names = [*document.get("models", {}), *names]
    except LlmarchError:
        pass
    return [name for name in names if name.startswith(incomplete)]
