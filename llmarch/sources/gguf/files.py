"""The files of one GGUF model: one, or the parts into which it is split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import HeaderError, printable
from ..raw import GGUF_WRITER, TENSOR_INFOS, RawModel, TensorTable
from .header import GgufHeader, nested


def add_headers(model: RawModel, headers: Sequence[GgufHeader]) -> None:
    """Add the headers of a model's files to what was read of it.

    The metadata of the first file becomes the config, with the tensors of all. Raises HeaderError
    for a tensor that two files have.
    """
    table = TensorTable()
    for header in headers:
        table.extend(header.names, header.kinds)
    table.writer = GGUF_WRITER
    seen: set[str] = set()
    for header in headers:
        again = seen.intersection(header.names)
        if again:
            name = printable(min(again))
            raise HeaderError(f"{printable(header.file)}: {name}: another file has it too")
        seen.update(header.names)
    config: dict[str, Any] = nested(headers[0].metadata)
    config[TENSOR_INFOS] = tensor_infos(table)
    model.config = config
    model.tensors = table
    model.header_bytes = sum(header.size for header in headers)


def tensor_infos(table: TensorTable) -> dict[str, list[list[Any]]]:
    """Return the tensors in short, as the document of a GGUF file has them."""
    infos: dict[str, list[list[Any]]] = {}
    for group in table:
        shape = list(group.shape or ())
        infos.setdefault(group.pattern, []).append([group.dtype, shape, len(group.indices)])
    return infos
