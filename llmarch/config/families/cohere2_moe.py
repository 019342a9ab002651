"""Command A+: Cohere 2's attention beside a MoE, after a few layers with an MLP."""

from __future__ import annotations

from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..evidence import Draft, Sourced, derived, derived_from, draft
from ..findings import quoted, refused_by_transformers
from ..vocabulary import ConfigKeys, Family, modeling


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    ffns = _ffn_layers(c)
    layers = _attention_layers(c, ffns)
    readers = {"full": _full, "full_rope": _rotated, "sliding": _sliding}
    norm = blocks.layer_norm(c, "layer_norm_eps", bias=False)
    if c.number("rms_norm_eps", default=None).value is not None:
        norm = blocks.rms_norm(c)
    pairs = list(zip(layers.value, ffns.value, strict=True))
    kinds = {f"{m}_{f}": _parallel(c, m, f) for m, f in dict.fromkeys(pairs)}
    return blocks.decoder(
        c,
        head=draft(s.Head, scale=c.number("logit_scale")),
        norms={"norm": norm},
        final_norm="norm",
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns=blocks.read_used_blocks(c, {"dense": _dense, "moe": _moe}, ffns.value),
        layer_kinds=kinds,
        layers=derived_from([f"{m}_{f}" for m, f in pairs], layers, ffns),
    )


def _ffn_layers(c: ConfigKeys) -> Sourced:
    """Read which layers have a MoE."""
    first = c.size("first_k_dense_replace", least=0, default=0)
    return blocks.moe_layers(c, lambda i: i >= first.value, first)


def _attention_layers(c: ConfigKeys, ffns: Sourced) -> Sourced:
    """Read which layers slide. Full ones of the dense prefix may have RoPE, the others have none.

    ffns: the name of each layer's feed-forward block.
    """
    first = c.size("first_k_dense_replace", least=0, default=0).value
    prefix = c.size("prefix_dense_sliding_window_pattern").value
    every = c.size("sliding_window_pattern").value

    def slides(i: int) -> bool:
        if i < first:
            return (i + 1) % prefix != 0
        return (i - first + 1) % every != 0

    layers = blocks.sliding_layers(c, slides, f"every {every}th layer is full, the others slide")
    if prefix != 1:
        return layers
    pairs = zip(layers.value, ffns.value, strict=True)
    names = ["full_rope" if pair == ("full", "dense") else pair[0] for pair in pairs]
    return derived_from(names, layers, ffns)


def _parallel(c: ConfigKeys, mixer: str, ffn: str) -> Draft:
    """Return a kind of layer; with shared experts the mean of both outputs is added."""
    halved = ffn == "moe" and c.size("num_shared_experts", least=0).value > 0
    strategy = c.word("shared_expert_combination_strategy").value
    scale: Any = 1.0
    if halved and strategy == "average":
        scale = derived(0.5, "shared_expert_combination_strategy: average")
    branches = [
        draft(s.Branch, block=f"mixers.{mixer}"),
        draft(s.Branch, block=f"ffns.{ffn}", scale=scale),
    ]
    return draft(s.LayerKind, steps=[draft(s.Step, branches=branches, pre_norm="norm")])


def _full(c: ConfigKeys) -> Draft:
    """Read attention over everything, without RoPE."""
    return blocks.attention(c, rope=None, **blocks.attention_biases(c))


def _rotated(c: ConfigKeys) -> Draft:
    """Read attention over everything, with RoPE."""
    return blocks.attention(c, interleaved=True, **blocks.attention_biases(c))


def _sliding(c: ConfigKeys) -> Draft:
    """Read attention with a window."""
    return _rotated(c).replace(window=c.optional(c.size, "sliding_window"))


def _dense(c: ConfigKeys) -> Draft:
    """Read the MLP of the first layers."""
    return blocks.dense(c).replace(
        width=c.size("prefix_dense_intermediate_size", default=c.size("intermediate_size"))
    )


def _moe(c: ConfigKeys) -> Draft:
    """Read the MoE, whose shared experts are as wide as routed ones."""
    choice = c.word("expert_selection_fn").value
    if choice not in ("sigmoid", "softmax"):
        problem = f"is {quoted(choice)}; sigmoid or softmax is needed"
        refused_by_transformers(c, "expert_selection_fn", problem, choice)
    if choice == "sigmoid":
        router = draft(s.Router, scoring="sigmoid", normalized=c.flag("norm_topk_prob"))
    else:
        c.ignore("norm_topk_prob")
        router = draft(s.Router, scoring="softmax_chosen", normalized=True)
    shared = blocks.shared_experts(c, "num_shared_experts", width="intermediate_size")
    return blocks.moe(c, router, experts=("num_experts",), width="intermediate_size", **shared)


FAMILY = Family(
    name="cohere2_moe",
    title="Cohere MoE",
    ref=modeling("cohere2_moe"),
    read=read,
    naming=tensors.Naming(norms=("input_layernorm",)),
    conversions={"cohere2_moe": tensors.EXPERT_CONVERSION},
    defaults={
        "cohere2_moe": {
            "attention_bias": False,
            "expert_selection_fn": "softmax",
            "head_dim": 128,
            "hidden_act": "silu",
            "intermediate_size": 22528,
            "layer_norm_eps": 1e-5,
            "logit_scale": 0.0625,
            "max_position_embeddings": 8192,
            "norm_topk_prob": True,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "num_shared_experts": 0,
            "prefix_dense_sliding_window_pattern": 1,
            "rope_theta": 10000.0,
            "shared_expert_combination_strategy": "average",
            "sliding_window": 4096,
            "sliding_window_pattern": 4,
            "tie_word_embeddings": True,
        },
    },
    config_class={"cohere2_moe": "Cohere2MoeConfig"},
)
