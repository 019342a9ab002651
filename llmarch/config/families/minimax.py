"""MiniMax Text-01 and M1 (lightning attention, all MoE), and M2 (softmax attention only).

Text-01 and M1 have a softmax layer every eighth; they take the residual after the norm, times
alpha, and the branch times beta. M2 is an ordinary pre-norm model with an RMSNorm over the whole
query and key projections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ... import tensors
from ...architecture import schema as s
from ...errors import ConfigError
from .. import blocks
from ..evidence import Draft, Sourced, derived, draft, hard_coded, same_evidence
from ..findings import another_value
from ..vocabulary import ConfigKeys, Family, modeling

_FACTOR_KEYS = {
    "mixers.full": ("layernorm_full_attention_{}", "full_attn_{}_factor"),
    "mixers.linear": ("layernorm_linear_attention_{}", "linear_attn_{}_factor"),
    "ffns.moe": ("layernorm_mlp_{}", "mlp_{}_factor"),
}
"""Keys of a block's `alpha` and `beta`: the published configs', and transformers' class's."""
_ALL_FACTOR_KEYS = [
    key.format(factor)
    for keys in _FACTOR_KEYS.values()
    for key in keys
    for factor in ("alpha", "beta")
]


def read(c: ConfigKeys) -> Draft:
    """Read a decoder."""
    if c.data.get("shared_intermediate_size") in (None, 0, [0]):
        # otherwise a gate mixes in a shared expert, which no published config has
        c.ignore("shared_intermediate_size", "shared_moe_mode")

    if c.model_type == "minimax_m2":
        c.expect("sliding_window", None)
        return _m2(c)
    c.describe_only("sliding_window", None, "behaviour")
    return _hybrid(c)


def _hybrid(c: ConfigKeys) -> Draft:
    """Read Text-01 or M1."""
    layers = _attention_layers(c)
    router = draft(s.Router, scoring="softmax", normalized=True)
    c.ignore("block_size")  # how many tokens the lightning kernel takes at once
    readers = {"full": _partly_rotated, "linear": _lightning}
    return blocks.decoder(
        c,
        mixers=blocks.read_used_blocks(c, readers, layers.value),
        ffns={"moe": _moe(c, router)},
        **blocks.layer_wiring(layers, "moe", _scaled_step(c)),
    )


def _m2(c: ConfigKeys) -> Draft:
    """Read M2. Raises ConfigError for lightning layers."""
    depth = c.layer_count().value
    if {*c.items("attn_type_list", default=[1] * depth, length=depth, entry=int).value} != {1}:
        raise ConfigError(
            f"{c.file}: attn_type_list has other types than 1; minimax_m2 has softmax attention"
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
    for key in _ALL_FACTOR_KEYS:
        c.expect(key, 1.0)  # M2's residual is plain
    return blocks.decoder(
        c,
        mixers={"full": _partly_rotated(c).replace(qk_norm=norm)},
        ffns={"moe": _moe(c, router)},
        mtp=_announced_mtp(c),
        **blocks.layer_wiring(blocks.every_layer(c, "full"), "moe"),
    )


def _announced_mtp(c: ConfigKeys) -> Draft | Sourced | None:
    """Read MTP modules that M2's configs announce.

    The published files have no tensors of them, so their layout is not known.
    """
    enabled = c.flag("use_mtp", default=False)
    modules = c.size("num_mtp_modules", default=0, least=0)
    c.value("mtp_transformer_layers", default=None)
    if not enabled.value or not modules.value:
        return None

    reason = "the published checkpoints hold no MTP tensors and no code describes them"
    return blocks.mtp_of_unknown_layout(modules, reason)


def _moe(c: ConfigKeys, router: Draft) -> Draft:
    """Read the MoE."""
    experts = ("num_local_experts", "num_experts")
    return blocks.moe(
        c,
        router,
        experts=experts,
        width="intermediate_size",
    )


def _partly_rotated(c: ConfigKeys) -> Draft:
    """Read GQA that rotates a part of each head."""
    dim = _rotary_dim(c)
    rope = blocks.rope(c, dim)
    return blocks.attention(c, rope=rope)


def _rotary_dim(c: ConfigKeys) -> Sourced:
    """Read rotary_dim, or a share of the head.

    transformers' class for Text-01 ignores rotary_dim and rotates all dims; vLLM reads it.
    """
    dim = blocks.read_head_dim(c)
    published = c.size("rotary_dim", default=None)
    share = "partial_rotary_factor"
    has_share = share in c.data
    params = c.data.get("rope_parameters")
    if isinstance(params, dict) and share in params:
        has_share = True

    if has_share or published.value is None:
        rotary = blocks.rotary_dim(c, dim)
        another_value(c, "rotary_dim", rotary.value, rotary.evidence.ref)
        return rotary
    return published


def _attention_layers(c: ConfigKeys) -> Sourced:
    """Read the mixer of each layer.

    attn_type_list has 1 for softmax and 0 for lightning layers; transformers' class has
    layer_types, by default full first, in turns. If both are there, transformers made layer_types
    up, as its class does not know the published key. Raises ConfigError if neither is there.
    """
    layers = c.layer_count().value
    numbers = c.items("attn_type_list", default=None, length=layers, entry=int)
    listed = blocks.listed_layers(c, blocks.HYBRID)
    if numbers.value is not None:
        names = {True: "full", False: "linear"}
        mixers = [names[number == 1] for number in numbers.value]
        return same_evidence(mixers, numbers)

    if listed.value is not None:
        return listed

    if c.model_type != "minimax":
        raise ConfigError(
            f"{c.file}: attn_type_list is missing", f"{c.family} has no default for it."
        )

    reason = derived(None, "no layer_types: full and lightning layers in turns")
    turns = ("full", "linear")
    return blocks.pattern_of(c, lambda i: turns[i % 2], reason)


def _scaled_step(c: ConfigKeys) -> Callable[[str], Draft]:
    """Return how Text-01 and M1 add a block: the residual times alpha, the branch times beta."""
    c.ignore(*_ALL_FACTOR_KEYS)

    def factor(block: str, name: str) -> Sourced:
        """Read `alpha` or `beta` of a block, 1 without a key."""
        keys = [key.format(name) for key in _FACTOR_KEYS[block]]
        return c.number(*keys, default=1.0)

    def step(block: str) -> Draft:
        """Return the step of a block with its factors."""
        branch = draft(s.Branch, block=block, pre_norm="rms", scale=factor(block, "beta"))
        return draft(
            s.Step,
            branches=[branch],
            residual=_residual_kind(c),
            skip_scale=factor(block, "alpha"),
        )

    return step


def _residual_kind(c: ConfigKeys) -> Sourced | str:
    """Read whether the residual is taken after the norm: the class always does, others may."""
    if c.model_type != "minimax":
        after = c.flag("postnorm", default=False)
        kind = "plain"
        if after.value:
            kind = "after_norm"
        return same_evidence(kind, after)

    after = c.expect("postnorm", True)
    if isinstance(after, Sourced):
        return same_evidence("after_norm", after)
    return "after_norm"


def _lightning(c: ConfigKeys) -> Draft:
    """Read lightning attention.

    Decay is fixed per head. SiLU on q, k, v, an RMSNorm over the whole width, then a sigmoid gate.
    It has no rotary positions.
    """
    heads = c.size("num_attention_heads")
    dim = blocks.read_head_dim(c)
    return draft(
        s.LinearAttention,
        variant="lightning",
        key_heads=heads,
        value_heads=heads,
        key_head_dim=dim,
        value_head_dim=dim,
        gate="sigmoid",
    )


def _lightning_parts(a: s.LinearAttention, hidden: int) -> Iterator[tensors.BlockTensor]:
    """Yield the tensors of lightning attention."""
    module = tensors.Module("self_attn", "attention")
    key_rows = a.key_heads * a.key_head_dim
    value_rows = a.value_heads * a.value_head_dim

    rows = 2 * key_rows + value_rows
    facts = ("key_heads", "key_head_dim")
    yield from module.linear("qkv_proj", rows, hidden, *facts)

    yield module.vector("norm.weight", value_rows, "value_heads")
    yield from module.linear("output_gate", value_rows, hidden, "gate")
    yield from module.linear("out_proj", hidden, value_rows)


_MOE = tensors.moe_parts(
    "block_sparse_moe", selection_bias="e_score_correction_bias", gate="w1", up="w3", down="w2"
)
_VLLM = "vLLM model_executor/models/minimax_text_01.py"
_TEXT_01 = {
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
}

FAMILY = Family(
    name="minimax",
    title="MiniMax",
    ref=modeling("minimax"),
    refs={"minimax_m1": _VLLM, "minimax_text_01": _VLLM, "minimax_m2": modeling("minimax_m2")},
    read=read,
    naming=tensors.Naming(blocks={s.LinearAttention: _lightning_parts, s.MoE: _MOE}),
    conversions=dict.fromkeys(
        ("minimax", "minimax_m1", "minimax_m2", "minimax_text_01"), tensors.MIXTRAL_CONVERSION
    ),
    defaults={
        "minimax": _TEXT_01,
        "minimax_text_01": _TEXT_01,
        "minimax_m1": _TEXT_01,
        "minimax_m2": {
            "rms_norm_eps": 1e-6,
            "rope_theta": 5000000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "max_position_embeddings": 196608,
            "head_dim": 128,
            "num_key_value_heads": 8,
        },
    },
    config_class={
        "minimax": "MiniMaxConfig",
        "minimax_text_01": "MiniMaxConfig",
        "minimax_m1": "MiniMaxConfig",
        "minimax_m2": "MiniMaxM2Config",
    },
)
