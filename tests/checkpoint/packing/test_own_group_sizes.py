"""Modules of an MLX checkpoint with bits and a group size of their own."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import Change, Tensors, check

MLX = "qwen3-0.6b-reduced-mlx-4bit"
MODULE = "model.layers.0.mlp.down_proj"


def stored_with(bits: int, group_size: int) -> Change:
    """Return a change that stores one module with other bits and groups."""

    def change(tensors: Tensors) -> Tensors:
        changed = dict(tensors)
        name = f"{MODULE}.weight"
        dtype, shape = tensors[name]
        assert shape is not None
        inputs = shape[1] * 32 // 4
        changed[name] = (dtype, (shape[0], inputs * bits // 32))
        for suffix in ("scales", "biases"):
            name = f"{MODULE}.{suffix}"
            changed[name] = (tensors[name][0], (shape[0], inputs // group_size))
        return changed

    return change


def declared_with(bits: int, group_size: int) -> Any:
    def change(config: dict[str, Any]) -> None:
        for key in ("quantization", "quantization_config"):
            if key in config:
                config[key][MODULE] = {"bits": bits, "group_size": group_size}

    return change


@pytest.mark.parametrize(("bits", "group_size"), [(8, 32), (8, 64), (6, 32), (2, 128), (3, 128)])
def test_a_module_with_its_own_group_size(bits: int, group_size: int) -> None:
    """8 bits in groups of 32 have the shapes of 4 bits in groups of 64, of twice the inputs."""
    change = stored_with(bits, group_size)
    found = check(MLX, change, declared_with(bits, group_size))
    assert [f for f in found.findings if f.severity != "info"] == []
    assert found.status == "verified"


def test_a_group_size_that_is_not_declared() -> None:
    assert check(MLX, stored_with(8, 32)).status == "conflict"
