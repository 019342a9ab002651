"""Headers whose family is hidden: nothing that is observed may differ from what the family says, and every count is exact."""

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
    fixture = load(name)
    told = {**fixture["config"], **UNKNOWN_TYPE} if config else None
    return infer_model(table_of(tensors_of(fixture)), told), read(fixture["config"])[0], fixture


def at(block: Any, path: str) -> Any:
    """A dotted field of a block; Ellipsis where the schema has no such field."""
    for part in path.split("."):
        block = getattr(block, part, ...) if block is not None else ...
    return block


def differences(o: InferredModel, a: Architecture) -> Iterator[tuple[str, Any, Any]]:
    """(path, observed, the family's) wherever both say something and it is not the same."""
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
                    expected = [at(block, p[len(path) + 1 :]) for block in theirs]
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
        if o.facts.get(path) is not None and o.facts[path] != at(a, path):
            yield path, o.facts[path], at(a, path)
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
def test_nothing_observed_is_wrong(name: str, config: bool) -> None:
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
    """What a checkpoint without its family adds up to: the parameters; of a plain one everything that is stored, used or not."""
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


SEEN: list[tuple[str, dict[str, Any]]] = [
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


@pytest.mark.parametrize(("name", "expected"), SEEN, ids=[s[0] for s in SEEN])
def test_what_headers_alone_tell(name: str, expected: dict[str, Any]) -> None:
    o, _, _ = hidden(name, config=False)
    assert {p: o.facts.get(p) for p in expected} == expected


def test_a_config_helps_only_where_the_shapes_bear_it_out() -> None:
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


def test_what_is_not_recognised_is_counted_and_said() -> None:
    tensors = add(model__layers__0__odd__weight=("BF16", (5, 5)), stray=("BF16", (7,)))(
        tensors_of(load("qwen3-0.6b"))
    )
    o = infer_model(table_of(tensors))
    assert o.total == 596_049_920 + 25 + 7
    assert o.by_component["other"] == 32
    assert Counter(f.rule for f in o.findings) == {"tensor-unrecognised": 2}
    assert len(o.kinds) == 2


def layer(**tensors: tuple[int, ...]) -> TensorTable:
    """Two layers of these tensors between an embedding of 64 and a norm."""
    inside = {
        f"model.layers.{i}.{n.replace('__', '.')}": ("BF16", s)
        for i in (0, 1)
        for n, s in tensors.items()
    }
    return table_of(
        {
            "model.embed_tokens.weight": ("BF16", (1000, 64)),
            "model.norm.weight": ("BF16", (64,)),
            **inside,
        }
    )


NORM = {"input_layernorm__weight": (64,)}
QKVO = {
    "self_attn__q_proj__weight": (96, 64),
    "self_attn__k_proj__weight": (32, 64),
    "self_attn__v_proj__weight": (32, 64),
    "self_attn__o_proj__weight": (64, 96),
}

ODD: list[tuple[str, dict[str, tuple[int, ...]], dict[str, Any]]] = [
    (
        "a norm with a row for each head (Cohere)",
        {
            **NORM,
            **QKVO,
            "self_attn__q_norm__weight": (6, 16),
            "self_attn__k_norm__weight": (2, 16),
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.qk_norm.scope": None,
        },
    ),
    (
        "a norm as wide as the one KV head",
        {**NORM, **QKVO, "self_attn__q_norm__weight": (32,), "self_attn__k_norm__weight": (32,)},
        {
            "mixers.attention.heads": 3,
            "mixers.attention.kv_heads": 1,
            "mixers.attention.qk_norm.scope": "head",
        },
    ),
    (
        "values of another width",
        {
            **NORM,
            **QKVO,
            "self_attn__v_proj__weight": (16, 64),
            "self_attn__q_norm__weight": (16,),
            "self_attn__k_norm__weight": (16,),
        },
        {"mixers.attention.heads": None, "mixers.attention.kv_heads": None},
    ),
    (
        "an embedding in fewer dimensions (OPT-350m)",
        {"input_layernorm__weight": (128,), **QKVO},
        {"hidden_size": None, "mixers.attention.heads": None},
    ),
    (
        "w1, w2 and w3 (LFM2)",
        {
            **NORM,
            "feed_forward__w1__weight": (256, 64),
            "feed_forward__w3__weight": (256, 64),
            "feed_forward__w2__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "not gated",
        {**NORM, "mixer__up_proj__weight": (256, 64), "mixer__down_proj__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": False},
    ),
    (
        "fused q, k, v",
        {
            **NORM,
            "attn__qkv_proj__weight": (160, 64),
            "attn__o_proj__weight": (64, 96),
            "attn__sinks": (6,),
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.head_dim": 16,
        },
    ),
    (
        "Mamba 2",
        {
            **NORM,
            "mixer__A_log": (8,),
            "mixer__D": (8,),
            "mixer__dt_bias": (8,),
            "mixer__conv1d__weight": (160, 1, 4),
            "mixer__in_proj__weight": (296, 64),
        },
        {"mixers.mamba2.value_heads": 8, "mixers.mamba2.conv_kernel": 4},
    ),
    (
        "a state beside queries, keys and values (OLMo Hybrid)",
        {
            **NORM,
            **QKVO,
            "self_attn__A_log": (6,),
            "self_attn__dt_bias": (6,),
            "self_attn__conv1d__weight": (160, 1, 4),
        },
        {"mixers.linear_attention.conv_kernel": 4, "mixers.linear_attention.variant": None},
    ),
    (
        "no values of its own",
        {
            **NORM,
            **{n: v for n, v in QKVO.items() if "v_proj" not in n},
            **{f"self_attn__{n}_norm__weight": (16,) for n in "qk"},
        },
        {
            "mixers.attention.heads": 6,
            "mixers.attention.kv_heads": 2,
            "mixers.attention.v_head_dim": None,
        },
    ),
    (
        "gate and up in one matrix of another name (ChatGLM)",
        {**NORM, "mlp__dense_h_to_4h__weight": (512, 64), "mlp__dense_4h_to_h__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "w1 and w2 alone, which may be gated or not",
        {
            **NORM,
            "mlp__gate__weight": (4, 64),
            **{f"mlp__experts__{i}__w1__weight": (48, 64) for i in range(4)},
            **{f"mlp__experts__{i}__w2__weight": (64, 48) for i in range(4)},
        },
        {"ffns.moe.experts": 4, "ffns.moe.expert_width": 48, "ffns.moe.gated": None},
    ),
    (
        "w1, w2 and c_proj (Qwen 1)",
        {
            **NORM,
            "mlp__w1__weight": (256, 64),
            "mlp__w2__weight": (256, 64),
            "mlp__c_proj__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "no module at all (OLMo 1, Molmo)",
        {
            **NORM,
            "att_proj__weight": (160, 64),
            "attn_out__weight": (64, 96),
            "ff_proj__weight": (512, 64),
            "ff_out__weight": (64, 256),
        },
        {"mixers.attention.qkv_bias": False, "ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "to_q, to_k, to_v and to_out (Cosmos)",
        {
            **NORM,
            **{f"self_attn__to_{n}__weight": (s, 64) for n, s in (("q", 96), ("k", 32), ("v", 32))},
            "self_attn__to_out__weight": (64, 96),
            **{f"self_attn__{n}_norm__weight": (16,) for n in "qk"},
        },
        {"mixers.attention.heads": 6, "mixers.attention.kv_heads": 2},
    ),
    (
        "Wi and Wo (ModernBERT)",
        {**NORM, "mlp__Wi__weight": (512, 64), "mlp__Wo__weight": (64, 256)},
        {"ffns.dense.width": 256, "ffns.dense.gated": True},
    ),
    (
        "blocks within a module (Zamba 2, GPT-Neo)",
        {
            **NORM,
            **{f"shared__{n}": s for n, s in QKVO.items()},
            "shared__feed_forward__up_proj__weight": (256, 64),
            "shared__feed_forward__down_proj__weight": (64, 256),
        },
        {"mixers.attention.sinks": False, "ffns.dense.width": 256, "ffns.dense.gated": False},
    ),
    (
        "a bias of queries and values alone (Whisper)",
        {**NORM, **QKVO, "self_attn__q_proj__bias": (96,), "self_attn__v_proj__bias": (32,)},
        {"mixers.attention.qkv_bias": None, "mixers.attention.output_bias": False},
    ),
    (
        "a bias on the way up alone",
        {
            **NORM,
            "mlp__up_proj__weight": (256, 64),
            "mlp__up_proj__bias": (256,),
            "mlp__down_proj__weight": (64, 256),
        },
        {"ffns.dense.width": 256, "ffns.dense.bias": None},
    ),
    (
        "latent attention with an output of another name (Ling)",
        {
            **NORM,
            "attention__kv_a_proj_with_mqa__weight": (40, 64),
            "attention__kv_a_layernorm__weight": (32,),
            "attention__kv_b_proj__weight": (128, 32),
            "attention__q_proj__weight": (96, 64),
            "attention__dense__weight": (64, 64),
        },
        {
            "mixers.latent_attention.heads": 4,
            "mixers.latent_attention.v_head_dim": 16,
            "mixers.latent_attention.qk_rope_head_dim": 8,
        },
    ),
    (
        "stacked experts as fc1 and fc2 (Aria)",
        {
            **NORM,
            "mlp__router__weight": (4, 64),
            "mlp__experts__fc1__weight": (4, 64, 96),
            "mlp__experts__fc2__weight": (4, 48, 64),
        },
        {
            "ffns.moe.experts": 4,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
            "ffns.moe.shared_width": 0,
        },
    ),
    (
        "a router of several layers, with one output more than experts are stored (ZAYA)",
        {
            **NORM,
            "mlp__gate__down_proj__weight": (16, 64),
            "mlp__gate__out_proj__weight": (5, 16),
            "mlp__experts__gate_up_proj": (4, 96, 64),
            "mlp__experts__down_proj": (4, 64, 48),
        },
        {
            "ffns.moe.experts": None,
            "ffns.moe.expert_width": 48,
            "ffns.moe.router.bias": None,
            "ffns.moe.shared_width": None,
        },
    ),
    (
        "experts without a module, with their router and a shared one beside them",
        {
            **NORM,
            "experts__down_proj": (4, 64, 48),
            "experts__gate_up_proj": (4, 96, 64),
            "router__proj__weight": (4, 64),
            "share_expert__gate_proj__weight": (32, 64),
            "share_expert__up_proj__weight": (32, 64),
            "share_expert__down_proj__weight": (64, 32),
        },
        {
            "ffns.moe.experts": 4,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
            "ffns.moe.shared_width": 32,
        },
    ),
    (
        "fc1 and fc2 without a module (OPT)",
        {
            **NORM,
            "fc1__weight": (256, 64),
            "fc1__bias": (256,),
            "fc2__weight": (64, 256),
            "fc2__bias": (64,),
        },
        {"ffns.dense.width": 256, "ffns.dense.gated": False, "ffns.dense.bias": True},
    ),
    (
        "latent experts",
        {
            **NORM,
            "mlp__gate__weight": (4, 64),
            **{f"mlp__experts__{i}__up_proj__weight": (48, 32) for i in range(4)},
            **{f"mlp__experts__{i}__down_proj__weight": (32, 48) for i in range(4)},
        },
        {"ffns.moe.experts": 4, "ffns.moe.expert_width": None, "ffns.moe.gated": False},
    ),
    (
        "a router with more outputs than experts are stored",
        {
            **NORM,
            "mlp__router__classifier__weight": (6, 64),
            **{f"mlp__experts__{i}__{n}__weight": (48, 64) for i in range(4) for n in ("w1", "w3")},
            **{f"mlp__experts__{i}__w2__weight": (64, 48) for i in range(4)},
        },
        {
            "ffns.moe.experts": None,
            "ffns.moe.zero_experts": None,
            "ffns.moe.expert_width": 48,
            "ffns.moe.gated": True,
        },
    ),
]


@pytest.mark.parametrize(("tensors", "expected"), [o[1:] for o in ODD], ids=[o[0] for o in ODD])
def test_what_other_models_have(
    tensors: dict[str, tuple[int, ...]], expected: dict[str, Any]
) -> None:
    o = infer_model(layer(**tensors))
    assert {p: o.facts[p] for p in expected} == expected


def test_of_several_embeddings_it_is_the_decoder_s() -> None:
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


def test_a_learned_decay_is_a_parameter() -> None:
    o = infer_model(layer(**NORM, attention__time_decay=(64,), attention__slope_rate=(4,)))
    assert (o.total, o.buffers) == (1000 * 64 + 64 + 2 * 64 + 2 * 64, 2 * 4)


def test_a_head_without_a_shape_that_fits_is_counted() -> None:
    o = infer_model(table_of({**tensors_of(load("qwen3-0.6b")), "lm_head.weight": ("BF16", ())}))
    assert o.total == 596_049_920 + 1


def test_shared_experts_that_hold_experts_are_read_once() -> None:
    o = infer_model(
        layer(
            **NORM,
            shared_experts__experts__0__up_proj__weight=(4, 64),
            shared_experts__gate__weight=(4, 64),
        )
    )
    assert o.total == 1000 * 64 + 64 + 2 * 64 + 2 * 2 * 4 * 64


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


def test_a_partial_read_concludes_nothing_from_absence() -> None:
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
    """A scalar under the head's name: found by Hypothesis, and kept here so that every run tries it."""
    o = infer_model(
        table_of({"model.embed_tokens.weight": ("BF16", (10, 4)), "lm_head.weight": ("BF16", ())})
    )
    assert o.total == 41


def test_a_fused_projection_whose_parts_are_not_plain_tells_no_heads() -> None:
    """Queries with a gate among them: what is left for keys and values divides no number of heads."""
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
