"""Decide by the stored tensors what a config leaves open.

That is whether the head is tied, which the wrapper of a decoder and its text part may state
differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..architecture.paths import last_part
from ..architecture.schema import Architecture, Evidence, Finding
from ..config.findings import KEYS_OF_TENSORS
from .verify import Verification

TIED = "embedding.tied"

Check = Callable[[Architecture], Verification]
"""Compare an architecture with the stored tensors."""


def settle_tie(
    architecture: Architecture, check: Check, evidence: dict[str, Evidence]
) -> tuple[Architecture, Verification]:
    """Return the architecture whose head is tied if none is stored, and its verification.

    The evidence of the fact becomes the tensors.
    """
    verification = check(architecture)
    rules = {finding.rule for finding in verification.findings}
    contradicted = {"untied-head-missing", "tied-copy-stored"} & rules
    if contradicted:
        tied = not architecture.embedding.tied
        embedding = replace(architecture.embedding, tied=tied)
        architecture = replace(architecture, embedding=embedding)
        verification = check(architecture)
    what = "a head is stored"
    if architecture.embedding.tied:
        what = "no head is stored"
    evidence[TIED] = Evidence(kind="tensor", ref=what)
    return architecture, verification


def settled_findings(
    findings: Iterable[Finding], unsettled: Mapping[str, Any], architecture: Architecture
) -> list[Finding]:
    """Return the findings of a config, of which those that do no harm here become `info`.

    A flag that disagrees with another does none if transformers obeys the one that is right, or
    if the model has no head that could be tied.
    """
    obeyed = TIED in unsettled and unsettled[TIED] == architecture.embedding.tied
    harmless = obeyed or not architecture.head.predicts_tokens
    settled: list[Finding] = []
    for finding in findings:
        if harmless and finding.path.endswith("tie_word_embeddings"):
            finding = replace(finding, severity="info")
        settled.append(finding)
    return settled


def denied_tensors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings of a config whose tensors are stored, where engines may find no place.

    A key that only some engines obey contradicts what is stored (`KEYS_OF_TENSORS`): these do not
    build the modules, and fail to load.
    """
    settled: list[Finding] = []
    for finding in findings:
        key = last_part(finding.path)
        if finding.rule == "config-contradiction" and key in KEYS_OF_TENSORS:
            finding = replace(finding, severity="behaviour")
        settled.append(finding)
    return settled
