"""Qwen2 (and 1.5, 2.5): Llama's blocks with biases on q, k and v; dense (`qwen2`) or MoE with a gated shared expert (`qwen2_moe`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import tensors
from ...architecture import schema as s
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    first = c.size("max_window_layers", least=0).value
    c.expect("use_mrope", False)
    if c.model_type == "qwen2":
        mixers, of, how = windows(
            c,
            blocks.attention(c, qkv_bias=True),
            n,
            lambda i: i >= first,
            "sliding from layer max_window_layers on",
        )
        return blocks.decoder(
            c,
            mixers=mixers,
            ffns={"dense": blocks.dense(c)},
            **blocks.layer_wiring([(m, "dense") for m in of], how),
        )
    full = blocks.attention(c, qkv_bias=c.flag("qkv_bias"))
    mixers, of, how = windows(
        c,
        full,
        n,
        lambda i: i % 2 == 0 and i < first,
        "sliding on even layers below max_window_layers",
    )
    return blocks.decoder(c, mixers=mixers, **mixture(c, of, how, moe))


def moe(c: ConfigKeys, normalized: object = None) -> Draft:
    """`normalized` takes the place of the key."""
    return draft(
        s.MoE,
        experts=c.size("num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=blocks.activation(c),
        shared_experts=1,
        shared_width=c.size("shared_expert_intermediate_size"),
        shared_gate=True,
        router=draft(
            s.Router,
            scoring="softmax",
            normalized=c.flag("norm_topk_prob") if normalized is None else normalized,
        ),
    )


def windows(
    c: ConfigKeys, full: Draft, n: int, rule: Callable[[int], bool], words: str
) -> tuple[dict[str, Draft], list[str], Sourced]:
    """The mixers, each layer's, and why: only with use_sliding_window some layers slide, by layer_types or by the class's `rule`."""
    use, window = c.flag("use_sliding_window"), c.optional(c.size, "sliding_window", least=0)
    on = use.value and bool(window.value)
    of, how = blocks.sliding_layers(
        c,
        n,
        lambda i: on and rule(i),
        words if on else "use_sliding_window is false: every layer is full",
    )
    if not on:
        of = ["full"] * n
    mixers = {"full": full, "sliding": full.replace(window=window)}
    return {m: mixers[m] for m in mixers if m in of}, of, how


def mixture(
    c: ConfigKeys, of: list[str], how: Sourced, moe: Callable[[ConfigKeys], Draft]
) -> dict[str, Any]:
    """FFNs and wiring: sparse unless in mlp_only_layers, and where (i + 1) is a multiple of decoder_sparse_step."""
    only = set(c.items("mlp_only_layers", default=[], of=int).value)
    step = c.size("decoder_sparse_step").value
    sparse = ["dense" if i in only or (i + 1) % step else "moe" for i in range(len(of))]
    how = derived(None, f"decoder_sparse_step, mlp_only_layers; {how.evidence.ref}")
    readers = {"moe": moe, "dense": blocks.dense}
    ffns = {name: block(c) for name, block in readers.items() if name in sparse}
    c.ignore("intermediate_size", *(() if "moe" in sparse else EXPERTS))
    return {"ffns": ffns, **blocks.layer_wiring(list(zip(of, sparse, strict=True)), how)}


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
    naming=tensors.Naming(blocks={s.MoE: tensors.moe_parts(shared="shared_expert")}),
    defaults={
        "qwen2": DENSE,
        "qwen2_moe": DENSE
        | {
            "num_key_value_heads": 16,
            "qkv_bias": True,
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
        },
    },
    config_class={"qwen2": "Qwen2Config", "qwen2_moe": "Qwen2MoeConfig"},
)
