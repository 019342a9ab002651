"""What `show --format json` writes, as typed dictionaries with a docstring under each key.

Counts are elements (numbers of weights) and sizes are bytes; nothing is rounded to a larger unit.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from .json_tables import NewsDocument
from .schema import Architecture, Evidence, Finding


class HeadersDocument(TypedDict):
    """The tensor headers that were read."""

    tensors: int
    """Number of tensors."""
    bytes: int
    """Bytes of the headers that were read; the weights themselves are never read."""
    partial: bool
    """Whether some headers could not be read."""


class ProvenanceDocument(TypedDict, total=False):
    """Where a bundled config was found, and how far the copy can be trusted (specs/README.md)."""

    source: str
    """Where the copy was found."""
    path: str | None
    """Path of the file there. Null: not in one place."""
    commit: str | None
    """Commit or version there. Null: it has none."""
    sha256: str | None
    """SHA-256 of the bytes of the file that was taken. Null: there is no such file."""
    state: str
    """`published`, `re-saved`, `re-serialised` or `reconstructed`."""
    complete: bool
    """Whether the copy is believed to have every key of the published config."""
    agreeing_copies: int
    """Number of independent copies found with the same values."""
    note: str | None
    """What a reader should know about the copy. Null: nothing."""
    reconstruction: list[dict[str, Any]]
    """For a reconstructed config: groups of keys, what each was taken from, how certain it is."""
    stand_in: str
    """Repository of a quantised copy whose config this is, without its quantisation."""


class PublishedFigureDocument(TypedDict):
    """A figure that others published for the model, to check llmarch against."""

    figure: str
    """`total`, `active`, `mtp`, `hub_total`, `card_total` or `card_active` (specs/README.md)."""
    value: int
    """Number of parameters."""
    parameters: int
    """The same as `value`."""
    counts: str | None
    """What the figure counts. Null: nothing special."""
    source: str
    """Who published it."""


class SourceDocument(TypedDict, total=False):
    """Where a model was read."""

    reference: str
    """The reference as it was given."""
    kind: str
    """`spec` (bundled with llmarch), `hub` (Hugging Face Hub) or `local`."""
    name: str
    """Name of the model for people."""
    repo_id: str | None
    """Repository on the Hub, owner/name. Null: none is known."""
    revision: str | None
    """Branch, tag or commit that was asked for. Null: none."""
    commit: str | None
    """Commit that was read. Null: not from the Hub, or not known."""
    config_file: str
    """Name of the config: `config.json` or `params.json`."""
    headers: HeadersDocument | None
    """The tensor headers that were read. Null: none were read."""
    provenance: ProvenanceDocument
    """Where a bundled config was found. Only for bundled models."""
    published: list[PublishedFigureDocument]
    """Figures that others published. Only for bundled models."""
    status: str
    """How far the config is checked, as `parameters.status` of `show`. Only in `diff`, whose
    changes are those of the configs: in a `conflict` the checkpoint contradicts its own."""
    findings: list[Finding]
    """What was found about the checkpoint and its files. Only in `diff`."""
    uncertain: dict[str, str]
    """Facts that nobody was found to state, by path, with how certain each is. Only of bundled
    models whose config is reconstructed."""


class ParametersDocument(TypedDict):
    """Parameter counts, in elements; docs/conventions.md says what each counts.

    Null where a model was read from its tensors alone and they do not determine the figure.
    """

    total: int | None
    """The main model: tied weights once, encoders and router-bias tables included; MTP modules,
    quantisation scales and buffers excluded."""
    active: int | None
    """Parameters of the text model that serve one token: routed experts scaled to those chosen,
    embedding and head included."""
    active_without_embedding: int | None
    """`active` without the input embedding."""
    active_without_embedding_and_head: int | None
    """`active` without the input embedding and without the head."""
    embedding: int | None
    """The token embedding."""
    vision: int
    """All encoders of other modalities with their projectors; they are in `total`."""
    mtp: int | None
    """Multi-token prediction modules as stored, or as computed without headers; not in `total`.
    Null: the config does not say."""
    stored: int | None
    """Elements of every tensor in the checkpoint: copies, MTP, packed weights and scales included.
    Null: no headers were read."""
    by_component: dict[str, int]
    """`total` by component: `embedding`, `attention`, `experts`, ...; the values add up to it."""
    status: str
    """How far the reading is checked:

    - `computed`: from the config alone
    - `verified`: every tensor header agrees
    - `partial`: some headers could not be read or compared
    - `conflict`: headers and config disagree
    - `observed`: from tensor names and shapes, because no family reads the model
    """


class CheckpointDocument(TypedDict):
    """What the tensor headers say about storage."""

    tensors: int
    """Stored tensors."""
    bytes: int | None
    """Bytes that all tensors take in their files. Null: only their names are known."""
    weights: int | None
    """Elements of the stored weights of the main model: unpacked, without scales, MTP modules,
    copies and buffers. It is `parameters.total` where the checkpoint is as the config says. Null:
    only names of tensors are known."""
    weights_elements: int | None
    """The same as `weights`."""
    scales: int
    """Elements of scales, zero points and other metadata of quantised tensors."""
    scales_elements: int
    """The same as `scales`."""
    copies: int
    """Elements of a tied head that is stored again."""
    copies_elements: int
    """The same as `copies`."""
    buffers: int
    """Elements of stored tables that models compute anyway."""
    buffers_elements: int
    """The same as `buffers`."""
    bits_per_weight: float | None
    """Stored bits of each parameter of the main model, scales included. Null: not known."""
    bits_by_component: dict[str, float]
    """The same for each component of `by_component`."""
    notes: list[str]
    """Naming conventions and storage formats that were found."""


class CachePartDocument(TypedDict):
    """One thing that a layer keeps for a sequence, made of entries of equal size."""

    role: str
    """What it holds:

    - `kv`: keys and values, or the latent in their place
    - `index`: keys of a sparse indexer
    - `conv`: the last tokens of a short convolution
    - `state`: recurrent state, or the state of a compressor
    - `cross`: keys and values of an encoder's tokens
    """
    dtype: str
    """Dtype or layout of the entries, as in docs/cache.md."""
    law: str
    """How the number of entries depends on the tokens so far:

    - `grow`: one for every `tokens_per_entry` tokens, of the last `most_tokens`
    - `fixed`: one, whatever the length
    - `cycle`: one for each token since the last multiple of `most_tokens`
    - `once`: one from the token number `most_tokens` on
    """
    entry_bytes: int
    """Bytes of one entry in one layer."""
    tokens_per_entry: float | None
    """Tokens that an entry stands for. Null: `law` is not `grow`."""
    most_tokens: int | None
    """Tokens after which it does not grow. Null: it grows with the context."""
    page_tokens: int | None
    """Tokens of a page. Null: entries are not allocated in pages."""
    page_bytes: int | None
    """Bytes of a page, padding included. Null: entries are not allocated in pages."""


class CacheGroupDocument(TypedDict):
    """What the layers that share a mixer keep for a sequence. Sizes are bytes of one layer."""

    mixer: str
    """Name in `architecture.mixers`."""
    kind: str
    """The kind of mixer in words: `GQA`, `MLA`, `sliding GQA`, ..."""
    layers: int
    """Number of layers with this mixer."""
    bytes_per_token: int
    """Bytes of keys and values that a token adds in one layer, before any window is full; rounded
    up."""
    most_tokens: int | None
    """Tokens after which one layer keeps no more. Null: it grows with the context."""
    indexer_bytes_per_token: int
    """Bytes of indexer keys that a token adds in one layer; rounded up."""
    window_bytes: int
    """Bytes of a full window or chunk in one layer. 0: there is none."""
    state_bytes: int
    """Bytes of one layer that do not depend on the length: recurrent state, convolution, compressor
    state, keys and values of an encoder."""
    parts: list[CachePartDocument]
    """What one layer keeps, part by part."""
    at: dict[str, int]
    """Bytes of all layers of the group at some context lengths (tokens, as a string)."""
    bytes_at: dict[str, int]
    """The same as `at`."""


class CacheDocument(TypedDict):
    """What one sequence keeps in memory while it is decoded, in bytes (docs/cache.md)."""

    engine: str
    """Convention by which bytes are counted: `ideal`, `vllm`, `sglang` or `transformers`."""
    dtype: str
    """Dtype or layout of keys and values."""
    state_dtype: str | None
    """Dtype of the recurrent state and of the convolution. Null: there is none."""
    growing_bytes_per_token: int
    """Bytes that a token adds in all layers once every window is full, indexer keys included;
    rounded up."""
    all_layers_bytes_per_token: int
    """Bytes that a token adds in all layers while no window is full, indexer keys included; rounded
    up. Published figures per token usually are this one."""
    indexer_bytes_per_token: int
    """Bytes of indexer keys in both figures; rounded up."""
    window_bytes: int
    """Bytes of all windows and chunks when they are full."""
    state_bytes: int
    """Bytes that do not depend on the length: recurrent state, convolution, compressor state, keys
    and values of an encoder."""
    groups: list[CacheGroupDocument]
    """The same for the layers that share a mixer."""
    at: dict[str, int]
    """Bytes of the whole model at some context lengths (tokens, as a string)."""
    bytes_at: dict[str, int]
    """The same as `at`."""
    assumptions: list[str]
    """What else the figures rest on, as sentences."""


class ShowDocument(TypedDict):
    """What `llmarch show REF --format json` writes."""

    schema_version: int
    """Version of this document."""
    document: Literal["show"]
    """What this document is."""
    source: SourceDocument
    """Where the model was read."""
    architecture: Architecture | dict[str, Any]
    """The architecture. For a model that no family reads, the facts that its tensors tell, in the
    same shape; null where they leave a fact open."""
    parameters: ParametersDocument
    """Parameter counts, in elements."""
    checkpoint: CheckpointDocument | None
    """What the tensor headers say about storage. Null: no headers were read."""
    cache: CacheDocument | None
    """What one sequence keeps in memory. Null: the model was read from its tensors alone."""
    evidence: dict[str, Evidence]
    """Where each fact comes from, by dotted path within `architecture`."""
    findings: list[Finding]
    """What is wrong or noteworthy about the checkpoint and its files."""
    unread_keys: list[str]
    """Keys of the config that nothing has read."""
    news: NotRequired[NewsDocument]
    """What no older bundled model has. Only with `--new`."""
    draft: str | None
    """What draft head this is, for another model, as a phrase. Null: it is a model."""
