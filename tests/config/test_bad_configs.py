"""Configs with wrong values anywhere: each is read, or refused with one message; never a traceback,
never without bounds.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import SPECS
from helpers.type_fixtures import TYPES, read_fixture

from llmarch.checkpoint.reading import build_with_template, configure, read_model
from llmarch.config.families import MODEL_TYPES
from llmarch.errors import InternalError, LlmarchError
from llmarch.renderers import json as documents
from llmarch.sources.raw import RawModel
from llmarch.views import model, tables

SPEC_FILES = sorted(p for p in SPECS.glob("*.json") if p.name != "index.json")
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    10**9,
    10**15,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "x",
    "32",
    "",
    [],
    [1],
    ["x"],
    [None],
    [[1]],
    [-(10**30)] * 3,
    [float("inf")] * 3,
    {},
    {"a": 1},
    {"rope_type": "yarn"},
    {"type": "linear", "factor": "x"},
    {"full_attention": 3},
    ["full_attention"] * 3,
    "\x1b[31m",
)


def paths(node: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = []
    for key, value in node.items():
        out.append((*above, key))
        if isinstance(value, dict):
            out += paths(value, (*above, key))
    return out


def spoiled(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The config with one to three values changed or dropped."""
    config = copy.deepcopy(config)
    for _ in range(chance.choice((1, 1, 2, 3))):
        *parents, last = chance.choice(paths(config))
        at = config
        for key in parents:
            at = at[key]
        if chance.random() < 0.2:
            at.pop(last)
        elif isinstance(at[last], list) and at[last] and chance.random() < 0.5:
            at[last][chance.randrange(len(at[last]))] = copy.deepcopy(chance.choice(VALUES))
        else:
            at[last] = copy.deepcopy(chance.choice(VALUES))
    return config


@pytest.mark.parametrize("path", SPEC_FILES, ids=lambda p: p.stem)
def test_spoiled_configs(path: Path) -> None:
    spec = json.loads(path.read_bytes())
    chance = random.Random(path.stem)
    refused = 0
    for _ in range(16):
        raw = RawModel("x", "local", "x", spoiled(spec["config"], chance), spec["config_file"])
        try:
            reading = read_model(raw)
            model.model_sheet(reading), tables.layer_table(reading), tables.tensor_table(reading)
            json.dumps(documents.model_document(reading))
        except InternalError:
            raise
        except LlmarchError as error:
            refused += 1
            assert error.message
    assert refused < 16


@pytest.mark.sweep
@pytest.mark.parametrize("model_type", [name for name in TYPES if name in MODEL_TYPES])
def test_spoiled_configs_of_types(model_type: str) -> None:
    rows = read_fixture(model_type)["rows"]
    chance = random.Random(model_type)
    for row in chance.choices(rows, k=8):
        saved = {**rows[0]["saved"], **row["saved"], "model_type": model_type}
        try:
            family, keys = configure(spoiled(saved, chance), "config.json")
            build_with_template(family, keys, {})
        except InternalError:
            raise
        except LlmarchError as error:
            assert error.message


@pytest.mark.parametrize("alias", ["deepseek-v3", "qwen3-30b-a3b", "gpt-oss-20b", "llama4-scout"])
def test_more_tensors_than_a_checkpoint_can_have(alias: str) -> None:
    """They are refused before they are compared; stacked experts are few tensors."""
    config = json.loads((SPECS / f"{alias}.json").read_text())["config"]
    inner = config.get("text_config", config)
    names = ("n_routed_experts", "num_experts", "num_local_experts")
    inner |= {name: 10**6 for name in names if name in inner}
    inner |= {"n_group": 1, "topk_group": 1}
    try:
        rows = read_model(RawModel("x", "local", "x", config, "config.json")).rows
    except LlmarchError as error:
        assert "tensors" in error.message
        return
    assert sum(row.count for row in rows) < 2_000_000


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("internvl", {"vision_config": {"norm_type": "x"}}),
        ("glm4v_moe", {"text_config": {"first_k_dense_replace": 10_000}}),
        ("bamba", {"time_step_limit": []}),
        ("emu3", {"architectures": True}),
        ("moshi", {"architectures": 1}),
        ("inkling_text", {"logits_mup_width_multiplier": 0}),
    ],
)
def test_values_that_once_ended_in_a_traceback(model_type: str, changes: dict[str, Any]) -> None:
    saved = {**read_fixture(model_type)["rows"][0]["saved"], "model_type": model_type}
    for key, value in changes.items():
        saved[key] = {**saved[key], **value} if isinstance(value, dict) else value
    try:
        family, keys = configure(saved, "config.json")
        build_with_template(family, keys, {})
    except InternalError:
        raise
    except LlmarchError as error:
        assert error.message


def test_nothing_in_a_document_is_a_command_to_the_terminal() -> None:
    evil = "\x1b[31m\x7f\x9b31m\u202e\u2066 ü"
    text = documents.json_text({evil: [evil]})
    assert text.replace("\n", "").isprintable()
    assert "ü" in text
    assert json.loads(text) == {evil: [evil]}
