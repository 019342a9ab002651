"""Numbers as people read them."""

from __future__ import annotations

import pytest

from llmarch.tensors.folding import braced
from llmarch.views import numbers


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (numbers.count(235_093_634_560), "235.09 B"),
        (numbers.count(596_049_920), "596.05 M"),
        (numbers.count(12_288), "12,288"),
        (numbers.size(192_512), "188 KiB"),
        (numbers.size(70_272), "68.6 KiB"),
        (numbers.size(788_529_152), "752 MiB"),
        (numbers.size(512), "512 B"),
        (numbers.size(2**40 * 3), "3 TiB"),
        (numbers.theta(1e6), "1e6"),
        (numbers.theta(5e6), "5e6"),
        (numbers.theta(150_000.0), "150,000"),
        (numbers.theta(208_533_496.0), "208,533,496"),
        (numbers.context(131072), "128k"),
        (numbers.context(10_485_760), "10M"),
        (numbers.context(40_000), "40,000"),
        (numbers.ratio(128, 64), "÷ 2"),
        (numbers.ratio(256, 384), "× 1.5"),
        (numbers.ratio(10_000, 50_000), "× 5"),
        (numbers.ratio(163_840, 131_072), "× 0.8"),
        (numbers.ratio(3, 3), ""),
        (numbers.ratio(0, 3), ""),
        (numbers.epsilon(1e-6), "1e-6"),
        (braced(range(256)), "{0-255}"),
        (braced((61,)), "61"),
        (braced((0, 1, 2, 5, 7, 8)), "{0-2,5,7-8}"),
        (braced((3, 7, 11, 15, 19)), "{3,7,..,19}"),
    ],
)
def test_shown(shown: str, expected: str) -> None:
    assert shown == expected
