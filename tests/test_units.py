"""Numbers as people read them."""

from __future__ import annotations

import pytest

from llmarch.tensors.folding import braced
from llmarch.views import numbers as units


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(235_093_634_560), "235.09 B"),
        (units.count(596_049_920), "596.05 M"),
        (units.count(12_288), "12,288"),
        (units.size(192_512), "188 KiB"),
        (units.size(70_272), "68.6 KiB"),
        (units.size(788_529_152), "752 MiB"),
        (units.size(512), "512 B"),
        (units.size(2**40 * 3), "3 TiB"),
        (units.theta(1e6), "1e6"),
        (units.theta(5e6), "5e6"),
        (units.theta(150_000.0), "150,000"),
        (units.theta(208_533_496.0), "208,533,496"),
        (units.context(131072), "128k"),
        (units.context(10_485_760), "10M"),
        (units.context(40_000), "40,000"),
        (units.ratio(128, 64), "÷ 2"),
        (units.ratio(256, 384), "× 1.5"),
        (units.ratio(10_000, 50_000), "× 5"),
        (units.ratio(163_840, 131_072), "× 0.8"),
        (units.ratio(3, 3), ""),
        (units.ratio(0, 3), ""),
        (units.epsilon(1e-6), "1e-6"),
        (braced(range(256)), "{0-255}"),
        (braced((61,)), "61"),
        (braced((0, 1, 2, 5, 7, 8)), "{0-2,5,7-8}"),
        (braced((3, 7, 11, 15, 19)), "{3,7,..,19}"),
    ],
)
def test_shown(shown: str, expected: str) -> None:
    assert shown == expected
