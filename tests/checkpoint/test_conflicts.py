"""Conflicts: the fact that a tensor contradicts, and no other."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from helpers.checkpoint_fixtures import (
    NAMES,
    check,
    load,
    resize,
    set_config,
    table_of,
    tensors_of,
    verify_headers,
)

from llmarch.architecture.paths import find_value, replace_value
from llmarch.architecture.schema import Architecture, Evidence
from llmarch.checkpoint.conflicts import format_value
from llmarch.checkpoint.reading import build_with_template, configure, key_variants
from llmarch.checkpoint.variants import KeyVariant, KeyVariants, integer_facts
from llmarch.config.families import family_named
from llmarch.errors import LlmarchError
from llmarch.tensors.template import UNPREDICTABLE, TensorRow

MOE = "qwen3-30b-a3b-reduced"


def test_both_values_are_named() -> None:
    found = check(MOE, resize("[kv]_proj", lambda s: (1024, s[1]))).findings
    shape, _ = (f for f in found if f.rule == "tensor-shape")
    assert (shape.old, shape.new) == ([512, 2048], [1024, 2048])
    (fact,) = (f for f in found if f.rule == "fact-contradicted")
    assert (fact.old, fact.new) == (4, 8)
    assert "[1024, 2048] (128 for each) and 1 more" in fact.message


def test_one_tensor_against_others_contradicts_no_fact() -> None:
    """v_proj says 4 KV heads, k_proj 8."""
    found = check(MOE, resize("k_proj", lambda s: (1024, s[1]))).findings
    assert [f.rule for f in found] == ["tensor-shape"]


WITH_MTP_LAYERS = [
    name
    for name in NAMES
    if name.endswith("-mtp") and not name.startswith(("longcat", "nemotron", "qwen3"))
]
"""Checkpoints whose MTP modules are numbered after the layers, and DeepSeek V4's."""


@pytest.mark.parametrize("name", WITH_MTP_LAYERS)
@pytest.mark.parametrize("fewer", [1, 2])
def test_decoder_layers_are_no_mtp_modules(name: str, fewer: int) -> None:
    """A config with fewer layers, whose MTP modules would be decoder layers by their numbers."""

    def shorten(config: dict[str, Any]) -> None:
        part = config.get("text_config", config)
        part["num_hidden_layers"] -= fewer
        for key in ("layer_types", "mlp_layer_types"):
            if key in part:
                part[key] = part[key][:-fewer]

    found = check(name, config=shorten)
    assert found.status == "conflict"
    assert "layers" in {f.path for f in found.findings if f.rule == "fact-contradicted"}


def test_another_head_dim_is_not_other_heads() -> None:
    (fact,) = (
        f
        for f in check("qwen3-8b", config=set_config(head_dim=64)).findings
        if f.rule == "fact-contradicted"
    )
    assert (fact.path, fact.old, fact.new) == ("mixers.full.head_dim", 64, 128)
    assert "q_norm.weight [128] and" in fact.message


CHANGED_CONFIGS: list[tuple[str, dict[str, Any], dict[str, tuple[object, object]]]] = [
    ("llama-3-8b", {"head_dim": 64}, {"mixers.full.head_dim": (64, 128)}),
    ("llama-3.2-1b", {"head_dim": 128}, {"mixers.full.head_dim": (128, 64)}),
    ("llama-3.2-1b", {"hidden_size": 4096}, {"hidden_size": (4096, 2048)}),
    ("granite-3.1-1b-a400m", {"num_key_value_heads": 16}, {"mixers.full.kv_heads": (16, 8)}),
    ("phi-4", {"num_key_value_heads": 20}, {"mixers.full.kv_heads": (20, 10)}),
    ("phi-4", {"intermediate_size": 8960}, {"ffns.dense.width": (8960, 17920)}),
    ("gpt-oss-20b", {"hidden_size": 5760}, {"hidden_size": (5760, 2880)}),
    ("deepseek-v3-reduced", {"num_attention_heads": 64}, {"mixers.full.heads": (64, 128)}),
    ("deepseek-v3-reduced", {"qk_rope_head_dim": 128}, {"mixers.full.qk_rope_head_dim": (128, 64)}),
    ("deepseek-v3-reduced", {"qk_nope_head_dim": 64}, {"mixers.full.qk_nope_head_dim": (64, 128)}),
    ("deepseek-v3-reduced", {"v_head_dim": 64}, {"mixers.full.v_head_dim": (64, 128)}),
    ("deepseek-v3-reduced", {"q_lora_rank": 3072}, {"mixers.full.q_lora_rank": (3072, 1536)}),
    (
        "deepseek-v4-flash-reduced-mtp",
        {"q_lora_rank": 2048},
        {f"mixers.{m}.q_lora_rank": (2048, 1024) for m in ("sliding", "csa", "hca")},
    ),
]
"""One number of a config changed, and the facts that its tensors contradict."""


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    CHANGED_CONFIGS,
    ids=[f"{n} {k}" for n, c, _ in CHANGED_CONFIGS for k in c],
)
def test_only_the_changed_fact_is_contradicted(
    name: str, changes: dict[str, Any], expected: dict[str, tuple[object, object]]
) -> None:
    facts = {
        f.path: (f.old, f.new)
        for f in check(name, config=set_config(**changes)).findings
        if f.rule == "fact-contradicted"
    }
    assert facts == expected


@pytest.mark.parametrize("change", [{"num_experts": 256}, {"moe_intermediate_size": 1536}])
def test_transposed_experts_contradict_the_right_fact(
    change: dict[str, int],
) -> None:
    (conflict,) = [
        f
        for f in check(
            "qwen3-vl-30b-a3b-reduced", config=lambda c: c["text_config"].update(change)
        ).findings
        if f.rule == "fact-contradicted"
    ]
    assert conflict.old == next(iter(change.values()))


def test_a_shape_that_is_no_multiple_contradicts_no_fact() -> None:
    c = check("qwen3-8b", resize("k_proj", lambda s: (1000, s[1])))
    assert {f.rule for f in c.findings} == {"tensor-shape"}


# --- every number of a config, changed once ---

ONE_OF_EACH_TYPE = {
    load(name)["config"].get("model_type", "native"): name for name in reversed(NAMES)
}
MANY_KEYS = 24
"""Numbers of a config beyond which two of four are changed: each search takes longer too."""
LEFT_OUT = {
    "num_experts_per_tok": "the width of a table of token ids, which are no weights",
    "num_nextn_predict_layers": "copies leave MTP modules out, which contradicts nothing",
    "num_mtp_modules": "likewise",
    "mtp_num_hidden_layers": "likewise",
}


def facts_of(
    config: dict[str, Any],
) -> tuple[Architecture, list[TensorRow], KeyVariants, KeyVariant]:
    file = "config.json" if "model_type" in config else "params.json"
    family, keys = configure(config, file)
    evidence: dict[str, Evidence] = {}
    architecture, rows = build_with_template(family, keys, evidence)
    return architecture, rows, key_variants(config, keys), KeyVariant(architecture, evidence)


def with_key(config: dict[str, Any], key: str, value: int | None) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    *parents, name = key.split(".")
    part = changed
    for parent in parents:
        part = part[parent]
    part[name] = value
    return changed


def without_key(config: dict[str, Any], key: str) -> dict[str, Any]:
    changed = with_key(config, key, None)
    *parents, name = key.split(".")
    part = changed
    for parent in parents:
        part = part[parent]
    del part[name]
    return changed


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("name", sorted(ONE_OF_EACH_TYPE.values()))
def test_a_number_that_is_wrong_in_the_config_is_named(name: str) -> None:
    """In the path of the finding, or in its message where another fact explains as much."""
    fixture = load(name)
    true, true_rows, variants, _ = facts_of(fixture["config"])
    table = table_of(tensors_of(fixture))
    tried = 0
    stated = {k: v for k, v in variants.values.items() if v and k not in variants.assumed}
    has_many = len(stated) > MANY_KEYS
    for position, (key, value) in enumerate(stated.items()):
        if has_many and position % 4 > 1:
            continue
        other = value // 2 if position % 2 and value > 1 else value * 2
        if key.rpartition(".")[2] in LEFT_OUT:
            continue
        try:
            a, rows, keys, (_, evidence) = facts_of(with_key(fixture["config"], key, other))
        except LlmarchError:
            continue
        rewired = a.layers != true.layers and len(a.layers) == len(true.layers)
        if rows == true_rows or rewired:
            continue
        tried += 1
        check = verify_headers(a, rows, table, keys=keys)
        found = [f for f in check.findings if f.rule == "fact-contradicted"]
        differing = [p for p in evidence if find_value(a, p) != find_value(true, p)]
        said = " ".join(f"{f.path} {f.message}" for f in found)
        assert any(path in said for path in differing), (key, value, other, said)
        if "would give" not in said:
            assert {f.path for f in found} <= set(differing), (key, value, other, said)
            for finding in found:
                if finding.path != "layers":
                    assert finding.new == find_value(true, finding.path)
    assert tried > 2


def shapes_of(rows: list[TensorRow]) -> set[object]:
    return {(row.pattern, row.axes, row.shape) for row in rows}


LARGE = {"deepseek-v3-fp8-mtp", "kimi-linear-48b", "llama-4-maverick", "qwen3-30b-a3b"}
"""Whose search takes seconds, and whose keys others have too."""
COMPUTED_BY_TRANSLATION = {"vision_encoder.spatial_merge_size"}
"""Native keys for which the translation itself has a value, not the family."""


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("name", sorted({*ONE_OF_EACH_TYPE.values()} - LARGE))
def test_a_number_that_the_config_lacks_is_named(name: str) -> None:
    """Absent or null in turns: what the class takes instead is contradicted."""
    fixture = load(name)
    true, true_rows, variants, _ = facts_of(fixture["config"])
    table = table_of(tensors_of(fixture))
    left_out = COMPUTED_BY_TRANSLATION | LEFT_OUT.keys()
    for position, key in enumerate(variants.values):
        if key in variants.assumed or key in left_out or key.rpartition(".")[2] in left_out:
            continue
        config = without_key(fixture["config"], key)
        if position % 2:
            config = with_key(fixture["config"], key, None)
        try:
            a, rows, keys, (_, evidence) = facts_of(config)
        except LlmarchError:
            continue
        if shapes_of(rows) == shapes_of(true_rows):
            continue
        check = verify_headers(a, rows, table, keys=keys)
        found = [f for f in check.findings if f.rule == "fact-contradicted"]
        differing = [p for p in evidence if find_value(a, p) != find_value(true, p)]
        differing += {p.rpartition(".")[0] for p in differing}  # a record that is there or not
        if a.layers != true.layers:
            differing.append("layers")
        said = " ".join(f"{f.path} {f.message}" for f in found)
        assert any(path in said for path in differing), (key, said)
        if "would give" not in said:
            assert {f.path for f in found} <= set(differing), (key, said)


def test_layers_that_another_depth_makes_full_contradict_nothing_else() -> None:
    """Gemma 4's last layer is full: with 3 of 7 layers a sliding one would be."""

    def shorten(config: dict[str, Any]) -> None:
        config["text_config"]["num_hidden_layers"] = 3

    found = check("gemma-4-26b-a4b-reduced", config=shorten).findings
    assert {f.path for f in found if f.rule == "fact-contradicted"} == {"layers"}


def test_a_key_that_the_config_lacks_is_said_to_be_absent() -> None:
    without = check("mistral-nemo-12b", config=lambda c: c.pop("head_dim")).findings
    (fact,) = [f for f in without if f.rule == "fact-contradicted"]
    assert (fact.path, fact.old, fact.new) == ("mixers.full.head_dim", 160, 128)
    assert fact.message.startswith("160 as the config has no head_dim, 128 according to ")


def test_a_product_is_not_its_factors() -> None:
    """q is heads * head_dim, k is kv_heads * head_dim; only a norm of heads gives head_dim."""
    factors = {f"mixers.full.{name}" for name in ("heads", "kv_heads", "head_dim", "v_head_dim")}
    assert factors.isdisjoint(check("llama-3-8b").confirmed)
    assert factors <= check("qwen3-8b").confirmed.keys()
    latent = check("deepseek-v3-reduced").confirmed
    assert {"mixers.full.heads", "mixers.full.qk_nope_head_dim"} <= latent.keys()


@pytest.mark.sweep  # a sweep: other tests run the same lines
@pytest.mark.parametrize("name", sorted(ONE_OF_EACH_TYPE.values()))
def test_no_other_value_of_a_proved_number_gives_the_same_shapes(name: str) -> None:
    """Nor with one other number changed with it."""
    fixture = load(name)
    a, rows, _, _ = facts_of(fixture["config"])
    confirmed = verify_headers(a, rows, table_of(tensors_of(fixture))).confirmed
    template = family_named(a.family).template
    numbers = [p for p in confirmed if type(find_value(a, p)) is int and find_value(a, p)]
    shapes = [(row.pattern, row.axes, row.shape) for row in rows]
    for path in numbers:
        block = ".".join(path.split(".")[:2])
        beside = [p for p in integer_facts(a, block if "." in path else "") if p != path]
        doubled = replace_value(a, path, 2 * find_value(a, path))
        others = [
            replace_value(doubled, p, find_value(a, p) // 2) for p in beside if find_value(a, p) > 1
        ]
        for other in (doubled, *others):
            try:
                changed = template(other)
            except UNPREDICTABLE:
                continue
            found = [(r.pattern, r.axes, r.shape) for r in changed]
            assert found != shapes, path


# --- the message ---


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "yes"), (False, "no"), (128_256, "128,256"), ("head", "head")],
)
def test_facts_are_written_for_people(value: object, text: str) -> None:
    assert format_value(value) == text
