"""Read feed-forward blocks: MLPs, mixtures of experts, and routers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from ...architecture import schema as s
from ...errors import ConfigError
from ..evidence import Draft, Sourced, derived, draft, same_evidence
from ..findings import unknown_word
from ..keys import ConfigKeys

EXPERT_COUNT_KEYS = ("num_experts", "num_local_experts")
"""Keys of the number of routed experts: most classes' own, and the one of their attribute map."""

ACTIVATIONS = {
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "swish": "silu",
}
"""Names in transformers of functions that have another name in the schema."""
KNOWN_ACTIVATIONS = frozenset(
    """
    gelu gelu_10 gelu_accurate gelu_fast gelu_new gelu_python gelu_python_tanh gelu_pytorch_tanh
    hardswish laplace leaky_relu linear mish prelu quick_gelu relu relu2 relu6 sigmoid silu
    sqrtsoftplus swiglu swigluoai swish tanh xielu
    """.split()
)
"""Words that transformers 5.23.0 activations.py (ACT2CLS) knows, and those of single classes."""


def activation_name(c: ConfigKeys, *keys: str) -> Sourced:
    """Read an activation, by default from `hidden_act`, under one name for one function."""
    given = c.word(*(keys or ("hidden_act",)))
    if given.evidence.kind == "config" and given.value not in KNOWN_ACTIVATIONS:
        unknown_word(c, given.evidence.ref, given.value, "activation", "behaviour")
    return same_evidence(ACTIVATIONS.get(given.value, given.value), given)


def mlp_width(c: ConfigKeys, key: str, *hidden: str) -> Sourced:
    """Read the width of an MLP; without it or where it is null, four times that of the stream.

    key: the key of the MLP's width.
    hidden: the keys of the stream's width, the first of which the evidence names.
    """
    stream = c.size(*hidden).value
    given = c.size(key, default=None)
    if given.value is None:
        return derived(4 * stream, f"4 * {hidden[0]}, as {key} is null")
    return given


def gpt_mlp(c: ConfigKeys, key: str, *hidden: str) -> Draft:
    """Read an MLP of GPT-2's form: without a gate, with biases.

    key, hidden: as for `mlp_width`.
    """
    width = mlp_width(c, key, *hidden)
    activation = activation_name(c, "activation_function")
    return draft(s.Dense, width=width, activation=activation, gated=False, bias=True)


def dense(c: ConfigKeys, width: str = "intermediate_size", **facts: Any) -> Draft:
    """Read a gated MLP.

    width: the key of its width.
    facts: fields of Dense that replace or add to these.
    """
    usual: dict[str, Any] = {"width": c.size(width)}
    if "activation" not in facts:
        usual["activation"] = activation_name(c)
    return Draft(s.Dense, usual | facts)


def moe(
    c: ConfigKeys,
    router: Draft,
    *,
    experts: tuple[str, ...] = EXPERT_COUNT_KEYS,
    active: tuple[str, ...] = ("num_experts_per_tok",),
    width: str = "moe_intermediate_size",
    **facts: Any,
) -> Draft:
    """Read a mixture of experts.

    experts, active, width: the keys of the number of routed experts, of those that serve a token,
    and of an expert's width.
    facts: fields of MoE that replace or add to these.
    """
    usual: dict[str, Any] = {
        "experts": c.size(*experts),
        "active": c.size(*active),
        "expert_width": c.size(width),
        "router": router,
    }
    if "activation" not in facts:
        usual["activation"] = activation_name(c)
    return Draft(s.MoE, usual | facts)


def shared_experts(
    c: ConfigKeys, *keys: str, width: str = "moe_intermediate_size"
) -> dict[str, Any]:
    """Read the shared experts of a MoE, each as wide as a routed one; a null key means none."""
    key = next((k for k in keys if k in c.data), keys[0])
    given = c.optional(c.size, *keys, least=0)
    count = given.value or 0
    total = derived(count * c.size(width).value, f"{c.key(key)} * {c.key(width)}")
    return {"shared_experts": same_evidence(count, given), "shared_width": total}


def deepseek_moe(c: ConfigKeys, router: Draft) -> Draft:
    """Read a MoE with shared experts from DeepSeek's keys, or other makers' names for them."""
    return moe(
        c,
        router,
        experts=("n_routed_experts", "num_local_experts", "num_experts"),
        active=("num_experts_per_tok", "num_experts_per_token"),
        **shared_experts(c, "n_shared_experts", "num_shared_experts"),
    )


def deepseek_ffns(
    c: ConfigKeys, layers: Sourced, router: Callable[[ConfigKeys], Draft]
) -> dict[str, Draft]:
    """Read the MLP and the MoE from DeepSeek's keys, as far as `layers` (names) use them."""
    c.expect("mlp_bias", False)

    def routed(c: ConfigKeys) -> Draft:
        return deepseek_moe(c, router(c))

    return read_used_blocks(c, {"dense": dense, "moe": routed}, layers.value)


def sigmoid_router(c: ConfigKeys) -> Draft:
    """Read DeepSeek V3's router.

    Scores are sigmoids, experts are chosen with a bias on them, and groups of experts are ranked
    by the sum of their two best.
    """
    groups = c.size("n_group", "num_expert_group")
    return draft(
        s.Router,
        scoring=c.expect("scoring_func", "sigmoid"),
        selection_bias=c.expect("topk_method", "noaux_tc", True),
        groups=groups,
        active_groups=c.size("topk_group"),
        group_score=best_two(groups),
        normalized=c.flag("norm_topk_prob", "moe_renormalize"),
        scale=c.number("routed_scaling_factor"),
    )


def best_two(groups: Sourced) -> str | None:
    """Return how DeepSeek V3's code scores groups of experts: not at all if there is only one."""
    return "top2_sum" if groups.value > 1 else None


def read_used_blocks(
    c: ConfigKeys, readers: Mapping[str, Callable[[ConfigKeys], Draft]], names: Iterable[str]
) -> dict[str, Draft]:
    """Read the blocks that layers use, by name.

    The keys of the other blocks (of experts, where every layer is dense) are marked as read:
    they have no effect, and neither errors in them nor findings about them matter.
    """
    blocks: dict[str, Draft] = {}
    wanted = set(names)
    for name, read in readers.items():
        if name in wanted:
            blocks[name] = read(c)
        else:
            with suppress(ConfigError), c.without_findings():
                read(c)
    return blocks
