"""The few config keys that inference reads, whatever the config holds under them."""

from __future__ import annotations

from typing import Any

import pytest

from llmarch.checkpoint.inference.config_hints import (
    find_declared_heads,
    find_declared_quantization,
    find_declared_tie,
)
from llmarch.checkpoint.inference.recognised import ConfigHeads

KEYS = "num_attention_heads, num_key_value_heads"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, None),
        ({"num_attention_heads": 8}, ConfigHeads(8, 8, 64, f"{KEYS}, hidden_size")),
        (
            {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32},
            ConfigHeads(8, 2, 32, f"{KEYS}, head_dim"),
        ),
        (
            {"text_config": {"num_attention_heads": 4}, "num_attention_heads": 8},
            ConfigHeads(4, 4, 128, f"{KEYS}, hidden_size"),
        ),
        ({"num_attention_heads": 7}, None),
        ({"num_attention_heads": True}, None),
        ({"num_attention_heads": "8"}, None),
        ({"num_attention_heads": 0}, None),
    ],
)
def test_heads_are_plain_positive_numbers(
    config: dict[str, Any], expected: ConfigHeads | None
) -> None:
    assert find_declared_heads(config, 512) == expected


def test_a_head_dim_needs_no_hidden_size() -> None:
    assert find_declared_heads({"num_attention_heads": 8}, None) is None
    assert find_declared_heads({"num_attention_heads": 8, "head_dim": 3}, None) is not None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, None),
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": [], "text_config": {"tie_word_embeddings": False}}, False),
        ({"tie_word_embeddings": True, "text_config": {"tie_word_embeddings": False}}, None),
        ({"tie_word_embeddings": "true"}, None),
    ],
)
def test_the_tie_is_known_where_the_parts_of_a_config_agree(
    config: dict[str, Any], expected: bool | None
) -> None:
    assert find_declared_tie(config) is expected


def test_the_quantization_may_be_in_either_part() -> None:
    declared = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    for config in (declared, {"text_config": declared}):
        found = find_declared_quantization(config)
        assert found is not None
        assert (found.method, found.block) == ("fp8", (128, 128))
    assert find_declared_quantization({"quantization_config": {"quant_method": 7}}) is None
