"""Identify the content of the small files of a local model, as the Hub identifies that of its own.

Only a gate needs it, so it is not part of reading a model.
"""

from __future__ import annotations

import re
from hashlib import sha1, sha256
from pathlib import Path

from .file_names import is_beside_file, is_weight_file
from .raw import RawModel
from .regular_files import open_regular, read_regular

MAX_HASHED = 64_000_000
"""Bytes of a file up to which its content is hashed; of a larger one the size counts."""
MAX_HASHED_TOGETHER = 512_000_000
"""Bytes of all files of one model that are hashed."""
MAX_POINTER = 1000
"""Bytes of the longest pointer of LFS."""
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]+)\n"
)
"""What a clone without LFS holds in the place of a large file."""


def identify_files(model: RawModel) -> None:
    """Fill `file_ids` of a model that was read in a folder; others have what the Hub said.

    A file that cannot be read has no entry.
    """
    if not model.folder or model.file_ids:
        return
    left = MAX_HASHED_TOGETHER
    for name in filter(is_beside_file, model.files):
        try:
            with open_regular(Path(model.folder, name)) as file:
                size = file.seek(0, 2)
            most = MAX_HASHED
            if is_weight_file(name):
                most = MAX_POINTER
            if size > min(most, left):
                model.file_ids[name] = f"size:{size}"
                continue
            data = read_regular(Path(model.folder, name), size)
        except OSError:
            continue
        left -= len(data)
        model.file_ids[name] = content_id(data)


def content_id(data: bytes) -> str:
    """Return the hash of a file as git has it, its SHA-256, and its size.

    A pointer of LFS stands for the file that it points to.
    """
    pointer = _POINTER.fullmatch(data)
    if pointer is not None:
        return f"sha256:{pointer['oid'].decode()} size:{int(pointer['size'])}"
    blob = sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return f"git:{blob} sha256:{sha256(data).hexdigest()} size:{len(data)}"


def is_content_of(data: bytes, identity: str) -> bool:
    """Return whether nothing that identifies a file's content denies that it is `data`.

    identity: as in `RawModel.file_ids`; empty if nothing is known.
    """
    size, *_ = [word for word in identity.split() if word.startswith("size:")] or [""]
    if size and size != f"size:{len(data)}":
        return False
    blob = sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    own = {"git": blob, "sha256": sha256(data).hexdigest()}
    for word in identity.split():
        kind, _, value = word.partition(":")
        if kind in own and len(value) == len(own[kind]) and value != own[kind]:
            return False
    return True
