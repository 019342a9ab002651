"""What `show` says of a model: each mixer and each expert block with its own facts, and every fact
with --all."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from helpers.facts import reading

import llmarch
from llmarch.architecture.layers import mixer_names
from llmarch.architecture.paths import replace_value
from llmarch.architecture.schema import RopeScaling
from llmarch.sources.aliases import bundled_models
from llmarch.views import attention, feed_forward, model, tables
from llmarch.views.evidence import value_in
from llmarch.views.exact_values import exact_text
from llmarch.views.model import model_sheet
from llmarch.views.wording import pattern

SPECS = sorted(bundled_models())


def lines(alias: str) -> dict[str, list[str]]:
    return dict(model.model_sheet(llmarch.load(alias)).lines)


SHOWN: dict[tuple[str, str], list[str]] = {
    ("llama4-scout", "Attention"): [
        "GQA, 40 query : 8 KV heads, head dim 128, no bias",
        "chunks of 8,192 on 36 layers · QK-norm: RMSNorm per head, after RoPE, no weight",
        "full, NoPE on 12 layers · queries × (1 + 0.1 ln(1 + ⌊(pos + 1) / 8,192⌋))",
    ],
    ("glm-5.2", "Attention"): [
        "sparse MLA, 64 heads · latent ranks q 2,048, kv 512",
        "head dims: 192 + 64 rotary for q and k, 256 for v",
        "latent norms ε 1e-6",
        "own index on 21 layers · lightning indexer: 32 heads × 128, reads the best 2,048 tokens",
        "an earlier layer's index on 57 layers",
    ],
    ("gemma3n-e2b", "Attention"): [
        "GQA, 8 query : 2 KV heads, head dim 256, no bias",
        "QK-norm: RMSNorm per head, before RoPE",
        "values: RMSNorm without weight · softmax scale 1",
        "sliding window 512 on 16 layers · full on 4 layers",
        "sliding window 512 on 8 layers · keys and values of sliding",
        "full on 2 layers · keys and values of full",
    ],
    ("gemma4-e2b", "Attention"): [
        "MQA, 8 query : 1 KV head, head dim 256, no bias · 28 layers",
        "sliding window 512 on 12 layers",
        "sliding window 512 on 16 layers · keys and values of sliding",
        "MQA, 8 query : 1 KV head, head dim 512, no bias · 7 layers",
        "full on 3 layers",
        "full on 4 layers · keys and values of full",
        "QK-norm: RMSNorm per head, before RoPE · all layers",
        "values: RMSNorm without weight · softmax scale 1 · all layers",
    ],
    ("mimo-v2-flash", "Attention"): [
        "GQA, 64 query : 4 KV heads, head dim K 192, V 128, no bias · 9 layers",
        "GQA, 64 query : 8 KV heads, head dim K 192, V 128, no bias · 39 layers",
        "one attention sink per query head",
        "sliding window 129",
        "values × 0.707 · all layers",
    ],
    ("kimi-linear", "Attention"): [
        "Kimi Delta Attention, 32 heads, head dim 128 · 20 layers",
        "decay learned per channel · short conv 4 · sigmoid output gate",
        "MLA, 32 heads · latent ranks q full rank, kv 512 · 7 layers",
        "head dims: 128 + 64 shared for q and k, 128 for v",
        "latent norms ε 1e-6",
    ],
    ("minimax-m1", "Norm"): [
        "RMSNorm (ε 1e-5), post-norm (the stream continues from the norm)",
        "stream × 3.55656",
    ],
    ("gemma3n-e2b", "Feed-forward"): [
        "GeGLU (tanh), width 8,192, only the highest 5 % of the gate pass · 10 layers",
        "GeGLU (tanh), width 8,192 · 20 layers",
        "Laurel: two matrices of rank 64 beside attention, added to their input",
        "per-layer input: GELU (tanh), width 256",
    ],
    ("minimax-m3", "Feed-forward"): ["SwiGLU, α 1.702, up + 1, width 12,288, clamped at 7"],
    ("deepseek-v4-flash", "MoE"): [
        "256 routed, top-6, width 2,048 · shared: 1 of width 2,048",
        "√softplus router with selection bias, weights of the chosen 6 renormalised, × 1.5",
        "experts: SwiGLU, clamped at 10",
        "√softplus router, a table of 129,280 token ids names the experts · 3 layers",
    ],
    ("step-3.5-flash", "MoE"): [
        "288 routed, top-8, width 1,280 · shared: 1 of width 1,280",
        "sigmoid router with selection bias, weights of the chosen 8 renormalised, × 3",
        "experts: SwiGLU",
        "experts: SwiGLU, clamped at 7 (shared 16) after the activation · 2 layers",
    ],
    ("kimi-k2-thinking", "Position"): [
        "RoPE θ 50,000, 64 of 192 dims, interleaved, YaRN × 64 from 4,096 (β fast 1)"
        " · every attention layer",
        "context 262,144",
        "uncertain: scaling parameters",
        "derived: context",
    ],
}
"""Lines of `show` in full, by model and label: facts that only some layers have, or rare ones."""


@pytest.mark.parametrize(("alias", "label"), SHOWN, ids="-".join)
def test_each_mixer_and_block_has_its_own_facts(alias: str, label: str) -> None:
    assert lines(alias)[label] == SHOWN[alias, label]


def test_factors_name_their_step() -> None:
    """Only the step of attention and Laurel is scaled in Gemma 3n; all steps of Granite are."""
    assert lines("gemma3n-e2b")["Norm"][-1] == "blocks and stream × 0.707107 (attention ∥ Laurel)"
    assert lines("granite-4.1-8b")["Norm"][-1] == "blocks × 0.22"
    assert len(lines("qwen3-8b")["Norm"]) == 1


@pytest.mark.parametrize("alias", SPECS)
def test_no_detail_of_a_mixer_is_lost_or_given_to_another(alias: str) -> None:
    """A detail stands in a line of its own mixer, of the whole heading, or of all layers."""
    a = llmarch.load(alias).architecture
    used = list(dict.fromkeys(name for kind in a.layers for name in mixer_names(a, kind)))
    details = {name: attention.mixer_details(a, a.mixers[name]) for name in used}
    headings = {name: attention.mixer_heading(a.mixers[name]) for name in used}
    shown = attention.attention_lines(a)
    for heading in dict.fromkeys(headings.values()):
        start = next(i for i, line in enumerate(shown) if line.startswith(heading))
        others = [h for h in headings.values() if h != heading]
        end = next(
            (i for i in range(start + 1, len(shown)) if shown[i].startswith(tuple(others))),
            len(shown),
        )
        block = shown[start + 1 : end]
        mixers = [name for name in used if headings[name] == heading]
        for name in mixers:
            for detail in details[name]:
                holders = [other for other in mixers if detail in details[other]]
                found = [line for line in [*block, *shown] if detail in line.split(" · ")]
                assert found, f"{detail} of {name}"
                if len(holders) < len(mixers):
                    count = attention.layers_by_mixer(a)[name]
                    assert any(f"on {count} layers · " in line for line in found), detail


@pytest.mark.parametrize("alias", SPECS)
def test_experts_and_dense_blocks_have_an_activation(alias: str) -> None:
    a = llmarch.load(alias).architecture
    shown = [*feed_forward.moe_lines(a), *feed_forward.dense_lines(a)]
    for name in feed_forward.layers_by_ffn(a):
        f = a.ffns[name]
        if not (f.kind == "dense" and f.own_skip):
            activation = feed_forward.activation_words(f)[0]
            assert any(activation in line for line in shown), name


def test_details_of_a_scaling_are_the_unusual_ones() -> None:
    usual = RopeScaling(
        kind="yarn", factor=4, beta_fast=32, beta_slow=1, mscale=0.7, mscale_all_dim=0.7
    )
    assert attention.scaling_details(usual) == ""
    unusual = replace(usual, beta_slow=2, mscale=1, truncate=False)
    assert attention.scaling_details(unusual) == (
        " (β slow 2, mscale 1, mscale_all_dim 0.7, range not rounded)"
    )


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (168**-0.5, "0.0771517 (1/√168)"),
        (1 / 128, "0.0078125 (1/128)"),
        (0.135234, "0.135234"),
        (1.0, "1"),
        (0.0, "0"),
        (1e-300, "1e-300"),
    ],
)
def test_softmax_scales(scale: float, words: str) -> None:
    assert attention.scale_word(scale) == words


# show --all


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case None:
            return 1
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return (*value[:-1], "another")


@pytest.mark.parametrize("alias", SPECS)
def test_every_fact_is_shown(alias: str) -> None:
    """The table of --all has every fact with its label, and no two values look the same."""
    reading = llmarch.load(alias)
    table = tables.fact_table(reading)
    assert [row[0] for row in table.rows] == paths(asdict(reading.architecture))
    shown = {row[0] for row in table.rows} | {"towers.vision.stages"}  # one evidence, many facts
    assert shown >= set(reading.evidence)
    document = asdict(reading.architecture)
    for path, label, text in table.rows:
        value = value_in(document, path)
        assert label and text.startswith(exact_text(value)), path
        assert exact_text(changed(value)) != exact_text(value), path


def paths(value: Any, at: str = "") -> list[str]:
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], (dict, tuple)):
        items = [(str(i), v) for i, v in enumerate(value)]
    else:
        return [at]
    return [p for k, v in items for p in paths(v, f"{at}.{k}" if at else k)]


def test_all_adds_a_table(run: Any) -> None:
    out, _ = run("show", "qwen3-8b", "--all")
    assert "mixers.full.kv_heads" in out and "layer_kinds.full.steps.0.branches.0.block" in out
    assert "mixers.full.kv_heads" in run("show", "qwen3-8b", "--all", "-f", "markdown")[0].replace(
        "\\", ""
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("aaabaaab", "3 a : 1 b"),
        ("aaabaaabaab", "3 a : 1 b, the last group 2 : 1"),
        ("aaabaaabaa", "3 a : 1 b, the last group 2 a"),
        ("aaabaaabaaaab", "3 a : 1 b, the last group 4 : 1"),
        ("aaabaabaaab", None),
        ("aaabaaabb", None),
        ("aaaa", None),
        ("", None),
    ],
)
def test_a_pattern_says_how_its_last_group_differs(names: str, expected: str | None) -> None:
    a = llmarch.load("gemma3-27b").architecture
    mixers = dict.fromkeys("ab", a.mixers["full"])
    kinds = {}
    for name in "ab":
        kind = a.layer_kinds["full"]
        first, *rest = kind.steps
        branch = replace(first.branches[0], block=f"mixers.{name}")
        kinds[name] = replace(kind, steps=(replace(first, branches=(branch,)), *rest))
    a = replace(a, mixers=mixers, layer_kinds=kinds, layers=tuple(names))
    assert pattern(a) == expected


@pytest.mark.parametrize(
    ("alias", "path", "value"),
    [
        ("mpt-7b", "mixers.full.alibi", 9.0),
        ("gemma4-26b", "mixers.full.rope.span", 256),
        ("qwen3-vl-8b", "mixers.full.rope.sections", (20, 20, 24)),
    ],
)
def test_plain_show_has_details_of_positions(alias: str, path: str, value: object) -> None:
    old = reading(alias)
    new = replace(old, architecture=replace_value(old.architecture, path, value))
    assert model_sheet(new) != model_sheet(old)


@pytest.mark.parametrize(
    ("alias", "line"),
    [
        ("deepseek-v3", "the maker says 37 B active: without the input embedding"),
        ("gpt-oss-120b", "the maker says 5.1 B active: without the input embedding"),
        (
            "minimax-m2",
            "the maker says 10 B active: without the input embedding or without embedding and head",
        ),
        ("llama4-scout", "the maker says 17 B active: with embedding and head"),
        (
            "longcat-flash",
            "the maker says 27 B active: nearest is 30.57 B without embedding and head",
        ),
    ],
)
def test_what_the_maker_says_is_one_of_our_counts(alias: str, line: str) -> None:
    assert line in lines(alias)["Parameters"]


def test_a_figure_that_nobody_states_is_not_told() -> None:
    for alias in ("qwen3-8b", "olmoe-1b-7b"):
        assert not any(" say" in line for line in lines(alias)["Parameters"])
