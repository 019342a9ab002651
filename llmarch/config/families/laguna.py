"""Laguna: full and sliding layers with query heads and RoPE of their own, a softplus gate on attention's output, QK-norm; a dense first
layer, then MoE with a shared expert."""

from __future__ import annotations

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import ConfigKeys, Draft, Family, Sourced, derived, draft, modeling, same_evidence
from .kimi_linear import both


def read(c: ConfigKeys) -> Draft:
    n = c.layer_count().value
    of, how = blocks.sliding_layers(c, n, lambda i: False, "no layer_types: every layer is full")
    heads = c.items("num_attention_heads_per_layer", default=None, length=n, of=int)
    mixers, names = attention_kinds(c, of, heads)
    sparse, moe_how = sparse_layers(c, n)
    pairs = list(zip(names, ("moe" if s else "dense" for s in sparse), strict=True))
    pattern = both(how, heads) if heads.value is not None else how
    return blocks.decoder(
        c,
        mixers=mixers,
        ffns=blocks.read_used_blocks(c, {"dense": blocks.dense, "moe": moe}, (f for _, f in pairs)),
        **blocks.layer_wiring(pairs, both(pattern, moe_how)),
    )


def attention_kinds(
    c: ConfigKeys, of: list[str], heads: Sourced
) -> tuple[dict[str, Draft], list[str]]:
    """A mixer for each type of layer, or for each number of query heads that a type has; and each layer's."""
    counts: list[int] = heads.value or [c.size("num_attention_heads").value] * len(of)
    several = {t for t in of if len({n for o, n in zip(of, counts, strict=True) if o == t}) > 1}
    names = [f"{t}_{n}" if t in several else t for t, n in zip(of, counts, strict=True)]
    mixers: dict[str, Draft] = {}
    for name, kind, n in zip(names, of, counts, strict=True):
        if name not in mixers:
            mixers[name] = mixer(
                c,
                kind,
                same_evidence(n, heads)
                if heads.value is not None
                else c.size("num_attention_heads"),
            )
    c.ignore("num_attention_heads", "sliding_window")
    return mixers, names


def mixer(c: ConfigKeys, kind: str, heads: Sourced) -> Draft:
    dim, bias = blocks.head_dim(c), c.flag("attention_bias")
    c.expect("qkv_bias", bias.value)
    gating = c.value("gating")
    if gating.value not in (True, "per-head", "per-element"):
        raise ConfigError(
            f"{c.file}: {c.key('gating')} is {gating.value!r}; llmarch knows true, per-head and per-element"
        )
    gate = same_evidence("elementwise" if gating.value == "per-element" else "head", gating)
    c.ignore("gating_types")  # repeats gating for each layer
    theta, share = (
        derived(v, f"{c.ref}, as rope_parameters is absent")
        for v in ((10000.0, 1.0) if kind == "sliding" else (500000.0, 0.5))
    )
    node = blocks.attention(
        c,
        heads=heads,
        head_dim=dim,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm=draft(s.QKNorm, scope="head"),
        gate=gate,
        gate_activation="softplus",
        rope=blocks.typed_rope(c, dim, f"{kind}_attention", theta, share),
    )
    return node.replace(window=c.size("sliding_window")) if kind == "sliding" else node


def sparse_layers(c: ConfigKeys, n: int) -> tuple[list[bool], Sourced]:
    """By mlp_layer_types; mlp_only_layers and decoder_sparse_step, which the class does not read, say the same."""
    types = c.items("mlp_layer_types", default=None, length=n, of=str)
    only = c.items("mlp_only_layers", default=[0], of=int)
    c.expect("decoder_sparse_step", 1)
    if types.value is not None:
        return [t == "sparse" for t in types.value], types
    return [i not in only.value for i in range(n)], only


def moe(c: ConfigKeys) -> Draft:
    c.expect("moe_apply_router_weight_on_input", False)
    c.expect("moe_router_use_sigmoid", True)
    softcap = c.number("moe_router_logit_softcapping")
    router = draft(
        s.Router,
        scoring=c.expect("moe_router_score_func", "sigmoid"),
        softcap=same_evidence(softcap.value or None, softcap),
        selection_bias=True,
        normalized=c.expect("norm_topk_prob", True),
        scale=c.number("moe_routed_scaling_factor"),
    )
    return draft(
        s.MoE,
        experts=c.size("num_experts", "num_local_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("moe_intermediate_size"),
        activation=blocks.activation(c),
        shared_experts=1,
        shared_width=c.size("shared_expert_intermediate_size"),
        router=router,
    )


FAMILY = Family(
    name="laguna",
    title="Laguna",
    ref=modeling("laguna"),
    read=read,
    naming=tensors.Naming(
        blocks={
            s.Attention: tensors.attention_parts(gate="g_proj"),
            s.MoE: tensors.moe_parts(selection_bias="experts.e_score_correction_bias", shared="shared_expert"),
        }
    ),
    defaults={
        "laguna": {
            "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
            "max_position_embeddings": 131072, "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "sliding_window": 512,
            "gating": True, "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512, "moe_routed_scaling_factor": 1.0, "moe_router_logit_softcapping": 0.0,
        },
    },
    config_class={"laguna": "LagunaConfig"},
)  # fmt: skip
