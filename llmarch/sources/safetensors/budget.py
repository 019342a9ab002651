"""What all headers of one checkpoint may take together: a limit on memory."""

from __future__ import annotations

from threading import Lock

from ...errors import HeaderError, printable
from .header import Header

MAX_ALL_BYTES = 250_000_000
"""Bytes of all headers. The largest published ones (Kimi K2 with FP8 scales) have 16 MB."""
MAX_ALL_TENSORS = 1_000_000
"""Tensors of all headers. The largest published checkpoints have 140,000 to 210,000."""


class HeaderBudget:
    """Counts the headers of a checkpoint while they are read, by several threads."""

    def __init__(self) -> None:
        self._bytes = 0
        self._tensors = 0
        self._lock = Lock()

    def reserve(self, size: int, file: str) -> None:
        """Count the bytes of a header before it is read. Raises HeaderError beyond the limit."""
        with self._lock:
            self._bytes += size
            if self._bytes > MAX_ALL_BYTES:
                raise HeaderError(
                    f"{printable(file)}: with its header of {size:,} bytes, the headers of this"
                    f" checkpoint take more than {MAX_ALL_BYTES:,} bytes"
                )

    def count(self, header: Header) -> None:
        """Count the tensors of a header that was read. Raises HeaderError beyond the limit."""
        with self._lock:
            self._tensors += len(header.names)
            if self._tensors > MAX_ALL_TENSORS:
                raise HeaderError(
                    f"{printable(header.file)}: with its {len(header.names):,} tensors, this"
                    f" checkpoint has more than {MAX_ALL_TENSORS:,}"
                )
