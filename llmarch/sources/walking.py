"""Find the models in a tree of folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from .aliases import bundled_models
from .file_names import ADAPTER, CONFIG, PARAMS, PIPELINE
from .gguf.choice import gguf_sets
from .regular_files import read_regular

_DOWNLOADED = re.compile(r"models--.+--.+")
"""Folder of a repository in the Hub's cache."""
_MODEL_FILES = frozenset((CONFIG, PARAMS, ADAPTER, PIPELINE))
_WEIGHTS = (".safetensors", ".safetensors.index.json")
MAX_SEARCHED = 1_000_000
"""Bytes of a JSON file of another name that are searched for a model_type."""


def is_folder(text: str) -> bool:
    """Return whether a text names an existing folder, and not a bundled model by an exact alias."""
    return text.lower() not in bundled_models() and os.path.isdir(os.path.expanduser(text))


def find_models(folder: str) -> Iterator[str]:
    """Yield a reference for each model below a folder, in the order of their paths.

    A model is a folder with a config, weights or an index; each GGUF model of a folder; and, in a
    folder without these, a JSON file that states a model_type. What is below the folder of a model
    belongs to it. Links to folders are not followed, names that begin with a dot are left out. A
    folder that cannot be read is yielded too: reading it gives the error.

    folder: as the user wrote it; the references begin with it.
    """
    if folder == "~" or folder.startswith("~/"):
        folder = os.path.expanduser(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield as_path(folder)
        return
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry.name for entry in visible if not entry.is_dir()]
    found = list(_models_of(folder, files))
    is_downloaded = _DOWNLOADED.fullmatch(os.path.basename(folder)) is not None
    if is_downloaded and any(entry.name == "snapshots" for entry in visible):
        found = [folder]
    yield from map(as_path, found)
    if folder in found:
        return
    for entry in visible:
        if entry.is_dir(follow_symlinks=False):
            yield from find_models(os.path.join(folder, entry.name))


def as_path(path: str) -> str:
    """Return a path written so that it is read as one, not as a repository or an alias."""
    if path.startswith((".", "/", "~")) or os.path.isabs(path):
        return path
    return os.path.join(".", path)


def _models_of(folder: str, files: list[str]) -> Iterator[str]:
    """Yield the models whose files stand in a folder itself."""
    has_model = any(name in _MODEL_FILES or name.endswith(_WEIGHTS) for name in files)
    if has_model:
        yield folder
        return
    for chosen in gguf_sets(files):
        yield os.path.join(folder, chosen.files[0])
    for name in files:
        path = os.path.join(folder, name)
        if name.endswith(".json") and _states_model_type(path):
            yield path


def _states_model_type(path: str) -> bool:
    try:
        return b'"model_type"' in read_regular(Path(path), MAX_SEARCHED)
    except OSError:
        return False
