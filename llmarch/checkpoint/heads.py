"""Recognise by names and shapes heads that are not a language model's, and decide by them.

Modules: transformers 5.23.0 (score, classifier, qa_outputs), TRL AutoModelForCausalLMWithValueHead
(v_head.summary), OpenRLHF (value_head), InternLM2 (v_head), Safe RLHF (score_head), Eurus
(regression_head), VideoReward (rm_head).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..architecture.schema import Architecture, Evidence, Finding, Head
from ..config.head import HEAD
from ..sources.raw import RawModel, TensorGroup, unfold
from ..tensors.naming import SCORE_HEADS
from .conflicts import Conflict, conflict_finding
from .findings import info_finding
from .logical import LogicalTensor
from .names import canonical
from .roles import HEAD_NAMES

SCORE_NAME = re.compile(
    r"^(?P<module>score|classifier|qa_outputs|v_head\.summary|v_head|value_head|rm_head|reward_head"
    r"|regression_head|score_head)\.(?P<leaf>(\{\}\.)?(weight|bias))$"
)
KINDS = {
    "score": "sequence_classification",
    "classifier": "token_classification",
    "qa_outputs": "question_answering",
    "v_head.summary": "value",
    "v_head": "value",
    "value_head": "value",
}
"""Kinds of heads by the name of the module; the others are rewards."""
EMBEDDING_FILES = frozenset({"modules.json", "config_sentence_transformers.json"})
"""Files of repositories that sentence-transformers loads, without a head."""

_AnyTensors = TensorGroup | LogicalTensor
_Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a module's tensors: `weight`, `bias`, `0.weight`."""


class StoredHead(NamedTuple):
    """A head that is not a language model's, as it is stored."""

    head: Head
    module: str
    names: tuple[str, ...]
    """The stored names of its tensors."""


def find_score_head(groups: Iterable[_AnyTensors], hidden_size: int) -> StoredHead | None:
    """Return the head of a classifier or reward model among tensors, if it is a usual one."""
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    names: dict[str, list[str]] = {}
    for group in groups:
        match = SCORE_NAME.match(canonical(group.pattern))
        if match is None or group.shape is None:
            continue
        module = match["module"]
        for index in group.indices:
            leaf = unfold(match["leaf"], index)
            modules.setdefault(module, {})[leaf] = group.shape
            names.setdefault(module, []).append(unfold(group.pattern, index))

    for module, shapes in modules.items():
        head = _recognise(module, shapes, hidden_size)
        if head is not None:
            return StoredHead(head, module, tuple(names[module]))
    return None


def _recognise(module: str, shapes: _Shapes, hidden_size: int) -> Head | None:
    """Return the head with these tensors; None if it is neither one matrix nor two."""
    kind: Any = KINDS.get(module, "reward")
    inner_width: int | None = None
    width, last = hidden_size, ""
    if "0.weight" in shapes:
        first = shapes["0.weight"]
        is_matrix = len(first) == 2 and first[1] == hidden_size
        if not is_matrix or shapes.get("0.bias") != first[:1]:
            return None
        kind, last = "reward", "2."
        inner_width = width = first[0]

    weight = shapes.get(f"{last}weight", ())
    bias = shapes.get(f"{last}bias")
    if len(weight) != 2 or weight[1] != width or bias not in (None, weight[:1]):
        return None
    if module == "score" and bias and inner_width is None:
        kind = "token_classification"
    return Head(
        kind=kind,
        outputs=weight[0],
        inner_width=inner_width,
        bias=bias is not None,
        module=_unusual(module, kind),
    )


def _unusual(module: str, kind: str) -> str | None:
    """Return the name of a module unless it is the one that heads of a kind usually have."""
    if module == SCORE_HEADS[kind]:
        return None
    return module


def find_lm_head(groups: Iterable[_AnyTensors]) -> str:
    """Return the name of a stored head of a language model, in some packing or none, or nothing."""
    stems = tuple(name.removesuffix("weight") for name in HEAD_NAMES)
    names = (group.pattern for group in groups)
    return next((name for name in names if canonical(name).startswith(stems)), "")


def head_conflicts(a: Architecture, unexpected: Iterable[LogicalTensor]) -> list[Finding]:
    """Return the finding that the head is of another kind than the class of the config has.

    unexpected: the tensors that nothing explains.
    """
    tensors = list(unexpected)
    stored = find_score_head(tensors, a.hidden_size)
    if stored is not None and stored.head.kind != a.head.kind:
        conflict = Conflict("head.kind", a.head.kind, stored.head.kind)
        return [conflict_finding(conflict, stored.names)]
    lm_head = find_lm_head(tensors)
    if lm_head and not a.head.predicts_tokens:
        return [conflict_finding(Conflict("head.kind", a.head.kind, "language_model"), [lm_head])]
    return []


def settle_head(
    a: Architecture,
    raw: RawModel,
    unsettled: Mapping[str, Any],
    evidence: dict[str, Evidence],
) -> tuple[Architecture, list[Finding]]:
    """Return the architecture with the head that is stored, where the config leaves it open.

    It does if it names no class, or one whose head is not known. Beyond that, a value head may
    stand beside the head of a language model, and embedding models are published under the class of
    a language model, without its head.
    """
    table = raw.tensors
    assert table is not None
    stored = find_score_head(table, a.hidden_size)
    lm_head = bool(find_lm_head(table))
    if stored is None:
        return _settle_embedding(a, raw, lm_head, evidence)

    head = stored.head
    names = ", ".join(stored.names)
    if HEAD in unsettled:
        kind = head.kind
        if a.head.kind == "reward":
            kind = a.head.kind
        module = _unusual(stored.module, kind)
        head = replace(head, kind=kind, module=module, lm_head=lm_head)
        return _with_head(a, head, names, evidence), []

    is_value = head.kind == "value" and a.head.kind == "language_model" and not a.head.bias
    if is_value and (lm_head or a.embedding.tied):
        message = (
            "a value head (TRL) beside the language model, counted: transformers leaves it out, "
            "vLLM stops at it"
        )
        finding = info_finding("head-from-tensors", stored.names[0], message)
        head = replace(head, lm_head=True, softcap=a.head.softcap, scale=a.head.scale)
        return _with_head(a, head, names, evidence), [finding]
    return a, []


def _settle_embedding(
    a: Architecture, raw: RawModel, lm_head: bool, evidence: dict[str, Evidence]
) -> tuple[Architecture, list[Finding]]:
    """Return an embedding model without a head, which its class would have."""
    files = sorted(EMBEDDING_FILES.intersection(raw.files))
    if a.head.kind != "language_model" or lm_head or not files:
        return a, []
    message = "an embedding model (sentence-transformers): no head is stored, and none is used"
    if not a.embedding.tied:
        message += "; as a language model it would start with random numbers"
    finding = info_finding("head-from-tensors", files[0], message)
    source = f"{files[0]}, and no head is stored"
    return _with_head(a, Head(kind="none"), source, evidence), [finding]


def _with_head(
    a: Architecture, head: Head, source: str, evidence: dict[str, Evidence]
) -> Architecture:
    """Return the architecture with a head that tensors tell."""
    for path in [path for path in evidence if path.startswith("head.")]:
        evidence[path] = Evidence(kind="tensor", ref=source)
    return replace(a, head=head)
