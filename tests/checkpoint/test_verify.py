"""The join, over checkpoints that llmarch had no hand in: every tensor accounted for, and every change to them found.

The fixtures' headers are transformers' (tests/oracle/make_fixtures.py), the index files are the Hub's (tests/oracle/make_indexes.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers.checkpoint_fixtures import (
    INDEXES,
    NAMES,
    Change,
    add,
    both,
    check,
    drop,
    index_names,
    load,
    names_only,
    read,
    rename,
    resize,
    retype,
    table_of,
    tensors_of,
)

from llmarch.architecture.quantization import compile_pattern
from llmarch.checkpoint.findings import MAX_FINDINGS, MAX_TEXT
from llmarch.checkpoint.logical import LogicalTensor
from llmarch.checkpoint.quantization import Exclusions
from llmarch.checkpoint.verify import Verification, verify
from llmarch.sources.raw import TensorTable


def rules(c: Verification) -> set[str]:
    return {f.rule for f in c.findings}


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_accounted_for(name: str) -> None:
    fixture = load(name)
    about = fixture["about"]
    c = check(name)
    assert [f for f in c.findings if f.severity != "info"] == []
    assert c.status == "verified"
    assert c.logical == fixture["params"] + about["router_bias"]
    assert c.mtp == about["mtp_params"]
    assert c.stored == fixture["stored"]
    if not about["quant"]:
        assert c.stored == c.logical + c.mtp + c.copies + c.buffers
        assert c.scales == 0
    assert rules(c) == {
        r
        for r, there in (
            ("tied-copy-stored", about["tied_copy"]),
            ("buffers-stored", about["buffers"]),
            ("unused-stored", about.get("shared_kv")),
        )
        if there
    } | ({"mtp-stored"} if about["mtp"] and name.startswith(("qwen3-next", "longcat")) else set())


def test_deepseek_v3_as_published() -> None:
    """The Hub's own figure for DeepSeek-V3, 684,531,386,000, is explained: the model, one MTP module, and the scales."""
    c = check("deepseek-v3-fp8-mtp")
    assert (c.logical, c.mtp, c.scales, c.stored) == (
        671_026_419_200,
        13_463_426_304,
        41_540_496,
        684_531_386_000,
    )
    assert c.notes == ("fp8, blocks 128 × 128: attention, mtp, mlp, experts, shared_experts",)


@pytest.mark.parametrize("name", INDEXES)
def test_names_of_published_indexes_join(name: str) -> None:
    config, names = index_names(name)
    architecture, rows = read(config)
    c = verify(architecture, rows, TensorTable.from_tensors((n, "", None) for n in names))
    assert rules(c) <= {"buffers-stored"} | (
        {"mtp-missing"} if "reap" in name else set()
    )  # pruned, and saved without the module
    assert (c.status, c.names_only, c.logical) == ("partial", True, 0)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "deepseek-v3-fp8-mtp"])
def test_names_alone_join_too(name: str) -> None:
    c = check(name, names_only)
    assert [f for f in c.findings if f.severity != "info"] == []
    assert c.status == "partial"


# --- one thing wrong ---

MOE = "qwen3-30b-a3b-reduced"
FP8 = "deepseek-v3-fp8-mtp-reduced"


def config(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c.update(changes)


def quantised(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c["quantization_config"].update(changes)


WRONG: list[tuple[str, str, Change | None, Any, str, set[tuple[str, str]]]] = [
    (
        "a tensor is gone",
        MOE,
        drop(r"layers\.1\.self_attn\.q_proj"),
        None,
        "conflict",
        {("tensor-missing", "model.layers.1.self_attn.q_proj.weight")},
    ),
    (
        "experts are gone",
        MOE,
        drop(r"experts\.(8|9|1\d)\."),
        None,
        "conflict",
        {("tensor-missing", "model.layers.{0-2}.mlp.experts.{8-15}.*")},
    ),
    (
        "a layer is gone",
        MOE,
        drop(r"layers\.2\."),
        None,
        "conflict",
        {("tensor-missing", "model.layers.2.*"), ("fact-contradicted", "layers")},
    ),
    (
        "the head is gone",
        MOE,
        drop("lm_head"),
        None,
        "conflict",
        {("untied-head-missing", "lm_head.weight")},
    ),
    (
        "a name is new",
        MOE,
        add(model__layers__0__extra=("BF16", (3,))),
        None,
        "conflict",
        {("tensor-unexpected", "model.layers.0.extra")},
    ),
    (
        "renamed",
        MOE,
        rename("q_proj", "query"),
        None,
        "conflict",
        {
            ("tensor-missing", "model.layers.{0-2}.self_attn.q_proj.weight"),
            ("tensor-unexpected", "model.layers.{0-2}.self_attn.query.weight"),
        },
    ),
    (
        "more KV heads",
        MOE,
        resize("[kv]_proj", lambda s: (s[0] * 2, s[1])),
        None,
        "conflict",
        {
            ("tensor-shape", "model.layers.{0-2}.self_attn.k_proj.weight"),
            ("tensor-shape", "model.layers.{0-2}.self_attn.v_proj.weight"),
            ("fact-contradicted", "mixers.full.kv_heads"),
        },
    ),
    (
        "one layer more",
        "qwen3-8b",
        None,
        config(num_hidden_layers=35),
        "conflict",
        {("tensor-unexpected", "model.layers.35.*"), ("fact-contradicted", "layers")},
    ),
    (
        "four layers fewer",
        "qwen3-8b",
        None,
        config(num_hidden_layers=40),
        "conflict",
        {("tensor-missing", "model.layers.{36-39}.*"), ("fact-contradicted", "layers")},
    ),
    (
        "another vocabulary",
        "qwen3-8b",
        None,
        config(vocab_size=1000),
        "conflict",
        {
            ("tensor-shape", "model.embed_tokens.weight"),
            ("tensor-shape", "lm_head.weight"),
            ("fact-contradicted", "vocab_size"),
        },
    ),
    (
        "tied after all",
        "qwen3-8b",
        None,
        config(tie_word_embeddings=True),
        "verified",
        {("tied-copy-stored", "lm_head.weight")},
    ),
    (
        "not tied after all",
        "qwen3-0.6b",
        None,
        config(tie_word_embeddings=False),
        "conflict",
        {("untied-head-missing", "lm_head.weight")},
    ),
    (
        "the embedding under the head's name",
        "qwen3-0.6b",
        rename(r"model\.embed_tokens", "lm_head"),
        None,
        "verified",
        set(),
    ),
    (
        "biases not announced",
        "granite-3b-code",
        None,
        config(attention_bias=False, mlp_bias=False),
        "conflict",
        {
            ("tensor-unexpected", "model.layers.{0-31}.*"),
            ("fact-contradicted", "mixers.full.qkv_bias"),
            ("fact-contradicted", "mixers.full.output_bias"),
            ("fact-contradicted", "ffns.dense.bias"),
        },
    ),
    (
        "biases announced",
        "qwen3-8b",
        None,
        config(attention_bias=True),
        "conflict",
        {
            ("tensor-missing", "model.layers.{0-35}.*"),
            ("fact-contradicted", "mixers.full.qkv_bias"),
            ("fact-contradicted", "mixers.full.output_bias"),
        },
    ),
    (
        "another QK-norm",
        "qwen3-8b",
        resize("[qk]_norm", lambda s: (4096,)),
        None,
        "conflict",
        {
            ("tensor-shape", "model.layers.{0-35}.self_attn.q_norm.weight"),
            ("tensor-shape", "model.layers.{0-35}.self_attn.k_norm.weight"),
            ("fact-contradicted", "mixers.full.qk_norm.scope"),
        },
    ),
    (
        "stored twice",
        "qwen3-0.6b",
        add(norm__weight=("BF16", (1024,))),
        None,
        "conflict",
        {("tensor-unexpected", "norm.weight")},
    ),
    (
        "no tower",
        "mistral-small-3.1-24b",
        drop("vision_tower|multi_modal"),
        None,
        "conflict",
        {("tower-missing", "towers.vision")},
    ),
    (
        "MTP left out",
        FP8,
        drop(r"layers\.5\."),
        None,
        "verified",
        {("mtp-missing", "model.layers.5.*")},
    ),
    (
        "MTP without its copies",
        FP8,
        drop(r"layers\.5\.(embed_tokens|shared_head\.head)"),
        None,
        "verified",
        {("mtp-missing", "model.layers.5.*")},
    ),
    (
        "MTP not announced",
        FP8,
        None,
        config(num_nextn_predict_layers=0),
        "verified",
        {("mtp-stored", "model.layers.5.mlp.experts.{0-15}.*")},
    ),
    (
        "scales are gone",
        FP8,
        drop(r"experts\.3\.up_proj\.weight_scale_inv"),
        None,
        "conflict",
        {("packed-without-scales", "model.layers.{3-5}.mlp.experts.3.up_proj.weight")},
    ),
    (
        "no scales at all",
        FP8,
        drop("_scale_inv"),
        config(num_nextn_predict_layers=1),
        "conflict",
        {("packed-without-scales", "*")},
    ),
    (
        "scales of another shape",
        "qwen3-0.6b-reduced-fp8-block",
        resize("k_proj.weight_scale", lambda s: (3, 3)),
        None,
        "conflict",
        {("tensor-shape", "model.layers.{0-1}.self_attn.k_proj.weight")},
    ),
    (
        "quantised, undeclared",
        FP8,
        None,
        lambda c: c.pop("quantization_config"),
        "conflict",
        {("tensor-dtype", "model.layers.{0-2}.self_attn.q_a_proj.weight")},
    ),
    (
        "declared, not quantised",
        "qwen3-8b",
        None,
        config(quantization_config={"quant_method": "fp8"}),
        "conflict",
        {("tensor-dtype", "quantization.method")},
    ),
    (
        "another method",
        "qwen3-0.6b-reduced-gptq",
        None,
        quantised(quant_method="awq"),
        "conflict",
        {("tensor-dtype", "model.layers.{0-1}.self_attn.q_proj.qweight")},
    ),
    (
        "other bits",
        "qwen3-0.6b-reduced-gptq",
        None,
        quantised(bits=8),
        "conflict",
        {("tensor-dtype", "quantization.bits")},
    ),
    (
        "quantised though excluded",
        "qwen3-0.6b-reduced-fp8-block",
        None,
        quantised(modules_to_not_convert=["model.layers.1.self_attn.q_proj", "lm_head"]),
        "conflict",
        {("tensor-dtype", "model.layers.1.self_attn.q_proj.weight")},
    ),
    (
        "an unknown packing",
        "qwen3-0.6b-reduced-gptq",
        rename("qweight", "codes"),
        quantised(quant_method="aqlm"),
        "partial",
        {("not-comparable", "model.layers.{0-1}.*")},
    ),
    (
        "integers without scales",
        "qwen3-8b",
        retype("q_proj", "U8"),
        None,
        "conflict",
        {("tensor-dtype", "model.layers.{0-35}.self_attn.q_proj.weight")},
    ),
    (
        "a vector of 8 bits",
        "qwen2.5-7b",
        retype("q_proj.bias", "F8_E4M3"),
        None,
        "conflict",
        {("tensor-dtype", "model.layers.{0-27}.self_attn.q_proj.bias")},
    ),
    (
        "scales of integers",
        "qwen3-0.6b-reduced-gptq",
        retype(r"1\.self_attn\.k_proj\.scales", "I32"),
        None,
        "conflict",
        {("tensor-shape", "model.layers.1.self_attn.k_proj.qweight")},
    ),
    (
        "a norm renamed in a quantised checkpoint",
        "qwen3-0.6b-reduced-gptq",
        rename(r"1\.input_layernorm\.weight", "1.input_layernorm.weights"),
        None,
        "conflict",
        {
            ("tensor-missing", "model.layers.1.input_layernorm.weight"),
            ("tensor-unexpected", "model.layers.1.input_layernorm.weights"),
        },
    ),
    (
        "one layer's norm of another size",
        "qwen3-8b",
        resize(r"layers\.7\.input_layernorm", lambda s: (s[0] + 1,)),
        None,
        "conflict",
        {("tensor-shape", "model.layers.7.input_layernorm.weight")},
    ),
    (
        "twice the words that zero points say",
        "qwen3-0.6b-reduced-gptq",
        resize(r"1\.self_attn\.k_proj\.qweight", lambda s: (s[0] * 2, s[1])),
        None,
        "conflict",
        {("tensor-shape", "model.layers.1.self_attn.k_proj.qweight")},
    ),
    (
        "integers of the right shape, of a method that is not known",
        "qwen3-0.6b-reduced-fp8-block",
        both(rename("weight_scale_inv", "weight_scales"), retype(r"proj\.weight$", "I8")),
        quantised(quant_method="eetq"),
        "partial",
        {("not-comparable", "model.layers.{0-1}.*")},
    ),
    (
        "one layer's scales of another shape",
        "qwen3-0.6b-reduced-fp8-block",
        resize(r"1\.self_attn\.k_proj\.weight_scale", lambda s: (3, 3)),
        None,
        "conflict",
        {("tensor-shape", "model.layers.1.self_attn.k_proj.weight")},
    ),
    (
        "plain beside its scales",
        "qwen3-0.6b-reduced-fp8-block",
        retype(r"1\.self_attn\.k_proj\.weight$", "BF16"),
        None,
        "conflict",
        {("tensor-unexpected", "model.layers.1.self_attn.k_proj.weight_scale_inv")},
    ),
    (
        "one second scale is gone",
        "qwen3-0.6b-reduced-nvfp4",
        drop(r"1\.self_attn\.k_proj\.weight_scale_2"),
        None,
        "conflict",
        {("packed-without-scales", "model.layers.1.self_attn.k_proj.weight")},
    ),
    (
        "one packed matrix renamed",
        "qwen3-0.6b-reduced-gptq",
        rename(r"1\.self_attn\.k_proj\.qweight", "1.self_attn.k_proj.codes"),
        None,
        "conflict",
        {
            ("tensor-missing", "model.layers.1.self_attn.k_proj.weight"),
            ("tensor-unexpected", "model.layers.1.*"),
        },
    ),
    (
        "one packed matrix too long",
        "qwen3-0.6b-reduced-gptq",
        resize(r"1\.self_attn\.k_proj\.qweight", lambda s: (s[0] + 1, s[1])),
        None,
        "conflict",
        {("tensor-shape", "model.layers.1.self_attn.k_proj.qweight")},
    ),
    (
        "a stray tensor beside a matrix that only an MTP module lacks",
        FP8,
        both(drop(r"layers\.5\."), add(model__layers__0__self_attn__o_proj__extra=("BF16", (3,)))),
        None,
        "conflict",
        {
            ("tensor-unexpected", "model.layers.0.self_attn.o_proj.extra"),
            ("mtp-missing", "model.layers.5.*"),
        },
    ),
    (
        "an unknown packing of stacked experts",
        "qwen3-30b-a3b-reduced-fused",
        rename(r"experts\.(\w+_proj)$", r"experts.\1.codes"),
        config(quantization_config={"quant_method": "aqlm"}),
        "partial",
        {
            ("not-comparable", "model.layers.{0-2}.mlp.experts.gate_up_proj.codes"),
            ("not-comparable", "model.layers.{0-2}.mlp.experts.down_proj.codes"),
        },
    ),
]


@pytest.mark.parametrize(
    ("name", "change", "edit", "status", "expected"),
    [w[1:] for w in WRONG],
    ids=[w[0] for w in WRONG],
)
def test_what_is_wrong_is_said(
    name: str, change: Change | None, edit: Any, status: str, expected: set[tuple[str, str]]
) -> None:
    c = check(name, change, edit)
    assert c.status == status
    found = {(f.rule, f.path) for f in c.findings}
    assert found == expected or {(r, "*") for r, _ in found} == expected
    assert all(f.message for f in c.findings)


def test_both_values_are_named() -> None:
    shape = next(
        f
        for f in check(MOE, resize("k_proj", lambda s: (1024, s[1]))).findings
        if f.rule == "tensor-shape"
    )
    assert (shape.old, shape.new) == ([512, 2048], [1024, 2048])
    fact = next(
        f
        for f in check(MOE, resize("k_proj", lambda s: (1024, s[1]))).findings
        if f.rule == "fact-contradicted"
    )
    assert (fact.old, fact.new) == (4, 8)
    assert "[1024, 2048] (128 for each)" in fact.message


def test_another_head_dim_is_not_other_heads() -> None:
    (fact,) = (
        f
        for f in check("qwen3-8b", config=config(head_dim=64)).findings
        if f.rule == "fact-contradicted"
    )
    assert (fact.path, fact.old, fact.new) == ("mixers.full.head_dim", 64, 128)
    assert "q_norm.weight [128] and" in fact.message


TOLD: list[tuple[str, dict[str, Any], dict[str, tuple[object, object]]]] = [
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
"""One number of a config changed, and the facts that its tensors contradict: no other."""


@pytest.mark.parametrize(
    ("name", "changes", "expected"), TOLD, ids=[f"{n} {k}" for n, c, _ in TOLD for k in c]
)
def test_no_other_fact_is_contradicted_than_the_one_that_was_changed(
    name: str, changes: dict[str, Any], expected: dict[str, tuple[object, object]]
) -> None:
    facts = {
        f.path: (f.old, f.new)
        for f in check(name, config=config(**changes)).findings
        if f.rule == "fact-contradicted"
    }
    assert facts == expected


@pytest.mark.parametrize("change", [{"num_experts": 256}, {"moe_intermediate_size": 1536}])
def test_stacked_experts_stored_the_other_way_round_tell_the_right_fact(
    change: dict[str, int],
) -> None:
    (told,) = [
        f
        for f in check(
            "qwen3-vl-30b-a3b-reduced", config=lambda c: c["text_config"].update(change)
        ).findings
        if f.rule == "fact-contradicted"
    ]
    assert told.old == next(iter(change.values()))


def test_a_shape_that_is_no_multiple_tells_nothing() -> None:
    c = check("qwen3-8b", resize("k_proj", lambda s: (1000, s[1])))
    assert rules(c) == {"tensor-shape"}


def test_partial_reads_are_never_clean() -> None:
    c = check(MOE, drop(r"layers\.2\."), partial=True)
    assert c.status == "partial"
    assert [(f.rule, f.severity) for f in c.findings] == [("tensor-missing", "info")]
    assert check(MOE, partial=True).status == "partial"
    assert check(MOE, resize("k_proj", lambda s: (1, 1)), partial=True).status == "conflict"


def test_facts_are_confirmed_by_the_tensors_that_prove_them() -> None:
    c = check("qwen3-8b")
    assert c.confirmed["mixers.full.kv_heads"] == ("model.layers.{0-35}.self_attn.k_proj.weight",)
    assert c.confirmed["vocab_size"] == ("model.embed_tokens.weight",)
    assert c.confirmed["embedding.tied"] == ("lm_head.weight",)
    assert "mixers.full.kv_heads" not in check("qwen3-8b", names_only).confirmed
    assert (
        "mixers.full.kv_heads"
        not in check("qwen3-8b", drop(r"layers\.7\.self_attn\.k_proj")).confirmed
    )
    assert "ffns.moe.experts" in check("qwen3-30b-a3b-reduced-fused").confirmed


def test_bits_per_weight() -> None:
    c = check("gpt-oss-20b-mxfp4")
    assert c.bits_by_component["attention"] == 16
    assert (
        4.25 < c.bits_by_component["experts"] < 4.3
    )  # four bits and an exponent for 32; biases are bf16
    assert c.bits_per_weight is not None
    assert 5 < c.bits_per_weight < 6
    assert check("qwen3-0.6b").bits_per_weight == 16


def test_a_tensor_of_each_name_is_too_much_for_nobody() -> None:
    tensors = {f"odd{i}.weight": ("BF16", (i + 1,)) for i in range(5000)}
    architecture, rows = read(load("qwen3-0.6b")["config"])
    c = verify(architecture, rows, table_of(tensors))
    assert len(c.findings) == MAX_FINDINGS
    assert "more findings" in c.findings[-1].message
    assert c.status == "conflict"


@pytest.mark.parametrize("name", ["qwen3-30b-a3b-reduced", "qwen3-30b-a3b-reduced-fused"])
def test_a_monstrous_config_against_a_small_file(name: str) -> None:
    """10,000 layers of 100,000 experts: 3 * 10^9 rows of template, none of which may be counted out."""
    fixture = load(name)
    fixture["config"].update(num_hidden_layers=10_000, num_experts=100_000)
    architecture, rows = read(fixture["config"])
    c = verify(architecture, rows, table_of(tensors_of(fixture)))
    assert c.status == "conflict"
    assert [(f.path, f.old, f.new) for f in c.findings if f.rule == "fact-contradicted"] == [
        ("ffns.moe.experts", 100_000, 16),
        ("layers", 10_000, 3),
    ]


def test_no_tensor_at_all() -> None:
    architecture, rows = read(load("qwen3-0.6b")["config"])
    c = verify(architecture, rows, TensorTable())
    assert c.status == "conflict"
    assert c.logical == 0


# --- what a repository may write into its config and names ---

EXCLUDED: list[tuple[str, str, list[tuple[int, ...]], list[tuple[int, ...]]]] = [
    ("lm_head", "lm_head.weight", [()], [()]),
    ("gate", "model.layers.{}.mlp.gate.weight", [(0,), (1,)], [(0,), (1,)]),
    ("gate", "model.layers.{}.mlp.gate_proj.weight", [(0,)], []),
    ("model.layers.1.mlp.gate", "model.layers.{}.mlp.gate.weight", [(0,), (1,)], [(1,)]),
    ("model.layers.1.self_attn", "model.layers.{}.self_attn.q_proj.weight", [(0,), (1,)], [(1,)]),
    (
        "model.layers.1.mlp",
        "model.layers.{}.mlp.experts.{}.up_proj.weight",
        [(0, 3), (1, 3)],
        [(1, 3)],
    ),
    (
        "language_model.model.layers.1.self_attn*",
        "model.layers.{}.self_attn.q_proj.weight",
        [(0,), (1,)],
        [(1,)],
    ),
    ("*.mlp.shared_expert.*", "model.layers.{}.mlp.shared_expert.up_proj.weight", [(0,)], [(0,)]),
    (
        "model.vision_tower",
        "vision_tower.transformer.layers.{}.attention.q_proj.weight",
        [(0,)],
        [(0,)],
    ),
    ("re:.*self_attn.*", "model.layers.{}.self_attn.q_proj.weight", [(0,), (1,)], [(0,), (1,)]),
    (
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
        "model.layers.{}.mlp.experts.{}.up_proj.weight",
        [(1, 0)],
        [],
    ),
    (
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
        "model.layers.{}.mlp.up_proj.weight",
        [(0,)],
        [(0,)],
    ),
]


@pytest.mark.parametrize(("name", "pattern", "indices", "expected"), EXCLUDED)
def test_what_exclusions_mean(
    name: str, pattern: str, indices: list[tuple[int, ...]], expected: list[tuple[int, ...]]
) -> None:
    assert (
        Exclusions((name,)).excluded_indices(
            LogicalTensor(pattern, "U8", (1,), indices, pattern, "x")
        )
        == expected
    )


@pytest.mark.parametrize(
    "regex", ["(a+)+$", "(a|aa)*b", ".*.*.*.*x", r"(a)\1", "(?=a)", "[", "a" * 400]
)
def test_regular_expressions_that_could_take_long_are_left_alone(regex: str) -> None:
    assert compile_pattern(regex) is None
    assert (
        Exclusions((f"re:{regex}",)).excluded_indices(
            LogicalTensor("a" * 40, "U8", (1,), [()], "a" * 40 + "!", "x")
        )
        == []
    )


def test_names_are_made_printable() -> None:
    bad = "model.\x1b[31mred\u202e." + "x" * 1000
    c = check("qwen3-0.6b", lambda t: {**t, bad: ("BF16", (1,))})
    (f,) = c.findings
    assert f.path.isprintable()
    assert len(f.path) <= MAX_TEXT
