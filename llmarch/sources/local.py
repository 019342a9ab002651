"""Read folders and files on this machine: a config, safetensors headers, or both."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from ..architecture.schema import Finding
from ..errors import ConfigError, HeaderError, ReadError, printable
from . import specs
from .file_names import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    CONFIG,
    PARAMS,
    PIPELINE,
    SHARD,
    SINGLE,
    is_pickle,
    is_safe_name,
)
from .gguf import (
    GgufHeader,
    GgufSet,
    add_headers,
    missing_parts,
    only_set,
    read_gguf,
    set_of,
    tagged_set,
)
from .gguf.choice import SPLIT as SPLIT_GGUF
from .index import MAX_INDEX, parse_index
from .merge import MissingFile, merge, unreadable_pickle, unreadable_pickles
from .non_models import non_model_error, other_kind
from .places import open_place
from .places.path import AnyPath
from .progress import Progress, ignore_progress
from .raw import RawModel
from .references import Reference
from .regular_files import open_anywhere, read_anywhere
from .repo_files import (
    WeightFiles,
    choose_adapter,
    choose_weights,
    declarations_that_differ,
    documents_to_read,
    effective_config,
    find_declaration,
    find_other_weights,
    is_adapter_alone,
    is_gguf_alone,
    keys_stated_twice,
)
from .safetensors import Header, HeaderBudget, header_length, parse_header
from .strict_json import MAX_CONFIG, JsonObject, parse_object, repeated_keys
from .torch_files import read_torch_file
from .weight_sets import decide_sets, merge_sets

MAX_FILES = 20_000
REMOTE_READS = 16
"""Files in another place that are read at once."""
_CACHED_REPO = re.compile(r"models--(?P<org>[^/]+?)--(?P<name>[^/]+)")
"""Folder of a repository in the Hub's cache."""


def open(
    reference: Reference,
    *,
    headers: bool = True,
    progress: Progress | None = None,
    adapters: bool = False,
) -> RawModel:
    """Read a folder, a config or one safetensors file.

    Raises ConfigError, HeaderError, NotAModel or ReadError.

    headers: False reads the config alone, if the folder has one.
    progress: called while headers are read.
    adapters: also read an adapter.
    """
    path: AnyPath | None = reference.path
    if reference.url is not None:
        path = open_place(reference.url)
    name = reference.text
    if path is None:
        return _open_standard_input(name, reference.any_kind)
    if adapters and path.name in (ADAPTER, ADAPTER_WEIGHTS):
        adapter = open_adapter(path, name, headers=headers)
        if adapter is not None:
            return adapter
    if reference.kind == "folder":
        return open_folder(
            path,
            name,
            headers=headers,
            progress=progress,
            tag=reference.tag,
            any_kind=reference.any_kind,
            adapters=adapters,
        )
    if reference.kind == "config":
        return _open_config_file(path, name, reference.any_kind)
    if reference.kind == "gguf":
        return _open_gguf_file(path, name, reference.any_kind)
    return _open_safetensors_file(path, name, reference.any_kind)


def open_folder(
    path: AnyPath,
    text: str,
    *,
    headers: bool = True,
    progress: Progress | None = None,
    tag: str | None = None,
    any_kind: bool = False,
    adapters: bool = False,
) -> RawModel:
    """Read a folder with a config, safetensors files or both.

    A repository's folder in the Hub's cache (models--org--name) stands for its snapshot.

    path: the folder.
    text: the reference as the user wrote it.
    headers, progress: as for `open`.
    tag: which of the folder's GGUF models to read; None reads one only if there is nothing else.
    any_kind: whether encoders are read too (`Reference.any_kind`).
    adapters: also read an adapter.
    """
    path = _resolve_snapshot(path)
    files = list_files(path)
    shown = printable(text)
    if tag is not None:
        untagged = printable(text.removesuffix(f":{tag}"))
        return _open_gguf_set(path, tagged_set(files, tag, untagged), text, any_kind)
    if is_gguf_alone(files):
        only = only_set(files, shown)
        if only is not None:
            return _open_gguf_set(path, only, text, any_kind)
    if adapters and is_adapter_alone(files):
        return _open_adapter_folder(path, files, text, headers=headers)
    weights = choose_weights(files)
    names = documents_to_read(files)
    documents = {name: _read_object(path / name, name) for name in names}
    if error := non_model_error(files, documents, name=shown, any_kind=any_kind):
        raise error
    config = effective_config(weights, documents)
    model = _raw_model(text, path, config, weights.config_file or CONFIG)
    model.files = tuple(files)
    model.folder = str(path)
    model.other_kind = other_kind(documents.get(CONFIG), {*files})
    _note_declaration(model, weights, documents)
    if not headers and model.config is not None:
        return model
    index = None
    index_file = weights.index_file
    if index_file is not None:
        data = _read_bytes(path / index_file, index_file, MAX_INDEX)
        index = parse_index(data, file=index_file)
    sets = decide_sets(weights, index.summary if index is not None else None, files)
    if sets.files or index is not None:
        found, refused = _read_headers(path, sets.files, progress or ignore_progress)
        stored = {*files, *found}
        merged = merge_sets(weights, sets, found, stored, refused, index)
        if model.is_download:
            merged.findings = [_as_not_downloaded(finding) for finding in merged.findings]
        merged.add_to(model)
    model.findings += find_other_weights(files, sets.files, index_file)
    return model


def open_adapter(path: AnyPath, text: str, *, headers: bool) -> RawModel | None:
    """Read the adapter that a file in a folder belongs to, whatever else the folder has.

    path: adapter_config.json or the file of its tensors. None if there is no config beside it.
    text: the reference as the user wrote it.
    headers: False reads the config alone.
    """
    folder = path.absolute().parent
    if not (folder / ADAPTER).is_file():
        return None
    return _open_adapter_folder(folder, list_files(folder), text, headers=headers)


def _open_adapter_folder(path: AnyPath, files: list[str], text: str, *, headers: bool) -> RawModel:
    """Read the config and the tensors of an adapter."""
    chosen = choose_adapter(files)
    document = _read_object(path / ADAPTER, ADAPTER)
    model = _raw_model(text, path, document, ADAPTER)
    model.files = tuple(files)
    model.folder = str(path)
    model.findings += repeated_keys(ADAPTER, document, is_config=True)
    if headers and chosen.shards:
        found, refused = _read_headers(path, chosen.shards, ignore_progress)
        model.findings += unreadable_pickles(refused)
        if found:
            merge([*found.values()], None).add_to(model)
    return model


def _as_not_downloaded(finding: Finding) -> Finding:
    """Return what a missing shard is in the Hub's cache: one that nobody has downloaded yet."""
    if finding.rule != "shard-missing":
        return finding
    message = f"not downloaded: {finding.message}"
    return Finding(rule="headers-not-cached", path=finding.path, message=message)


def list_files(path: AnyPath) -> list[str]:
    """Return the sorted names below a folder, two levels deep, with `/` between the levels.

    Hidden files and folders are left out.
    """
    names: list[str] = []
    try:
        if not isinstance(path, Path):
            listed = (name for name in path.place.files(path.path) if not is_hidden(name))
            return sorted(islice(filter(is_safe_name, listed), MAX_FILES))
        for entry in os.scandir(path):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                names += [f"{entry.name}/{name}" for name in _visible_files(entry.path)]
            else:
                names.append(entry.name)
            if len(names) > MAX_FILES:
                break
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None
    return sorted(names)


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder that it is in, has a name that begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def read_header(path: AnyPath, name: str, budget: HeaderBudget | None = None) -> Header:
    """Read the header of one file: its first bytes, never its weights.

    path: the file.
    name: its name, for messages.
    budget: of the checkpoint that the file belongs to.

    Raises HeaderError or ReadError.
    """
    budget = budget or HeaderBudget()
    try:
        with open_anywhere(path) as (file, size):
            start = file.read(8)
            length = header_length(start, file=name, file_size=size)
            budget.reserve(length, name)
            data = start + file.read(length)
            header = parse_header(data, file=name, file_size=size)
            budget.count(header)
            return header
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None


def _read_headers(
    folder: AnyPath, shards: Collection[str], progress: Progress
) -> tuple[dict[str, Header], dict[str, MissingFile]]:
    """Read the header of each of these files that exists; in another place, many at once.

    Returns also the files of torch.save that could not be read, with the reason: a config is enough
    without them.
    """
    headers: dict[str, Header] = {}
    refused: dict[str, MissingFile] = {}
    budget = HeaderBudget()

    def read(file: str) -> Header | MissingFile | None:
        path = folder / file
        try:
            exists = path.exists()
        except OSError as error:
            raise ReadError(f"{printable(str(path))}: {error.strerror}") from None
        if not exists:
            return None
        if not is_pickle(file):
            return read_header(path, file, budget)
        try:
            return read_torch_header(path, file)
        except HeaderError as error:
            return unreadable_pickle(file, error)

    names = sorted(shards)
    with ExitStack() as stack:
        read_all = map(read, names)
        if not isinstance(folder, Path):
            executor = stack.enter_context(ThreadPoolExecutor(REMOTE_READS))
            read_all = executor.map(read, names)
        for done, (file, found) in enumerate(zip(names, read_all, strict=True), start=1):
            if isinstance(found, MissingFile):
                refused[file] = found
            elif found is not None:
                headers[file] = found
            progress(done, len(names), "reading headers")
    return headers, refused


def read_torch_header(path: AnyPath, name: str) -> Header:
    """Read which tensors a file of torch.save states. Raises HeaderError or ReadError.

    path: the file.
    name: its name, for messages.
    """
    try:
        with open_anywhere(path) as (file, size):

            def read(start: int, count: int) -> bytes:
                file.seek(start)
                return file.read(count)

            return read_torch_file(read, file=name, file_size=size)
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None


def _open_standard_input(text: str, any_kind: bool) -> RawModel:
    """Read a config alone, or a spec, from standard input. Raises ConfigError for other text."""
    data = sys.stdin.buffer.read(MAX_CONFIG + 1)
    if not data.strip():
        raise ConfigError("standard input is empty", "`llmarch show -` reads a config.json from it")
    document = parse_object(data, file="standard input")
    model = _open_config(Path(CONFIG), document, text, "standard input", any_kind)
    if model.kind == "local":  # not a snapshot, though the current folder may be one
        model.name = "standard input"
        model.repo_id = model.commit = None
        model.is_download = False
    return model


def _open_config_file(path: AnyPath, text: str, any_kind: bool) -> RawModel:
    """Read a config alone, or a spec file."""
    document = _read_object(path, path.name)
    return _open_config(path, document, text, path.name, any_kind)


def _open_config(
    path: AnyPath, document: JsonObject, text: str, file: str, any_kind: bool
) -> RawModel:
    """Return the model of a config alone, or of a spec.

    path: the file, by whose name the kind of config is known.
    document: its content.
    text: the reference as the user wrote it.
    file: what messages call the file.
    any_kind: whether encoders are read too (`Reference.any_kind`).
    """
    if specs.is_spec(document):
        return specs.from_document(document, text=text, file=path)
    name = CONFIG
    if path.name in (PARAMS, ADAPTER, PIPELINE):
        name = path.name
    documents = {name: document}
    if error := non_model_error([name], documents, name=printable(text), any_kind=any_kind):
        raise error
    config_file = path.name
    if "dim" in document and "n_layers" in document and "model_type" not in document:
        config_file = PARAMS
    folder = path.resolve().parent
    model = _raw_model(text, folder, document, config_file)
    model.other_kind = other_kind(documents.get(CONFIG), {name})
    model.findings += repeated_keys(file, document, is_config=True)
    return model


def _open_safetensors_file(path: AnyPath, text: str, any_kind: bool) -> RawModel:
    """Read one safetensors file, and the config beside it if the file is the whole checkpoint."""
    folder = path.absolute().parent if path.is_symlink() else path.resolve().parent
    files = list_files(folder)
    weights = choose_weights(files)
    config_file = weights.config_file or CONFIG
    total = _shard_count(path.name)
    is_only = path.name == SINGLE or weights.shards == (path.name,)
    is_whole = is_only and total == 1 and weights.index_file is None
    documents: dict[str, JsonObject] = {}
    if is_whole and weights.config_file is not None:
        names = documents_to_read(files)
        documents = {name: _read_object(folder / name, name) for name in names}
        shown = printable(text)
        if error := non_model_error(files, documents, name=shown, any_kind=any_kind):
            raise error
    header = read_header(path, path.name)
    config = effective_config(weights, documents)
    model = _raw_model(text, folder if is_whole else path, config, config_file)
    model.other_kind = other_kind(documents.get(CONFIG), {*files})
    _note_declaration(model, weights, documents)
    merge([header], None).add_to(model)
    model.files = (path.name,)
    if total > 1:
        model.partial = True
        file = printable(path.name)
        message = f"{file} is one of {total} files of a checkpoint; only its own tensors are read"
        model.findings.append(Finding(rule="single-shard", path=file, message=message))
    return model


def _open_gguf_file(path: AnyPath, text: str, any_kind: bool) -> RawModel:
    """Read one GGUF file, whatever its name, with the others into which its model is split."""
    chosen = GgufSet((path.name,), 1)
    if SPLIT_GGUF.fullmatch(path.name):
        chosen = set_of(path.name, list_files(path.parent))
    return _open_gguf_set(path.parent, chosen, text, any_kind)


def _open_gguf_set(folder: AnyPath, chosen: GgufSet, text: str, any_kind: bool) -> RawModel:
    """Read the GGUF files of one model in a folder."""
    headers = [read_gguf_header(folder / name, name) for name in chosen.files]
    model = _raw_model(text, folder, None, chosen.files[0])
    model.name = printable(chosen.name)
    model.files = chosen.files
    model.folder = str(folder.absolute())
    add_headers(model, headers, any_kind=any_kind)
    missing_parts(model, chosen)
    return model


def read_gguf_header(path: AnyPath, name: str) -> GgufHeader:
    """Read the header of one GGUF file. Raises HeaderError or ReadError.

    path: the file.
    name: its name, for messages.
    """
    try:
        with open_anywhere(path) as (file, size):

            def read(start: int, count: int) -> bytes:
                file.seek(start)
                return file.read(count)

            return read_gguf(read, file=name, file_size=size)
    except OSError as error:
        raise ReadError(f"{printable(str(path))}: {error.strerror}") from None


def _shard_count(name: str) -> int:
    """Return of how many files a file is one, by its name."""
    match = SHARD.fullmatch(name)
    if match is None:
        return 1
    return max(1, int(match["total"]))


def _raw_model(
    text: str, path: AnyPath, config: dict[str, Any] | None, config_file: str
) -> RawModel:
    """Return the RawModel of a folder or file, without tensors.

    A snapshot in the Hub's cache has the repository's id and commit.
    """
    path = path.absolute()
    model = RawModel(
        reference=text,
        kind="local",
        name=printable(path.resolve().name),
        config=config,
        config_file=config_file,
    )
    if path.parent.name == "snapshots":
        repo = _CACHED_REPO.fullmatch(path.parent.parent.name)
        if repo is not None:
            model.repo_id = f"{repo['org']}/{repo['name']}"
            model.commit = path.name
            model.is_download = True
            model.name = repo["name"]
    return model


def _note_declaration(
    model: RawModel, weights: WeightFiles, documents: Mapping[str, JsonObject]
) -> None:
    """Note which file beside the config declares the quantization, and what files contradict."""
    declaration = find_declaration(weights, documents)
    if declaration is not None:
        model.quantization_file = declaration.file
        model.findings.append(declaration.finding)
    model.findings += declarations_that_differ(weights, documents)
    model.findings += keys_stated_twice(weights, documents)


def _resolve_snapshot(path: AnyPath) -> AnyPath:
    """Return the snapshot of a repository's folder in the Hub's cache: main's, else the only one.

    Any other folder is returned as it is. Raises ReadError if there are several snapshots, or none.
    """
    if not isinstance(path, Path):
        return path
    snapshots = path / "snapshots"
    if not snapshots.is_dir() or not _CACHED_REPO.fullmatch(path.resolve().name):
        return path
    main = path / "refs" / "main"
    if main.is_file():
        commit = main.read_text(errors="replace").strip()
        if commit and is_safe_name(commit) and (snapshots / commit).is_dir():
            return snapshots / commit
    folders = [folder for folder in snapshots.iterdir() if folder.is_dir()]
    if len(folders) == 1:
        return folders[0]
    message = f"{printable(str(path))} contains {len(folders)} snapshots"
    names = sorted(folder.name for folder in folders)
    hint = f"give one of them: {', '.join(names[:3])}"
    raise ReadError(message, hint if names else None)


def _read_object(path: AnyPath, name: str) -> JsonObject:
    data = _read_bytes(path, name, MAX_CONFIG)
    return parse_object(data, file=name)


def _read_bytes(path: AnyPath, name: str, limit: int) -> bytes:
    """Read a file, up to one byte more than `limit` (the parser refuses it then)."""
    try:
        return read_anywhere(path, limit)
    except OSError as error:
        raise ReadError(f"{printable(name)}: {error.strerror}") from None


def _visible_files(path: str) -> list[str]:
    """Return the names of the first MAX_FILES entries of a folder that are files and not hidden."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return []
    names: list[str] = []
    for entry in entries[:MAX_FILES]:
        is_hidden = entry.name.startswith(".")
        if entry.is_file() and not is_hidden:
            names.append(entry.name)
    return names
