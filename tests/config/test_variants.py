"""Configs in other spellings and settings: small ones as transformers reads them
(tests/oracle/variants.py), and edited published ones.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from helpers.paths import ROOT

from llmarch.analyses.parameters import count_parameters
from llmarch.architecture.schema import Architecture, Attention, Evidence
from llmarch.config.families import find_family
from llmarch.config.vocabulary import build
from llmarch.errors import ConfigError, NotAModel
from llmarch.tensors.template import TensorRow

TESTS = ROOT / "tests"
VARIANTS: list[dict[str, Any]] = json.loads(
    gzip.decompress((TESTS / "fixtures" / "variants.json.gz").read_bytes())
)["variants"]
Config = dict[str, Any]


def read(config: Config) -> tuple[Architecture, list[TensorRow], dict[str, Evidence], list[str]]:
    family = find_family(config["model_type"])
    c = family.config(config, "config.json", config["model_type"])
    evidence: dict[str, Evidence] = {}
    architecture = build(family.read(c), family.ref, evidence)
    return architecture, family.template(architecture), evidence, c.unread()


def spec(name: str) -> Config:
    return json.loads((TESTS.parent / "specs" / f"{name}.json").read_text())["config"]


def mixers(a: Architecture) -> list[Attention]:
    """The attention of each layer."""
    return [b for kind in a.layers for b in a.blocks_of(kind) if isinstance(b, Attention)]


@pytest.mark.parametrize("spelling", ["given", "saved"])
@pytest.mark.parametrize(
    "number", range(len(VARIANTS)), ids=lambda i: f"{i}-{VARIANTS[i]['given']['model_type']}"
)
def test_as_transformers_reads_it(number: int, spelling: str) -> None:
    v = VARIANTS[number]
    a, rows, _, unread = read(v[spelling])
    assert count_parameters(a).total == sum(r.parameters for r in rows) == v["parameters"]
    assert [m.window for m in mixers(a)] == v["windows"]
    ropes = [
        m.rope and [m.rope.theta, m.rope.scaling.kind if m.rope.scaling else "default"]
        for m in mixers(a)
    ]
    assert ropes == v["ropes"]
    assert unread == []


@pytest.mark.parametrize(
    "number", range(len(VARIANTS)), ids=lambda i: f"{i}-{VARIANTS[i]['given']['model_type']}"
)
def test_saving_changes_nothing(number: int) -> None:
    """transformers spells every default out when it saves; the architecture is the same."""
    v = VARIANTS[number]
    assert read(v["given"])[0] == read(v["saved"])[0]


def without(*keys: str) -> Callable[[Config], Config]:
    return lambda c: {k: v for k, v in c.items() if k not in keys}


def having(**values: Any) -> Callable[[Config], Config]:
    return lambda c: c | values


def text(edit: Callable[[Config], Config]) -> Callable[[Config], Config]:
    return lambda c: c | {"text_config": edit(c["text_config"])}


def rope_parameters(c: Config) -> Config:
    """transformers 5's spelling of a llama-like rope."""
    old = {"rope_theta": c["rope_theta"], "rope_type": "default"} | (c.get("rope_scaling") or {})
    return without("rope_theta", "rope_scaling")(c) | {
        "rope_parameters": old,
        "dtype": c["torch_dtype"],
    }


def by_layer_type(c: Config) -> Config:
    """transformers 5's spelling of ropes that differ by layer type."""
    full = {"rope_theta": c["rope_theta"], "rope_type": "default"} | (c.get("rope_scaling") or {})
    sliding = {"rope_theta": c.get("rope_local_base_freq", c["rope_theta"]), "rope_type": "default"}
    return without("rope_theta", "rope_scaling", "rope_local_base_freq")(c) | {
        "rope_parameters": {"full_attention": full, "sliding_attention": sliding}
    }


def lifted(c: Config) -> Config:
    """A wrapper's config with the text part's keys at the top and no tower."""
    return {
        "model_type": c["model_type"],
        "torch_dtype": c.get("torch_dtype", c.get("dtype")),
    } | without("model_type")(c["text_config"])


SAME: list[tuple[str, Callable[[Config], Config]]] = [
    ("llama3.1-8b", rope_parameters),
    ("llama3.1-8b", having(head_dim=128, mlp_bias=False, rope_interleaved=False)),
    ("llama3.1-8b", having(head_dim=None, sliding_window=None)),
    ("llama2-7b", without("num_key_value_heads")),
    ("llama2-7b", having(rope_theta=10000.0, attention_bias=False)),
    ("qwen3-0.6b", rope_parameters),
    ("qwen3-0.6b", having(layer_types=["full_attention"] * 28, use_qk_norm=True)),
    (
        "qwen3-0.6b",
        without("attention_bias", "use_sliding_window", "max_window_layers", "sliding_window"),
    ),
    (
        "qwen3-30b-a3b",
        lambda c: without("num_experts")(c) | {"num_local_experts": c["num_experts"]},
    ),
    (
        "qwen2-57b-a14b",
        having(
            sliding_window=0,
            layer_types=["full_attention"] * 28,
            mlp_only_layers=None,
            qkv_bias=True,
        ),
    ),
    ("qwen2.5-7b", having(use_mrope=False, rope_scaling=None)),
    ("smollm3-3b", without("no_rope_layers", "layer_types")),
    ("mistral-7b", without("sliding_window")),
    ("mistral-7b-v0.2", having(layer_types=["full_attention"] * 32, head_dim=128)),
    ("olmo3-32b", by_layer_type),
    ("olmo3-32b", without("layer_types")),
    ("gemma3-1b", by_layer_type),
    ("gemma3-27b", text(by_layer_type)),
    (
        "gemma3-27b",
        text(without("layer_types", "vocab_size", "rope_theta", "max_position_embeddings")),
    ),
    ("gemma3-27b", having(tie_word_embeddings=True)),
    (
        "gemma2-9b",
        without(
            "hidden_act",
            "cache_implementation",
            "sliding_window_size",
            "attn_logit_softcapping",
            "query_pre_attn_scalar",
        ),
    ),
    ("gemma-2b", having(hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True)),
    ("mistral-small-3.1", text(having(tie_word_embeddings=False))),
    (
        "mistral-small-3.1",
        lambda c: text(having(tie_word_embeddings=False))(c) | {"tie_word_embeddings": True},
    ),
    ("mistral-small-3.1", text(without("model_type"))),
    ("ministral3-3b", without("tie_word_embeddings")),
    ("ministral3-3b", text(without("tie_word_embeddings"))),
    (
        "ministral3-3b",
        lambda c: (
            c
            | {
                "vision_config": c["vision_config"]
                | {"rope_parameters": {"rope_type": "axial", "rope_theta": 1e4}}
            }
        ),
    ),
]


@pytest.mark.parametrize(
    ("name", "edit"), SAME, ids=[f"{i}-{name}" for i, (name, _) in enumerate(SAME)]
)
def test_other_spelling_same_architecture(name: str, edit: Callable[[Config], Config]) -> None:
    a, _, _, unread = read(edit(spec(name)))
    assert a == read(spec(name))[0]
    assert unread == []


@pytest.mark.parametrize("name", ["gemma3-27b", "mistral-small-3.1"])
@pytest.mark.parametrize(
    "edit", [lifted, without("vision_config")], ids=["keys at the top", "no vision_config"]
)
def test_a_wrapper_without_its_tower(name: str, edit: Callable[[Config], Config]) -> None:
    whole, _, _, _ = read(spec(name))
    a, rows, _, unread = read(edit(spec(name)))
    assert (
        count_parameters(a).total
        == count_parameters(whole).total - count_parameters(whole).vision
        == sum(r.parameters for r in rows)
    )
    assert a.towers == {}
    assert unread == []


def test_a_text_part_that_unties_its_wrapper_and_the_reverse() -> None:
    gemma = spec("gemma3-27b")
    assert not read(gemma | {"tie_word_embeddings": False})[0].embedding.tied
    assert not read(text(having(tie_word_embeddings=False))(gemma))[0].embedding.tied
    assert not read(text(having(tie_word_embeddings=True))(gemma) | {"tie_word_embeddings": False})[
        0
    ].embedding.tied


def test_null_is_not_the_class_default() -> None:
    assert read(spec("mistral-7b") | {"sliding_window": None})[0].mixers.keys() == {"full"}
    gemma2, _, evidence, _ = read(
        spec("gemma2-9b") | {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    )
    assert gemma2.head.softcap is None
    assert all(m.softcap is None for m in mixers(gemma2))
    assert evidence["head.softcap"] == Evidence(kind="config", ref="final_logit_softcapping (null)")


def test_gpt2_scales_by_depth() -> None:
    full = mixers(
        read(spec("gpt2") | {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False})[
            0
        ]
    )[0]
    assert full.scale_by_depth
    assert full.scale == 1.0


def test_a_query_scaling_of_zero_is_none() -> None:
    """Devstral 2's file: the key is there and switches nothing on."""
    config = spec("ministral3-8b")["text_config"]
    config["rope_parameters"] |= {"llama_4_scaling_beta": 0.0, "mscale_all_dim": 0.0}
    a, _, _, unread = read(config)
    assert mixers(a)[0].query_scaling is None
    assert unread == []


def test_a_key_that_says_otherwise_is_shown() -> None:
    assert read(spec("llama3-8b") | {"sliding_window": 4096})[3] == ["sliding_window"]
    assert read(spec("qwen3-0.6b") | {"use_qk_norm": False})[3] == ["use_qk_norm"]
    assert read(spec("gpt2") | {"add_cross_attention": True, "is_encoder_decoder": False})[3] == [
        "add_cross_attention"
    ]
    assert read(spec("llama3-8b") | {"vision_config": {"hidden_size": 64}})[3] == ["vision_config"]
    assert read(spec("mistral-7b") | {"layer_types": ["full_attention"] * 32})[3] == ["layer_types"]


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("llama3-8b", without("hidden_size"), "hidden_size is missing"),
        (
            "llama3-8b",
            having(num_key_value_heads=7),
            "num_attention_heads 32 is not a multiple of num_key_value_heads 7",
        ),
        ("llama3-8b", having(rope_scaling={"rope_type": "spiral"}), "rope_scaling"),
        ("gpt2", having(n_head=7), "n_embd 768 is not a multiple of n_head 7"),
        (
            "gemma3-4b",
            text(without("num_hidden_layers")),
            "text_config.num_hidden_layers is missing",
        ),
        (
            "gemma3-1b",
            having(layer_types=[]),
            "layer_types has 0 entries for 26 layers",
        ),
        ("gemma3-1b", having(layer_types=["odd"] * 26), 'layer_types holds "odd"'),
        ("smollm3-3b", having(no_rope_layers=[]), "no_rope_layers has 0 entries for 36 layers"),
        (
            "mistral-small-3.1",
            lambda c: c | {"vision_config": {"model_type": "clip"}},
            "vision_config.model_type is 'clip'",
        ),
    ],
)
def test_what_cannot_be_read_is_said(
    name: str, edit: Callable[[Config], Config], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(edit(spec(name)))
    assert message in str(error.value)


def test_an_encoder_is_no_decoder() -> None:
    with pytest.raises(NotAModel, match="use_bidirectional_attention"):
        read(spec("gemma3-1b") | {"use_bidirectional_attention": True})
