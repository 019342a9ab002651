"""Folders and files on this machine: a config, safetensors headers, or both."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..architecture.schema import Finding
from ..errors import ReadError, printable
from . import Progress, specs
from .documents import MAX_CONFIG, MAX_INDEX, Index, parse_index, parse_object, safe_name
from .merge import Absent, Merged, gaps, merge, names_only
from .raw import RawModel
from .references import Reference
from .repo_files import (
    ADAPTER,
    CONFIG,
    PARAMS,
    PIPELINE,
    SHARD,
    SINGLE,
    Layout,
    configured,
    documents_wanted,
    layout,
    not_a_model,
    other_weights,
)
from .safetensors import Header, header_length, parse_header

MAX_FILES = 20_000
_CACHED_REPO = re.compile(r"models--(?P<org>[^/]+?)--(?P<name>[^/]+)")


def open(
    reference: Reference, *, headers: bool = True, progress: Progress | None = None
) -> RawModel:
    """Read a folder, a config or one safetensors file; without `headers` a folder's config alone."""
    assert reference.path is not None
    if reference.kind == "folder":
        return open_folder(reference.path, reference.text, headers=headers, progress=progress)
    if reference.kind == "config":
        return _config_file(reference.path, reference.text)
    return _safetensors_file(reference.path, reference.text)


def open_folder(
    path: Path, text: str, *, headers: bool = True, progress: Progress | None = None
) -> RawModel:
    """A folder with a config, safetensors files or both; also a repository's folder in the Hub's cache (models--org--name)."""
    path = _snapshot(path)
    files = list_files(path)
    found = layout(files)
    documents = {name: _object(path / name, name) for name in documents_wanted(files)}
    if error := not_a_model(files, documents, name=printable(text)):
        raise error
    model = _model(text, path, configured(found, documents), found.config_file or CONFIG)
    model.files = tuple(files)
    if not headers and model.config is not None:
        return model
    index = (
        parse_index(
            _bytes(path / found.index_file, found.index_file, MAX_INDEX), file=found.index_file
        )
        if found.index_file
        else None
    )
    merged = _read_headers(path, found, index, progress)
    if merged is not None:
        model.tensors, model.partial, model.header_bytes = (
            merged.table,
            merged.partial,
            merged.header_bytes,
        )
        model.findings += merged.findings
    model.findings += other_weights(
        files, {*found.shards, *(index.shards if index else ())}, found.index_file
    )
    return model


def list_files(path: Path) -> list[str]:
    """Names below a folder, two levels deep, without hidden ones; with `/` between, sorted."""
    names: list[str] = []
    try:
        for entry in os.scandir(path):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                names += [
                    f"{entry.name}/{e.name}"
                    for e in _scan(entry.path)
                    if e.is_file() and not e.name.startswith(".")
                ]
            else:
                names.append(entry.name)
            if len(names) > MAX_FILES:
                break
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None
    return sorted(names)


def read_header(path: Path, name: str) -> Header:
    """The header of one file: its first bytes, never its weights. `name` is for messages."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = header_length(start, file=name, file_size=size)
            return parse_header(start + file.read(length), file=name, file_size=size)
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None


def _read_headers(
    path: Path, found: Layout, index: Index | None, progress: Progress | None
) -> Merged | None:
    """Every header of the folder; None if it holds no safetensors at all."""
    if index is not None and not any(
        (path / file).is_file() for file in (*found.shards, *index.shards)
    ):
        return names_only(index)
    wanted = sorted({*found.shards, *(index.shards if index else ())})
    if not wanted:
        return None
    headers: list[Header] = []
    absent = gaps(wanted)
    for done, file in enumerate(wanted):
        if (path / file).is_file():
            headers.append(read_header(path / file, file))
        else:
            absent[file] = Absent("shard-missing", "is listed by the index, but not there")
        if progress is not None:
            progress(done + 1, len(wanted), "reading headers")
    return merge(headers, index, absent=absent)


def _config_file(path: Path, text: str) -> RawModel:
    """A config alone. A spec file is taken for what it is."""
    document = _object(path, path.name)
    if specs.is_spec(document):
        return specs.from_document(document, text=text, file=path)
    name = path.name if path.name in (PARAMS, ADAPTER, PIPELINE) else CONFIG
    if error := not_a_model([name], {name: document}, name=printable(text)):
        raise error
    native = path.name == PARAMS or (
        "dim" in document and "n_layers" in document and "model_type" not in document
    )
    return _model(text, path.resolve().parent, document, PARAMS if native else path.name)


def _safetensors_file(path: Path, text: str) -> RawModel:
    """One safetensors file; the config beside it belongs to it only if the file is the whole checkpoint."""
    folder = path.resolve().parent if not path.is_symlink() else path.absolute().parent
    files = list_files(folder)
    found = layout(files)
    match = SHARD.fullmatch(path.name)
    whole = (
        found.index_file is None
        and not (match and int(match["total"]) > 1)
        and (path.name == SINGLE or found.shards == (path.name,))
    )
    document = (
        _object(folder / found.config_file, found.config_file)
        if whole and found.config_file
        else None
    )
    if document is not None and (
        error := not_a_model(files, {found.config_file or CONFIG: document}, name=printable(text))
    ):
        raise error
    merged = merge([read_header(path, path.name)], None)
    model = _model(text, folder if whole else path, document, found.config_file or CONFIG)
    model.tensors, model.header_bytes, model.files = merged.table, merged.header_bytes, (path.name,)
    if match and int(match["total"]) > 1:
        model.partial = True
        message = f"{printable(path.name)} is one of {int(match['total'])} files of a checkpoint; only its own tensors are read"
        model.findings.append(
            Finding(rule="single-shard", path=printable(path.name), message=message)
        )
    return model


def _model(text: str, path: Path, config: dict[str, Any] | None, config_file: str) -> RawModel:
    """The RawModel of a folder, with the repository's id and commit if it is a snapshot in the Hub's cache."""
    path = path.absolute()
    model = RawModel(
        reference=text,
        kind="local",
        name=printable(path.resolve().name),
        config=config,
        config_file=config_file,
    )
    if path.parent.name == "snapshots" and (
        match := _CACHED_REPO.fullmatch(path.parent.parent.name)
    ):
        model.repo_id, model.commit, model.name = (
            f"{match['org']}/{match['name']}",
            path.name,
            match["name"],
        )
    return model


def _snapshot(path: Path) -> Path:
    """A folder models--org--name of the Hub's cache stands for its snapshot: that of main, else the only one."""
    snapshots = path / "snapshots"
    if not snapshots.is_dir() or not _CACHED_REPO.fullmatch(path.resolve().name):
        return path
    main = path / "refs" / "main"
    if (
        main.is_file()
        and (commit := main.read_text(errors="replace").strip())
        and safe_name(commit)
        and (snapshots / commit).is_dir()
    ):
        return snapshots / commit
    every = [s for s in snapshots.iterdir() if s.is_dir()]
    if len(every) == 1:
        return every[0]
    raise ReadError(
        f"{printable(str(path))} holds {len(every)} snapshots",
        "give one of them: " + ", ".join(sorted(s.name for s in every)[:3]),
    )


def _object(path: Path, name: str) -> dict[str, Any]:
    return parse_object(_bytes(path, name, MAX_CONFIG), file=name)


def _bytes(path: Path, name: str, limit: int) -> bytes:
    """A file's content, up to one byte more than `limit` (the parser refuses it then)."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise ReadError(f"{printable(name)}: {error.strerror}") from None


def _scan(path: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(path))[:MAX_FILES]
    except OSError:
        return []
