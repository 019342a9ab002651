"""Read the model of a lock again with this version of llmarch, from what the lock holds of it.

So a change of the model is kept apart from a change of how llmarch reads it. The lock holds the
config and a hash of the tensors, and names the commit, which never changes. Pure, but for what
`load` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..architecture.schema import Architecture
from ..errors import ConfigError, LlmarchError, printable
from ..sources.raw import RawModel, TensorTable
from .config_keys import ConfigSource
from .lock import ConfigFiles, Entry, OutdatedEntry, make_entry
from .stored import StoredTensors

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation, Reading

FILE_RULES = frozenset(
    {
        "headers-not-cached",
        "index-tensor-missing",
        "index-tensor-unlisted",
        "index-total-size",
        "index-unreadable",
        "index-wrong-shard",
        "key-stated-twice",
        "name-not-exact",
        "other-weights",
        "pickle-globals",
        "pickle-unreadable",
        "quantization-beside-config",
        "quantization-files-differ",
        "repo-moved",
        "shard-missing",
        "shard-unreadable",
        "single-shard",
        "tensor-in-two-shards",
        "weights-by-reader",
    }
)
"""Findings about files: neither the config nor the hash of the tensors tells whether these are
the same."""

LoadEntry = Callable[[str, bool], Entry]
"""Read a reference, with tensor headers or without. Raises LlmarchError."""


def read_again(old: Entry, new: Entry, load: LoadEntry) -> Entry:
    """Return the entry of a lock as this llmarch reads the same model.

    old: the entry of the lock.
    new: the model as it is now, read by this llmarch.
    load: reads the locked commit, where nothing else tells.

    Where that cannot be known, or would be the same, return `old` with the evidence of its config.
    """
    if is_same_model(old, new):
        return replace(new, reference=old.reference, reading=None)
    same_tensors = _same_tensors(old, new)
    config = old.config_source.config
    by_config = read_config(old.reference, config, old.files, None)
    if old.architecture is None and (by_config is None or not same_tensors):
        return old
    if by_config is not None:
        old = replace(old, config_source=ConfigSource(config, by_config.evidence))
        if same_tensors:
            known = read_config(old.reference, config, old.files, _tensors_of(new))
            if known is not None:
                return _with_file_findings(_as_entry(known, old), old)
        if _settled(by_config.architecture, old) == old.architecture:
            return old
    if _other_version(old, new) and old.repo and old.commit:
        with suppress(LlmarchError):
            return _read_commit(old, load)
    if by_config is None:
        return old
    return replace(old, architecture=_settled(by_config.architecture, old))


def is_same_model(old: Entry, new: Entry) -> bool:
    """Return whether two entries were certainly read from the same config and tensors.

    A bundled model is part of llmarch, so that every change of it is llmarch's own.
    """
    if new.partial:
        return False
    if (old.tensors is None) != (new.tensors is None):
        return False
    is_spec = new.reading is not None and new.reading.raw.kind == "spec"
    if is_spec:
        return old.reference == new.reference
    if old.commit is None:
        return False
    return old.commit == new.commit


def read_config(
    reference: str,
    config: Mapping[str, Any],
    files: ConfigFiles,
    tensors: TensorTable | None,
) -> Reading | None:
    """Return the reading of a config that a lock holds; None if it does not, or cannot be read.

    tensors: those of the model; None reads the config alone.
    """
    from ..checkpoint.reading import read_model

    if not config:
        return None
    try:
        return read_model(_raw_config(reference, config, files, tensors))
    except LlmarchError:
        return None


def _raw_config(
    reference: str, config: Mapping[str, Any], files: ConfigFiles, tensors: TensorTable | None
) -> RawModel:
    """Return a config that a lock holds as raw evidence."""
    return RawModel(
        reference=reference,
        kind="local",
        name=reference,
        config=dict(config),
        config_file=files.config,
        quantization_file=files.quantization,
        tensors=tensors,
    )


def config_alone(old: Entry) -> Entry | None:
    """Return an entry of a lock as this llmarch reads its config without the tensors.

    None if the lock does not hold the config, or it cannot be read.
    """
    from ..checkpoint.reading import read_or_infer

    config = old.config_source.config
    if not config:
        return None
    raw = _raw_config(old.reference, config, old.files, None)
    try:
        reading = read_or_infer(raw, config_suffices=True)
    except LlmarchError:
        return None
    return without_files(replace(_as_entry(reading, old), tensors=None))


def without_files(entry: Entry) -> Entry:
    """Return an entry without the findings about files."""
    findings = tuple(f for f in entry.findings if f.rule not in FILE_RULES)
    return replace(entry, findings=findings)


def renew(left: OutdatedEntry, load: LoadEntry) -> Entry:
    """Return the entry of a model whose facts an older llmarch wrote in another form.

    Raises LlmarchError if neither the locked commit nor the config in the lock can be read.
    """
    if left.repo and left.commit:
        try:
            return _read_commit(left, load)
        except LlmarchError:
            if not left.config:
                raise
    reading = read_config(left.reference, left.config, left.files, None)
    if reading is None:
        raise ConfigError(
            f"the lock entry of {printable(left.reference)} was written by an older llmarch, and"
            " its config cannot be read",
            f"`llmarch lock {printable(left.reference)}` writes it again",
        )
    entry = make_entry(reading)
    return replace(
        entry, repo=left.repo, commit=left.commit, tensors=left.tensors, read_by="", reading=None
    )


def _read_commit(locked: Entry | OutdatedEntry, load: LoadEntry) -> Entry:
    """Return the entry of the locked commit. Raises LlmarchError if it cannot be read."""
    entry = load(f"{locked.repo}@{locked.commit}", locked.tensors is not None)
    return replace(entry, reference=locked.reference, reading=None)


def _as_entry(reading: Reading | Observation, old: Entry) -> Entry:
    """Return the entry of a reading of the locked config, with where the model was locked."""
    entry = make_entry(reading)
    return replace(
        old,
        status=entry.status,
        parameters=entry.parameters,
        architecture=entry.architecture,
        observed=entry.observed,
        findings=entry.findings,
        unread_keys=entry.unread_keys,
        config_source=entry.config_source,
    )


def _with_file_findings(entry: Entry, old: Entry) -> Entry:
    """Return an entry with the findings about files that the lock has."""
    about_files = [f for f in old.findings if f.rule in FILE_RULES]
    return replace(entry, findings=(*without_files(entry).findings, *about_files))


def _settled(architecture: Architecture, old: Entry) -> Architecture:
    """Return the architecture of a config alone, with what the tensors decided at the lock."""
    if old.tensors is None or old.architecture is None:
        return architecture
    embedding = replace(architecture.embedding, tied=old.architecture.embedding.tied)
    return replace(architecture, head=old.architecture.head, embedding=embedding)


def _same_tensors(old: Entry, new: Entry) -> bool:
    """Return whether both sides store the same tensors, or both were read by config alone."""
    return _hash_of(old.tensors) == _hash_of(new.tensors) and not new.partial


def _hash_of(tensors: StoredTensors | None) -> str:
    if tensors is None:
        return ""
    return tensors.digest


def _tensors_of(entry: Entry) -> TensorTable | None:
    if entry.reading is None:
        return None
    return entry.reading.raw.tensors


def _other_version(old: Entry, new: Entry) -> bool:
    """Return whether another llmarch read the model for the lock, as far as is known."""
    return not old.read_by or old.read_by != new.read_by
