"""Check what is on this machine: models that are not, or their weights, are left out with a remark.

A hook must not block a commit for what somebody else has downloaded. Pure, but for what `load`
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import LlmarchError, NotCached, NotPulled
from .gate import compared_side, judge, judge_reference, short_commit
from .lock import Entry
from .policy import Policy
from .report import Verdict
from .rereading import LoadEntry, config_alone, without_files

CONFIG_ALONE = "its tensor headers are not on this machine: the config alone was compared"
NO_CONFIG = "not checked: its tensor headers are not on this machine, and the lock has no config"


def judge_cached(
    old: Entry,
    load: LoadEntry,
    policy: Policy,
    *,
    reference: str,
    model_line: int = 1,
    fact_lines: Mapping[str, int] | None = None,
) -> tuple[Verdict, Entry | None]:
    """Compare a model with its entry in the lock as far as it is on this machine.

    Parameters and results are those of `judge_reference`. A model that is not here is skipped; of
    one whose tensor headers are not, the configs are compared.
    """
    headers = old.tensors is not None
    try:
        new = _load_what_is_here(load, reference, headers)
    except (NotCached, NotPulled) as error:
        return not_here(reference, error, old, model_line), None
    except LlmarchError:
        new = None
    if new is None or not headers or new.tensors is not None:

        def load_once(ref: str, tensors: bool) -> Entry:
            if new is not None and ref == reference:
                return new
            return load(ref, tensors)

        return judge_reference(
            old,
            load_once,
            policy,
            reference=reference,
            model_line=model_line,
            fact_lines=fact_lines,
        )
    locked = config_alone(old)
    if locked is None:
        return skipped(reference, NO_CONFIG, old, model_line), None
    verdict = judge(
        locked, without_files(new), policy, model_line=model_line, fact_lines=fact_lines
    )
    return replace(verdict, remarks=(CONFIG_ALONE, *verdict.remarks)), None


def _load_what_is_here(load: LoadEntry, reference: str, headers: bool) -> Entry:
    """Return a model; by its config alone where tensor headers are not here. Raises LlmarchError.

    A shard that nobody has downloaded is not here, nor is a pointer of Git LFS, nor are weights
    that are kept out of the project's repository: of those not one file is there.
    """
    try:
        entry = load(reference, headers)
    except NotPulled:
        return load(reference, False)
    if headers and not _has_headers(entry):
        return load(reference, False)
    return entry


def _has_headers(entry: Entry) -> bool:
    """Return whether the tensor headers of a model were read, as far as they may be here."""
    if any(finding.rule == "headers-not-cached" for finding in entry.findings):
        return False
    return entry.reading is None or entry.reading.raw.header_bytes > 0


def not_here(
    reference: str, error: LlmarchError, old: Entry | None = None, line: int = 1
) -> Verdict:
    """Return the verdict about a model that is not on this machine; `old` and `line` as below."""
    return skipped(reference, f"not checked: {error.message}", old, line)


def skipped(reference: str, reason: str, old: Entry | None = None, line: int = 1) -> Verdict:
    """Return the verdict about a model of which nothing was compared.

    old: its entry in the lock, if that could be read.
    line: where that begins.
    """
    if old is None:
        return Verdict(reference, None, None, remarks=(reason,), is_skipped=True)
    return Verdict(
        reference,
        short_commit(old),
        None,
        model_line=line,
        remarks=(reason,),
        old_side=compared_side(old),
        is_skipped=True,
    )
