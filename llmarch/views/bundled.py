"""The bundled models with their main facts, from specs/index.json; and how that index is made from the specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..architecture.layers import mixer_names
from ..errors import UnknownReference
from . import numbers
from .documents import Table

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading


def select(
    catalog: Mapping[str, Mapping[str, Any]],
    text: str | None = None,
    attention: str | None = None,
    moe: bool | None = None,
) -> list[dict[str, Any]]:
    """The models that pass every filter, by family and size. Raises UnknownReference for a kind of attention that none has."""
    models = [{"alias": alias, **entry} for alias, entry in catalog.items()]
    if attention is not None:
        kinds = sorted({k for m in models for k in m["attention"]})
        if attention.lower() not in kinds:
            raise UnknownReference(
                f"no bundled model has {attention!r} attention", f"Known: {', '.join(kinds)}."
            )
        models = [m for m in models if attention.lower() in m["attention"]]
    if moe is not None:
        models = [m for m in models if m["moe"] is moe]
    if text is not None:
        models = [
            m
            for m in models
            if any(
                text.lower() in str(m[k]).lower() for k in ("alias", "name", "family", "repo_id")
            )
        ]
    return sorted(models, key=lambda m: (m["family"], m["model_type"], m["total"]))


def table(models: list[dict[str, Any]]) -> Table:
    rows: list[list[str]] = []
    for m in models:
        size = numbers.count(m["total"]) + (
            f" · {numbers.count(m['active'])} active"
            if m["active"] != m["total"] - m["vision"]
            else ""
        )
        context = numbers.context(m["context"]) if m["context"] else "?"
        rows.append(
            [
                m["alias"],
                m["family"],
                str(m["released"] or "")[:4],
                size,
                "\n".join(m["recipe"]),
                context,
            ]
        )
    return Table(["alias", "family", "year", "parameters", "layers", "context"], rows)


def entry(spec: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """A model's line in specs/index.json."""
    from ..analyses.parameters import count_parameters
    from .wording import moe_of, recipe

    a = reading.architecture
    p = count_parameters(a)
    return {
        "name": spec["name"],
        "repo_id": spec["repo_id"],
        "also": spec["also"],
        "released": spec["released"],
        "family": a.family,
        "model_type": a.model_type,
        "attention": sorted(attention_words(reading)),
        "moe": moe_of(a) is not None,
        "total": p.total,
        "active": p.active,
        "vision": p.vision,
        "context": a.context_length,
        "recipe": [f"{n} × {w}" for n, w in recipe(a)],
    }


def attention_words(reading: Reading) -> set[str]:
    """The kinds to filter by: mha, gqa, mqa, mla, sliding, chunked, sparse, compressed, linear and the variant's name, nope."""
    from ..architecture.schema import (
        Attention,
        CompressedAttention,
        LatentAttention,
        LinearAttention,
    )
    from .wording import sharing

    a = reading.architecture
    words: set[str] = set()
    for m in (a.mixers[name] for k in a.layers for name in mixer_names(a, k)):
        match m:
            case Attention():
                words |= (
                    {sharing(m).lower()}
                    | ({"sliding"} if m.window else set())
                    | ({"chunked"} if m.chunk else set())
                )
            case LatentAttention():
                words |= {"mla"} | ({"sparse"} if m.indexer else set())
            case LinearAttention():
                words |= {"linear", m.variant}
            case CompressedAttention():
                words |= {"compressed", "sliding"} | ({"sparse"} if m.indexer else set())
        if not isinstance(m, LinearAttention) and m.rope is None and not a.embedding.positions:
            words.add("nope")
    return words
