"""Compare keys about experts that the model's code does not read with what that code does.

Makers took over each other's keys, and engines read more of them than one class does. A key that
disagrees with the class is a contradiction, whether or not the family knows the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..architecture import schema as s
from .findings import stated_otherwise, value_not_obeyed
from .keys import ConfigKeys

SCORING_KEYS = (
    "scoring_func",
    "score_func",
    "moe_router_score_func",
    "moe_router_activation_func",
    "moe_router_activation",
)
NORM_KEYS = ("norm_topk_prob", "route_norm", "moe_renormalize", "norm_expert_weight")
GROUP_KEYS = ("n_group", "num_expert_group", "num_expert_groups")
ACTIVE_GROUP_KEYS = ("topk_group", "num_limited_groups")
SCALE_KEYS = (
    "routed_scaling_factor",
    "route_scale",
    "router_scaling_factor",
    "moe_router_scaling_factor",
    "moe_routed_scaling_factor",
)
BIAS_KEYS = (
    "use_routing_bias",
    "use_expert_bias",
    "use_moe_router_bias",
    "moe_router_enable_expert_bias",
)
WITH_BIAS = "noaux_tc"
"""The `topk_method` that chooses experts with a bias on their scores."""


def check_expert_keys(c: ConfigKeys, a: s.Architecture) -> None:
    """Report keys of routers, and of which layers have experts, that say otherwise than the model.

    c: the whole config.
    a: the architecture that was read from it.
    """
    experts = [ffn for ffn in a.ffns.values() if isinstance(ffn, s.MoE)]
    if not experts:
        return
    text = c.data.get("text_config")
    keys = c.child("text_config") if isinstance(text, dict) else c
    _check_routers(keys, [moe.router for moe in experts])
    _check_layers(keys, a)


def _check_routers(c: ConfigKeys, routers: list[s.Router]) -> None:
    """Report keys of routers that nothing read and that agree with none of the routers."""
    scorings = [router.scoring.removesuffix("_chosen") for router in routers]
    _check_values(c, SCORING_KEYS, scorings)
    _check_values(c, NORM_KEYS, [router.normalized for router in routers])
    _check_values(c, GROUP_KEYS, [router.groups for router in routers])
    _check_values(c, ACTIVE_GROUP_KEYS, [router.active_groups for router in routers])
    _check_values(c, SCALE_KEYS, [router.scale for router in routers])
    biases = [r.selection_bias for r in routers if r.token_table is None]
    _check_values(c, BIAS_KEYS, biases)
    method = c.data.get("topk_method")
    if _is_unread(c, "topk_method") and (method == WITH_BIAS) not in biases:
        value_not_obeyed(c, "topk_method", WITH_BIAS if biases[0] else "a choice without a bias")


def _check_values(c: ConfigKeys, names: Iterable[str], values: list[Any]) -> None:
    """Report the keys that nothing read and that have none of these values."""
    for key in names:
        if _is_unread(c, key) and c.data[key] not in values:
            value_not_obeyed(c, key, values[0])


def _is_unread(c: ConfigKeys, key: str) -> bool:
    """Return whether the config has a value for a key that nothing asked for."""
    return c.has(key) and c.prefix + key not in c.read_keys


def _check_layers(c: ConfigKeys, a: s.Architecture) -> None:
    """Report keys that give other layers experts than the model has.

    DeepSeek's `first_k_dense_replace` and `moe_layer_freq`, and Qwen's `mlp_only_layers` and
    `decoder_sparse_step`: a list with a word for each layer stands in their place.
    """
    ffns = {kind: _feed_forward_blocks(a, kind) for kind in a.layer_kinds}
    blocks = [ffns[kind] for kind in a.layers]
    if not all(blocks):
        return  # layers of one block each
    sparse = [any(isinstance(ffn, s.MoE) for ffn in layer) for layer in blocks]
    first = c.data.get("first_k_dense_replace")
    every = c.data.get("moe_layer_freq")
    if type(first) is int or type(every) is int:
        start = first if type(first) is int else sparse.index(True)
        step = every if type(every) is int and every > 0 else 1
        key = "first_k_dense_replace" if type(first) is int else "moe_layer_freq"
        by_keys = [i >= start and i % step == 0 for i in range(len(sparse))]
        _compare(c, key, by_keys, sparse)
    dense = c.data.get("mlp_only_layers")
    if isinstance(dense, list) and dense:
        step = c.data.get("decoder_sparse_step")
        step = step if type(step) is int and step > 0 else 1
        by_keys = [i not in dense and (i + 1) % step == 0 for i in range(len(sparse))]
        _compare(c, "mlp_only_layers", by_keys, sparse)


def _compare(c: ConfigKeys, key: str, by_keys: list[bool], sparse: list[bool]) -> None:
    """Report a key that gives other layers experts than the model has."""
    if by_keys == sparse:
        return
    layer = next(i for i, (a, b) in enumerate(zip(by_keys, sparse, strict=True)) if a != b)
    words = {True: "experts", False: "an MLP"}
    problem = f"gives layer {layer} {words[by_keys[layer]]}, but it has {words[sparse[layer]]}"
    stated_otherwise(c, key, problem)


def _feed_forward_blocks(a: s.Architecture, layer_kind: str) -> list[s.Dense | s.MoE]:
    """Return the feed-forward blocks in a kind of layer."""
    return [block for block in a.blocks_of(layer_kind) if isinstance(block, (s.Dense, s.MoE))]
