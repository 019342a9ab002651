"""Folders and files in other places than this machine and the Hub: object stores, web servers.

`open_place` gives a path that the reader of local folders takes. Bytes are read by ranges.
"""

from __future__ import annotations

from ...errors import UnknownReference, printable
from .path import FilePlace, PlacePath

WEB = ("https://", "http://")
MODELSCOPE = "modelscope://"


def open_place(url: str) -> PlacePath:
    """Return the path of an address. Raises UnknownReference, MissingExtra or ReadError."""
    place, path = _place_of(url)
    return PlacePath(place, path)


def _place_of(url: str) -> tuple[FilePlace, str]:
    if url.startswith(WEB):
        from .web import WebPlace

        return WebPlace(), url.rstrip("/")
    if url.startswith(MODELSCOPE):
        from .modelscope import ModelScope

        return ModelScope.at(url)
    from .stores import FileStore

    try:
        return FileStore.at(url)
    except ValueError as error:  # a protocol that fsspec does not know, or a wrong address
        reason = printable(str(error))
        hint = "s3://, gs://, az://, https:// and what fsspec knows"
        raise UnknownReference(f"{printable(url)} cannot be read: {reason}", hint) from None
