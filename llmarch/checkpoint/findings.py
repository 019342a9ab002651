"""Limit the number and length of findings, and escape names that are not printable."""

from __future__ import annotations

from dataclasses import replace

from ..architecture.schema import Finding
from ..errors import printable

MAX_FINDINGS = 200
MAX_TEXT = 400
"""Characters of a path or message."""

TIED_HEAD_ALONE = (
    "the config ties the head to the embedding, and only the head is stored: transformers 5 takes"
    " it for both; vLLM, SGLang and mlx-lm leave a tied head out, and find no embedding"
)
"""Loaders: transformers 5.23.0 modeling_utils.py (tie_weights); vLLM 0.33.0 and SGLang 0.5.23
(load_weights skips `lm_head.` where the config ties); mlx-lm 0.32.2 (`sanitize` drops it)."""

TIED_HEAD = (
    "of the shape of the token embedding, which the config ties the head to; not counted. Headers"
    " do not tell whether it is a copy: if it differs, transformers 5 loads it, while vLLM and"
    " SGLang compute with the embedding"
)
"""What is said of a stored head of a tied model (transformers 5.23.0 PreTrainedModel.tie_weights;
load_weights of vLLM's and SGLang's models skip `lm_head.` where the config ties)."""


def limit_findings(findings: list[Finding]) -> list[Finding]:
    """Return at most MAX_FINDINGS findings with printable text, those above `info` first.

    The last finding tells how many are left out. None of those is more severe than the last.
    """
    if len(findings) > MAX_FINDINGS:
        findings = _cut(findings)
    return list(map(escape_finding, findings))


def _cut(findings: list[Finding]) -> list[Finding]:
    ordered = sorted(findings, key=_is_info)
    left_out = len(ordered) - MAX_FINDINGS
    *kept, last = ordered[:MAX_FINDINGS]
    message = f"{last.message}; and {left_out:,} more findings"
    last = replace(last, message=message)
    return [*kept, last]


def _is_info(finding: Finding) -> bool:
    return finding.severity == "info"


def escape_finding(finding: Finding) -> Finding:
    """Return the finding with control characters escaped and long text cut.

    Tensor names come from a repository and may hold anything.
    """
    path = printable(finding.path, MAX_TEXT)
    message = printable(finding.message, MAX_TEXT)
    if path == finding.path and message == finding.message:
        return finding
    return replace(finding, path=path, message=message)


def weights_finding(
    rule: str, path: str, message: str, old: object = None, new: object = None
) -> Finding:
    """Return a finding of severity `weights`: checkpoint and config do not belong together."""
    return Finding(rule=rule, path=path, message=message, severity="weights", old=old, new=new)


def info_finding(rule: str, path: str, message: str) -> Finding:
    """Return a finding that breaks nothing."""
    return Finding(rule=rule, path=path, message=message, severity="info")
