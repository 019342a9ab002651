"""From stored tensors to logical ones: a file for each packing format, and what undoes them."""

from __future__ import annotations

from .base import PackingFormat
from .formats import FORMATS
from .unpacking import Unpacked, unpack

__all__ = ["FORMATS", "PackingFormat", "Unpacked", "unpack"]
