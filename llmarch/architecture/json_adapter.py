"""What `show --format json` writes of an adapter, as typed dictionaries."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from .adapters import AdaptedGroup, Adapter
from .json_show import SourceDocument
from .schema import Finding, Severity


class AdapterParametersDocument(TypedDict):
    """Parameters of an adapter, in elements."""

    trained: int | None
    """Number of parameters that are trained, by config and base. Null: not known."""
    unknown: str
    """Why `trained` is not known. Empty where it is known."""
    stored: int | None
    """Number of elements of the stored tensors. Null: no shapes were read."""
    copies: int
    """Number of elements among the stored ones that are weights of the base."""
    base_total: int | None
    """Number of parameters of the base. Null: it was not read."""
    status: str
    """How far the adapter is checked:

    - `computed`: from its config and the base alone
    - `verified`: every stored tensor is one that these make, and none is missing
    - `partial`: not all could be compared
    - `conflict`: the adapter does not fit its config or its base
    - `observed`: the base was not read
    """


class AdapterChangeDocument(TypedDict):
    """One difference of two adapters."""

    path: str
    """Name of the fact in `adapter`, `modules.` and the name of modules, `stored` or `dtypes`."""
    old: Any
    """Value in the old adapter. Null: it has no such thing."""
    new: Any
    """Value in the new adapter. Null: it has no such thing."""
    severity: Severity
    """What the difference breaks."""


class AdapterDiffDocument(TypedDict):
    """What `llmarch diff OLD NEW --format json` writes of two adapters."""

    schema_version: int
    """Version of this document."""
    document: Literal["adapter_diff"]
    """What this document is."""
    old: SourceDocument
    """Where the old adapter was read."""
    new: SourceDocument
    """Where the new adapter was read."""
    statuses: list[str]
    """How far each adapter was checked, as `parameters.status` of `show`."""
    changes: list[AdapterChangeDocument]
    """All differences: facts first, then modules."""


class AdapterDocument(TypedDict):
    """What `llmarch show ADAPTER --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["adapter"]
    """What this document is."""
    source: SourceDocument
    """Where the adapter was read."""
    adapter: Adapter
    """The facts that its config states."""
    base: SourceDocument | None
    """Where the base was read. Null: it was not."""
    base_reason: str
    """Why the base was not read. Empty where it was read."""
    parameters: AdapterParametersDocument
    """Parameters of the adapter."""
    modules: list[AdaptedGroup]
    """The adapted modules."""
    bytes: int | None
    """Bytes of the stored tensors. Null: no shapes were read."""
    findings: list[Finding]
    """What is wrong or noteworthy about the adapter and its files."""
    unread_keys: list[str]
    """Keys of its config that nothing has read."""
