"""Experts of every family in every style: packed, and left plain as a method's loader leaves them.

transformers 5 has one parameter for all experts. Methods that replace linear modules leave it as it
is; others put modules of their own in its place, and find no scales where it is stored plain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import pytest
from helpers.checkpoint_fixtures import local_model, read
from helpers.paths import SPECS
from helpers.quantised_checkpoints import (
    AWQ,
    DYNAMIC,
    FP4,
    FP4_INPUTS,
    FP8,
    FP8_BLOCK,
    GPTQ,
    GROUP,
    MODELOPT_FP8,
    NF4,
    NVFP4,
    Pack,
    awq_of,
    ct_config,
    ct_fp4,
    ct_packed,
    ct_weights,
    gptq_of,
    int8_bnb,
    mlx,
    modelopt_fp4,
    nf4,
    scaled,
)

from llmarch.checkpoint.quantization import LINEAR_MODULES, SUBMODULES
from llmarch.checkpoint.reading import Reading, read_model
from llmarch.sources.raw import TensorGroup, TensorTable
from llmarch.tensors.template import TensorRow

pytestmark = pytest.mark.covered

COMPONENTS = {"attention", "mlp", "shared_experts", "latent_projections"}


FEW = 16
EXPERT_KEYS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
"""Keys of the number of experts, which is cut to `FEW` to save time."""


class Style(NamedTuple):
    """A method: its declaration, how it packs, and whether transformers leaves experts plain."""

    declared: dict[str, Any]
    pack: Pack
    leaves_experts: bool


STYLES = {
    "bnb-nf4": Style(NF4, nf4(nested=True), True),
    "bnb-int8": Style({"quant_method": "bitsandbytes", "load_in_8bit": True}, int8_bnb, True),
    "gptq": Style({**GPTQ, "group_size": 32}, gptq_of(4, 32), True),
    "awq": Style({**AWQ, "group_size": 32}, awq_of(32), True),
    "ct-int4": Style(ct_config(ct_weights(**GROUP), "pack-quantized"), ct_packed(32), True),
    "ct-fp8": Style(
        ct_config({**FP8, "strategy": "channel"}, "float-quantized", DYNAMIC),
        scaled("F8_E4M3", per="channel"),
        True,
    ),
    "ct-nvfp4": Style(ct_config(FP4, "nvfp4-pack-quantized", FP4_INPUTS), ct_fp4, True),
    "fbgemm": Style(
        {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]},
        scaled("F8_E4M3", per="channel"),
        True,
    ),
    "fp8-block": Style(
        FP8_BLOCK, scaled("F8_E4M3", per="block", name_of_scale="weight_scale_inv"), False
    ),
    "modelopt-nvfp4": Style(NVFP4, modelopt_fp4, False),
    "modelopt-fp8": Style(
        MODELOPT_FP8, scaled("F8_E4M3", per="tensor", inputs_scaled="input_scale"), False
    ),
    "mlx": Style({"group_size": 64, "bits": 4}, mlx(4, 64), False),
}
REPLACED = {("llama4", style) for style in ("bnb-nf4", "bnb-int8", "fbgemm")} | {
    ("llama4", style) for style in ("ct-int4", "ct-fp8", "ct-nvfp4")
}
"""Families whose stacked experts transformers replaces for a method of linear modules
(MODULES_TO_PATCH_FOR_QUANTIZATION, FbgemmFp8Llama4TextExperts)."""


class Model(NamedTuple):
    """A model with experts: its config without a declaration, and its template."""

    family: str
    config: dict[str, Any]
    rows: list[TensorRow]

    def reading(self, style: Style, packs: Callable[[TensorRow], bool]) -> Reading:
        """Return what the headers say if the rows that `packs` takes are packed."""
        groups: dict[tuple[str, str, tuple[int, ...] | None], list[tuple[int, ...]]] = {}
        for row in self.rows:
            stored = {row.pattern: ("BF16", row.shape)}
            if packs(row):
                stored = style.pack(row.pattern.removesuffix(".weight"), *row.shape)
            for name, (dtype, shape) in stored.items():
                groups.setdefault((name, dtype, shape), []).extend(product(*row.axes))
        table = TensorTable()
        for key, indices in groups.items():
            table.add_group(TensorGroup(*key, indices))
        config = {**self.config, "quantization_config": style.declared}
        return read_model(local_model(config, table))


@cache
def models() -> dict[str, Model]:
    """Return the smallest bundled model of each family that has experts."""
    found: dict[str, Model] = {}
    size: dict[str, int] = {}
    for path in sorted(SPECS.glob("*.json")):
        config = json.loads(path.read_text()).get("config", {})
        if "model_type" not in config:
            continue
        for part in (config, config.get("text_config", {})):
            for key in ("quantization_config", "quantization", "expert_dtype"):
                part.pop(key, None)
            part |= {key: min(part[key], FEW) for key in EXPERT_KEYS if part.get(key)}
        architecture, rows = read(config)
        rows = [row for row in rows if row.component != "mtp"]
        tensors = sum(row.count for row in rows)
        family = architecture.family
        if not any(map(is_expert, rows)) or size.get(family, tensors) < tensors:
            continue
        found[family], size[family] = Model(family, config, rows), tensors
    return found


def is_expert(row: TensorRow) -> bool:
    return row.component == "experts" and not row.pattern.endswith("_bias")


def is_linear(row: TensorRow) -> bool:
    name = row.pattern.replace(".query_key_value.", ".qkv_proj.")
    is_large = LINEAR_MODULES.search(name) and not SUBMODULES.search(name)
    return row.component in COMPONENTS and len(row.shape) == 2 and bool(is_large)


def is_packed_alone(row: TensorRow) -> bool:
    """Return whether a row is of matrices, with one expert each."""
    return is_linear(row) or (is_expert(row) and len(row.shape) == 2)


def experts_of_one_kind(rows: list[TensorRow]) -> Iterator[str]:
    return (row.pattern for row in rows if is_expert(row) and len(row.shape) == 2)


PUBLISHED_CODE = {"bailing_moe", "deepseek_moe"}
"""Families of published code, which has a linear module for each matrix of each expert."""
FAMILIES = sorted(models())


def test_the_sweep_has_experts_of_both_kinds() -> None:
    stacked = {
        name
        for name, model in models().items()
        if any(len(row.shape) == 3 for row in model.rows if is_expert(row))
    }
    assert len(stacked) >= 7
    assert len(models().keys() - stacked) >= 15


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_experts_that_are_all_plain(family: str, style: str) -> None:
    """They load where the method leaves them, and it is said that others do not take them."""
    chosen = STYLES[style]
    result = models()[family].reading(chosen, is_linear)
    remarks = [f for f in result.findings if f.rule == "experts-unquantised"]
    worst = [f.message for f in result.findings if f.severity != "info"]
    are_left = chosen.leaves_experts and family not in PUBLISHED_CODE
    if are_left and (family, style) not in REPLACED:
        assert (result.status, worst) == ("verified", [])
        assert [f.severity for f in remarks] == ["info"]
    else:
        assert result.status == "conflict"
        assert remarks == []


@pytest.mark.parametrize("style", ["bnb-nf4", "gptq", "ct-fp8", "modelopt-nvfp4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_experts_that_are_packed_one_by_one(family: str, style: str) -> None:
    model = models()[family]
    kinds = list(experts_of_one_kind(model.rows))
    if not kinds:
        return
    assert model.reading(STYLES[style], is_packed_alone).status == "verified"


@pytest.mark.parametrize("style", ["bnb-nf4", "gptq", "ct-fp8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_experts_that_are_partly_packed(family: str, style: str) -> None:
    """One kind of matrix is plain: no loader takes some experts packed and others not."""
    model = models()[family]
    kinds = list(experts_of_one_kind(model.rows))
    if not kinds:
        return
    result = model.reading(
        STYLES[style], lambda row: is_packed_alone(row) and row.pattern != kinds[-1]
    )
    assert result.status == "conflict"


@pytest.mark.parametrize("style", ["bnb-int8", "ct-fp8", "fp8-block"])
def test_biases_of_experts_that_are_packed_one_by_one(style: str) -> None:
    """gpt-oss as Quark and others store it: a module for each expert, with its bias."""
    model = models()["gpt_oss"]
    rows: list[TensorRow] = []
    for row in model.rows:
        if row.component != "experts":
            rows.append(row)
            continue
        stem, _, part = row.pattern.rpartition(".")
        experts, *sizes = row.shape
        kind = "bias" if part.endswith("_bias") else "weight"
        name = f"{stem}.{{}}.{part.removesuffix('_bias')}.{kind}"
        axes = (*row.axes, tuple(range(experts)))
        rows.append(replace(row, pattern=name, shape=tuple(reversed(sizes)), axes=axes))
    result = model._replace(rows=rows).reading(STYLES[style], is_packed_alone)
    assert (result.status, [f.message for f in result.findings if f.severity != "info"]) == (
        "verified",
        [],
    )
