"""What commands write that list or explain: `list`, `like`, `explain`, `rules`, `gpus`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from .schema import Finding, Severity


class ListedModelDocument(TypedDict):
    """One bundled model of `list`."""

    alias: str
    """Name by which commands find the model."""
    name: str
    """Name of the model for people."""
    repo_id: str | None
    """Repository on the Hub, owner/name. Null: none is known."""
    also: list[str]
    """Other repositories and names with the same config."""
    organization: str
    """Who made the model."""
    released: str
    """Date of the release as far as it is known: 2025, 2025-07 or 2025-07-11."""
    license: str | None
    """Licence of the weights, where a source gives it. Null: none does."""
    report: str | None
    """Address of the technical report or of the announcement. Null: no source gives it."""
    family: str
    """Family that reads the config."""
    model_type: str
    """`model_type` of the config."""
    attention: list[str]
    """Kinds of attention, as `--attention` takes them."""
    moe: bool
    """Whether the model is a mixture of experts."""
    total: int
    """Parameters of the main model."""
    active: int
    """Parameters of the text model that serve one token."""
    vision: int
    """Parameters of encoders of other modalities."""
    context: int | None
    """Context length in tokens. Null: not known."""
    total_parameters: int
    """The same as `total`."""
    active_parameters: int
    """The same as `active`."""
    vision_parameters: int
    """The same as `vision`."""
    context_tokens: int | None
    """The same as `context`."""
    layers: int
    """Number of layers."""
    config: str
    """State of the bundled config: `published`, `re-saved`, `re-serialised`, `reconstructed` or
    `stand-in` (specs/README.md)."""
    uncertain: dict[str, str]
    """Facts that nobody was found to state, by path, with how certain each is."""
    recipe: list[str]
    """Layers kind by kind, in words."""


class ListDocument(TypedDict):
    """What `llmarch list --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["list"]
    """What this document is."""
    models: list[ListedModelDocument]
    """Bundled models, in the order that was asked for."""


class ColumnsDocument(TypedDict):
    """What `llmarch list --columns NAMES --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["columns"]
    """What this document is."""
    models: list[dict[str, Any]]
    """Bundled models with the columns that were asked for. A fact that several blocks have with
    different values is a list of them."""


_Differences = TypedDict("_Differences", {"with": list[str], "without": list[str]})


class LikeModelDocument(_Differences):
    """One bundled model beside the one that was asked about."""

    alias: str
    """Name by which commands find the model."""
    released: str | None
    """Date of the release. Null: not known."""
    distance: float
    """How far its design is away: the sum of what each difference weighs. 0: the same design."""
    differences: int
    """Number of terms of the glossary that one has and the other has not."""
    size_ratio: float
    """Its parameters divided by those of the model that was asked about."""


class LikeDocument(TypedDict):
    """What `llmarch like REF --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["like"]
    """What this document is."""
    model: str
    """Name of the model that was asked about."""
    same_design: list[str]
    """Aliases of bundled models with the same design."""
    nearest: list[LikeModelDocument]
    """All bundled models, the nearest first."""
    new: list[str]
    """Terms and facts that no older bundled model has."""
    older_models: int
    """Number of bundled models that are known to be older."""
    ancestor: LikeModelDocument | None
    """The nearest older model. Null: none is known to be older."""


class NewsDocument(TypedDict):
    """What is new in a model (`show --new`)."""

    new: list[str]
    """Terms and facts that no older bundled model has."""
    older_models: int
    """Number of bundled models that are known to be older."""
    ancestor: LikeModelDocument | None
    """The nearest older model. Null: none is known to be older."""


class ExplanationDocument(TypedDict):
    """What a term, a fact or a rule means."""

    kind: Literal["term", "fact", "rule"]
    """What it is."""
    name: str
    """Term, path of the fact with `*` for names, or id of the rule."""
    also: list[str]
    """Other names of the term, or other paths of the fact."""
    meaning: str
    """What it is, in one to three sentences."""
    formula: NotRequired[str]
    """The formula of a term."""
    why: NotRequired[str]
    """Why models have it."""
    described_in: NotRequired[str]
    """Where it was described first, or best."""
    facts: NotRequired[str]
    """Paths of the facts that say it, separated by commas."""
    row_of_diff: NotRequired[str]
    """Section and label of the row in which `diff` shows a fact."""
    change: NotRequired[str]
    """Rule of a change of the fact, its severity, and what breaks."""
    values: NotRequired[str]
    """The most frequent values among the bundled models, with how many have each."""
    see: NotRequired[str]
    """Terms that are about the fact."""
    severity: NotRequired[str]
    """Severity of a rule and what it means."""
    covers: NotRequired[str]
    """Paths that a rule covers."""
    since: NotRequired[str]
    """Version of llmarch that has the rule first."""
    what_breaks: NotRequired[str]
    """What breaks where the rule applies, and for whom."""
    first: NotRequired[list[str]]
    """Bundled models that may be the first with it, as far as dates are known."""
    first_released: NotRequired[str | None]
    """When these were released. Null: not known."""
    models: NotRequired[list[str]]
    """Bundled models that have it, the newest first."""
    models_total: NotRequired[int]
    """Number of bundled models that were looked at."""


class ExplainDocument(TypedDict):
    """What `llmarch explain TERM --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["explain"]
    """What this document is."""
    explanations: list[ExplanationDocument]
    """Explanation of each term, fact or rule that was named."""


class TermsDocument(TypedDict):
    """What `llmarch explain --format json` writes without a term."""

    schema_version: int
    """Version of this document."""
    document: Literal["terms"]
    """What this document is."""
    terms: list[str]
    """Everything that has an explanation: terms, their other names, and rules."""


class ExplainedFactDocument(TypedDict):
    """One fact with its meaning and evidence."""

    value: Any
    """Value of the fact."""
    kind: str
    """Where it comes from, as `kind` of `Evidence`."""
    ref: str
    """Key or place in the source, as `ref` of `Evidence`."""
    confirmed_by: list[str]
    """Tensors that prove the value."""
    certainty: str
    """How certain the value is in a reconstructed config. Empty: nothing is in doubt."""
    meaning: str
    """What the fact means."""
    findings: list[Finding]
    """Findings about the fact."""
    remarks: list[str]
    """What a reader must know of all facts of the model."""


class EvidenceDocument(TypedDict):
    """What `llmarch show REF --explain PATH --format json` writes.

    Every other key is the dotted path of a fact, with what it means and where it comes from.
    """

    schema_version: int
    """Version of this document."""
    document: Literal["evidence"]
    """What this document is."""


class RuleDocument(TypedDict):
    """One rule of differences."""

    id: str
    """Stable id of the rule (docs/rules.md)."""
    pattern: str | None
    """Paths of the facts that it covers. Null: it is about findings."""
    severity: Severity
    """What a difference breaks."""
    title: str
    """What differs, in a few words."""
    explanation: str
    """What breaks and for whom."""
    since: str
    """Version of llmarch that has the rule first."""


class RulesDocument(TypedDict):
    """What `llmarch rules --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["rules"]
    """What this document is."""
    rules: list[RuleDocument]
    """All rules."""


class ListedGPUDocument(TypedDict):
    """A GPU, a Mac with one size of memory, or a cloud instance."""

    name: str
    """Name that `--gpus` takes."""
    what: NotRequired[str]
    """The card in words."""
    aliases: NotRequired[list[str]]
    """Other names that `--gpus` takes."""
    memory_bytes: NotRequired[int]
    """Memory in bytes. Absent: a cloud instance."""
    vendor_gb: NotRequired[int]
    """Memory in GB as the vendor names it."""
    source: NotRequired[str]
    """Who states the memory."""
    seen_by: NotRequired[str]
    """Where the memory was seen that the driver shows. Empty: it was not."""
    bandwidth_gb_s: NotRequired[float]
    """Bandwidth of the memory in 10⁹ bytes a second."""
    dense_tflops: NotRequired[dict[str, float]]
    """Peak operations in 10¹² a second by type, without sparsity."""
    speed_source: NotRequired[str]
    """Who states bandwidth and peaks."""
    gpus: NotRequired[int]
    """Number of GPUs of a cloud instance."""
    gpu: NotRequired[str]
    """Kind of the GPUs of a cloud instance."""


class GPUsDocument(TypedDict):
    """What `llmarch gpus --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["gpus"]
    """What this document is."""
    gpus: list[ListedGPUDocument]
    """GPUs, then Macs with one size of memory each, then cloud instances."""


class CacheInfoDocument(TypedDict):
    """What `llmarch cache info --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["cache"]
    """What this document is."""
    path: str
    """Folder of the cache of tensor headers."""
    entries: int
    """Number of entries."""
    bytes: int
    """Size of all entries in bytes."""
