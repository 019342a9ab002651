"""What happened to published models, and what the gate says of it: the story a maintainer tells."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import llmarch
from llmarch.checkpoint.reading import read_model
from llmarch.compare.gate import judge
from llmarch.compare.lock import Entry, make_entry
from llmarch.compare.policy import Policy
from llmarch.compare.report import Report, Verdict, change_line, change_meaning
from llmarch.sources.raw import RawModel

Config = dict[str, Any]
Edit = Callable[[Config], None]


def config_of(alias: str) -> Config:
    config = llmarch.load(alias).raw.config
    assert config is not None
    return copy.deepcopy(config)


def entry(config: Config) -> Entry:
    return make_entry(read_model(RawModel("org/model", "local", "model", config, "config.json")))


def judged(alias: str, before: Edit, after: Edit, status: Any = "computed") -> Verdict:
    """Compare a bundled config with itself, each edited."""
    configs = config_of(alias), config_of(alias)
    before(configs[0])
    after(configs[1])
    old, new = map(entry, configs)
    return judge(old, replace(new, status=status), Policy())


def setting(**values: Any) -> Edit:
    return lambda config: config.update(values)


def as_it_is(config: Config) -> None:
    """Leave a config as it is published."""


def lines(verdict: Verdict) -> list[str]:
    return [change_line(change) for change in verdict.changes]


def passes(verdict: Verdict) -> bool:
    return Report((verdict,), "behaviour").exit_code == 0


# Mixtral-8x7B-Instruct: sliding_window 4096 -> null (transformers#28068)


def test_the_window_of_mixtral() -> None:
    verdict = judged("mixtral-8x7b", setting(sliding_window=4096), setting(sliding_window=None))
    assert lines(verdict) == [
        "behaviour: window-changed: mixers.sliding.window: 4,096 → none (sliding_window)"
    ]
    assert change_meaning(verdict.changes[0]) == (
        "window size changed: it loads, and answers differently"
    )
    assert not passes(verdict)


# Gemma-2-9B: query_pre_attn_scalar 224 -> 256 (llama.cpp#8444, transformers#31891)


def test_the_scalar_of_gemma_2() -> None:
    verdict = judged("gemma2-9b", setting(query_pre_attn_scalar=224), as_it_is)
    assert lines(verdict) == [
        "behaviour: softmax-scale-changed: mixers.sliding.scale: 0.0668153 → 0.0625 in 2 mixers"
        " (query_pre_attn_scalar 224 → 256)"
    ]
    assert verdict.changes[0].paths == ("mixers.sliding.scale", "mixers.full.scale")


# Llama-3.1-405B: 16 KV heads -> 8, with the weights uploaded again (ollama#5957)

LARGE = {
    "hidden_size": 16_384,
    "intermediate_size": 53_248,
    "num_attention_heads": 128,
    "num_hidden_layers": 126,
}


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("verified", "the model loads, but older weights and adapters do not fit it"),
        ("conflict", "the checkpoint no longer loads"),
        ("computed", "older weights and adapters do not fit"),
    ],
)
def test_the_kv_heads_of_llama_3_1(status: str, meaning: str) -> None:
    before = setting(**LARGE, num_key_value_heads=16)
    verdict = judged("llama3.1-70b", before, setting(**LARGE, num_key_value_heads=8), status)
    assert lines(verdict) == [
        "weights: kv-heads-changed: mixers.full.kv_heads: 16 → 8 (num_key_value_heads)"
    ]
    assert change_meaning(verdict.changes[0]) == f"number of KV heads changed: {meaning}"


# Phi-3: the type of its RoPE scaling su -> longrope (vllm#5595)


def test_the_rope_type_of_phi_3() -> None:
    def older(config: Config) -> None:
        config["rope_scaling"] = {**config["rope_scaling"], "type": "su"}

    verdict = judged("phi-3.5-mini", older, as_it_is)
    assert verdict.changes == () and passes(verdict)


# CodeLlama, WizardCoder-Python: rope_theta 1e6 that was not read (vllm#998)


def test_the_base_of_codellama() -> None:
    verdict = judged("llama2-7b", as_it_is, setting(rope_theta=1e6))
    assert lines(verdict) == [
        "behaviour: rope-theta-changed: mixers.full.rope.theta: 10,000 → 1,000,000"
        " (rope_theta absent → 1,000,000)"
    ]


# Llama-3-8B-Instruct: eos_token_id 128001 -> [128001, 128009] (vllm#4180)


def test_the_eos_ids_of_llama_3() -> None:
    """The architecture is the same, so that no build stops."""
    eos = [128_001, 128_009]
    verdict = judged("llama3-8b", as_it_is, setting(eos_token_id=eos))
    assert {change.severity for change in verdict.changes} <= {"info"} and passes(verdict)


# Gemma-2B: hidden_act gelu, which meant its tanh form -> hidden_activation (transformers#29402)


def test_the_activation_of_gemma() -> None:
    verdict = judged("gemma-2b", as_it_is, setting(hidden_activation="gelu_pytorch_tanh"))
    assert verdict.changes == () and passes(verdict)


# Ministral-3-8B, merged: tie true on top, false below (vllm#51063)


def test_the_tie_flags_of_ministral() -> None:
    verdict = judged("ministral3-8b", as_it_is, setting(tie_word_embeddings=True))
    rules = [(change.rule, change.path, change.severity) for change in verdict.changes]
    assert ("config-contradiction", "text_config.tie_word_embeddings", "behaviour") in rules
    assert "tie_word_embeddings is true, but text_config.tie_word_embeddings is false" in " ".join(
        lines(verdict)
    )
    assert not passes(verdict)


# Others of the same kind


def test_modules_that_are_not_announced_any_more() -> None:
    verdict = judged("deepseek-v3", as_it_is, setting(num_nextn_predict_layers=0))
    assert lines(verdict) == [
        "info: mtp-changed: mtp: 1 module → none (num_nextn_predict_layers 1 → 0)"
    ]


def test_one_clamp_of_step() -> None:
    limits = config_of("step-3.5-flash")["swiglu_limits"]
    number = next(i for i, limit in enumerate(limits) if limit)
    other = [*limits[:number], 99.0, *limits[number + 1 :]]
    verdict = judged("step-3.5-flash", as_it_is, setting(swiglu_limits=other))
    assert lines(verdict) == [
        "behaviour: activation-clamp-changed: ffns.moe_clamped.clamp: 7 → 99 (swiglu_limits)"
    ]


def test_windows_on_some_layers() -> None:
    verdict = judged("qwen2.5-7b", as_it_is, setting(use_sliding_window=True, sliding_window=4096))
    found = [(change.rule, change.path, change.severity) for change in verdict.changes]
    assert found == []  # max_window_layers is the number of layers
    after = setting(use_sliding_window=True, sliding_window=4096, max_window_layers=10)
    verdict = judged("qwen2.5-7b", as_it_is, after)
    assert lines(verdict)[0] == (
        "behaviour: window-changed: mixers.sliding.window: none → 4,096"
        " (sliding_window 131,072 → 4,096)"
    )
    assert {change.severity for change in verdict.changes} == {"behaviour"}
