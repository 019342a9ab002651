"""Check counts of blocks by hand; whole models are counted in tests/config and tests/checkpoint."""

from __future__ import annotations

import pytest
from helpers.architectures import architecture, gqa, recurrent

from llmarch.analyses.block_parameters import VARIANTS, count_block, count_linear_attention
from llmarch.analyses.parameters import count_parameters
from llmarch.errors import FactError

HIDDEN = 64


@pytest.mark.parametrize(
    ("variant", "kernel", "expected"),
    [
        # in (gate, x, B, C, dt), convolution, A_log, D and dt_bias, norm, out
        ("mamba2", 4, 64 * (2 * 96 + 2 * 32 + 6) + (96 + 64) * 4 + 18 + 96 + 96 * 64),
        # B, C and x, convolution, out
        ("short_conv", 3, 64 * 3 * 96 + 96 * 3 + 96 * 64),
        # q, k and v, norm, gate, out
        ("lightning", None, 64 * (2 * 32 + 96) + 96 + 64 * 96 + 96 * 64),
        # q, k, v and gate, beta and decay, convolution, A_log and dt_bias, norm, out
        ("gated_deltanet", 4, 64 * (64 + 192) + 64 * 12 + 160 * 4 + 12 + 16 + 96 * 64),
        # q, k and v, low-rank decay and gate, beta, convolution, dt_bias, A_log, norm, out
        ("kda", 4, 64 * 160 + 2 * (64 * 16 + 16 * 96) + 64 * 6 + 640 + 96 + 6 + 16 + 96 * 64),
    ],
)
def test_linear_attention(variant: str, kernel: int | None, expected: int) -> None:
    mixer = recurrent(variant, (2, 16), (6, 16), kernel)
    assert count_block(mixer, HIDDEN) == {"attention": expected}


def test_a_variant_without_a_formula_is_refused() -> None:
    mixer = recurrent("rwkv7", (2, 16), (2, 16), None)
    assert mixer.variant not in VARIANTS
    with pytest.raises(FactError, match="rwkv7"):
        count_linear_attention(mixer, HIDDEN)


def test_components_add_up() -> None:
    counts = count_parameters(architecture({"full": gqa(4, 2, 16)}, ["full"] * 3))
    assert sum(counts.by_component.values()) == counts.total
    assert sum(counts.active_by_component.values()) == counts.active
    assert all(counts.by_component.values()), "components of 0 are left out"
