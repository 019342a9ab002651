"""Compare what a config states about RoPE in several spellings.

Flat keys and `rope_scaling` are transformers 4's, `rope_parameters` is transformers 5's. 5.23.0
(modeling_rope_utils.py) reads `rope_scaling` before `rope_parameters`, and either before the flat
keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ..findings import contradiction, newer_spelling
from ..keys import ConfigKeys

DICTS = ("rope_scaling", "rope_parameters")
MAIN_ENTRIES = ("full_attention", "main")
"""The entry that the flat keys are for, if there is one for each type of layers."""
OWN_THETAS = {
    "rope_local_base_freq": "sliding_attention",
    "swa_rope_theta": "sliding_attention",
    "compress_rope_theta": "compress",
}
"""Flat keys of bases, and the entry that has the same."""

FLAT_READERS = (
    "transformers 5 reads the former; transformers 4, and what is built on it, the latter"
)
ORIGINAL_CONTEXT_KEY = "original_max_position_embeddings"

TYPES_OF_TRANSFORMERS_4 = frozenset(
    """
    deepseek_v2 deepseek_v3 gemma gemma2 gemma3_text gemma3n_text glm4_moe gpt_oss granite
    granitemoe granitemoehybrid hunyuan_v1_moe kimi_k2 kimi_linear lfm2 llama llama4_text
    longcat_flash minimax minimax_m2 ministral mistral mixtral olmo2 olmo3 olmoe phi3 qwen2
    qwen2_moe qwen3 qwen3_moe qwen3_next qwen3_vl_moe_text qwen3_vl_text seed_oss smollm3
    """.split()
)
"""model_types whose RoPE readers of before transformers 5 take from flat keys and rope_scaling."""


def check_statements(c: ConfigKeys) -> None:
    """Report what the keys of RoPE say twice and differently, and a spelling that is new."""
    dicts = [part(c, key) for key in DICTS if _is_filled(c.data.get(key))]
    for keys in dicts:
        for entry in (keys, *entries(keys)):
            contradiction(entry, "rope_type", entry, "type")
    if not dicts:
        return
    read = dicts[0]
    if len(dicts) > 1:
        compare_dicts(*dicts)
        if has_entries(dicts[1]):
            read = dicts[1]
    main = main_entry(read)
    contradiction(main, "rope_theta", c, "rope_theta", FLAT_READERS)
    contradiction(main, "partial_rotary_factor", c, "partial_rotary_factor", FLAT_READERS)
    contradiction(
        c, ORIGINAL_CONTEXT_KEY, main, ORIGINAL_CONTEXT_KEY, "transformers reads the former"
    )
    for flat, name in OWN_THETAS.items():
        if _is_filled(read.data.get(name)):
            contradiction(part(read, name), "rope_theta", c, flat, FLAT_READERS)
    if read.prefix.endswith("rope_parameters.") and is_alone(c):
        newer_spelling(
            c,
            "rope_parameters",
            "older readers look for rope_theta and rope_scaling and take their defaults",
        )


def compare_dicts(scaling: ConfigKeys, parameters: ConfigKeys) -> None:
    """Report values that differ between rope_scaling and rope_parameters."""
    readers = (
        "transformers reads the former, readers that look for rope_parameters first the latter"
    )
    main = main_entry(parameters)
    for key in ("rope_type", "type"):
        for other_key in ("rope_type", "type"):
            contradiction(scaling, key, main, other_key, readers)
    for key in scaling.data:
        if key not in ("rope_type", "type"):
            contradiction(scaling, key, main, key, readers)


def is_alone(c: ConfigKeys) -> bool:
    """Return whether older readers find nothing of what rope_parameters has."""
    flat = ("rope_theta", "rope_scaling", *OWN_THETAS)
    return c.model_type in TYPES_OF_TRANSFORMERS_4 and not any(c.has(key) for key in flat)


def main_entry(keys: ConfigKeys) -> ConfigKeys:
    """Return the entry of full attention, or the keys themselves if there are no entries."""
    for name in MAIN_ENTRIES:
        if _is_filled(keys.data.get(name)):
            return part(keys, name)
    return keys


def has_entries(keys: ConfigKeys) -> bool:
    """Return whether each type of layers has keys of its own."""
    return any(_is_filled(value) for value in keys.data.values())


def entries(keys: ConfigKeys) -> Iterator[ConfigKeys]:
    """Yield the entries for types of layers."""
    for name, value in keys.data.items():
        if _is_filled(value):
            yield part(keys, name)


def part(c: ConfigKeys, key: str) -> ConfigKeys:
    """Return the keys nested under one, without marking it as read."""
    return ConfigKeys(
        cast("dict[str, Any]", c.data[key]),
        file=c.file,
        family=c.family,
        ref=c.ref,
        prefix=f"{c.prefix}{key}.",
        native_keys=c.native_keys,
        findings=c.findings,
    )


def _is_filled(value: Any) -> bool:
    return isinstance(value, dict) and value != {}
