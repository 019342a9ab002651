"""An architecture from tensor names and shapes alone, for models that no family reads."""
