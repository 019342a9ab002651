"""Adapters as `llmarch.load_adapter` returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..checkpoint.adapters.reading import AdapterReading
from .readings import as_class
from .shown import SelfShown

if TYPE_CHECKING:
    from ..architecture.json_adapter import AdapterDocument
    from ..views.documents import Sheet


class ModelAdapter(SelfShown, AdapterReading):
    """A PEFT adapter, and how it agrees with its base model."""

    def to_dict(self) -> AdapterDocument:
        """Return the document of `llmarch show ADAPTER --format json` (docs/json.md)."""
        from ..renderers.json import adapter_document

        document: Any = adapter_document(self)
        return document

    def sheet(self) -> Sheet:
        """Return the first screen of `llmarch show`."""
        from ..views.adapter import adapter_sheet

        return adapter_sheet(self)


def adapter_as_shown(r: AdapterReading) -> ModelAdapter:
    """Return an adapter that shows itself."""
    return as_class(r, ModelAdapter)
