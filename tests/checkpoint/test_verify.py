"""Verify checkpoints that llmarch did not make: every tensor is explained, every change is found.

The fixtures' headers are transformers' (tests/oracle/make_fixtures.py), the index files are the
Hub's (tests/oracle/make_indexes.py).
"""

from __future__ import annotations

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
    set_config,
    set_quantization,
    table_of,
    tensors_of,
    verify_headers,
)

from llmarch.checkpoint.verify import Verification
from llmarch.sources.raw import TensorTable


def rules(c: Verification) -> set[str]:
    return {f.rule for f in c.findings}


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_explained(name: str) -> None:
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
    """The Hub's own figure, 684,531,386,000, is the model, one MTP module, and the scales."""
    c = check("deepseek-v3-fp8-mtp")
    assert (c.logical, c.mtp, c.scales, c.stored) == (
        671_026_419_200,
        13_463_426_304,
        41_540_496,
        684_531_386_000,
    )
    assert c.notes == ("fp8, blocks 128 × 128: attention, mtp, mlp, experts, shared_experts",)


@pytest.mark.parametrize("name", INDEXES)
def test_names_of_published_indexes_match(name: str) -> None:
    config, names = index_names(name)
    architecture, rows = read(config)
    c = verify_headers(architecture, rows, TensorTable.from_tensors((n, "", None) for n in names))
    assert rules(c) <= {"buffers-stored"} | (
        {"mtp-missing"} if "reap" in name else set()
    )  # pruned, and saved without the module
    assert (c.status, c.names_only, c.logical) == ("partial", True, 0)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "deepseek-v3-fp8-mtp"])
def test_names_alone_match_too(name: str) -> None:
    c = check(name, names_only)
    assert [f for f in c.findings if f.severity != "info"] == []
    assert c.status == "partial"


# --- one thing wrong ---

MOE = "qwen3-30b-a3b-reduced"
FP8 = "deepseek-v3-fp8-mtp-reduced"


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
        set_config(num_hidden_layers=35),
        "conflict",
        {("tensor-unexpected", "model.layers.35.*"), ("fact-contradicted", "layers")},
    ),
    (
        "four layers fewer",
        "qwen3-8b",
        None,
        set_config(num_hidden_layers=40),
        "conflict",
        {("tensor-missing", "model.layers.{36-39}.*"), ("fact-contradicted", "layers")},
    ),
    (
        "another vocabulary",
        "qwen3-8b",
        None,
        set_config(vocab_size=1000),
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
        set_config(tie_word_embeddings=True),
        "verified",
        {("tied-copy-stored", "lm_head.weight")},
    ),
    (
        "not tied after all",
        "qwen3-0.6b",
        None,
        set_config(tie_word_embeddings=False),
        "conflict",
        {("untied-head-missing", "lm_head.weight")},
    ),
    (
        "the embedding under the head's name",
        "qwen3-0.6b",
        rename(r"model\.embed_tokens", "lm_head"),
        None,
        "verified",
        {("tied-head-alone", "lm_head.weight")},
    ),
    (
        "biases not announced",
        "granite-3b-code",
        None,
        set_config(attention_bias=False, mlp_bias=False),
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
        set_config(attention_bias=True),
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
        set_config(num_nextn_predict_layers=0),
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
        set_config(num_nextn_predict_layers=1),
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
        set_config(quantization_config={"quant_method": "fp8"}),
        "conflict",
        {("tensor-dtype", "quantization.method")},
    ),
    (
        "another method",
        "qwen3-0.6b-reduced-gptq",
        None,
        set_quantization(quant_method="awq"),
        "conflict",
        {("tensor-dtype", "model.layers.{0-1}.self_attn.q_proj.qweight")},
    ),
    (
        "other bits",
        "qwen3-0.6b-reduced-gptq",
        None,
        set_quantization(bits=8),
        "conflict",
        {("tensor-dtype", "quantization.bits")},
    ),
    (
        "quantised though excluded",
        "qwen3-0.6b-reduced-fp8-block",
        None,
        set_quantization(modules_to_not_convert=["model.layers.1.self_attn.q_proj", "lm_head"]),
        "conflict",
        {("tensor-dtype", "model.layers.1.self_attn.q_proj.weight")},
    ),
    (
        "an unknown packing",
        "qwen3-0.6b-reduced-gptq",
        rename("qweight", "codes"),
        set_quantization(quant_method="aqlm"),
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
        set_quantization(quant_method="eetq"),
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
        {
            ("tensor-unexpected", "model.layers.1.self_attn.k_proj.weight_scale_inv"),
            ("tensor-dtype", "model.layers.1.self_attn.k_proj.weight"),
        },
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
        set_config(quantization_config={"quant_method": "aqlm"}),
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
def test_every_change_is_found(
    name: str, change: Change | None, edit: Any, status: str, expected: set[tuple[str, str]]
) -> None:
    c = check(name, change, edit)
    assert c.status == status
    found = {(f.rule, f.path) for f in c.findings}
    assert found == expected or {(r, "*") for r, _ in found} == expected
    assert all(f.message for f in c.findings)


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
    # Four bits, and an exponent for 32 values; biases are bf16.
    assert 4.25 < c.bits_by_component["experts"] < 4.3
    assert c.bits_per_weight is not None
    assert 5 < c.bits_per_weight < 6
    assert check("qwen3-0.6b").bits_per_weight == 16


@pytest.mark.parametrize("name", ["qwen3-30b-a3b-reduced", "qwen3-30b-a3b-reduced-fused"])
def test_a_huge_config_against_a_small_file(name: str) -> None:
    """1,000 layers of 600 experts are 1.8 million tensors, which must not be listed.

    A config that asks for more than 2 million is refused (tests/config/test_bad_configs.py).
    """
    fixture = load(name)
    fixture["config"].update(num_hidden_layers=1_000, num_experts=600)
    architecture, rows = read(fixture["config"])
    c = verify_headers(architecture, rows, table_of(tensors_of(fixture)))
    assert c.status == "conflict"
    assert [(f.path, f.old, f.new) for f in c.findings if f.rule == "fact-contradicted"] == [
        ("ffns.moe.experts", 600, 16),
        ("layers", 1_000, 3),
    ]


def test_no_tensor_at_all() -> None:
    architecture, rows = read(load("qwen3-0.6b")["config"])
    c = verify_headers(architecture, rows, TensorTable())
    assert c.status == "conflict"
    assert c.logical == 0
