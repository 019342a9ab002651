"""InternLM 2: a Llama by its facts, with the names of its published modelling file."""

from __future__ import annotations

from typing import Any

from helpers.facts import reading

from llmarch.analyses.parameters import count_parameters
from llmarch.checkpoint.reading import build_with_template, configure

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "vocab_size": 100,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
}
LAYER = {
    "attention_norm.weight": (64,),
    "attention.wqkv.weight": (128, 64),
    "attention.wo.weight": (64, 64),
    "ffn_norm.weight": (64,),
    "feed_forward.w1.weight": (96, 64),
    "feed_forward.w2.weight": (64, 96),
    "feed_forward.w3.weight": (96, 64),
}


def read(**keys: Any) -> tuple[Any, dict[str, tuple[int, ...]]]:
    family, c = configure({**SIZES, **keys}, "config.json")
    architecture, rows = build_with_template(family, c, {})
    assert c.unread() == []
    return architecture, {row.pattern: tuple(row.shape) for row in rows}


def test_names_are_those_of_its_code() -> None:
    """The file is internlm/internlm2-7b/modeling_internlm2.py."""
    _, shapes = read(model_type="internlm2", bias=False)
    assert shapes == {
        "model.tok_embeddings.weight": (100, 64),
        "model.norm.weight": (64,),
        "output.weight": (100, 64),
        **{f"model.layers.{{}}.{name}": shape for name, shape in LAYER.items()},
    }


def test_biases_are_on_attention_alone() -> None:
    _, shapes = read(model_type="internlm2", bias=True)
    assert {name: shape for name, shape in shapes.items() if name.endswith("bias")} == {
        "model.layers.{}.attention.wqkv.bias": (128,),
        "model.layers.{}.attention.wo.bias": (64,),
    }


def test_facts_are_those_of_a_llama() -> None:
    own, _ = read(model_type="internlm2", bias=True)
    llama, _ = read(model_type="llama", attention_bias=True, mlp_bias=False)
    assert (own.mixers, own.ffns, own.norms) == (llama.mixers, llama.ffns, llama.norms)
    assert count_parameters(own).total == count_parameters(llama).total


def test_the_longer_context_of_2_5_is_dynamic_ntk() -> None:
    mixer: Any = reading("internlm2.5-7b").architecture.mixers["full"]
    assert (mixer.rope.scaling.kind, mixer.rope.scaling.factor) == ("dynamic", 2.0)
