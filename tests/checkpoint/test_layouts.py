"""Layouts: parts of fused tensors, the shapes that they make, and transposed shapes."""

from __future__ import annotations

import pytest

from llmarch.checkpoint.layouts import (
    FusedPlace,
    closer_layout,
    fused_place,
    joined_shape,
    other_layout,
)

PLACES = [
    (
        "layers.{}.mlp.experts.{}.gate_proj.weight",
        FusedPlace("layers.{}.mlp.experts.gate_up_proj", 0, 2, True),
    ),
    (
        "layers.{}.mlp.experts.{}.up_proj.weight",
        FusedPlace("layers.{}.mlp.experts.gate_up_proj", 1, 2, True),
    ),
    (
        "layers.{}.mlp.experts.{}.down_proj.weight",
        FusedPlace("layers.{}.mlp.experts.down_proj", per_expert=True),
    ),
    ("layers.{}.mlp.experts.gate_proj", FusedPlace("layers.{}.mlp.experts.gate_up_proj", 0, 2)),
    (
        "layers.{}.mlp.experts.gate_up_proj_bias",
        FusedPlace("layers.{}.mlp.experts.gate_up_proj_bias"),
    ),
    (
        "layers.{}.mlp.experts.up_proj_bias",
        FusedPlace("layers.{}.mlp.experts.gate_up_proj_bias", 1, 2),
    ),
    ("layers.{}.self_attn.v_proj.bias", FusedPlace("layers.{}.self_attn.qkv_proj.bias", 2, 3)),
    (
        "layers.{}.mlp.shared_expert.up_proj.weight",
        FusedPlace("layers.{}.mlp.shared_expert.gate_up_proj.weight", 1, 2),
    ),
    (
        "layers.{}.self_attn.unembed_out.weight",
        FusedPlace("layers.{}.self_attn.kv_b_proj.weight", 1, 2),
    ),
    (
        "layers.{}.linear_attn.in_proj_z.weight",
        FusedPlace("layers.{}.linear_attn.in_proj_qkvz.weight", 1, 2),
    ),
    ("layers.{}.input_layernorm.weight", None),
]


@pytest.mark.parametrize(("key", "expected"), PLACES)
def test_places_in_fused_tensors(key: str, expected: FusedPlace | None) -> None:
    assert fused_place(key) == expected


def test_parts_are_joined() -> None:
    assert joined_shape("x.qkv_proj.weight", [(4096, 2048), (512, 2048), (512, 2048)]) == (
        5120,
        2048,
    )
    assert joined_shape("x.qkv_proj.bias", [(4096,), (512,), (512,)]) == (5120,)
    assert joined_shape("x.experts.gate_up_proj", [(8, 768, 2048), (8, 768, 2048)]) == (
        8,
        1536,
        2048,
    )
    assert joined_shape("x.experts.gate_up_proj_bias", [(8, 768), (8, 768)]) == (8, 1536)
    assert joined_shape("x.qkv_proj.weight", [(4096, 2048), (512, 1024)]) is None
    assert joined_shape("x.qkv_proj.weight", [(4096,), (512,)]) is None
    assert joined_shape("x.kv_b_proj.weight", [(128, 512, 128), (128, 128, 512)]) == (
        128 * 256,
        512,
    )
    assert joined_shape("x.kv_b_proj.weight", [(128, 512, 128), (64, 128, 512)]) is None


def test_some_tensors_have_another_layout() -> None:
    assert other_layout("layers.{}.mlp.experts.gate_up_proj", (8, 2048, 1536)) == (8, 1536, 2048)
    assert other_layout("layers.{}.linear_attn.conv1d.weight", (8192, 1, 4)) == (8192, 4, 1)
    assert other_layout("layers.{}.mlp.gate_proj.weight", (8, 16)) is None


def test_the_layout_with_more_dimensions_in_place_is_compared() -> None:
    assert closer_layout((8, 16, 32), (8, 32, 16), (8, 32, 20)) == (8, 32, 16)
    assert closer_layout((8, 16, 32), (8, 32, 16), (8, 20, 32)) == (8, 16, 32)
    assert closer_layout((8, 16, 32), (8, 32, 16), None) == (8, 16, 32)
