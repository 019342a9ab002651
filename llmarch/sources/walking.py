"""Find the models in a tree of folders, on this machine or in another place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import ReadError, printable
from .aliases import bundled_models
from .file_names import ADAPTER, CONFIG, PARAMS, PIPELINE
from .gguf.choice import gguf_sets
from .places import open_place
from .places.path import PlacePath
from .regular_files import read_regular

_DOWNLOADED = re.compile(r"models--.+--.+")
"""Folder of a repository in the Hub's cache."""
_MODEL_FILES = frozenset((CONFIG, PARAMS, ADAPTER, PIPELINE))
TEXT_ENCODER = "text_encoder"
"""How the names of folders begin that hold text encoders of a diffusers pipeline."""
_WEIGHTS = (".safetensors", ".safetensors.index.json")
MAX_SEARCHED = 1_000_000
"""Bytes of a JSON file of another name that are searched for a model_type."""


class FolderContent(NamedTuple):
    """The visible names in a folder."""

    files: list[str]
    folders: list[str]


class Tree(NamedTuple):
    """How a tree of folders is looked into."""

    list_folder: Callable[[str], FolderContent]
    """Raises OSError."""
    begin_file: Callable[[str], bytes]
    """Returns the first MAX_SEARCHED bytes of a file. Raises OSError."""


def is_folder(text: str) -> bool:
    """Return whether a text names an existing folder, and not a bundled model by an exact alias."""
    return text.lower() not in bundled_models() and os.path.isdir(os.path.expanduser(text))


def find_models(folder: str) -> Iterator[str]:
    """Yield a reference for each model below a folder, in the order of their paths.

    A model is a folder with a config, weights or an index; each GGUF model of a folder; and, in a
    folder without these, a JSON file that states a model_type. Of a diffusers pipeline these are
    its text encoders. What is below the folder of a model belongs to it. Links to folders are not
    followed, names that begin with a dot are left out. A folder that cannot be read is yielded too:
    reading it gives the error.

    folder: as the user wrote it; the references begin with it.
    """
    if folder == "~" or folder.startswith("~/"):
        folder = os.path.expanduser(folder)
    tree = Tree(_list_local, _begin_local)
    for path in _find_models(folder, tree):
        yield as_path(path)


def find_models_in_place(url: str) -> Iterator[str]:
    """Yield a reference for each model below a folder in another place, as `find_models` does.

    Raises ReadError if it cannot be listed.
    """
    root = open_place(url)
    shown = url.rstrip("/")
    try:
        names = root.place.tree(root.path)
    except OSError as error:
        raise ReadError(f"{printable(url)}: {error.strerror}") from None
    contents = _contents_of(shown, names)

    def begin_file(path: str) -> bytes:
        file: PlacePath = root / path.removeprefix(f"{shown}/")
        return file.place.read(file.path, 0, MAX_SEARCHED)

    yield from _find_models(shown, Tree(contents.__getitem__, begin_file))


def as_path(path: str) -> str:
    """Return a path written so that it is read as one, not as a repository or an alias."""
    if path.startswith((".", "/", "~")) or os.path.isabs(path):
        return path
    return os.path.join(".", path)


def _find_models(folder: str, tree: Tree) -> Iterator[str]:
    """Yield the paths of the models below a folder."""
    try:
        content = tree.list_folder(folder)
    except OSError:
        yield folder
        return
    encoders = [name for name in content.folders if name.startswith(TEXT_ENCODER)]
    if PIPELINE in content.files and CONFIG not in content.files and encoders:
        for name in encoders:
            yield from _find_models(os.path.join(folder, name), tree)
        return
    found = list(_models_of(folder, content.files, tree))
    is_downloaded = _DOWNLOADED.fullmatch(os.path.basename(folder)) is not None
    if is_downloaded and "snapshots" in content.folders:
        found = [folder]
    yield from found
    if folder in found:
        return
    for name in content.folders:
        yield from _find_models(os.path.join(folder, name), tree)


def _list_local(folder: str) -> FolderContent:
    """Return what is in a folder of this machine."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry.name for entry in visible if not entry.is_dir()]
    folders = [entry.name for entry in visible if entry.is_dir(follow_symlinks=False)]
    return FolderContent(files, folders)


def _begin_local(path: str) -> bytes:
    """Return the beginning of a file of this machine."""
    return read_regular(Path(path), MAX_SEARCHED)


def _contents_of(root: str, names: list[str]) -> dict[str, FolderContent]:
    """Return what each folder contains, given the names of all files below `root`."""
    contents = {root: FolderContent([], [])}
    for name in sorted(names):
        *parents, file = name.split("/")
        if any(part.startswith(".") for part in (*parents, file)):
            continue
        folder = root
        for parent in parents:
            inner = f"{folder}/{parent}"
            if inner not in contents:
                contents[inner] = FolderContent([], [])
                contents[folder].folders.append(parent)
            folder = inner
        contents[folder].files.append(file)
    for content in contents.values():
        content.folders.sort()
    return contents


def _models_of(folder: str, files: list[str], tree: Tree) -> Iterator[str]:
    """Yield the models whose files stand in a folder itself."""
    has_model = any(name in _MODEL_FILES or name.endswith(_WEIGHTS) for name in files)
    if has_model:
        yield folder
        return
    for chosen in gguf_sets(files):
        yield os.path.join(folder, chosen.files[0])
    for name in files:
        path = os.path.join(folder, name)
        if name.endswith(".json") and _states_model_type(path, tree):
            yield path


def _states_model_type(path: str, tree: Tree) -> bool:
    try:
        return b'"model_type"' in tree.begin_file(path)
    except OSError:
        return False
