"""gpt-oss as OpenAI publishes it, against the checkpoint that transformers reads."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.checkpoint_fixtures import load, table_of, tensors_of

import llmarch
from llmarch.checkpoint.reading import Reading, read_model
from llmarch.errors import ConfigError
from llmarch.sources.raw import RawModel

CONFIG = {
    "num_hidden_layers": 24, "num_experts": 32, "experts_per_token": 4, "vocab_size": 201088,
    "hidden_size": 2880, "intermediate_size": 2880, "swiglu_limit": 7.0, "head_dim": 64,
    "num_attention_heads": 64, "num_key_value_heads": 8, "sliding_window": 128,
    "initial_context_length": 4096, "rope_theta": 150000, "rope_scaling_factor": 32.0,
    "rope_ntk_alpha": 1, "rope_ntk_beta": 32,
}  # fmt: skip
NAMES = {
    "model.embed_tokens.": "embedding.",
    "lm_head.": "unembedding.",
    "model.norm.weight": "norm.scale",
    "model.layers.": "block.",
    ".input_layernorm.weight": ".attn.norm.scale",
    ".post_attention_layernorm.weight": ".mlp.norm.scale",
    ".self_attn.o_proj": ".attn.out",
    ".self_attn.sinks": ".attn.sinks",
    ".mlp.router.": ".mlp.gate.",
    ".mlp.experts.gate_up_proj_bias": ".mlp.mlp1_bias",
    ".mlp.experts.gate_up_proj_": ".mlp.mlp1_weight.",
    ".mlp.experts.down_proj_bias": ".mlp.mlp2_bias",
    ".mlp.experts.down_proj_": ".mlp.mlp2_weight.",
}
"""PARAM_NAME_MAP and Transformer of gpt_oss/torch, the other way round."""


def original(layers: int) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """Return the tensors of the fixture's layers as `original/` has them."""
    found: dict[str, tuple[str, tuple[int, ...] | None]] = {}
    fixture = load("gpt-oss-20b-mxfp4")
    hidden = fixture["config"]["hidden_size"]
    heads, kv_heads = (fixture["config"][f"num_{k}_heads"] for k in ("attention", "key_value"))
    rows = (heads + 2 * kv_heads) * fixture["config"]["head_dim"]
    for name, kind in tensors_of(fixture).items():
        if any(part in name for part in ("q_proj", "k_proj", "v_proj")):
            continue
        for hub, own in NAMES.items():
            name = name.replace(hub, own)
        found[name] = kind
    for layer in range(layers):
        found[f"block.{layer}.attn.qkv.weight"] = ("BF16", (rows, hidden))
        found[f"block.{layer}.attn.qkv.bias"] = ("BF16", (rows,))
    return found


def read(config: dict[str, Any], tensors: Any = None) -> Reading:
    table = None if tensors is None else table_of(tensors)
    return read_model(RawModel("o", "local", "o", config, "config.json", tensors=table))


def test_the_architecture_is_the_bundled_one() -> None:
    reading = read(CONFIG)
    assert (reading.status, reading.unread_keys) == ("computed", ())
    changes = {c.path for c in llmarch.diff(llmarch.load("gpt-oss-20b"), reading)}
    assert changes <= {"dtype"}
    evidence = reading.evidence
    assert evidence["ffns.moe.experts"].ref == "num_experts"
    assert evidence["context_length"].ref == "initial_context_length × rope_scaling_factor"


def test_its_tensors_are_verified() -> None:
    config = load("gpt-oss-20b-mxfp4")["config"]
    own = {**CONFIG, **{k: config[k] for k in CONFIG if k in config}}
    own["num_experts"] = config["num_local_experts"]
    tensors = original(config["num_hidden_layers"])
    reading = read(own, tensors)
    assert [f for f in reading.findings if f.severity != "info"] == []
    assert reading.status == "verified"
    del tensors["block.0.attn.sinks"]
    assert read(own, tensors).status == "conflict"


@pytest.mark.parametrize(
    "changed", [{"num_experts": "many"}, {"hidden_size": 0}, {"initial_context_length": -1}]
)
def test_values_that_make_no_model_are_told(changed: dict[str, Any]) -> None:
    try:
        reading = read(CONFIG | changed)
    except ConfigError:
        return
    assert reading.status == "conflict" or reading.architecture.context_length is None


def test_a_key_that_it_does_not_know_is_unread() -> None:
    assert read(CONFIG | {"odd": 1}).unread_keys == ("odd",)
    few = {k: v for k, v in CONFIG.items() if k != "sliding_window"}
    assert read(few).evidence["mixers.sliding.window"].kind == "default"
