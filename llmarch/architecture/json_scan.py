"""What `llmarch scan` and `llmarch duplicates` write, as typed dictionaries.

A row of a scan has the same keys whatever the model, in the order in which they stand here. The
columns of CSV and the schema of Parquet follow from them (scanning/columns.py).
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict


class RowFinding(TypedDict):
    """Something about a model that a reader must know."""

    rule: str
    """Stable id of the rule, such as `tensor-missing` (docs/rules.md)."""
    path: str
    """Path of the fact, or name of the tensor or file, that it is about."""
    severity: str
    """What it breaks: `weights`, `behaviour`, `capacity`, `quantization` or `info`."""
    message: str
    """What was found, as a sentence."""


class ScanRowDocument(TypedDict):
    """One model of a scan; of one that could not be read, why.

    Counts are elements (numbers of weights), sizes are bytes. Null: not known, or not there.
    """

    schema_version: int
    """Version of this document."""
    document: Literal["scan_row"]
    """What this document is."""
    llmarch_version: str
    """Version of llmarch that read the model."""
    reference: str
    """The reference as it was given."""
    status: str
    """How far the reading is checked, as `parameters.status` of `show`; `error` if it could not be
    read."""
    config_only: bool
    """Whether the tensor headers were left out on request."""
    error: str | None
    """Why it could not be read. Null: it was read."""
    error_kind: str | None
    """Kind of the error: the name of its class in `llmarch.errors`, such as `NotAModel`."""
    hint: str | None
    """What to do about the error."""
    exit_code: int
    """Exit code that `show` has for this model: 0, 4 if it was read in part, that of its error."""
    name: str | None
    """Name of the model for people."""
    kind: str | None
    """Where it was read: `spec` (bundled with llmarch), `hub` or `local`."""
    repo_id: str | None
    """Repository on the Hub, owner/name."""
    revision: str | None
    """Branch, tag or commit that was asked for."""
    commit: str | None
    """Commit that was read."""
    config_file: str | None
    """Name of the config."""
    family: str | None
    """Family that reads the model. Null: none does, and only tensors tell of it."""
    model_type: str | None
    """`model_type` of the config."""
    fingerprint: str | None
    """Hash of the facts: equal for equal architectures, whatever their names and storage."""
    total_parameters: int | None
    """Parameters of the main model, as `parameters.total` of `show`."""
    active_parameters: int | None
    """Parameters that serve one token."""
    active_parameters_without_embedding: int | None
    """The same without the input embedding."""
    embedding_parameters: int | None
    """Parameters of the token embedding."""
    encoder_parameters: int | None
    """Parameters of all encoders; they are in
    `total_parameters`."""
    mtp_parameters: int | None
    """Parameters of multi-token prediction modules; not in
    `total_parameters`."""
    stored_elements: int | None
    """Elements of every tensor in the checkpoint. Null: no headers were read."""
    layers: int | None
    """Number of layers."""
    hidden_size: int | None
    """Number of dims of the residual stream."""
    vocab_size: int | None
    """Number of tokens in the vocabulary."""
    context_tokens: int | None
    """Longest context in tokens."""
    attention: list[str]
    """Kinds of attention: `mha`, `gqa`, `mqa`, `mla`, `sliding`, `linear`, ..."""
    heads: int | None
    """Number of query heads of the softmax attention that most layers use."""
    kv_heads: int | None
    """Number of KV heads of the same attention. Null: it has a latent instead."""
    head_dim: int | None
    """Number of dims of a query head of the same attention, those without RoPE included."""
    rope_theta: float | None
    """Number of which the wavelengths of RoPE are powers (its base θ), of the same attention."""
    experts: int | None
    """Routed experts of a layer. Null: a dense model."""
    active_experts: int | None
    """Routed experts that serve a token."""
    tied: bool | None
    """Whether the head is the embedding."""
    dtype: str | None
    """Dtype that the config declares."""
    quantization: str | None
    """Quantisation method that the config declares. Null: none."""
    tensors: int | None
    """Stored tensors. Null: no headers were read."""
    stored_bytes: int | None
    """Bytes of all stored tensors. Null: not known."""
    bits_per_weight: float | None
    """Stored bits of a weight, its share of the scales included."""
    cache_bytes_per_token: int | None
    """Bytes that the KV cache (bf16) grows by with each token beyond all windows."""
    findings: list[RowFinding]
    """What was found about the checkpoint and its files."""
    unread_keys: list[str]
    """Keys of the config that nothing reads."""
    facts: dict[str, Any]
    """Every fact by its path, such as `mixers.full.rope.theta`, without those that are null;
    `layers` as runs of kinds. In CSV and Parquet it is a JSON text."""


class DuplicateGroupDocument(TypedDict):
    """Models with the same architecture."""

    fingerprint: str
    """Hash of the facts that they have in common."""
    family: str | None
    """Family of the first of them."""
    total_parameters: int | None
    """Parameters of the main model of the first of them."""
    references: list[str]
    """Their references, in the order of the scan."""


class DuplicatesDocument(TypedDict):
    """Models grouped by their architecture."""

    schema_version: int
    """Version of this document."""
    document: Literal["duplicates"]
    """What this document is."""
    compared: int
    """Number of models that have a fingerprint."""
    without_fingerprint: int
    """Number of models without one: they could not be read, or nothing but a config was."""
    fingerprints: int
    """Number of different architectures among them."""
    groups: list[DuplicateGroupDocument]
    """Architectures that more than one model has, the most frequent first."""
