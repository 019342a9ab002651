"""Published configs that transformers 5.23.0 saved again are the same architecture.

The fixture is written by tests/oracle/resaved.py.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import Any

import pytest
from helpers.paths import FIXTURES, ROOT

from llmarch.architecture.fingerprint import fingerprint
from llmarch.architecture.schema import Architecture, Finding
from llmarch.checkpoint.reading import build_with_template, configure, read_model
from llmarch.compare.diff import diff
from llmarch.compare.entry_diff import find_differences
from llmarch.compare.lock import make_entry
from llmarch.config.families import MODEL_TYPES
from llmarch.sources.raw import RawModel

Config = dict[str, Any]

DOCUMENT: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "resaved.json.gz").read_bytes()))
CONFIGS: dict[str, dict[str, Config]] = DOCUMENT["configs"]
NOT_WHOLE = {
    "meta-llama__Llama-4-Maverick-17B-128E-Instruct/config.json",
    "meta-llama__Llama-4-Scout-17B-16E-Instruct/config.json",
    "mistralai__Ministral-3-3B-Instruct-2512/config.partial.json",
    "stepfun-ai__Step-3.7-Flash-FP8/config.json",
}
"""Copies that lack vision_config or text_config. transformers fills in the tower or the decoder of
the class defaults, which is not the published model."""
FLAGS_DISAGREE = {
    "specs/mistral-small-3.1",
    "mistralai__Mistral-Small-3.1-24B-Instruct-2503/config.partial.json",
    "specs/qwen3-vl-235b",
    "specs/qwen3-vl-30b-a3b",
}
"""Wrappers whose class default of tie_word_embeddings is not that of the text part's class.
transformers writes both out."""
OF_ANOTHER_TYPE = {"zai-org__GLM-4.5-Air/config.partial.json"}
"""A copy whose model_type is that of GLM-4, while its class is GLM-4.5's."""


def given(name: str) -> Config:
    """Return the config before it was saved again."""
    if not name.startswith("specs/"):
        return CONFIGS[name]["given"]
    config = json.loads((ROOT / f"{name}.json").read_text())["config"]
    return {k: v for k, v in config.items() if k not in DOCUMENT["_about"]["left_out"]}


@cache
def readable() -> list[str]:
    names = [n for n in CONFIGS if given(n)["model_type"] in MODEL_TYPES]
    return [n for n in names if n not in NOT_WHOLE]


def read(config: Config) -> tuple[Architecture, set[str], list[Finding]]:
    family, keys = configure(config, "config.json")
    architecture, _ = build_with_template(family, keys, {})
    return architecture, set(keys.unread()), keys.findings


@pytest.mark.parametrize("name", readable())
def test_the_architecture_is_the_same(name: str) -> None:
    before, unread_before, _ = read(given(name))
    after, unread_after, findings = read(CONFIGS[name]["saved"])
    assert diff(before, after) == []
    assert fingerprint(before) == fingerprint(after)
    assert unread_after - unread_before == set()
    wrong = {f.path for f in findings if f.severity != "info"}
    known = {"text_config.tie_word_embeddings"} if name in FLAGS_DISAGREE else set[str]()
    if name in OF_ANOTHER_TYPE:
        known |= {"architectures"}
    assert wrong == known


@pytest.mark.parametrize("name", sorted(FLAGS_DISAGREE))
def test_a_check_passes(name: str) -> None:
    """Flags that transformers writes out are told, but they change nothing."""
    old, new = (
        make_entry(read_model(RawModel("model", "local", "model", config, "config.json")))
        for config in (given(name), CONFIGS[name]["saved"])
    )
    assert {c.severity for c in find_differences(old, new)} <= {"info"}


def test_most_published_configs_are_tried() -> None:
    assert len(readable()) > 160
    heterogeneous = [n for n in readable() if "per_layer_config" in json.dumps(CONFIGS[n])]
    assert len(heterogeneous) >= 7


def test_the_format_of_experts_that_transformers_copies_inside() -> None:
    """DeepseekV4Config of transformers writes `expert_dtype` into the quantization_config."""
    config = json.loads((ROOT / "specs" / "deepseek-v4-flash.json").read_text())["config"]
    inner = config["quantization_config"] | {"moe_quant_algo": "NVFP4"}
    given = config | {"expert_dtype": "fp4", "quantization_config": inner}
    saved = given | {"quantization_config": inner | {"expert_dtype": "fp4"}}
    before, unread_before, _ = read(given)
    after, unread_after, _ = read(saved)
    assert before.quantization is not None and before.quantization.experts == "nvfp4"
    assert (before, unread_before) == (after, unread_after)
