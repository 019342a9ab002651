"""MiniMax Text-01 and M1 (lightning attention with a softmax layer every eighth, all MoE), and M2 (softmax attention only).

Text-01 and M1 take the residual after the norm, times alpha, and the branch times beta. M2 is an ordinary pre-norm model with an RMSNorm
over the whole query and key projections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..vocabulary import (
    ConfigKeys,
    Draft,
    Family,
    Sourced,
    derived,
    draft,
    hard_coded,
    modeling,
    same_evidence,
    unknown,
)

ALPHA_BETA = {
    "mixers.full": ("layernorm_full_attention_{}", "full_attn_{}_factor"),
    "mixers.linear": ("layernorm_linear_attention_{}", "linear_attn_{}_factor"),
    "ffns.moe": ("layernorm_mlp_{}", "mlp_{}_factor"),
}
"""Keys of the residual's and the branch's factors: the published configs', and transformers' class's."""


def read(c: ConfigKeys) -> Draft:
    c.expect("sliding_window", None)
    if c.data.get("shared_intermediate_size") in (
        None,
        0,
        [0],
    ):  # else a gate mixes in a shared expert: in no published config
        c.ignore("shared_intermediate_size", "shared_moe_mode")
    return m2(c) if c.model_type == "minimax_m2" else hybrid(c)


def hybrid(c: ConfigKeys) -> Draft:
    """Text-01 and M1."""
    kinds, how = layer_kinds(c, c.layer_count().value)
    router = draft(s.Router, scoring="softmax", normalized=True)
    c.ignore(
        "block_size"
    )  # how many tokens the lightning kernel takes at once; the result is the same
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, {"full": partly_rotated, "linear": lightning}, kinds),
        ffns={"moe": moe(c, router)},
        **blocks.layer_wiring([(k, "moe") for k in kinds], how, step_of(c)),
    )


def m2(c: ConfigKeys) -> Draft:
    n = c.layer_count()
    if set(c.items("attn_type_list", default=[1], of=int).value) != {1}:
        raise ConfigError(
            f"{c.file}: attn_type_list has other types than 1; minimax_m2 has softmax attention only"
        )
    c.expect("use_qk_norm", True)
    norm = draft(s.QKNorm, scope=c.expect("qk_norm_type", "per_layer", "projection"))
    router = draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.flag("use_routing_bias", default=hard_coded(True, c.ref)),
        normalized=True,
    )
    c.ignore("mlp_intermediate_size")  # in M2's config; every layer is MoE, and no code reads it
    for key in (
        k.format(f) for keys in ALPHA_BETA.values() for k in keys for f in ("alpha", "beta")
    ):
        c.expect(key, 1.0)  # M2's residual is plain
    return blocks.decoder(
        c,
        mixers={"full": partly_rotated(c).replace(qk_norm=norm)},
        ffns={"moe": moe(c, router)},
        mtp=announced(c),
        **blocks.layer_wiring([("full", "moe")] * n.value, n),
    )


def announced(c: ConfigKeys) -> Draft | None:
    """M2's configs announce modules, but the published files have no tensors of them: their layout is not known."""
    use, modules = c.flag("use_mtp", default=False), c.size("num_mtp_modules", default=0, least=0)
    c.value("mtp_transformer_layers", default=None)
    if not (use.value and modules.value):
        return None
    return draft(
        s.MTP,
        modules=modules,
        layer_kind=unknown(
            "the published checkpoints hold no MTP tensors and no code describes them"
        ),
    )


def moe(c: ConfigKeys, router: Draft) -> Draft:
    return draft(
        s.MoE,
        experts=c.size("num_local_experts", "num_experts"),
        active=c.size("num_experts_per_tok"),
        expert_width=c.size("intermediate_size"),
        activation=blocks.activation(c),
        router=router,
    )


def partly_rotated(c: ConfigKeys) -> Draft:
    return blocks.attention(c, rope=blocks.rope(c, rotary(c)))


def rotary(c: ConfigKeys) -> Sourced:
    """rotary_dim, or a share of the head. transformers' class for Text-01 ignores rotary_dim and turns all dims; vLLM reads it."""
    dim, params = blocks.head_dim(c), c.data.get("rope_parameters")
    turned = c.size("rotary_dim", default=None)
    share = c.has("partial_rotary_factor") or (
        isinstance(params, dict) and "partial_rotary_factor" in params
    )
    return blocks.rotary_dim(c, dim) if share or turned.value is None else turned


def layer_kinds(c: ConfigKeys, n: int) -> tuple[list[str], Sourced]:
    """attn_type_list has 1 for softmax and 0 for lightning layers; transformers' class has layer_types, by default full first, in turns.

    Where both are there, transformers made up layer_types, as its class does not know the published key.
    """
    numbers = c.items("attn_type_list", default=None, length=n, of=int)
    types = c.items("layer_types", default=None, length=n, of=str)
    if numbers.value is not None:
        return ["full" if t == 1 else "linear" for t in numbers.value], numbers
    if types.value is not None:
        return ["linear" if t == "linear_attention" else "full" for t in types.value], types
    if c.model_type != "minimax":
        raise ConfigError(
            f"{c.file}: attn_type_list is missing", f"{c.family} has no default for it."
        )
    return ["linear" if i % 2 else "full" for i in range(n)], derived(
        None, "no layer_types: full and lightning layers in turns"
    )


def step_of(c: ConfigKeys) -> Callable[[str], Draft]:
    c.value(
        *(k.format(f) for keys in ALPHA_BETA.values() for k in keys for f in ("alpha", "beta")),
        default=None,
    )
    after = (
        c.expect("postnorm", True)
        if c.model_type == "minimax"
        else c.flag("postnorm", default=False)
    )
    kind = (
        same_evidence("after_norm" if after.value else "plain", after)
        if isinstance(after, Sourced)
        else "after_norm"
    )

    def step(block: str) -> Draft:
        alpha, beta = (
            c.number(*(k.format(f) for k in ALPHA_BETA[block]), default=1.0)
            for f in ("alpha", "beta")
        )
        return draft(
            s.Step,
            branches=[draft(s.Branch, block=block, pre_norm="rms", scale=beta)],
            residual=kind,
            skip_scale=alpha,
        )

    return step


def lightning(c: ConfigKeys) -> Draft:
    """Decay fixed per head; SiLU on q, k, v, an RMSNorm over the whole width, then a sigmoid gate. No rotary positions."""
    heads, dim = c.size("num_attention_heads"), blocks.head_dim(c)
    size = {"key_heads": heads, "value_heads": heads, "key_head_dim": dim, "value_head_dim": dim}
    return draft(s.LinearAttention, variant="lightning", **size, gate="sigmoid")


def lightning_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    at, part, k, v = (
        "self_attn",
        "attention",
        a.key_heads * a.key_head_dim,
        a.value_heads * a.value_head_dim,
    )
    yield from tensors.linear(
        f"{at}.qkv_proj", 2 * k + v, hidden, part, ("key_heads", "key_head_dim")
    )
    yield tensors.BlockTensor(f"{at}.norm.weight", (v,), part, ("value_heads",))
    yield from tensors.linear(f"{at}.output_gate", v, hidden, part, ("gate",))
    yield from tensors.linear(f"{at}.out_proj", hidden, v, part)


MOE = tensors.moe_parts(
    "block_sparse_moe", selection_bias="e_score_correction_bias", gate="w1", up="w3", down="w2"
)
VLLM = "vLLM model_executor/models/minimax_text_01.py"
TEXT_01 = {
    "rms_norm_eps": 1e-5, "rope_theta": 1000000.0, "hidden_act": "silu", "tie_word_embeddings": False, "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
}  # fmt: skip

FAMILY = Family(
    name="minimax",
    title="MiniMax",
    ref=modeling("minimax"),
    refs={"minimax_m1": VLLM, "minimax_text_01": VLLM, "minimax_m2": modeling("minimax_m2")},
    read=read,
    naming=tensors.Naming(blocks={s.LinearAttention: lightning_parts, s.MoE: MOE}),
    defaults={
        "minimax": TEXT_01,
        "minimax_text_01": TEXT_01,
        "minimax_m1": TEXT_01,
        "minimax_m2": {
            "rms_norm_eps": 1e-6, "rope_theta": 5000000.0, "hidden_act": "silu", "tie_word_embeddings": False,
            "max_position_embeddings": 196608, "head_dim": 128, "num_key_value_heads": 8,
        },
    },
    config_class={
        "minimax": "MiniMaxConfig",
        "minimax_text_01": "MiniMaxConfig",
        "minimax_m1": "MiniMaxConfig",
        "minimax_m2": "MiniMaxM2Config",
    },
)  # fmt: skip
