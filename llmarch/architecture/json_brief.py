"""What `--brief` writes, for agents and scripts: the facts without evidence, and main figures."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from .json_memory import LayoutDocument, ScenarioDocument
from .schema import Severity


class FiguresDocument(TypedDict):
    """Figures of one model that follow from its facts; the unit ends each name.

    Null: not known. docs/conventions.md says what each counts.
    """

    total_parameters: int | None
    """The main model: tied weights once, encoders included, MTP modules excluded."""
    active_parameters: int | None
    """Parameters of the text model that serve one token, embedding and head included."""
    embedding_parameters: int | None
    """The token embedding."""
    encoder_parameters: int | None
    """All encoders of other modalities."""
    mtp_parameters: int | None
    """Multi-token prediction modules."""
    layers: int | None
    """Number of layers."""
    context_tokens: int | None
    """Context length."""
    weights_bytes: int | None
    """Weights of the main model in memory, as stored, or as the config declares."""
    cache_dtype: str | None
    """Dtype of keys and values in the figures below."""
    cache_bytes_per_token: int | None
    """Bytes that a token adds to the cache of a sequence once every window is full."""
    cache_bytes_per_token_before_windows_fill: int | None
    """Bytes that a token adds while no window is full."""
    cache_window_bytes: int | None
    """Bytes of all windows and chunks of a sequence when they are full."""
    cache_state_bytes: int | None
    """Bytes of a sequence that do not depend on its length."""
    cache_bytes_at: dict[str, int]
    """Bytes of the cache of a sequence at some lengths in tokens."""


class ComparedFiguresDocument(TypedDict):
    """Figures of two models, and their ratios."""

    old: FiguresDocument
    """Figures of the first model."""
    new: FiguresDocument
    """Figures of the other model."""
    ratios: dict[str, float]
    """Figure of the other model divided by that of the first, by name, where both are known."""


class BriefFindingDocument(TypedDict):
    """A finding in short."""

    rule: str
    """Stable id of the rule (docs/rules.md)."""
    severity: Severity
    """What it breaks."""
    path: str
    """Path of the fact, or name of the tensor or file, that it is about."""
    message: str
    """What was found, as a sentence."""


class BriefSourceDocument(TypedDict):
    """A model in short: which one it is, and how far it is checked."""

    reference: str
    """The reference as it was given."""
    name: str
    """Name of the model for people."""
    repo_id: str | None
    """Repository on the Hub, owner/name. Null: none is known."""
    commit: str | None
    """Commit that was read. Null: not from the Hub, or not known."""
    status: str
    """How far the config is checked, as `parameters.status` of `show`."""


class BriefDocument(BriefSourceDocument):
    """What `llmarch show REF --brief --format json` writes: facts without evidence, on one line."""

    schema_version: int
    """Version of this document."""
    document: Literal["brief"]
    """What this document is."""
    summary: str
    """The architecture in one sentence."""
    recipe: list[str]
    """Layers kind by kind, in words."""
    norm_placement: str | None
    """Where norms stand around blocks, in words. Null: not known."""
    figures: FiguresDocument
    """Figures that follow from the facts."""
    facts: dict[str, Any]
    """The architecture as in `show`, without facts at their default and without the wiring of
    layers, which `recipe` and `norm_placement` sum up. Encoders have their plain facts alone, and
    a list of more than eight items is the words `N items`."""
    findings: list[BriefFindingDocument]
    """What contradicts the config or is noteworthy, without what only informs."""


class BriefFitDocument(TypedDict):
    """What the tool `fit` of `llmarch mcp` answers: the best layout in short."""

    schema_version: int
    """Version of this document."""
    document: Literal["brief_fit"]
    """What this document is."""
    fits: bool | None
    """Whether a layout fits. Null: not known, because the checkpoint contradicts its config."""
    launch: str
    """The command that starts the server of the best layout. Empty: the engine has none."""
    formats_that_fit: list[str]
    """Smaller formats of weights that would fit, if this one does not."""
    layouts: list[LayoutDocument]
    """Layouts that fit the same number of GPUs, the best first."""
    plan: ScenarioDocument
    """The plan of the best layout as a flat record; if none fits, of the nearest one."""


class BriefChangeDocument(TypedDict):
    """A change in short."""

    rule: str
    """Stable id of the rule (docs/rules.md)."""
    severity: Severity
    """What the change breaks."""
    path: str
    """Path of the fact, or name of the tensor or file, that the change is about."""
    old: Any
    """Old value. Null: none."""
    new: Any
    """New value. Null: none."""


class BriefComparedDocument(TypedDict):
    """One model beside the first, in short."""

    new: BriefSourceDocument
    """The model."""
    figures: ComparedFiguresDocument
    """Figures of both models that follow from the facts."""
    changes: list[BriefChangeDocument]
    """All differences from the first model, worst first."""


class BriefDiffDocument(TypedDict):
    """What `llmarch diff REF REF... --brief --format json` writes, on one line."""

    schema_version: int
    """Version of this document."""
    document: Literal["brief_diff"]
    """What this document is."""
    old: BriefSourceDocument
    """The first model."""
    comparisons: list[BriefComparedDocument]
    """Each of the other models beside the first."""
    check: NotRequired[dict[str, Any]]
    """The differences as `check` judges them, as `CheckDocument`. Only with --fail-on or
    --ignore."""
