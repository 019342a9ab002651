"""What `diff` and `check` write with `--format json`, and what a lock file holds."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from .json_brief import ComparedFiguresDocument
from .json_show import SourceDocument
from .schema import Architecture, Finding, Severity


class ReportedChangeDocument(TypedDict):
    """A difference between two models, of facts or of findings."""

    rule: str
    """Stable id of the rule, such as `kv-heads-changed` (docs/rules.md)."""
    path: str
    """Dotted path of the fact, or name of the tensor or file, that the change is about."""
    old: Any
    """Value that was expected. Null: there was no such fact, or the finding is new."""
    new: Any
    """Value that was read. Null: there is no such fact, or the finding is gone."""
    severity: Severity
    """What the change breaks."""
    old_path: str | None
    """Path of the fact in the old model, where its block has another name there. Null: `path`."""
    new_path: str | None
    """Path of the fact in the new model, where its block has another name there. Null: `path`."""
    paths: list[str]
    """Paths of all facts that changed alike, where several are told as one. Empty: `path` alone."""
    key: str | None
    """Dotted key of the config that made the change. Null: none alone, or not known."""
    key_old: Any
    """Value of the key in the old config. Null: null, absent, or not known."""
    key_new: Any
    """Value of the key in the new config. Null: null or absent."""
    consequence: str | None
    """What the change means here, in a few words. Empty: nothing, as far as is known. Null: nobody
    judged it."""
    id: str | None
    """Short stable id of the change, for `check --accept`. Null: nobody judged it."""
    finding: Finding | None
    """The finding that the change is about, with the tensor or fact as its path, and where it has
    them the value by the config as `old` and the stored one as `new`. Null: it is about a fact."""


class DiffChangeDocument(ReportedChangeDocument):
    """A change as `diff` and `log` report it."""

    fails: bool | None
    """Whether the change fails a check. Null: nobody judged it."""


class CheckedChangeDocument(ReportedChangeDocument):
    """A change as `check` judges it: with the severity that the project has set."""

    title: NotRequired[str]
    """What changed, in a few words: the title of the rule."""
    meaning: NotRequired[str]
    """The title, and what the change breaks here."""
    text: NotRequired[str]
    """The values in words: `1,000,000 → 10,000`, or the message of a finding."""
    fails: bool
    """Whether the change is at or above `fail_on`, or one of `fail_rules`."""
    line: int | None
    """Line of the fact in the lock file. Null: no lock file was used."""


class CheckErrorDocument(TypedDict):
    """Why a model could not be read."""

    message: str
    """What went wrong."""
    hint: str | None
    """What to do about it. Null: nothing is known."""
    exit_code: int
    """Exit code that the error stands for."""


class ComparedSideDocument(TypedDict):
    """Where one side of a comparison was read."""

    reference: str
    """As the lock file or the command line has it."""
    repo: str | None
    """Repository on the Hub, owner/name. Null: not from the Hub."""
    revision: str | None
    """Branch, tag or commit that was asked for. Null: none."""
    commit: str | None
    """Full commit that was read. Null: not known."""


class CheckSummaryDocument(TypedDict):
    """Totals over all models of a check."""

    models: int
    """Number of models."""
    failing: int
    """Number of changes at or above `fail_on`."""
    ignored: int
    """Number of changes that an `ignore` left out."""
    unreadable: int
    """Number of models that could not be read."""
    partial: int
    """Number of models that were read only in part."""


class VerdictDocument(TypedDict):
    """One model held against what was expected of it."""

    reference: str
    """The reference, as the lock file or the command line has it."""
    against: str | None
    """The other model's reference. Null: the model is held against its own entry in a lock file."""
    outcome: NotRequired[Literal["failed", "uncertain", "passed"]]
    """How the comparison ended; failing changes go before an incomplete comparison."""
    old: str | None
    """Commit that is expected, its first seven digits. Null: not known."""
    new: str | None
    """Commit that was read, its first seven digits. Null: not known."""
    old_model: NotRequired[ComparedSideDocument | None]
    """Where the expected model was read. Null: not known."""
    new_model: NotRequired[ComparedSideDocument | None]
    """Where the model was read. Null: it could not be read."""
    changes: list[CheckedChangeDocument]
    """Changes and findings that are not ignored, worst first."""
    ignored: int
    """Number of changes that an `ignore` left out."""
    accepted: list[str]
    """Ids of changes that were accepted."""
    partial: bool
    """Whether the model was read only in part, so that more may have changed."""
    error: CheckErrorDocument | None
    """Why the model could not be read. Null: it was read."""
    remarks: list[str]
    """Why it was read in part, and what else a reader should know."""


class CheckDocument(TypedDict):
    """What `llmarch check --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["check"]
    """What this document is."""
    lock: str | None
    """Path of the lock file. Null: no lock file was used."""
    fail_on: Severity
    """Severity at or above which a change fails."""
    llmarch_version: NotRequired[str]
    """Version of llmarch that wrote the document."""
    counts: NotRequired[dict[Severity, int]]
    """Number of changes by severity, from worst."""
    summary: NotRequired[CheckSummaryDocument]
    """Totals over all models."""
    exit_code: int
    """Exit code of the command: 0 clean, 1 changes fail, 2 or 3 a model could not be read, 4 a
    model was read only in part."""
    verdicts: list[VerdictDocument]
    """One verdict for each model."""
    fail_rules: list[str]
    """Rules whose changes fail whatever their severity."""
    notes: list[str]
    """Ignores that expired or that covered no change."""


class CommitDocument(TypedDict):
    """One commit of a repository, compared with the last one before it that could be read."""

    commit: str
    """Its hash."""
    day: str
    """Day of the commit, such as 2026-01-31. Empty: not known."""
    title: str
    """First line of its message."""
    changes: list[DiffChangeDocument]
    """What it changed, worst first. Empty for the oldest one."""
    partial: bool
    """Whether it was read only in part, so that more may have changed."""
    error: str | None
    """Why it could not be read. Null: it was read."""
    remarks: list[str]
    """Why it was read in part."""


class LogDocument(TypedDict):
    """What `llmarch log REF --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["log"]
    """What this document is."""
    repo: str
    """Repository on the Hub, owner/name."""
    commits: list[CommitDocument]
    """Commits, newest first."""


class DiffDocument(TypedDict):
    """What `llmarch diff OLD NEW --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["diff"]
    """What this document is."""
    old: SourceDocument
    """Where the old model was read."""
    new: SourceDocument
    """Where the new model was read."""
    figures: ComparedFiguresDocument
    """Figures of both models that follow from the facts: parameters, cache, weights."""
    changes: list[DiffChangeDocument]
    """All differences, worst first: of the architectures, and as `check` tells them of findings,
    of config keys that nothing reads, and of stored tensors."""
    remarks: NotRequired[list[str]]
    """Facts that only one of the two configs says, which is not a change."""
    check: NotRequired[CheckDocument]
    """The differences as `check` judges them. Only with --fail-on or --ignore."""


class ComparedModelDocument(TypedDict):
    """One model held against the first, where `diff` is given several."""

    new: SourceDocument
    """Where the model was read."""
    figures: ComparedFiguresDocument
    """Figures of both models that follow from the facts: parameters, cache, weights."""
    changes: list[DiffChangeDocument]
    """All differences from the first model, worst first, as in `DiffDocument`."""
    remarks: NotRequired[list[str]]
    """Facts that only one of the two configs says, which is not a change."""


class ComparisonDocument(TypedDict):
    """What `llmarch diff A B C... --format json` writes for three models or more."""

    schema_version: int
    """Version of this document."""
    document: Literal["comparison"]
    """What this document is."""
    old: SourceDocument
    """Where the first model was read."""
    comparisons: list[ComparedModelDocument]
    """Each of the other models against the first."""
    check: NotRequired[CheckDocument]
    """The differences as `check` judges them. Only with --fail-on or --ignore."""


class LockedTensorsDocument(TypedDict):
    """The tensors of a checkpoint, in short."""

    count: int
    """Number of tensors."""
    bytes: int
    """Bytes of all tensors."""
    digest: str
    """Hash of all names, dtypes and shapes: `sha256:` and 64 hexadecimal digits."""
    rows: NotRequired[list[tuple[str, str, list[int], int]]]
    """Name pattern, dtype, shape and number of the tensors that differ only in numbers of their
    names. Empty: too many, so that the hash alone is kept."""


class LockedFilesDocument(TypedDict):
    """What is beside the architecture: compared by value or hash, never read."""

    keys: dict[str, str]
    """Token ids and classes of own code: dotted keys of the config with their values as JSON."""
    files: dict[str, str]
    """What identifies the content of code, of small files and of weights, by name: `git:`,
    `sha256:`, `size:`. Empty: not known."""
    is_partial: NotRequired[bool]
    """True: the model was read in the Hub's cache, where the repository's other files are not."""


class ObservedFactsDocument(TypedDict):
    """What tensors show of a model that no family reads."""

    facts: dict[str, Any]
    """Values by dotted path, as far as they are known."""
    unknown: list[str]
    """Paths of facts that stay open."""
    kinds: dict[str, list[str]]
    """Paths of the blocks and norms of each kind of layer."""
    layers: list[tuple[int, str]]
    """Layers as runs [number, kind]."""
    components: dict[str, int]
    """Elements by component."""
    packings: list[str]
    """Packings that were found."""


class LockedModelDocument(TypedDict):
    """One model of a lock file."""

    repo: str | None
    """Repository on the Hub, owner/name. Null: not from the Hub."""
    revision: str | None
    """Branch, tag or commit that was asked for. Null: none."""
    commit: str | None
    """Commit that was read. Null: not known."""
    status: str
    """How far the reading was checked, as `parameters.status` of `show`."""
    fingerprint: str
    """Hash of the architecture without names and storage: `sha256:` and 64 hexadecimal digits."""
    parameters: dict[str, int]
    """`total`, `active` and, where headers were read, `stored`, in elements."""
    tensors: LockedTensorsDocument | None
    """The tensors of the checkpoint. Null: no headers were read."""
    architecture: Architecture | None
    """The architecture. In the file, facts at their default are left out and `layers` is a list of
    runs [number, kind]. Null: no family reads the model, and `observed` has what is known."""
    observed: NotRequired[ObservedFactsDocument]
    """What tensors show of a model that no family reads. Absent: a family reads it."""
    config_keys: NotRequired[dict[str, str]]
    """Of an observed model whose config is too long to be held: its keys by their dotted names,
    each with its value as JSON (a hash of long values)."""
    beside: NotRequired[LockedFilesDocument]
    """Token ids, own code and small files. Absent: an older llmarch wrote the lock."""
    findings: list[Finding]
    """Findings at the time of the lock."""
    unread_keys: dict[str, str]
    """Keys of the config that nothing has read, each with its value as JSON (a hash of long
    values)."""
    accepted: NotRequired[dict[str, str]]
    """Changes that somebody accepted, in words by their id. Absent: none."""
    read_by: NotRequired[str]
    """Version of llmarch that read the model. Absent: not known."""
    config_file: NotRequired[str]
    """Name of the file that the config comes from."""
    quantization_file: NotRequired[str]
    """Name of the file that its `quantization_config` comes from. Empty: the same one."""
    config: NotRequired[dict[str, Any]]
    """The config as it was published. Absent: very long, or an older llmarch wrote the lock."""


class LockDocument(TypedDict):
    """A lock file, with `architecture.layers` one by one instead of in runs."""

    llmarch_lock: int
    """Version of the lock file's format."""
    schema_version: int
    """Version of the architectures within."""
    written_by: str
    """Version of llmarch that wrote the file."""
    models: dict[str, LockedModelDocument]
    """Models by reference."""
