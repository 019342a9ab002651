"""Draft heads are observed by their tensors, whatever their config says, and models are none."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import local_model

import llmarch
from llmarch.checkpoint.draft_tensors import tensor_sign
from llmarch.checkpoint.drafts import DraftHead, config_sign
from llmarch.checkpoint.reading import Observation, read_or_infer
from llmarch.errors import LlmarchError
from llmarch.sources.aliases import bundled_models
from llmarch.sources.raw import RawModel, TensorTable, unfold

Tensors = dict[str, tuple[int, ...]]

TARGET = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 40,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 128,
    "tie_word_embeddings": False,
}
"""The config of a model, which draft heads copy."""


def layer(prefix: str, inputs: int = 64) -> Tensors:
    """Return the tensors of a layer of TARGET whose attention reads `inputs`."""
    tensors: Tensors = {f"{prefix}.self_attn.{x}_proj.weight": (64, inputs) for x in "qkv"}
    tensors[f"{prefix}.self_attn.o_proj.weight"] = (64, 64)
    for name, shape in (("gate", (96, 64)), ("up", (96, 64)), ("down", (64, 96))):
        tensors[f"{prefix}.mlp.{name}_proj.weight"] = shape
    tensors[f"{prefix}.post_attention_layernorm.weight"] = (64,)
    return tensors


EAGLE: Tensors = {"embed_tokens.weight": (128, 64), "fc.weight": (64, 128), **layer("layers.0")}
EAGLE3: Tensors = {
    "fc.weight": (64, 192),
    **layer("midlayer", 128),
    "midlayer.hidden_norm.weight": (64,),
    "midlayer.input_layernorm.weight": (64,),
    "norm.weight": (64,),
    "lm_head.weight": (32, 64),
    "d2t": (32,),
    "t2d": (128,),
}
SPECULATORS: Tensors = {
    "embed_tokens.weight": (128, 64),
    "fc.weight": (64, 192),
    **layer("layers.0", 128),
    "norm.weight": (64,),
    "lm_head.weight": (32, 64),
}
MEDUSA: Tensors = {
    name: shape
    for i in range(3)
    for name, shape in (
        (f"{i}.0.linear.weight", (64, 64)),
        (f"{i}.0.linear.bias", (64,)),
        (f"{i}.1.weight", (128, 64)),
    )
}
NEXTN: Tensors = {
    "model.layers.0.eh_proj.weight": (64, 128),
    "model.layers.0.enorm.weight": (64,),
    "model.layers.0.hnorm.weight": (64,),
    "model.layers.0.shared_head.norm.weight": (64,),
    **layer("model.layers.0"),
}

DTYPES = {"d2t": "I64", "t2d": "BOOL"}
"""Dtypes of the tables between the vocabularies of target and draft, as heads are published."""

DRAFTS: list[tuple[dict[str, Any], Tensors, str]] = [
    # the target's config, recognised by names alone
    (TARGET, EAGLE, "an EAGLE draft head"),
    (TARGET, EAGLE3, "an EAGLE-3 draft head"),
    (TARGET, MEDUSA, "Medusa heads"),
    (TARGET, NEXTN, "modules of multi-token prediction by themselves"),
    # SafeAILab, SpecForge and NVIDIA
    (TARGET | {"draft_vocab_size": 32}, EAGLE3, "an EAGLE-3 draft head"),
    (TARGET | {"architectures": ["LlamaForCausalLMEagle3"]}, EAGLE3, "an EAGLE-3 draft head"),
    (TARGET | {"architectures": ["EagleLlamaForCausalLM"]}, EAGLE, "an EAGLE draft head"),
    (TARGET | {"eagle_config": {"use_aux_hidden_state": True}}, EAGLE3, "an EAGLE draft head"),
    # speculators
    (
        {
            "architectures": ["Eagle3Speculator"],
            "speculators_model_type": "eagle3",
            "speculators_config": {"algorithm": "eagle3", "verifier": {"name_or_path": "a/b"}},
            "transformer_layer_config": TARGET,
            "draft_vocab_size": 32,
        },
        SPECULATORS,
        "a draft model of speculators",
    ),
    # FasterDecoding and lmsys
    ({"medusa_num_heads": 3, "medusa_num_layers": 1}, MEDUSA, "Medusa heads"),
    (
        TARGET | {"architectures": ["DeepseekV3ForCausalLMNextN"], "num_hidden_layers": 1},
        NEXTN,
        "modules of multi-token prediction by themselves",
    ),
]


def raw(config: dict[str, Any], tensors: Tensors | None) -> RawModel:
    """Return a config beside headers."""
    table = None
    if tensors is not None:
        stored = [(name, DTYPES.get(name, "BF16"), shape) for name, shape in tensors.items()]
        table = TensorTable.from_tensors(stored)
    return local_model(config, table, "draft")


@pytest.mark.parametrize(("config", "tensors", "kind"), DRAFTS)
def test_a_draft_head_is_observed(config: dict[str, Any], tensors: Tensors, kind: str) -> None:
    found = read_or_infer(raw(config, tensors))
    assert isinstance(found, Observation)
    assert (found.draft, found.status) == (kind, "observed")
    assert found.raw.tensors is not None
    assert found.observed.stored == found.raw.tensors.elements
    assert found.observed.facts.get("layers") != 40
    assert found.observed.total is not None


@pytest.mark.parametrize("config", [c for c, _, _ in DRAFTS if c is not TARGET])
def test_without_headers_it_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(DraftHead, match="predicts tokens for another model"):
        read_or_infer(raw(config, None))


@pytest.mark.parametrize("alias", sorted(bundled_models()))
def test_no_bundled_model_is_a_draft_head(alias: str) -> None:
    reading = llmarch.load(alias)
    assert config_sign(reading.raw.config or {}) is None
    names = {unfold(row.pattern, tuple(axis[0] for axis in row.axes)) for row in reading.rows}
    table = TensorTable.from_tensors([(name, "BF16", (1,)) for name in sorted(names)])
    assert tensor_sign(table) is None


def test_a_model_with_medusa_heads_beside_it_is_a_model() -> None:
    with pytest.raises(LlmarchError):
        read_or_infer(raw({"model_type": "unknown"}, None))
    table = raw(TARGET, layer("model.layers.0") | {"medusa_head.0.0.linear.weight": (64, 64)})
    assert table.tensors is not None and tensor_sign(table.tensors) is None
