"""Qwen2 (and 1.5, 2.5): Llama's blocks with biases on q, k and v; dense (`qwen2`) or MoE with a gated shared expert (`qwen2_moe`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..vocabulary import (
    Config,
    Fact,
    Family,
    MoE,
    Naming,
    Node,
    Router,
    activation,
    attention,
    decoder,
    dense,
    derived,
    make,
    modeling,
    moe_parts,
    sliding_layers,
    wire,
)


def read(c: Config) -> Node:
    n = c.layer_count().value
    first = c.size("max_window_layers", least=0).value
    c.stated("use_mrope", False)
    if c.model_type == "qwen2":
        mixers, of, how = windows(c, attention(c, qkv_bias=True), n, lambda i: i >= first, "sliding from layer max_window_layers on")
        return decoder(c, mixers=mixers, ffns={"dense": dense(c)}, **wire([(m, "dense") for m in of], how))
    full = attention(c, qkv_bias=c.flag("qkv_bias"))
    mixers, of, how = windows(c, full, n, lambda i: i % 2 == 0 and i < first, "sliding on even layers below max_window_layers")
    return decoder(c, mixers=mixers, **mixture(c, of, how, moe))


def moe(c: Config, normalized: object = None) -> Node:
    """`normalized` takes the place of the key."""
    return make(
        MoE,
        experts=c.size("num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=activation(c),
        shared_experts=1,
        shared_width=c.size("shared_expert_intermediate_size"),
        shared_gate=True,
        router=make(Router, scoring="softmax", normalized=c.flag("norm_topk_prob") if normalized is None else normalized),
    )


def windows(c: Config, full: Node, n: int, rule: Callable[[int], bool], words: str) -> tuple[dict[str, Node], list[str], Fact]:
    """The mixers, each layer's, and why: only with use_sliding_window some layers slide, by layer_types or by the class's `rule`."""
    use, window = c.flag("use_sliding_window"), c.or_null(c.size, "sliding_window", least=0)
    on = use.value and bool(window.value)
    of, how = sliding_layers(c, n, lambda i: on and rule(i), words if on else "use_sliding_window is false: every layer is full")
    if not on:
        of = ["full"] * n
    mixers = {"full": full, "sliding": full.but(window=window)}
    return {m: mixers[m] for m in mixers if m in of}, of, how


def mixture(c: Config, of: list[str], how: Fact, moe: Callable[[Config], Node]) -> dict[str, Any]:
    """FFNs and wiring: sparse unless in mlp_only_layers, and where (i + 1) is a multiple of decoder_sparse_step."""
    only = set(c.items("mlp_only_layers", default=[], of=int).value)
    step = c.size("decoder_sparse_step").value
    sparse = ["dense" if i in only or (i + 1) % step else "moe" for i in range(len(of))]
    how = derived(None, f"decoder_sparse_step, mlp_only_layers; {how.evidence.ref}")
    blocks = {"moe": moe, "dense": dense}
    ffns = {name: block(c) for name, block in blocks.items() if name in sparse}
    c.ignore("intermediate_size", *(() if "moe" in sparse else EXPERTS))
    return {"ffns": ffns, **wire(list(zip(of, sparse, strict=True)), how)}


EXPERTS = (
    "num_experts",
    "num_local_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "norm_topk_prob",
)
DENSE = {
    "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28,
}  # fmt: skip

FAMILY = Family(
    name="qwen2",
    title="Qwen2",
    ref=modeling("qwen2"),
    refs={"qwen2_moe": modeling("qwen2_moe")},
    read=read,
    naming=Naming(blocks={MoE: moe_parts(shared="shared_expert")}),
    defaults={
        "qwen2": DENSE,
        "qwen2_moe": DENSE | {"num_key_value_heads": 16, "qkv_bias": True, "norm_topk_prob": False, "decoder_sparse_step": 1},
    },
    config_class={"qwen2": "Qwen2Config", "qwen2_moe": "Qwen2MoeConfig"},
)
