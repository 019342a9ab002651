"""The sentence above `diff`, the names of its columns, and where the models were read."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from helpers.facts import reading

from llmarch.checkpoint.reading import Reading
from llmarch.renderers import markdown
from llmarch.sources.aliases import bundled_models
from llmarch.views.comparison import compare
from llmarch.views.headings import column_names

SENTENCES = {
    "deepseek-v3 kimi-k2": "DeepSeek-V3's architecture with half the query heads, 1.5 × the routed"
    " experts and 12 % fewer active parameters",
    "qwen3-8b qwen3-14b": "Qwen3-8B's architecture with 1.42 × the dense width, 1.25 × the hidden"
    " size and 1.8 × the parameters",
    "deepseek-v3 deepseek-r1": "",
    "kimi-k2.5 kimi-k2.6": "Kimi-K2.5's architecture, stored in another way",
    "llama3-8b llama3.1-8b": "Meta-Llama-3-8B-Instruct's architecture but for scaling and context",
    "deepseek-v3 deepseek-v3.2": "DeepSeek-V3's architecture with sparse MLA instead of MLA and"
    " 2.3 % more active parameters",
    "qwen3-8b qwen3-30b-a3b": "Qwen3-8B's architecture with a mixture of 128 experts, half the"
    " hidden size, half the KV heads and 3.73 × the parameters",
    "mixtral-8x7b mistral-7b": "Mixtral-8x7B-v0.1's architecture with window 4,096, dense blocks"
    " instead of 8 experts and 0.155 × the parameters",
    "gpt2 llama3-8b": "Meta-Llama-3-8B-Instruct is another design than gpt2: GQA instead of MHA,"
    " RMSNorm instead of LayerNorm with bias, RoPE instead of learned positions, 5.33 × the hidden"
    " size, 4.67 × the dense width and 64.5 × the parameters",
}


@pytest.mark.parametrize("aliases", SENTENCES)
def test_a_sentence_says_how_the_second_model_differs(aliases: str) -> None:
    document = compare([reading(alias) for alias in aliases.split()])
    assert document.headline == SENTENCES[aliases]


def test_every_pair_that_differs_has_a_sentence() -> None:
    choose = random.Random(21)
    aliases = sorted(bundled_models())
    for _ in range(100):
        pair = [reading(alias) for alias in choose.sample(aliases, 2)]
        document = compare(pair)
        assert bool(document.headline) is bool(document.table.rows), document.headline
        assert "\n" not in document.headline and "–" not in document.headline


def test_more_models_have_no_sentence() -> None:
    assert compare([reading(a) for a in ("qwen3-8b", "qwen3-14b", "qwen3-32b")]).headline == ""


def revision(r: Reading, **fields: str | None) -> Reading:
    return replace(r, raw=replace(r.raw, kind="hub", **fields))


def test_columns_are_told_apart() -> None:
    """Revisions, commits, repositories and copies of one name; and one model given twice."""
    r = reading("qwen3-8b")
    assert column_names([revision(r, revision="v1"), revision(r, revision="v2")]) == [
        "Qwen3-8B@v1",
        "Qwen3-8B@v2",
    ]
    commits = [revision(r, commit="a" * 40), revision(r, commit="b" * 40)]
    assert column_names(commits) == ["Qwen3-8B@aaaaaaa", "Qwen3-8B@bbbbbbb"]
    owners = [revision(r, repo_id="Qwen/Qwen3-8B"), revision(r, repo_id="acme/Qwen3-8B")]
    assert column_names(owners) == ["Qwen/Qwen3-8B", "acme/Qwen3-8B"]
    copy = replace(r, raw=replace(r.raw, kind="local", reference="./Qwen3-8B", repo_id=None))
    assert len(set(column_names([r, copy]))) == 2
    twice = replace(copy, raw=replace(copy.raw, reference="/other/Qwen3-8B"))
    assert column_names([copy, twice]) == ["./Qwen3-8B (local)", "/other/Qwen3-8B (local)"]
    assert column_names([r, r, reading("gpt2")]) == ["Qwen3-8B", "Qwen3-8B (2)", "gpt2"]
    assert compare([r, r]).table.columns[1:3] == ["Qwen3-8B", "Qwen3-8B (2)"]


def test_origins_have_release_and_address() -> None:
    document = compare([reading("deepseek-v3"), reading("kimi-k2")])
    assert document.origins[0] == (
        "DeepSeek-V3",
        "deepseek-ai/DeepSeek-V3 · deepseek_v3 · bundled spec · released 2024-12"
        " · https://huggingface.co/deepseek-ai/DeepSeek-V3",
    )
    assert "released 2025-07" in markdown.comparison(document)


def test_caches_are_compared_at_one_length() -> None:
    rows = compare([reading("qwen3-next"), reading("kimi-linear")]).table.rows
    cells = {row[0]: row[1:] for row in rows}
    assert cells["at 256k"] == ["6.07 GiB", "2.01 GiB", "× 0.331"]
    labels = [row[0] for row in compare([reading("gpt2"), reading("llama3-8b")]).table.rows]
    assert labels.index("at 1k") < labels.index("at 4k") < labels.index("at its most")


def test_a_factor_that_a_model_does_not_have_is_1() -> None:
    rows = compare([reading("gemma3-27b"), reading("qwen3-8b")]).table.rows
    cells = {row[0]: row[1:3] for row in rows}
    assert cells["embedding scale"] == ["73.3212", "1"]


def test_what_the_sentence_leaves_out_is_counted() -> None:
    """A further difference is in the sentence, or one more is counted."""
    first, second = reading("deepseek-v3"), reading("kimi-k2")
    before = compare([first, second])
    a = second.architecture
    edits = {
        "vocab_size": replace(a, vocab_size=a.vocab_size + 64),
        "context_length": replace(a, context_length=(a.context_length or 0) * 2),
        "embedding scale": replace(a, embedding=replace(a.embedding, scale=3.0)),
    }
    for edit, edited in edits.items():
        after = compare([first, replace(second, architecture=edited)])
        told_more = after.headline != before.headline
        assert told_more or after.untold == before.untold + (edit == "embedding scale"), edit
        assert f"{after.untold} more differences of design" in after.summary
    assert compare([first, first]).untold == 0
