"""The files of one GGUF model: one, or the parts into which it is split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...architecture.schema import Finding
from ...errors import HeaderError, NotAModel, printable
from ..raw import GGUF_WRITER, TENSOR_INFOS, RawModel, TensorTable
from .choice import GgufSet
from .header import GgufHeader, nested

_KINDS = {
    "adapter": "a LoRA adapter",
    "mmproj": "a projector of images or sounds (mmproj)",
    "imatrix": "an importance matrix",
    "vocab": "a vocabulary without weights",
}
"""What files are that are not models, by `general.type`."""
_ENCODER = "a text encoder"
_ARCHITECTURES = {
    "clip": _KINDS["mmproj"],
    **dict.fromkeys(("bert", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe"), _ENCODER),
    **dict.fromkeys(("jina-bert-v2", "jina-bert-v3", "eurobert", "gemma-embedding"), _ENCODER),
    "t5": "an encoder-decoder",
    "t5encoder": _ENCODER,
    "wavtokenizer-dec": "a decoder of sounds",
}
"""The same by `general.architecture`."""


def add_headers(model: RawModel, headers: Sequence[GgufHeader], *, any_kind: bool = False) -> None:
    """Add the headers of a model's files to what was read of it.

    The metadata of the first file becomes the config, with the tensors of all. Raises HeaderError
    for a tensor that two files have, and NotAModel for a file that holds no decoder.

    any_kind: whether models of another kind, such as encoders, are read too.
    """
    error = other_kind_error(headers[0])
    if error is not None:
        kind = _other_model(headers[0])
        if not kind or not any_kind:
            raise error
        model.other_kind = kind
    table = TensorTable()
    for header in headers:
        table.extend(header.names, header.kinds)
    table.writer = GGUF_WRITER
    seen: set[str] = set()
    for header in headers:
        repeated = seen.intersection(header.names)
        if repeated:
            name = printable(min(repeated))
            raise HeaderError(f"{printable(header.file)}: {name}: another file has it too")
        seen.update(header.names)
    config: dict[str, Any] = nested(headers[0].metadata)
    config[TENSOR_INFOS] = tensor_infos(table)
    model.config = config
    model.tensors = table
    model.header_bytes = sum(header.size for header in headers)


def missing_parts(model: RawModel, chosen: GgufSet) -> None:
    """Note the files of a model that are not there: it is read in part."""
    missing = chosen.missing
    if not missing:
        return
    model.partial = True
    first = printable(missing[0])
    message = f"{first}: not there; {len(missing)} of {chosen.total} files are missing"
    model.findings.append(Finding(rule="shard-missing", path=first, message=message))


def other_kind_error(header: GgufHeader) -> NotAModel | None:
    """Return the error for a file that holds something else than a decoder, None for a decoder."""
    name = printable(header.file)
    kind = _KINDS.get(str(header.metadata.get("general.type"))) or _other_model(header)
    if not kind:
        return None
    return NotAModel(f"{name} is {kind}, not a decoder language model", "give the model's file")


def _other_model(header: GgufHeader) -> str:
    """Return what kind of model a file holds by its architecture; nothing for a decoder."""
    architecture = header.metadata.get("general.architecture")
    kind = None
    if isinstance(architecture, str):
        kind = _ARCHITECTURES.get(architecture)
    return kind or ""


def tensor_infos(table: TensorTable) -> dict[str, list[list[Any]]]:
    """Return the tensors in short, as the document of a GGUF file has them."""
    infos: dict[str, list[list[Any]]] = {}
    for group in table:
        shape = list(group.shape or ())
        infos.setdefault(group.pattern, []).append([group.dtype, shape, len(group.indices)])
    return infos
