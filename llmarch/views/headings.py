"""What stands above a comparison: names that tell the models apart, and where each was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..checkpoint.reading import Observation, Reading
from ..sources.raw import RawModel, abbreviate_commit

SOURCE_WORDS = {"spec": "bundled spec", "local": "local", "hub": "Hub"}
"""Words for the kinds of source."""
HUB = "https://huggingface.co"


def column_names(readings: Sequence[Reading | Observation]) -> list[str]:
    """Return a name for each model, no two alike.

    Models of one name have what tells them apart: revision or commit, repository, reference. What
    is left, one model given twice, has a number.
    """
    raws = [r.raw for r in readings]
    names = [raw.name for raw in raws]
    qualifiers: list[Callable[[RawModel], str]] = [with_revision, with_repository, with_reference]
    for qualify in qualifiers:
        names = longer_where_alike(names, [qualify(raw) for raw in raws])
    seen: Counter[str] = Counter()
    numbered: list[str] = []
    for name in names:
        seen[name] += 1
        number = seen[name]
        numbered.append(f"{name} ({number})" if number > 1 else name)
    return numbered


def with_different_names(readings: Sequence[Reading]) -> list[Reading]:
    """Return models of which no two have one name, for outputs that tell models by their names."""
    named: list[Reading] = []
    for r, name in zip(readings, column_names(readings), strict=True):
        named.append(r if name == r.name else replace(r, raw=replace(r.raw, name=name)))
    return named


def longer_where_alike(names: Sequence[str], longer: Sequence[str]) -> list[str]:
    """Return the longer name where several models have the same and longer ones tell them apart.

    names: the name of each model.
    longer: another name of each model.
    """
    longer_of: dict[str, set[str]] = {}
    for name, other in zip(names, longer, strict=True):
        longer_of.setdefault(name, set()).add(other)
    result: list[str] = []
    for name, other in zip(names, longer, strict=True):
        result.append(other if len(longer_of[name]) > 1 else name)
    return result


def with_revision(raw: RawModel) -> str:
    """Return `Qwen3-8B@v1`; the short commit where no revision was asked for."""
    return name_at_revision(raw.name, raw)


def with_repository(raw: RawModel) -> str:
    """Return `Qwen/Qwen3-8B@v1`."""
    repository = raw.repo_id or raw.name
    return name_at_revision(repository, raw)


def name_at_revision(name: str, raw: RawModel) -> str:
    """Return a name with the revision that was asked for, else with the short commit."""
    revision = raw.revision
    if not revision and raw.commit:
        revision = abbreviate_commit(raw.commit)
    if not revision:
        return name
    return f"{name}@{revision}"


def with_reference(raw: RawModel) -> str:
    """Return the model as the user named it, with the kind of its source."""
    source = SOURCE_WORDS[raw.kind]
    name = raw.reference
    return f"{name} ({source})"


def origin(raw: RawModel, model_type: str) -> str:
    """Return where a model was read: `Qwen/Qwen3-8B@v1 · qwen3 · Hub 1a2b3c4`."""
    repository = raw.repo_id or raw.reference
    revision = raw.revision or "main"
    if revision != "main":
        repository += f"@{revision}"
    source = SOURCE_WORDS[raw.kind]
    commit = raw.commit
    if commit:
        short = abbreviate_commit(commit)
        source += f" {short}"
    return f"{repository} · {model_type} · {source}"


def model_type_words(r: Reading | Observation) -> str:
    """Return the model_type of a model, as its config says it where no family reads it."""
    if isinstance(r, Reading):
        return r.architecture.model_type
    config = r.raw.config or {}
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        return "no model_type"
    return model_type


def comparison_origin(r: Reading | Observation) -> str:
    """Return where a model was read, when it was released, and its address on the Hub."""
    words = [origin(r.raw, model_type_words(r))]
    if r.raw.released:
        words.insert(1, f"released {r.raw.released}")
    if r.raw.repo_id and r.raw.kind != "local":
        words.append(f"{HUB}/{r.raw.repo_id}")
    return " · ".join(words)
