"""Find facts of one architecture that exclude each other: models that cannot be built or run.

Each value is one that a key may have; together they fail in transformers, most of them only in the
first forward pass (transformers 5.23.0; tests/oracle/refusals.py tried them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..architecture import schema as s
from ..architecture.paths import find_value
from ..architecture.schema import Evidence, Finding, Severity
from .findings import FAILS, add, shown
from .keys import ConfigKeys

SMALLEST_ODD_HEAD = 4
"""Heads up to this width may be odd: transformers lets tiny test models pass."""


DIVIDED_WIDTH = frozenset(
    """
    arcee cwm deepseek_v2 gemma2 gemma3 gemma3_text gemma3n gemma3n_text hyperclovax internlm3
    iquestcoder jais2 llama minicpm3 vaultgemma
    """.split()
)
"""model_types whose classes refuse a width that is not a multiple of the heads, even with
a head_dim (validate_architecture of their configuration classes)."""


ONLY_SCALING = {"phi3": "longrope"}
"""model_types whose configuration class takes one kind of RoPE scaling alone."""
AXES = 3
"""Axes of positions of images: time, height and width."""


class ImpossibleFact(NamedTuple):
    """A fact that does not go with others."""

    path: str
    reason: str
    """What is wrong, as the end of a sentence that begins with the fact's value."""
    severity: Severity = "weights"


def check_facts(c: ConfigKeys, a: s.Architecture, evidence: Mapping[str, Evidence]) -> None:
    """Report facts with which the model cannot be built or run, by the config keys that state them.

    evidence: of the facts, by path.
    """
    for problem in impossible_facts(a):
        source = evidence.get(problem.path)
        name = problem.path
        if source is not None and source.kind == "config":
            name = source.ref
        value = find_value(a, problem.path)
        fails = FAILS
        if problem.severity == "behaviour":
            fails = "what the model computes is not a number"
        add(
            c,
            Finding(
                rule="config-refused",
                path=name,
                message=f"{name} is {shown(value)}, {problem.reason}: {fails}",
                severity=problem.severity,
                new=value,
            ),
        )


def impossible_facts(a: s.Architecture) -> Iterator[ImpossibleFact]:
    """Yield the facts of an architecture that do not go with others."""
    for name, mixer in a.mixers.items():
        path = f"mixers.{name}"
        heads = getattr(mixer, "heads", 1)
        scaling = mixer.rope.scaling if isinstance(mixer, s.Attention) and mixer.rope else None
        only = ONLY_SCALING.get(a.model_type)
        if scaling is not None and only is not None and scaling.kind != only:
            yield ImpossibleFact(f"{path}.rope.scaling.kind", f"but the class takes {only} alone")
        if a.model_type in DIVIDED_WIDTH and a.hidden_size % heads:
            yield ImpossibleFact("hidden_size", f"which is not a multiple of the {heads} heads")
        if isinstance(mixer, s.Attention):
            yield from _attention(path, mixer)
        elif isinstance(mixer, s.LatentAttention):
            yield from _latent(path, mixer)
        elif isinstance(mixer, s.CompressedAttention):
            yield from _compressed(path, mixer)
        else:
            yield from _linear(path, mixer)
    for name, ffn in a.ffns.items():
        if isinstance(ffn, s.MoE):
            yield from _experts(f"ffns.{name}", ffn)


# --- attention ----------------------------------------------------------------------------------


def _attention(path: str, m: s.Attention) -> Iterator[ImpossibleFact]:
    if m.heads % m.kv_heads:
        yield ImpossibleFact(
            f"{path}.heads", f"which is not a multiple of the {m.kv_heads} KV heads"
        )
    if m.window == 0:
        yield ImpossibleFact(f"{path}.window", "so that no token is read")
    if m.rope is not None:
        yield from _rope(f"{path}.rope", m.rope, m.head_dim, in_part=True)


def _latent(path: str, m: s.LatentAttention) -> Iterator[ImpossibleFact]:
    if m.rope is not None:
        yield from _rope(f"{path}.rope", m.rope, m.qk_rope_head_dim)
    index = m.indexer
    if index is not None and index.rope_dim > index.head_dim:
        reason = f"but its heads have {index.head_dim} dims"
        yield ImpossibleFact(f"{path}.indexer.rope_dim", reason)


def _compressed(path: str, m: s.CompressedAttention) -> Iterator[ImpossibleFact]:
    if m.heads % m.o_groups:
        reason = f"which does not divide the {m.heads} heads"
        yield ImpossibleFact(f"{path}.o_groups", reason)
    if m.rope is not None:
        yield from _rope(f"{path}.rope", m.rope, m.head_dim)


def _rope(
    path: str, rope: s.Rope, head_dim: int, *, in_part: bool = False
) -> Iterator[ImpossibleFact]:
    """Yield what is wrong with rotary positions in heads of `head_dim` dims.

    in_part: whether the code rotates as many dims as there are frequencies, even none.
    """
    dims = rope.rotary_dim
    if dims > head_dim:
        yield ImpossibleFact(f"{path}.rotary_dim", f"more than the {head_dim} dims of a head")
    elif dims < 0 or (dims == 0 and not in_part):
        yield ImpossibleFact(f"{path}.rotary_dim", "so that no dim is rotated")
    elif dims % 2 and dims == head_dim and head_dim > SMALLEST_ODD_HEAD:
        yield ImpossibleFact(f"{path}.rotary_dim", "but rotation needs pairs of dims")
    if rope.sections is not None and len(rope.sections) != AXES:
        yield ImpossibleFact(f"{path}.sections", f"but positions have {AXES} axes")
    if rope.theta <= 0:
        yield ImpossibleFact(f"{path}.theta", "but its powers are needed", "behaviour")
    if rope.scaling is not None:
        yield from _scaling(f"{path}.scaling", rope.scaling, dims)


def _scaling(path: str, scaling: s.RopeScaling, dims: int) -> Iterator[ImpossibleFact]:
    """Yield what is wrong with the scaling of `dims` rotated dims."""
    for name in ("short_factor", "long_factor"):
        factors = getattr(scaling, name)
        if factors is not None and len(factors) != (dims + 1) // 2:
            reason = f"{len(factors)} factors for {(dims + 1) // 2} frequencies"
            yield ImpossibleFact(f"{path}.{name}", reason)
    for name in ("low_freq_factor", "high_freq_factor"):
        if getattr(scaling, name) == 0:
            yield ImpossibleFact(f"{path}.{name}", "but it is divided by")
    for name in ("beta_fast", "beta_slow"):
        beta = getattr(scaling, name)
        if beta is not None and beta <= 0:
            yield ImpossibleFact(f"{path}.{name}", "but its logarithm is needed")
    if scaling.factor is not None and scaling.factor <= 0:
        yield ImpossibleFact(f"{path}.factor", "but a context is made longer by it", "behaviour")


# --- linear attention and experts ---------------------------------------------------------------


def _linear(path: str, m: s.LinearAttention) -> Iterator[ImpossibleFact]:
    if m.key_heads and m.value_heads % m.key_heads:
        reason = f"which is not a multiple of the {m.key_heads} key heads or groups"
        yield ImpossibleFact(f"{path}.value_heads", reason)


def _experts(path: str, m: s.MoE) -> Iterator[ImpossibleFact]:
    router = m.router
    choices = m.experts + m.zero_experts
    if m.active > choices:
        yield ImpossibleFact(f"{path}.active", f"more than the {choices} experts")
    if router.groups < 1 or m.experts % router.groups:
        reason = f"which does not divide the {m.experts} experts"
        yield ImpossibleFact(f"{path}.router.groups", reason)
        return
    each = m.experts // router.groups
    if (router.active_groups or 0) > router.groups:
        yield ImpossibleFact(
            f"{path}.router.active_groups", f"more than the {router.groups} groups"
        )
    if router.group_score == "top2_sum" and each < 2:
        yield ImpossibleFact(
            f"{path}.router.groups", "but a group is judged by its best two experts"
        )
