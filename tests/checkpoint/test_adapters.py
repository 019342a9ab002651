"""Adapters against what peft itself saves and counts, and against bases that they do not fit."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from helpers.adapters import base_named, document, raw_adapter, read_row, row_with, tensors_of_row
from helpers.paths import FIXTURES
from helpers.type_fixtures import read_fixture

from llmarch.checkpoint.adapters.base import modules_of_base
from llmarch.checkpoint.adapters.predicting import predict, predict_prompt
from llmarch.checkpoint.adapters.reading import read_adapter
from llmarch.checkpoint.adapters.targets import TargetMatcher
from llmarch.checkpoint.reading import read_model
from llmarch.compare.rules import RULES
from llmarch.config.adapter_config import PEFT_METHODS, read_adapter_config
from llmarch.config.families import MODEL_TYPES
from llmarch.errors import ConfigError, LlmarchError
from llmarch.sources.raw import RawModel
from llmarch.tensors.adapters import computes, is_prompt

ROWS = document()["rows"]
NAMES = [f"{i}-{row['base']}-{row['kind']}" for i, row in enumerate(ROWS)]
ATTENTION = ["q_proj", "v_proj"]
PREFIX = "base_model.model.model.layers"
NOT_COMPUTED = {"adaption_prompt", "lokr", "poly", "randlora", "vblora"}
"""Methods of the fixture whose tensors are read and counted, but not predicted."""
Stored = dict[str, tuple[str, tuple[int, ...]]]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_an_adapter_is_what_peft_saves(row: dict[str, Any]) -> None:
    r = read_row(row)
    assert r.unread_keys == () or r.adapter.method in NOT_COMPUTED
    if not computes(r.adapter.method):
        assert r.adapter.method in NOT_COMPUTED
        assert r.status == "partial"
        assert r.trained is None
        assert r.unknown
        assert r.stored == r.raw.tensors.elements  # pyright: ignore[reportOptionalMemberAccess]
        return
    assert (r.status, r.findings[1:]) == ("verified", ()) or row["asked"].get("task_type")
    own_head = 64 if row["asked"].get("task_type") == "SEQ_CLS" else 0
    assert r.trained == row["trained"] - own_head
    assert all(f.rule == "adapter-target-missing" for f in r.findings)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_names_and_shapes_follow_from_config_and_base(row: dict[str, Any]) -> None:
    adapter, _ = read_adapter_config(row["config"], "adapter_config.json")
    if not computes(adapter.method):
        return
    prediction = predict_prompt(adapter)
    if not is_prompt(adapter.method):
        matcher = TargetMatcher(adapter, "adapter_config.json")
        prediction = predict(adapter, modules_of_base(base_named(row["base"])), matcher)
    predicted = {t.name: t.shape for t in prediction.tensors if t.stored}
    saved = {n.removeprefix("base_model.model."): s for n, (_, s) in tensors_of_row(row).items()}
    copies = {n for n in saved if n.endswith("base_layer.weight") or n == "score.weight"}
    assert predicted == {n: s for n, s in saved.items() if n not in copies}


def test_factors_are_those_that_peft_uses() -> None:
    compared = 0
    for row in ROWS:
        if row["kind"] != "LoraConfig" or row["base"] != "llama":
            continue
        for group in read_row(row).groups:
            alike = {
                scale
                for name, scale in row["scales"].items()
                if name == group.module
                or name.replace(".0.", ".{}.", 1) == group.module
                or name.replace(".1.", ".{}.", 1) == group.module
            }
            if alike:
                compared += 1
                assert group.scale in alike
    assert compared > 20


def test_without_tensors_the_count_is_computed() -> None:
    row = row_with("llama", target_modules=ATTENTION, r=4, lora_alpha=16)
    r = read_adapter(raw_adapter(row["config"], None), base_named("llama"))
    assert (r.status, r.trained, r.stored) == ("computed", row["trained"], None)


def test_without_a_base_what_is_stored_is_told() -> None:
    row = row_with("llama", target_modules=ATTENTION, r=4, lora_alpha=16)
    r = read_adapter(raw_adapter(row["config"], tensors_of_row(row)), None, "offline")
    assert (r.status, r.trained, r.stored) == ("observed", None, row["trained"])
    assert [(g.module, g.count, g.rank) for g in r.groups] == [
        ("model.layers.{}.self_attn.q_proj", 3, 4),
        ("model.layers.{}.self_attn.v_proj", 3, 4),
    ]


MODULES = json.loads(gzip.decompress((FIXTURES / "class_modules.json.gz").read_bytes()))
OTHER_NAMES = "its projector is published under other names than its class has"
OTHER_MODULES = {"kimi_k25": OTHER_NAMES, "qianfan_ocr": OTHER_NAMES}
UNREAD = {"mimo_v2_flash": "its class defaults are refused (tests/helpers/model_types.py)"}


@pytest.mark.sweep
@pytest.mark.parametrize("model_type", [t for t in MODULES if t in MODEL_TYPES])
def test_modules_are_those_of_the_class(model_type: str) -> None:
    """Matrices and embeddings of each class, by name and shape."""
    if model_type in UNREAD:
        return
    config = {**read_fixture(model_type)["rows"][0]["saved"], "model_type": model_type}
    modules = modules_of_base(
        read_model(RawModel(model_type, "local", model_type, config, "config.json"))
    )
    for kind in ("linear", "embedding"):
        own = {(m.pattern, *m.shape) for m in modules if m.kind == kind}
        different = own ^ {tuple(row) for row in MODULES[model_type][kind]}
        assert not different or model_type in OTHER_MODULES


# Adapters that do not fit

Changed = tuple[Stored, dict[str, Any]]


def dropped(t: Stored) -> Changed:
    return {n: v for n, v in t.items() if "layers.1.self_attn.q_proj.lora_A" not in n}, {}


def of_other_rank(t: Stored) -> Changed:
    return t, {"r": 6}


def wider(t: Stored) -> Changed:
    return {n: (d, (s[0], 64) if "lora_A" in n else s) for n, (d, s) in t.items()}, {}


def deeper(t: Stored) -> Changed:
    return t | {n.replace("layers.2", "layers.9"): v for n, v in t.items()}, {}


def of_other_names(t: Stored) -> Changed:
    return {n.replace("q_proj", "query"): v for n, v in t.items()}, {}


def untargeted(t: Stored) -> Changed:
    return t | {f"{PREFIX}.0.mlp.up_proj.lora_A.weight": ("F32", (4, 32))}, {}


def resized(t: Stored) -> Changed:
    return t | {"base_model.model.model.embed_tokens.weight": ("F32", (99, 32))}, {}


def whole_and_resized(t: Stored) -> Changed:
    more = {"base_model.model.lm_head.weight": ("F32", (100, 32))}
    return t | more, {"modules_to_save": ["lm_head"]}


UNFIT: list[tuple[Callable[[Stored], Changed], set[str]]] = [
    (dropped, {"adapter-tensor-missing"}),
    (of_other_rank, {"adapter-shape"}),
    (wider, {"adapter-shape"}),
    (deeper, {"adapter-module-unknown"}),
    (of_other_names, {"adapter-module-unknown", "adapter-tensor-missing"}),
    (untargeted, {"adapter-tensor-unexpected"}),
    (resized, {"adapter-vocabulary"}),
    (whole_and_resized, {"adapter-vocabulary"}),
    (lambda t: (t, {"peft_type": "NOVEL"}), {"adapter-method-unknown"}),
    (lambda t: (t, {"r": 0}), {"adapter-value", "adapter-shape"}),
    (
        lambda _: ({}, {"target_modules": ["absent"]}),
        {"adapter-target-missing"},
    ),
]


@pytest.mark.parametrize(("change", "rules"), UNFIT)
def test_what_does_not_fit_is_found(change: Callable[[Stored], Changed], rules: set[str]) -> None:
    row = row_with("llama", target_modules=ATTENTION, r=4, lora_alpha=16)
    tensors, keys = change(tensors_of_row(row))
    r = read_row(row, tensors, **keys)
    assert {f.rule for f in r.findings} == rules
    assert r.status == "conflict"
    assert all(f.path and f.message.isprintable() for f in r.findings)


def test_every_adapter_rule_is_found() -> None:
    shown = {rule for _, rules in UNFIT for rule in rules} | {"adapter-other-base"}
    assert shown == {r.id for r in RULES if r.id.startswith("adapter-")}


def test_some_targets_that_the_base_lacks_break_nothing() -> None:
    row = row_with("llama", target_modules=["q_proj", "absent_proj"])
    r = read_row(row)
    assert [(f.rule, f.severity) for f in r.findings] == [("adapter-target-missing", "info")]
    assert r.status == "verified"


def test_adapters_of_older_libraries_fit_by_their_names() -> None:
    """transformers 4 had other modules around a text model, experts one by one, and PEFT before
    0.12 another name for DoRA's magnitude.
    """
    row = row_with("gemma3", target_modules=r".*language_model.*\.(q_proj|v_proj)")
    older = {
        n.replace("model.model.language_model.", "model.language_model.model."): v
        for n, v in tensors_of_row(row).items()
    }
    assert read_row(row, older).status == "verified"
    row = row_with("llama", target_modules=ATTENTION, use_dora=True)
    older = {
        n.replace("magnitude_vector", "magnitude_vector.weight"): v
        for n, v in tensors_of_row(row).items()
    }
    assert read_row(row, older).status == "verified"


def test_experts_one_by_one_are_those_of_transformers_4() -> None:
    """Qwen3-MoE with experts as modules of their own, as transformers 4 had them."""
    a = base_named("qwen3_moe").architecture
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "gate", "gate_proj", "up_proj", "down_proj"],
    }
    sides = {"gate_proj": (24, 32), "up_proj": (24, 32), "down_proj": (32, 24)}
    modules = {
        f"mlp.experts.{e}.{name}": shape for e in range(4) for name, shape in sides.items()
    } | {"self_attn.q_proj": (32, 32), "mlp.gate": (4, 32)}
    tensors: Stored = {}
    for layer in range(len(a.layers)):
        for name, (outputs, inputs) in modules.items():
            tensors[f"{PREFIX}.{layer}.{name}.lora_A.weight"] = ("F32", (4, inputs))
            tensors[f"{PREFIX}.{layer}.{name}.lora_B.weight"] = ("F32", (outputs, 4))
    r = read_adapter(raw_adapter(config, tensors), base_named("qwen3_moe"))
    assert (r.status, r.findings) == ("verified", ())
    assert r.trained == r.stored
    alone = read_adapter(raw_adapter(config, None), base_named("qwen3_moe"))
    assert alone.trained == r.trained


def test_numbers_of_prompts_are_the_base_s() -> None:
    row = row_with("llama", "PrefixTuningConfig", num_virtual_tokens=12)
    r = read_row(row, num_layers=4)
    assert {f.rule for f in r.findings} == {"adapter-shape"}
    row = row_with("llama", "PromptTuningConfig", num_virtual_tokens=12)
    r = read_row(row, token_dim=33)
    assert {f.rule for f in r.findings} == {"adapter-shape"}
    assert len(r.findings) == 2
    r = read_row(row, token_dim=None)
    assert (r.trained, r.status) == (None, "partial")


@pytest.mark.parametrize(
    "keys",
    [
        {"peft_type": None},
        {"peft_type": 3},
        {"r": -1},
        {"r": 1.5},
        {"r": True},
        {"r": 10**9},
        {"lora_alpha": "much"},
        {"use_rslora": 1},
        {"target_modules": {"q_proj": 1}},
        {"target_modules": [1]},
        {"target_modules": "(q_proj"},
        {"rank_pattern": {"(": 4}},
        {"rank_pattern": {"q_proj": 1.5}},
        {"rank_pattern": {"q_proj": 0}},
        {"rank_pattern": ["q_proj"]},
        {"layers_to_transform": ["first"]},
        {"layer_replication": [[1]]},
        {"layer_replication": [["a", 2]]},
        {"layer_replication": 3},
        {"trainable_token_indices": "all"},
        {"encoder_num_layers": 10**6},
        {"modules_to_save": ["("]},
    ],
)
def test_a_config_that_peft_cannot_read_is_refused(keys: dict[str, Any]) -> None:
    row = row_with("llama", target_modules=ATTENTION, r=4, lora_alpha=16)
    with pytest.raises(ConfigError, match="adapter_config"):
        read_row(row, **keys)


def test_expressions_of_a_repository_take_no_time() -> None:
    row = row_with("llama", target_modules=ATTENTION, r=4, lora_alpha=16)
    start = process_time()
    r = read_row(row, target_modules=r"(?=(a*)*b)((\w+\.?)*)*(?<!x)z")
    assert process_time() - start < 5
    assert r.status != "verified"


VALUES: list[Any] = [
    None, True, 0, -1, 1, 7, 1 << 62, 0.5, float("nan"), "", "lora", "all-linear", ".*", "(",
    "\x1b[31m", [], ["q_proj"], [0, 1], [[0, 9]], [[0, 1 << 40]], {}, {"q_proj": 4}, {"(": 1},
    {"a" * 400: 2},
]  # fmt: skip


def test_any_config_and_any_names_give_a_reading_or_a_clean_error() -> None:
    chance = random.Random(22)
    keys = sorted({key for row in ROWS for key in row["config"]} | {"peft_type"})
    read = refused = 0
    for _ in range(1_500):
        row = chance.choice(ROWS)
        config = dict(row["config"])
        for key in chance.sample(keys, chance.randint(1, 4)):
            config[key] = chance.choice(VALUES)
        if chance.random() < 0.2:
            config["peft_type"] = chance.choice(sorted(PEFT_METHODS)).upper()
        tensors = tensors_of_row(row)
        for name in chance.sample(sorted(tensors), min(2, len(tensors))):
            dtype, shape = tensors.pop(name)
            spelled = name.replace(chance.choice(["model", "0", "lora", "."]), "")
            tensors[spelled or "x"] = (dtype, shape[1:])
        try:
            r = read_adapter(raw_adapter(config, tensors), base_named(row["base"]))
        except LlmarchError as error:
            refused += 1
            assert error.message.isprintable()
        else:
            read += 1
            assert r.status in ("verified", "partial", "conflict")
            assert all(f.message.isprintable() for f in r.findings)
    assert min(read, refused) > 200
