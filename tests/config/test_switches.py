"""Every key of a config that changes what transformers builds or computes is a fact, or shown.

The fixture is written by tests/oracle/switches.py: small configs in which one key after the other
has another value, and whether tensors or logits differ.
"""

from __future__ import annotations

import copy
import gzip
import json
from typing import Any

import pytest
from helpers.paths import FIXTURES

from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.compare.diff import diff
from llmarch.errors import LlmarchError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

Config = dict[str, Any]

MODELS: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "switches.json.gz").read_bytes()))[
    "models"
]
SHRUNK_WRONGLY = {"hunyuan-a13b", "mimo-v2-flash"}
"""Small configs with lists or numbers of heads that the family refuses."""
NAMES = sorted(MODELS.keys() - SHRUNK_WRONGLY)

NOT_SEEN = {
    ("minimax-m1", "block_size"): "a table that is computed; it is not in published files",
    ("minimax-m1", "full_attn_alpha_factor"): "the published key for it has another value",
    ("minimax-m1", "linear_attn_alpha_factor"): "the published key for it has another value",
    ("minimax-m1", "mlp_alpha_factor"): "the published key for it has another value",
}
NOT_WEIGHTS = {
    ("deepseek-v4-flash", "num_experts_per_tok"): "the width of a table of token ids",
}
OBEYED_ELSEWHERE = {
    "moe_layer_freq": "DeepSeek's own code, vLLM and SGLang obey it",
    "use_routing_bias": "MiniMax's own code and vLLM obey it",
    "n_shared_experts": "vLLM multiplies by it",
    "num_nextn_predict_layers": "transformers does not load MTP modules",
}
"""Keys that the class in transformers ignores, and other code does not."""
BY_ANOTHER_FLAG = {("mistral-small-3.1", "tie_word_embeddings")}


def read(config: Config) -> tuple[Architecture, set[str]]:
    """Return the architecture, and what people are told of it."""
    family, keys = configure(config, "config.json")
    architecture, _ = build_with_template(family, keys, {})
    told = {f"{f.rule} {f.path}" for f in keys.findings if f.severity != "info"}
    return architecture, told | set(keys.unread())


def changed(config: Config, key: str, value: Any) -> Config:
    copied = copy.deepcopy(config)
    inner = copied.get("text_config")
    (inner if isinstance(inner, dict) else copied)[key] = value
    return copied


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_a_model_is_seen(name: str) -> None:
    config = MODELS[name]["config"]
    before, told = read(config)
    for key, (value, effect) in MODELS[name]["keys"].items():
        if effect not in ("logits", "shapes") or (name, key) in NOT_SEEN:
            continue
        try:
            after, told_after = read(changed(config, key, value))
        except LlmarchError:
            continue
        except ValueError as error:  # an activation that the schema does not know
            assert "supported:" in str(error), (key, value)
            continue
        changes = diff(before, after)
        severities = {change.severity for change in changes}
        if told_after - told:
            continue
        assert severities & {"weights", "behaviour"}, (key, value, effect)
        if effect == "shapes" and (name, key) not in NOT_WEIGHTS:
            assert "weights" in severities, (key, value)


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_no_tensor_is_no_change_of_weights(name: str) -> None:
    config = MODELS[name]["config"]
    before, _ = read(config)
    for key, (value, effect) in MODELS[name]["keys"].items():
        known = key in OBEYED_ELSEWHERE or (name, key) in BY_ANOTHER_FLAG
        if effect != "none" or known:
            continue
        after, _ = read(changed(config, key, value))
        weights = [c.path for c in diff(before, after) if c.severity == "weights"]
        assert weights == [], (key, value)


def test_many_keys_are_tried() -> None:
    effects = [effect for m in MODELS.values() for _, effect in m["keys"].values()]
    assert len(effects) > 1400
    assert effects.count("logits") > 200 and effects.count("shapes") > 400


# --- what a class computes whatever the config says ---------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("gpt-oss-120b", "hidden_act"),
        ("step-3.7-flash", "hidden_act"),
        ("nemotron-3-nano", "attention_bias"),
        ("nemotron-3-nano", "tie_word_embeddings"),
        ("kimi-linear", "tie_word_embeddings"),
    ],
)
def test_keys_that_the_class_ignores_are_shown(name: str, key: str) -> None:
    value, effect = MODELS[name]["keys"][key]
    assert effect == "none"
    config = MODELS[name]["config"]
    before, told = read(config)
    after, told_after = read(changed(config, key, value))
    assert diff(before, after) == []
    assert [name.rpartition(".")[2] for name in told_after - told] == [key]
