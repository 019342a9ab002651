"""Compare the types of a config's values with those that transformers' class takes for its keys.

transformers 5 declares a type for most keys and refuses a config with a value of another one: null
where a number is needed, 4.0 for 4, 0 for 0.0 (huggingface_hub's `strict` dataclasses).
"""

from __future__ import annotations

from typing import Any

from .declared_fields import field_letters
from .findings import refused_by_transformers, shown
from .keys import ConfigKeys

LETTERS = {
    "bool": "b",
    "int": "i",
    "float": "f",
    "str": "s",
    "list": "l",
    "dict": "d",
    "NoneType": "n",
}
"""How field_types.py writes the types of JSON."""
TYPE_WORDS = {
    "b": "true or false",
    "i": "an integer",
    "f": "a number with a decimal point",
    "s": "a string",
    "l": "a list",
    "d": "an object",
    "n": "null",
}


COMPUTED_BY_ALL = frozenset({"is_heterogeneous", "per_layer_attributes", "sub_configs"})
COMPUTED = {
    "bamba": "layers_block_type",
    "falcon": "head_dim rotary",
    "falcon_h1": "layers_block_type",
    "falcon_mamba": "layer_types",
    "gemma3n_text": "kv_sharing_modes",
    "gemma4_text": "kv_sharing_modes",
    "gemma4_unified_text": "kv_sharing_modes",
    "jamba": "layer_types layers_block_type layers_num_experts",
    "mamba": "layer_types",
    "mamba2": "layer_types",
    "minicpm3": "logits_scaling",
    "recurrent_gemma": "layers_block_type",
    "xlstm": "qk_dim qk_head_dim v_dim v_head_dim",
}
"""Keys of a model_type that transformers 5.23.0 computes: properties of the class without a setter,
so that a config with one fails (tried with `from_dict`)."""


def check_field_types(c: ConfigKeys) -> None:
    """Report keys and values of a type that transformers' class for the model_type refuses."""
    declared = field_letters(c.model_type)
    computed = COMPUTED.get(c.model_type, "").split()
    for key, value in c.data.items():
        if declared and (key in computed or key in COMPUTED_BY_ALL):
            refused_by_transformers(c, key, "is a key that the class computes", value)
        if c.is_implied(key):
            continue
        letters = declared.get(key)
        if letters is not None and letter_of(value) not in letters:
            _report(c, key, value, letters)


def letter_of(value: object) -> str:
    """Return the letter of the type of a value of JSON."""
    return LETTERS.get(value.__class__.__name__, "")


def _report(c: ConfigKeys, key: str, value: Any, letters: str) -> None:
    needed = " or ".join(TYPE_WORDS[letter] for letter in letters)
    given = shown(value)
    if value is not None:
        given += f" ({TYPE_WORDS.get(letter_of(value), 'a value')})"
    refused_by_transformers(c, key, f"is {given}; {needed} is needed", value)
