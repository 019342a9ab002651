"""The entries of specs/index.json: the main facts of each bundled model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..architecture.layers import mixer_names

if TYPE_CHECKING:
    from ..architecture.schema import Architecture, Mixer
    from ..checkpoint.reading import Reading


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
        "organization": spec["organization"],
        "released": spec["released"],
        "license": spec.get("license"),
        "report": spec.get("report"),
        "family": a.family,
        "model_type": a.model_type,
        "attention": sorted(attention_kinds(a)),
        "moe": first_moe(a) is not None,
        "total": p.total,
        "active": p.active,
        "vision": p.vision,
        "context": a.context_length,
        "layers": len(a.layers),
        "config": config_state(spec["provenance"]),
        "uncertain": marked_facts(reading.evidence),
        "recipe": [f"{n} × {word}" for n, word in recipe(a)],
    }


def attention_kinds(a: Architecture) -> set[str]:
    """Return the kinds that `list --attention` takes.

    These are mha, gqa, mqa, mla, sliding, chunked, sparse, compressed, nope, and linear with the
    name of its variant.
    """
    from .wording import NOPE, position_kind

    kinds: set[str] = set()
    for kind in dict.fromkeys(a.layers):
        for name in mixer_names(a, kind):
            m = a.mixers[name]
            kinds |= mixer_kinds(m)
            if position_kind(a, m) == NOPE:
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
