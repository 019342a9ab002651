"""At every reading the count from facts and the sum over the template must be the same.

The edits are settings that no published model has, and in which the two once disagreed. What is
right is what the modelling code does (transformers 5.23.0; for MTP vLLM).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from helpers.paths import SPECS

from llmarch.checkpoint import reading
from llmarch.errors import ConfigError, InternalError
from llmarch.sources.raw import RawModel

Config = dict[str, Any]


def read(name: str, edit: Callable[[Config], Config]) -> reading.Reading:
    spec = json.loads((SPECS / f"{name}.json").read_text())
    return reading.read_model(
        RawModel("x", "local", "x", edit(spec["config"]), spec["config_file"])
    )


def setting(part: str = "", **values: Any) -> Callable[[Config], Config]:
    def edit(config: Config) -> Config:
        return config | {part: config[part] | values} if part else config | values

    return edit


def elements(result: reading.Reading, component: str) -> int:
    return sum(row.parameters for row in result.rows if row.component == component)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("laguna-xs.2", setting(attention_bias=True)),
        ("step-3.5-flash", setting(attention_bias=True)),
        ("kimi-k2.5", setting("vision_config", init_pos_emb_height=2)),
        ("kimi-linear", setting(num_nextn_predict_layers=1)),
        ("nemotron-3-nano", setting(num_nextn_predict_layers=3)),
        ("qwen3.5-0.8b", setting("text_config", mtp_num_hidden_layers=2)),
        ("qwen3.5-0.8b", setting("text_config", mtp_use_dedicated_embeddings=True)),
    ],
)
def test_settings_that_no_published_model_has(name: str, edit: Callable[[Config], Config]) -> None:
    assert read(name, edit).status == "computed"


def test_a_gate_for_each_head_has_no_bias() -> None:
    plain = read("step-3.5-flash", setting())
    biased = read("step-3.5-flash", setting(attention_bias=True))
    new = {r.pattern for r in biased.rows} - {r.pattern for r in plain.rows}
    assert {pattern.split(".")[-2] for pattern in new} == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_a_gate_for_each_element_beside_biases_is_refused() -> None:
    """The class gives it no bias, while that of Qwen3-Next is part of q and has q's."""
    for name, values in (
        ("trinity-large", {}),
        ("laguna-xs.2", {"gating": "per-element"}),
    ):
        with pytest.raises(ConfigError, match="attention_bias is true, which is not supported"):
            read(name, setting(attention_bias=True, **values))


def test_the_layers_of_three_modules_follow_each_other() -> None:
    one = read("nemotron-3-nano", setting(num_nextn_predict_layers=1))
    three = read("nemotron-3-nano", setting(num_nextn_predict_layers=3))
    assert elements(three, "mtp") == 3 * elements(one, "mtp")
    (projection,) = [r for r in three.rows if r.pattern.endswith("eh_proj.weight")]
    assert projection.axes == ((0, 2, 4),)


@pytest.mark.parametrize("component", ["attention", "mtp", "vision"])
def test_a_disagreement_is_reported_as_a_fault(
    component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = reading.count_parameters

    def one_more(a: Any) -> Any:
        right = count(a)
        if component == "mtp":
            return replace(right, mtp=right.mtp + 1)
        counts = {**right.by_component}
        counts[component] = counts.get(component, 0) + 1
        return replace(right, by_component=counts)

    monkeypatch.setattr(reading, "count_parameters", one_more)
    with pytest.raises(InternalError, match=f"parameters of {component} from the facts, but") as e:
        read("qwen3-0.6b", setting())
    assert "report it" in str(e.value.hint)
