"""What transformers refuses is an error or a finding, and what it takes is not refused.

tests/oracle/refusals.py wrote the fixture: small configs of the bundled specs in which one key
after the other is spoilt, and where transformers raises.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
from typing import Any

import pytest
from helpers.paths import FIXTURES, SPECS

from llmarch.checkpoint.reading import build_with_template, configure
from llmarch.config.declared_fields import field_letters
from llmarch.config.families import MODEL_TYPES, family_named
from llmarch.config.field_types import FIELDS
from llmarch.config.vocabulary import TRANSFORMERS
from llmarch.errors import LlmarchError

pytestmark = pytest.mark.sweep  # a sweep: other tests run the same lines

Config = dict[str, Any]
Row = list[Any]
ABSENT = "<absent>"

MODELS: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "refusals.json.gz").read_bytes()))[
    "models"
]
SHRUNK_WRONGLY = {"kimi-k2.5", "kimi-k2.6"}
"""Small configs whose towers do not fit their decoders."""
NAMES = sorted(MODELS.keys() - SHRUNK_WRONGLY)

KERNELS = re.compile(r"strides? (should be|divisible)|stride divisible")
"""Failures of CPU kernels on widths that they do not align, not of the model."""

NOT_USED = "the family does not read it: no block of the model uses it"
CLASS_NEEDS = "a key that the class alone needs, which the facts have a value without"
NESTED = "transformers gives it to a field of another name, whose type is checked there"
ACCEPTED = {
    ("deepseek-v2-lite", "topk_method"): "words of remote code; vLLM reads them",
    ("deepseek-v4-flash", "qk_rope_head_dim"): "an odd number of dims that are rotated in part",
    ("devstral-small-2", "llama_4_scaling_beta"): CLASS_NEEDS,
    ("devstral-small-2", "rope_parameters"): CLASS_NEEDS,
    ("mistral-small-4", "llama_4_scaling_beta"): CLASS_NEEDS,
    ("mistral-small-4", "rope_parameters"): CLASS_NEEDS,
    ("devstral-small-2", "rope_type"): CLASS_NEEDS,
    ("mistral-small-4", "rope_type"): CLASS_NEEDS,
    ("gemma4-26b", "global_head_dim"): "an odd number of dims that are rotated in part",
    (
        "gemma4-26b",
        "num_kv_shared_layers",
    ): "a cache that lacks a layer; published models share more",
    ("granite-4.0-h-350m", "layer_types"): "a model without attention, whose cache has no length",
    ("lfm2-1.2b", "full_attn_idxs"): "a model without attention, whose cache has no length",
    (
        "qwen3-next",
        "full_attention_interval",
    ): "a model without attention, whose cache has no length",
    ("hunyuan-a13b", "factor"): "Hunyuan's alpha stands in its place",
    ("hunyuan-a13b", "head_dim"): "attention_head_dim stands in its place",
    ("kimi-linear", "head_dim"): NESTED,
    ("kimi-linear", "num_heads"): NESTED,
    ("kimi-linear", "short_conv_kernel_size"): NESTED,
    ("kimi-linear", "full_attn_layers"): "the other list tells the same",
    ("kimi-linear", "kda_layers"): "the other list tells the same",
    ("kimi-linear", "rope_scaling"): NOT_USED,
    ("nemotron-3-nano", "rope_scaling"): NOT_USED,
    ("nemotron-3-nano", "chunk_size"): "of a kernel",
    ("nemotron-3-nano", "time_step_max"): "of the initialisation",
    ("nemotron-3-nano", "time_step_min"): "of the initialisation",
    ("laguna-xs.2", "rope_parameters"): CLASS_NEEDS,
    ("laguna-xs.2", "mlp_layer_types"): "the family reads any word but sparse as dense",
    ("laguna-xs.2", "full_attention"): CLASS_NEEDS,
    ("laguna-xs.2", "sliding_attention"): CLASS_NEEDS,
    ("longcat-flash", "head_dim"): "the class sets it to qk_rope_head_dim in published configs",
    ("longcat-flash", "qk_rope_head_dim"): "the class sets head_dim to it in published configs",
    (
        "mimo-v2-flash",
        "rope_scaling",
    ): "published configs have flat keys, of which it takes the place",
    ("minimax-m1", "head_dim"): "a part of the dims is rotated; the class checks all",
    ("minimax-m2.5", "attn_type_list"): "the oracle gives it to layer_types",
    ("minimax-m3", "moe_layer_freq"): NESTED,
    ("minimax-m3", "sparse_index_dim"): NESTED,
    ("minimax-m3", "sparse_num_index_heads"): NESTED,
    ("minimax-m3", "sparse_topk_blocks"): NESTED,
    ("minimax-m3", "sparse_block_size"): NESTED,
    ("minimax-m3", "sparse_local_block"): NESTED,
    ("minimax-m3", "sparse_attention_freq"): NESTED,
    ("mixtral-8x7b", "rope_scaling"): "the class default of the context is null where it is absent",
    ("qwen3.5-0.8b", "layer_types"): "an entry more for the MTP layer, which checkpoints have",
    ("qwen3.5-122b-a10b", "layer_types"): "an entry more for the MTP layer, which checkpoints have",
    ("qwen3.5-0.8b", "mrope_section"): CLASS_NEEDS,
    ("qwen3.5-122b-a10b", "mrope_section"): CLASS_NEEDS,
    ("step-3.7-flash", "rope_scaling"): CLASS_NEEDS,
    ("step-3.7-flash", "original_max_position_embeddings"): CLASS_NEEDS,
    ("step-3.7-flash", "num_attention_heads"): NESTED,
}
"""Keys whose refused values llmarch takes in silence, with the reason."""

REFUSED_BY_DESIGN = re.compile(
    r" is missing$| is null$|(is|holds) .*\(|has a wrong type|llmarch accepts|not a multiple|"
    r"entries for|differs from layer to layer|as the class has it|llmarch supports|"
    r"does not support|is not supported|has no number for|out_hidden_size is|not supported together"
)
"""Errors for values that transformers takes: a core size that is absent, a count below one, a type
that the key never has, what llmarch says it does not describe."""


"""What read_model says of values that fail together: an eps or a scale of 0."""


def text_of(config: Config) -> Config:
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def spoilt(config: Config, key: str, value: Any) -> Config:
    """Return a config with another value of a dotted key of its text part."""
    changed = copy.deepcopy(config)
    at = text_of(changed)
    *parents, last = key.split(".")
    for parent in parents:
        at = at[parent]
    if value == ABSENT:
        del at[last]
    else:
        at[last] = value
    return changed


def answer(config: Config) -> tuple[str, set[str]]:
    """Return the error that a config is, and the keys with serious findings."""
    family, keys = configure(config, "config.json")
    try:
        build_with_template(family, keys, {})
    except LlmarchError as error:
        return error.message, set()
    return "", {f.path for f in keys.findings if f.severity != "info"}


@pytest.mark.parametrize("name", NAMES)
def test_what_transformers_refuses_is_told(name: str) -> None:
    config = MODELS[name]["config"]
    assert answer(config) == ("", set())
    silent: list[Row] = []
    for key, value, stage, error in MODELS[name]["rows"]:
        last = key.rpartition(".")[2]
        if not stage or KERNELS.search(error) or (name, last) in ACCEPTED:
            continue
        model_type = text_of(config).get("model_type", config["model_type"])
        if value is None and "n" in field_letters(model_type).get(key, ""):
            continue  # the class default, which fails where other keys need the value
        if answer(spoilt(config, key, value)) == ("", set()):
            silent.append([key, value, stage, error])
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_what_transformers_takes_is_not_refused(name: str) -> None:
    config = MODELS[name]["config"]
    refused: list[str] = []
    for key, value, stage, _ in MODELS[name]["rows"]:
        if not stage:
            message, _ = answer(spoilt(config, key, value))
            if message and not REFUSED_BY_DESIGN.search(message):
                refused.append(f"{key} {value}: {message}")
    assert refused == []


def test_the_rows_cover_the_model_types() -> None:
    rows = [row for model in MODELS.values() for row in model["rows"]]
    assert len(NAMES) > 50 and len(rows) > 15_000
    stages = [row[2] for row in rows]
    assert {stage: stages.count(stage) > 500 for stage in ("config", "model", "forward", "")} == {
        "config": True,
        "model": True,
        "forward": True,
        "": True,
    }


@pytest.mark.parametrize("alias", sorted(p.stem for p in SPECS.glob("*.json")))
def test_published_configs_are_taken(alias: str) -> None:
    config = json.loads((SPECS / f"{alias}.json").read_text()).get("config")
    if config and "model_type" in config:
        family, keys = configure(config, "config.json")
        build_with_template(family, keys, {})
        assert [f for f in keys.findings if f.rule == "config-refused"] == []


def test_fields_are_of_model_types() -> None:
    assert FIELDS.keys() <= MODEL_TYPES.keys()
    own_code = [
        name
        for name, family in ((t, family_named(m)) for t, m in MODEL_TYPES.items())
        if not family.refs.get(name, family.ref).startswith(TRANSFORMERS)
    ]
    assert len(FIELDS) > 0.95 * (len(MODEL_TYPES) - len(own_code))
    assert field_letters("qwen3")["num_key_value_heads"] == "in"
    assert field_letters("qwen3")["hidden_size"] == "i"


@pytest.mark.parametrize(
    ("alias", "key"), [("falcon-7b", "head_dim"), ("llama3-8b", "is_heterogeneous")]
)
def test_a_key_that_the_class_computes(alias: str, key: str) -> None:
    """transformers fails: `property 'head_dim' of 'FalconConfig' object has no setter`."""
    config = json.loads((SPECS / f"{alias}.json").read_text())["config"]
    for changed, expected in ((config, False), ({**config, key: 32}, True)):
        error, paths = answer(changed)
        assert error == ""
        assert (key in paths) is expected
