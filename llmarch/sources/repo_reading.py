"""What was read of a repository at one commit, and the raw model that follows from it.

The cache keeps what was read. Everything else is derived again: the effective config, the weights
that count, and all findings. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ..architecture.schema import Finding
from .file_names import CONFIG
from .index import IndexSummary
from .merge import Merged
from .non_models import non_model_error, other_kind
from .raw import RawModel
from .repo_files import (
    WeightFiles,
    declarations_that_differ,
    effective_config,
    find_declaration,
    find_other_weights,
    keys_stated_twice,
    weights_to_read,
)
from .strict_json import JsonObject, parse_object
from .weight_sets import decide_sets


@dataclass
class RepoReading:
    """What was read of a repository at one commit."""

    requested_id: str
    """The id that the user gave."""
    repo_id: str
    """The id that the repository has now."""
    commit: str
    files: tuple[str, ...]
    """Names of all its files, sorted."""
    file_ids: dict[str, str] = field(default_factory=dict[str, str])
    """What identifies the content of files (`RawModel.file_ids`)."""
    folder: str = ""
    """Folder of the repository that `files` are of; empty: the root."""
    texts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """The JSON files that `documents_to_read` names, as they are."""
    index: IndexSummary | None = None
    """The index of the weights, if there is one and it could be read."""
    merged: Merged | None = None
    """The headers of the weights, if they were read."""
    any_kind: bool = False
    """Whether encoders and encoder-decoders are read too (`Reference.any_kind`)."""

    @property
    def shown(self) -> str:
        """Return what the user calls it: the id, with the folder."""
        return f"{self.requested_id}/{self.folder}".rstrip("/")

    @cached_property
    def documents(self) -> dict[str, JsonObject]:
        """The same files, parsed. Raises ConfigError."""
        return {name: parse_object(data, file=name) for name, data in self.texts.items()}

    @property
    def has_pickles(self) -> bool:
        """Whether files of torch.save may be its weights: the cache knows safetensors alone."""
        return weights_to_read(self.files, adapters=True).is_pickled

    @property
    def is_partial(self) -> bool:
        """Whether a file of some set of weights could not be read."""
        sets = [self.merged, self.merged.rival if self.merged is not None else None]
        return any(merged.partial for merged in sets if merged is not None)


def raw_model(
    reading: RepoReading, *, reference: str, revision: str | None, adapters: bool = False
) -> RawModel:
    """Return the raw model of a reading.

    reference: as the user wrote it.
    revision: the branch, tag or commit in it.
    adapters: whether it may be an adapter.

    Raises NotAModel, or ConfigError for a document that cannot be read, or too long an index.
    """
    check_documents(reading, adapters=adapters)
    weights = weights_to_read(reading.files, adapters=adapters)
    model = _without_weights(reading, weights, reference, revision)
    if reading.merged is None:
        model.findings += weights.other_weights
        return model
    reading.merged.add_to(model)
    counted = decide_sets(weights, reading.index, reading.files).files
    model.findings += find_other_weights(reading.files, counted, weights.index_file)
    return model


def check_documents(reading: RepoReading, *, adapters: bool = False) -> None:
    """Raise NotAModel if the names and documents are those of no decoder language model.

    Raises ConfigError for a document that cannot be read.

    adapters: whether an adapter is accepted too.
    """
    error = non_model_error(
        reading.files,
        reading.documents,
        name=reading.shown,
        any_kind=reading.any_kind,
        adapters=adapters,
    )
    if error is not None:
        raise error


def _without_weights(
    reading: RepoReading, weights: WeightFiles, reference: str, revision: str | None
) -> RawModel:
    """Return the raw model without its tensors. Raises ConfigError."""
    documents = reading.documents
    declaration = find_declaration(weights, documents)
    findings = [*_rename_finding(reading.requested_id, reading.repo_id)]
    quantization_file = ""
    if declaration is not None:
        quantization_file = declaration.file
        findings.append(declaration.finding)
    findings += declarations_that_differ(weights, documents)
    findings += keys_stated_twice(weights, documents)
    _, _, repo_name = reading.repo_id.rpartition("/")
    return RawModel(
        reference=reference,
        kind="hub",
        name=f"{repo_name}/{reading.folder}".rstrip("/"),
        config=effective_config(weights, documents),
        config_file=weights.config_file or CONFIG,
        quantization_file=quantization_file,
        other_kind=other_kind(documents.get(CONFIG), {*reading.files}),
        repo_id=reading.repo_id,
        revision=revision,
        commit=reading.commit,
        files=reading.files,
        file_ids=reading.file_ids,
        findings=findings,
    )


def _rename_finding(requested_id: str, repo_id: str) -> Iterator[Finding]:
    """Return the finding that a repository has another name now, if it has."""
    if requested_id.lower() != repo_id.lower():
        message = f"{requested_id} was renamed to {repo_id}; the Hub forwards the old name"
        yield Finding(
            rule="repo-moved",
            path=requested_id,
            message=message,
            old=requested_id,
            new=repo_id,
        )
