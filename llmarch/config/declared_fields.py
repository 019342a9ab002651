"""Look up what transformers' configuration classes declare: types of keys, and second names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from .field_types import FIELDS, SECOND_NAMES, USUAL_TYPES


@cache
def field_letters(model_type: str) -> dict[str, str]:
    """Return the letters of the types that each key of a model_type takes."""
    found: dict[str, str] = {}
    for word in FIELDS.get(model_type, "").split():
        key, stated, letters = word.partition("=")
        found[key] = letters if stated else _usual()[key]
    return found


@cache
def _usual() -> dict[str, str]:
    return {key: letters for letters, keys in USUAL_TYPES.items() for key in keys.split()}


@cache
def aliases_of(model_type: str) -> Mapping[str, str]:
    """Return the second names of the fields of a model_type's class, with the fields."""
    for model_types, words in SECOND_NAMES.items():
        if model_type in model_types.split():
            pairs = (word.partition("=") for word in words.split())
            return {alias: field for alias, _, field in pairs}
    return {}
