"""Read GGUF files, llama.cpp's: metadata and tensor infos, never the weights."""

from __future__ import annotations

from .files import add_headers
from .header import GgufHeader, is_gguf, read_gguf

__all__ = ["GgufHeader", "add_headers", "is_gguf", "read_gguf"]
