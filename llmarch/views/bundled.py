"""The bundled models with their main facts, and the entries of specs/index.json."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..architecture.layers import mixer_names
from ..errors import UnknownReference
from . import numbers
from .documents import Table

if TYPE_CHECKING:
    from ..architecture.schema import Architecture, Mixer
    from ..checkpoint.reading import Reading

SEARCHED = ("alias", "name", "family", "repo_id")
"""The keys of an index entry that a text filter looks into."""


def select_models(
    catalog: Mapping[str, Mapping[str, Any]],
    text: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the models that pass every filter, by family, model type and size.

    catalog: index entries by alias.
    text: what an entry's alias, name, family or repository contains; case does not matter.
    attention: a kind of attention; raises UnknownReference where no model has it.
    moe: whether the model is a mixture of experts.
    """
    models: list[dict[str, Any]] = []
    for alias, facts in catalog.items():
        models.append({"alias": alias, **facts})
    if attention is not None:
        models = with_attention(models, attention.lower())
    if moe is not None:
        models = [m for m in models if m["moe"] is moe]
    if text is not None:
        wanted = text.lower()
        models = [m for m in models if has_text(m, wanted)]
    return sorted(models, key=itemgetter("family", "model_type", "total"))


def with_attention(models: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the models with a kind of attention. Raises UnknownReference where none has it."""
    found = [m for m in models if kind in m["attention"]]
    if not found:
        kinds = sorted({known for m in models for known in m["attention"]})
        message = f"no bundled model has {kind!r} attention"
        raise UnknownReference(message, f"Known: {', '.join(kinds)}.")
    return found


def has_text(model: Mapping[str, Any], text: str) -> bool:
    """Return whether a searched key of an entry contains the text, which is in lower case."""
    values = [str(model[key]) for key in SEARCHED]
    return any(text in value.lower() for value in values)


def model_table(models: list[dict[str, Any]]) -> Table:
    """Return the table of `llmarch list`."""
    columns = ["alias", "family", "year", "parameters", "layers", "context", "config"]
    rows = [model_row(model) for model in models]
    return Table(columns, rows)


def model_row(m: Mapping[str, Any]) -> list[str]:
    """Return the cells of one index entry."""
    released = m["released"] or ""
    size = numbers.count(m["total"])
    if m["active"] != m["total"] - m["vision"]:
        active = numbers.count(m["active"])
        size += f" · {active} active"
    context = "?"
    if m["context"]:
        context = numbers.context(m["context"])
        mark = m["uncertain"].get("context_length")
        if mark:
            context += f" ({mark})"
    return [
        m["alias"],
        m["family"],
        released[:4],
        size,
        "\n".join(m["recipe"]),
        context,
        CONFIG_WORDS.get(m["config"], ""),
    ]


CONFIG_WORDS = {"reconstructed": "reconstructed", "stand-in": "stand-in"}
"""Words for the states of configs that are not copies of the published ones."""


def config_state(provenance: Mapping[str, Any]) -> str:
    """Return how a bundled config relates to the published one (specs/README.md)."""
    if provenance.get("stand_in"):
        return "stand-in"
    return provenance["state"]


def index_entry(spec: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Return a model's entry in specs/index.json.

    spec: the document of the spec, for its name, repositories and release.
    reading: the spec as it was read.
    """
    from ..analyses.parameters import count_parameters
    from ..config.certainty import marked_facts
    from .wording import first_moe, recipe

    a = reading.architecture
    p = count_parameters(a)
    return {
        "name": spec["name"],
        "repo_id": spec["repo_id"],
        "also": spec["also"],
        "released": spec["released"],
        "family": a.family,
        "model_type": a.model_type,
        "attention": sorted(attention_kinds(a)),
        "moe": first_moe(a) is not None,
        "total": p.total,
        "active": p.active,
        "vision": p.vision,
        "context": a.context_length,
        "config": config_state(spec["provenance"]),
        "uncertain": marked_facts(reading.evidence),
        "recipe": [f"{n} × {word}" for n, word in recipe(a)],
    }


def attention_kinds(a: Architecture) -> set[str]:
    """Return the kinds that `list --attention` takes.

    These are mha, gqa, mqa, mla, sliding, chunked, sparse, compressed, nope, and linear with the
    name of its variant.
    """
    from ..architecture.schema import LinearAttention
    from ..architecture.wording.positions import absolute_kind

    kinds: set[str] = set()
    for kind in dict.fromkeys(a.layers):
        for name in mixer_names(a, kind):
            m = a.mixers[name]
            kinds |= mixer_kinds(m)
            if isinstance(m, LinearAttention) or m.rope or absolute_kind(a.embedding):
                continue
            kinds.add("nope")
    return kinds


def mixer_kinds(m: Mixer) -> set[str]:
    """Return the kinds of one mixer, without `nope`."""
    from ..architecture.schema import Attention, CompressedAttention, LatentAttention
    from ..architecture.wording.mixers import head_sharing

    match m:
        case Attention():
            found = {head_sharing(m).lower(): True, "sliding": m.window, "chunked": m.chunk}
        case LatentAttention():
            found = {"mla": True, "sparse": m.indexer}
        case CompressedAttention():
            found = {"compressed": True, "sliding": True, "sparse": m.indexer}
        case _:
            found = {"linear": True, m.variant: True}
    return {kind for kind, present in found.items() if present}
