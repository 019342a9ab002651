"""Whatever a header holds: nothing raises, and a changed checkpoint is not clean."""

from __future__ import annotations

from functools import cache

from helpers.checkpoint_fixtures import (
    Tensors,
    load,
    read,
    table_of,
    tensors_of,
    verify_headers,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from llmarch.architecture.schema import Architecture
from llmarch.checkpoint.inference.model import infer_model
from llmarch.sources.raw import DTYPE_BITS
from llmarch.tensors.template import TensorRow

SMALL = (
    "qwen3-0.6b-reduced-fp8-block",
    "qwen3-0.6b-reduced-gptq",
    "qwen3-0.6b-reduced-mlx-4bit",
    "qwen3-0.6b-reduced-bnb-nf4",
    "qwen3-30b-a3b-reduced-fused",
    "kimi-k2-thinking-reduced-compressed-int4",
    "deepseek-v3-fp8-mtp-reduced",
    "mistral-large-3-reduced-native-fp8",
    "minimax-m1-reduced",
    "qwen3-next-reduced-mtp",
)
shapes = st.lists(st.integers(0, 9000), max_size=4).map(tuple)
dtypes = st.sampled_from([*DTYPE_BITS, "", "NEW"])
WORDS = """
model language_model layers 0 1 7 self_attn mlp experts 12 gate_up_proj down_proj q_proj
kv_b_proj weight bias weight_scale scales qweight mtp shared_head vision_tower lm_head norm
embed_tokens weight_packed experts.w1 switch_mlp absmax"""
words = st.sampled_from(WORDS.split())
names = st.lists(words, min_size=1, max_size=7).map(".".join) | st.text(max_size=20)


@cache
def known(name: str) -> tuple[Architecture, list[TensorRow], Tensors]:
    fixture = load(name)
    return (*read(fixture["config"]), tensors_of(fixture))


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(SMALL), data=st.data())
def test_a_checkpoint_with_anything_changed(name: str, data: st.DataObject) -> None:
    architecture, rows, tensors = known(name)
    changed = dict(tensors)
    there = sorted(changed)
    for victim in data.draw(
        st.lists(st.sampled_from(there), max_size=6, unique=True), label="gone"
    ):
        del changed[victim]
    for victim in data.draw(st.lists(st.sampled_from(there), max_size=4), label="changed"):
        changed[victim] = (data.draw(dtypes), data.draw(shapes | st.none()))
    changed |= {
        n: (data.draw(dtypes), data.draw(shapes))
        for n in data.draw(st.lists(names, max_size=6, unique=True), label="new")
    }
    c = verify_headers(architecture, rows, table_of(changed))
    assert all(f.message for f in c.findings)
    assert all(c.confirmed.values())
    if changed == tensors:
        assert c.status == "verified"
    elif c.status == "verified":
        assert all(f.severity == "info" for f in c.findings)
    infer_model(table_of(changed), load(name)["config"])


@settings(max_examples=150, deadline=None)
@given(tensors=st.dictionaries(names, st.tuples(dtypes, shapes | st.none()), max_size=12))
def test_any_header_at_all(tensors: Tensors) -> None:
    architecture, rows, _ = known("qwen3-0.6b-reduced-fp8-block")
    c = verify_headers(architecture, rows, table_of(tensors))
    assert c.status == "conflict"
    assert all(c.confirmed.values())
    o = infer_model(table_of(tensors))
    assert o.total is None or o.total >= 0


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(SMALL), data=st.data())
def test_a_lost_weight_is_never_overlooked(name: str, data: st.DataObject) -> None:
    """Every tensor with values and every scale that a format needs; MTP modules may be absent."""
    architecture, rows, tensors = known(name)
    optional = (
        "mtp.",
        "model.layers.5.",
        "g_idx",
        "qzeros",
        "biases",
        "weight_shape",
        "quant",
        "nested",
    )
    victim = data.draw(
        st.sampled_from([n for n in sorted(tensors) if not any(o in n for o in optional)])
    )
    c = verify_headers(
        architecture, rows, table_of({n: v for n, v in tensors.items() if n != victim})
    )
    assert c.status == "conflict"
