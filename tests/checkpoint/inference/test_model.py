"""Infer fixtures without their family: no fact differs from the family's, counts are exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.checkpoint_fixtures import (
    NAMES,
    Tensors,
    add,
    drop,
    load,
    names_only,
    read,
    rename,
    table_of,
    tensors_of,
)

from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture, LinearAttention
from llmarch.checkpoint.inference.model import InferredModel, infer_model
from llmarch.sources.raw import TensorTable
from llmarch.tensors.template import layer_norms

UNKNOWN_TYPE = {"model_type": "nobody_knows", "architectures": ["NobodyForCausalLM"]}


def hidden(name: str, *, config: bool) -> tuple[InferredModel, Architecture, dict[str, Any]]:
    """Return what is inferred of a fixture, what its family reads, and the fixture."""
    fixture = load(name)
    given = {**fixture["config"], **UNKNOWN_TYPE} if config else None
    return infer_model(table_of(tensors_of(fixture)), given), read(fixture["config"])[0], fixture


def field_at(block: Any, path: str) -> Any:
    """Return a dotted field of a block, Ellipsis where the schema has no such field."""
    for part in path.split("."):
        block = getattr(block, part, ...) if block is not None else ...
    return block


def differences(o: InferredModel, a: Architecture) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, inferred value and the family's wherever both are known and differ."""
    assert len(o.layers) == len(a.layers)
    pairs = {(o.layers[i], a.layers[i]) for i in range(len(a.layers))}
    for seen, kind in pairs:
        ours = o.kinds[seen]
        every = [
            (b.block.partition(".")[0], a.block(b.block))
            for s in a.layer_kinds[kind].steps
            for b in s.branches
        ]
        assert len(ours.blocks) == len(every)
        assert ours.unrecognised == ()
        for path in ours.blocks:
            theirs = [block for group, block in every if group == path.partition(".")[0]]
            for p, value in o.facts.items():
                if value is not None and p.startswith(path + "."):
                    expected = [field_at(block, p[len(path) + 1 :]) for block in theirs]
                    if value not in expected and ... not in expected:
                        yield f"{seen}: {p}", value, expected
            linear = path.partition(".")[2] in (
                "lightning",
                "kda",
                "gated_deltanet",
                "mamba",
                "mamba2",
                "short_conv",
            )
            if linear not in [isinstance(block, LinearAttention) for block in theirs]:
                yield f"{seen}: {path}", path, theirs
        norms = [n for n in layer_norms(a.layer_kinds[kind].steps) if a.norms[n].weight]
        if len(ours.norms) != len(norms):
            yield f"{seen}: norms", ours.norms, norms
        for path in ours.norms:
            if o.facts[f"{path}.kind"] not in (None, a.norms[norms[0]].kind):
                yield f"{seen}: {path}.kind", o.facts[f"{path}.kind"], a.norms[norms[0]].kind
        branches = [b for s in a.layer_kinds[kind].steps for b in s.branches]
        real = {(bool(b.pre_norm), bool(b.post_norm)) for b in branches}
        if (
            ours.placement is not None
            and {"sandwich": {(True, True)}, "post": {(False, True)}}[ours.placement] != real
        ):
            yield f"{seen}: placement", ours.placement, real
    for path in (
        "hidden_size",
        "vocab_size",
        "embedding.tied",
        "embedding.positions",
        "context_length",
        "head.bias",
    ):
        if o.facts.get(path) is not None and o.facts[path] != field_at(a, path):
            yield path, o.facts[path], field_at(a, path)
    if o.facts["layers"] != len(a.layers):
        yield "layers", o.facts["layers"], len(a.layers)
    for tower in [t for t, what in a.towers.items() if hasattr(what, "layers")]:
        if o.facts[f"towers.{tower}.layers"] not in (None, a.towers[tower].layers):
            yield (
                f"towers.{tower}.layers",
                o.facts[f"towers.{tower}.layers"],
                a.towers[tower].layers,
            )


@pytest.mark.parametrize("config", [True, False], ids=["with config", "headers alone"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_inferred_is_wrong(name: str, config: bool) -> None:
    o, a, _ = hidden(name, config=config)
    assert list(differences(o, a)) == []
    assert all(
        o.evidence[p].kind == "unknown" and o.evidence[p].ref
        for p, v in o.facts.items()
        if v is None
    )
    assert all(
        o.evidence[p].kind in ("tensor", "config") and o.evidence[p].ref
        for p, v in o.facts.items()
        if v is not None
    )


def total_of(fixture: dict[str, Any], o: InferredModel) -> int:
    """Return the parameters; of a checkpoint that is not packed all that is stored, used or not."""
    about = fixture["about"]
    if about["quant"] is None:
        return fixture["stored"] - about["mtp_params"] - o.copies - o.buffers
    return fixture["params"] + about["router_bias"]


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_exact(name: str) -> None:
    o, a, fixture = hidden(name, config=True)
    about = fixture["about"]
    assert o.total == total_of(fixture, o) == sum(o.by_component.values())
    assert (o.mtp, o.stored) == (about["mtp_params"], fixture["stored"])
    assert {f.rule for f in o.findings} <= {"tied-copy-stored"}
    theirs = count_parameters(a)
    more = Counter(o.by_component) - Counter(theirs.by_component)
    if o.total == theirs.total:
        assert not more and o.by_component == theirs.by_component
    else:  # keys and values that nothing uses are stored: a header does not tell
        assert sum(more.values()) == o.total - theirs.total


@pytest.mark.parametrize(
    "name", [n for n in NAMES if not n.endswith("tied-copy") and "mlx" not in n and "int4" not in n]
)
def test_counts_need_no_config(name: str) -> None:
    o, _, fixture = hidden(name, config=False)
    assert o.total == total_of(fixture, o)


INFERRED: list[tuple[str, dict[str, Any]]] = [
    (
        "deepseek-v3.2-reduced-mtp",
        {
            "mixers.latent_attention.heads": 128,
            "mixers.latent_attention.qk_nope_head_dim": 128,
            "mixers.latent_attention.v_head_dim": 128,
            "mixers.latent_attention.indexer.heads": 64,
            "ffns.moe.experts": 16,
            "ffns.moe.router.selection_bias": True,
        },
    ),
    (
        "qwen3-next-reduced-mtp",
        {
            "mixers.attention.heads": 16,
            "mixers.attention.gate": "elementwise",
            "mixers.gated_deltanet.value_heads": 32,
        },
    ),
    (
        "kimi-linear-reduced-experts",
        {
            "mixers.kda.key_heads": 32,
            "mixers.kda.conv_kernel": 4,
            "mixers.latent_attention.q_lora_rank": None,
        },
    ),
    (
        "gpt-oss-20b",
        {
            "mixers.attention.heads": 64,
            "mixers.attention.kv_heads": 8,
            "mixers.attention.sinks": True,
            "ffns.moe.bias": True,
        },
    ),
    (
        "olmo-3.1-32b",
        {"mixers.attention.qk_norm.scope": "projection", "mixers.attention.heads": None},
    ),
    (
        "minimax-m2-reduced",
        {"mixers.attention.qk_norm.scope": "projection", "ffns.moe.experts": 16},
    ),
    (
        "gpt2-124m",
        {
            "embedding.positions": 1024,
            "ffns.dense.gated": False,
            "ffns.dense.width": 3072,
            "norms.ln_1.kind": "layernorm",
        },
    ),
    (
        "llama-3-8b",
        {"mixers.attention.heads": None, "mixers.attention.qk_norm": None, "embedding.tied": None},
    ),
    (
        "qwen3-0.6b",
        {"embedding.tied": True, "mixers.attention.heads": 16, "mixers.attention.kv_heads": 8},
    ),
    (
        "mistral-small-3.1-24b",
        {"towers.vision.layers": 24, "towers.vision.parameters": 403_305_472 + 35_652_608},
    ),
    (
        "llama-4-maverick-reduced",
        {"ffns.moe.shared_width": 8192, "ffns.moe.expert_width": 8192, "ffns.dense.width": 16384},
    ),
]


@pytest.mark.parametrize(("name", "expected"), INFERRED, ids=[row[0] for row in INFERRED])
def test_what_headers_alone_prove(name: str, expected: dict[str, Any]) -> None:
    o, _, _ = hidden(name, config=False)
    assert {p: o.facts.get(p) for p in expected} == expected


def test_heads_of_a_config_count_only_where_the_shapes_agree() -> None:
    fixture = load("llama-3-8b")
    table = table_of(tensors_of(fixture))
    o = infer_model(table, {**fixture["config"], **UNKNOWN_TYPE})
    assert (o.facts["mixers.attention.heads"], o.facts["mixers.attention.kv_heads"]) == (32, 8)
    assert o.evidence["mixers.attention.heads"].kind == "config"
    for lie in (
        {"num_attention_heads": 16},
        {"num_key_value_heads": 32},
        {"num_attention_heads": "32"},
        {"head_dim": -1, "num_attention_heads": 3},
    ):
        o = infer_model(table, {**fixture["config"], **UNKNOWN_TYPE, **lie})
        assert o.facts["mixers.attention.heads"] is None


def test_placement_where_names_settle_it() -> None:
    assert {k.placement for k in hidden("gemma-3-1b", config=False)[0].kinds.values()} == {
        "sandwich"
    }
    assert {k.placement for k in hidden("olmo-2-7b", config=False)[0].kinds.values()} == {"post"}
    assert {k.placement for k in hidden("llama-3-8b", config=False)[0].kinds.values()} == {None}


def test_the_evidence_names_tensors() -> None:
    o, _, _ = hidden("qwen3-0.6b", config=False)
    assert (
        "model.layers.{0-27}.self_attn.k_proj.weight"
        in o.evidence["mixers.attention.kv_heads"].confirmed_by
    )
    assert o.evidence["layers"].ref == "layers.{0-27}"


def test_what_is_not_recognised_is_counted_and_reported() -> None:
    tensors = add(model__layers__0__odd__weight=("BF16", (5, 5)), stray=("BF16", (7,)))(
        tensors_of(load("qwen3-0.6b"))
    )
    o = infer_model(table_of(tensors))
    assert o.total == 596_049_920 + 25 + 7
    assert o.by_component["other"] == 32
    assert Counter(f.rule for f in o.findings) == {"tensor-unrecognised": 2}
    assert len(o.kinds) == 2


def test_the_embedding_is_the_decoders_of_several() -> None:
    others = {
        "a.other.embeddings.word_embeddings.weight": ("BF16", (30_000, 768)),
        "model.vqmodel.quantize.embedding.weight": ("BF16", (16_384, 8)),
    }
    o = infer_model(table_of({**others, **tensors_of(load("qwen3-0.6b"))}))
    assert (o.facts["vocab_size"], o.facts["hidden_size"]) == (151_936, 1024)
    assert o.by_component["embedding"] == 151_936 * 1024
    assert o.by_component["vision"] == 16_384 * 8


def test_head_and_embedding_may_stand_beside_the_layers_anywhere() -> None:
    moved = rename("^model", "model.llm")(tensors_of(load("qwen3-0.6b")))
    o = infer_model(table_of({**moved, "model.llm.unembed.weight": ("BF16", (151_936, 1024))}))
    assert (o.facts["vocab_size"], o.facts["layers"], o.facts["embedding.tied"]) == (
        151_936,
        28,
        None,
    )
    assert o.by_component["head"] == o.by_component["embedding"]
    assert o.findings == []


def test_blocks_beside_layers_are_not_the_same_layers() -> None:
    tensors = tensors_of(load("qwen3-0.6b"))
    blocks = {n.replace("model.layers", "blocks"): v for n, v in tensors.items() if "layers" in n}
    o = infer_model(table_of({**tensors, **blocks}))
    assert o.facts["layers"] is None
    assert {len(k.blocks) for k in o.kinds.values()} == {2}


def test_a_head_without_a_shape_that_fits_is_counted() -> None:
    o = infer_model(table_of({**tensors_of(load("qwen3-0.6b")), "lm_head.weight": ("BF16", ())}))
    assert o.total == 596_049_920 + 1


def test_positions_without_dimensions_are_counted() -> None:
    assert (
        infer_model(table_of({**tensors_of(load("qwen3-0.6b")), "wpe.weight": ("BF16", ())})).total
        == 596_049_920 + 1
    )


def test_sizes_that_are_open_give_no_total() -> None:
    names = infer_model(table_of(names_only(tensors_of(load("qwen3-0.6b")))))
    assert (names.total, names.facts["layers"], names.facts["hidden_size"]) == (None, 28, None)
    for name in (
        "qwen3-0.6b-reduced-mlx-4bit",
        "kimi-k2-thinking-reduced-compressed-int4",
    ):  # bits and groups are in the config alone
        assert infer_model(table_of(tensors_of(load(name)))).total is None
    unknown = rename("qweight", "codes")(tensors_of(load("qwen3-0.6b-reduced-gptq")))
    o = infer_model(table_of(unknown))
    assert o.total is None
    assert "not-comparable" in {f.rule for f in o.findings}
    assert infer_model(table_of(tensors_of(load("qwen3-0.6b"))), partial=True).total is None


def test_a_head_under_another_name_leaves_the_tie_open() -> None:
    tensors = tensors_of(load("qwen3-0.6b"))
    assert infer_model(table_of(tensors)).facts["embedding.tied"] is True
    assert (
        infer_model(table_of(add(score__weight=("BF16", (2, 1024)))(tensors))).facts[
            "embedding.tied"
        ]
        is None
    )
    assert (
        infer_model(table_of(tensors), {"tie_word_embeddings": False}).facts["embedding.tied"]
        is None
    )
    assert (
        infer_model(table_of(add(lm_head__weight=("BF16", (151_000, 1024)))(tensors))).facts[
            "vocab_size"
        ]
        is None
    )


def test_a_partial_read_proves_nothing_by_absence() -> None:
    for name in ("qwen3-0.6b", "olmo-2-7b", "mixtral-8x7b", "gemma-3-4b"):
        o = infer_model(table_of(tensors_of(load(name))), partial=True)
        assert [p for p, v in o.facts.items() if v in (False, 0) and v is not None] == []
        assert (o.total, o.facts["layers"]) == (None, None)
        assert o.facts["embedding.tied"] is None
        assert {k.placement for k in o.kinds.values()} <= {None, "sandwich"}
    some = drop(r"embed_tokens|experts\.[0-3]\.")(tensors_of(load("mixtral-8x7b")))
    assert infer_model(table_of(some), partial=True).facts["ffns.moe.experts"] is None
    assert infer_model(table_of(names_only(some)), partial=True).facts["ffns.moe.experts"] is None


def test_two_stacks_of_layers_leave_their_number_open() -> None:
    tensors = tensors_of(load("qwen3-0.6b"))
    twice = {
        **tensors,
        **{
            n.replace("model.layers", "model.second.layers"): v
            for n, v in tensors.items()
            if "layers" in n
        },
    }
    assert infer_model(table_of(twice)).facts["layers"] is None


def test_a_layer_that_is_missing_leaves_their_number_open() -> None:
    o = infer_model(table_of(drop(r"layers\.3\.")(tensors_of(load("qwen3-0.6b")))))
    assert o.facts["layers"] is None
    assert len(o.layers) == 27


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"text_config": 3, "num_attention_heads": None},
        {"quantization_config": {"quant_method": 7}},
        {"tie_word_embeddings": [], "text_config": {"tie_word_embeddings": "yes"}},
        {"num_attention_heads": True, "head_dim": 10**9, "num_key_value_heads": -1},
    ],
)
def test_anything_may_be_in_the_headers(config: dict[str, Any] | None) -> None:
    assert infer_model(TensorTable(), config).total == 0
    odd = {
        "0.0.0": ("BF16", ()),
        "layers.5.": ("F32", (0,)),
        "layers.1.self_attn.q_proj.weight": ("U8", (1, 2, 3, 4)),
        "é": ("I64", (3,)),
    }
    assert infer_model(table_of(dict(odd)), config).layers


def test_a_head_without_dimensions_is_no_crash() -> None:
    """A scalar under the head's name, found by Hypothesis and kept so that every run tries it."""
    o = infer_model(
        table_of({"model.embed_tokens.weight": ("BF16", (10, 4)), "lm_head.weight": ("BF16", ())})
    )
    assert o.total == 41


def test_a_fused_projection_with_a_gate_proves_no_heads() -> None:
    """What a gate leaves for keys and values is no multiple of the head dim."""
    module: Tensors = {
        "model.embed_tokens.weight": ("BF16", (100, 2048)),
        "model.layers.0.input_layernorm.weight": ("BF16", (2048,)),
        "model.layers.0.self_attn.qkv_proj.weight": ("BF16", (2 * 4096 + 2 * 512, 2048)),
        "model.layers.0.self_attn.o_proj.weight": ("BF16", (2048, 4096)),
        "model.layers.0.self_attn.q_norm.weight": ("BF16", (256,)),
        "model.layers.0.self_attn.k_norm.weight": ("BF16", (256,)),
        "model.layers.0.self_attn.q_proj.bias": ("BF16", (4096,)),
    }
    o = infer_model(table_of(module))
    assert {
        f: o.facts[f"mixers.attention.{f}"] for f in ("heads", "kv_heads", "qkv_bias")
    } == dict.fromkeys(("heads", "kv_heads", "qkv_bias"))
