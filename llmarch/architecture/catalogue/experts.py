"""Facts about mixtures of experts and their routers."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import number, plural
from ..schema import MoE
from ..wording.feed_forward import SCORING, router_words, shared_experts_word, zero_experts_word
from .fact import DETAIL, LEAD, ChangeRule, Fact

_KINDS = (MoE,)
_SECTION = "MoE"
_GROUP_SCORES = {"max": "the best expert", "top2_sum": "the sum of the best two"}

_SHARED_EXPERTS = ChangeRule(
    "shared-experts-changed",
    "weights",
    "shared experts changed",
    "The experts that serve every token, or their gate, were added or removed, or have different "
    "shapes.",
)
_ROUTER = ChangeRule(
    "router-changed",
    "behaviour",
    "choice or weighting of experts changed",
    "Other experts serve a token, or the same experts with other weights. The model loads and "
    "answers differently.",
)
_ROUTER_BIAS = ChangeRule(
    "router-bias-changed",
    "weights",
    "biases of the router added or removed",
    "The router has a bias for each expert in one of the two models only.",
)
_ROUTER_SCALES = ChangeRule(
    "router-scales-changed",
    "weights",
    "learned scales of the router added or removed",
    "The router has stored factors in one of the two models only.",
)


def _active_experts(f: MoE) -> str:
    """Return how many routed experts serve a token: `8`, or `12 at most`."""
    active = number(f.active)
    if f.zero_experts:
        return f"{active} at most"
    return active


def _router(f: MoE) -> str:
    """Return how a router scores, chooses and weights experts."""
    r = f.router
    words = [SCORING[r.scoring]]
    if r.softcap:
        words.append(f"logits softcapped at {r.softcap:g}")
    if r.selection_bias:
        words.append("selection bias")
    if r.bias:
        words.append("bias")
    usual = r.scoring == "softmax_chosen"  # these weights sum to 1 by themselves
    if r.normalized and not usual:
        words.append("renormalised")
    elif usual and not r.normalized:
        words.append("not renormalised")
    if r.weights == "input":
        words.append("weights the expert's input")
    words += router_words(f)
    return ", ".join(words)


def _chosen_of_all(f: MoE) -> str:
    """Return how many experts a router chooses of how many: `8 of 256`, `12 of 768, 256 zero`."""
    words = f"{f.active} of {number(f.experts + f.zero_experts)}"
    if f.zero_experts:
        words += f", {number(f.zero_experts)} zero"
    return words


def _shared_count(f: MoE) -> str | None:
    """Return the number of shared experts: `1 shared`."""
    if not f.shared_width:
        return None
    return f"{f.shared_experts or 1} shared"


def _group_limit(f: MoE) -> str:
    """Return `best 4 of 8 groups by the sum of the best two`, or `none`."""
    r = f.router
    if r.groups == 1:
        return "none"
    limit = f"best {number(r.active_groups)} of {plural(r.groups, 'group')}"
    if r.group_score is None:
        return limit
    score = _GROUP_SCORES[r.group_score]
    return f"{limit} by {score}"


FACTS = (
    Fact(
        "ffns.*.experts",
        _SECTION,
        "routed experts",
        ChangeRule(
            "expert-count-changed",
            "weights",
            "number of routed experts changed",
            "Router and experts have different shapes, and the memory for weights changes with "
            "them. Expert-parallel degrees must divide the new number.",
        ),
        _KINDS,
        unit="experts",
        rank=LEAD,
        equal="{} routed experts",
    ),
    Fact(
        "ffns.*.active",
        _SECTION,
        "active experts",
        ChangeRule(
            "active-experts-changed",
            "behaviour",
            "number of active experts changed",
            "A different number of experts serves each token. The model loads, answers "
            "differently, and takes a different time for each token.",
        ),
        _KINDS,
        words=_active_experts,
        takes="block",
        number=attrgetter("active"),
        unit="experts",
        rank=LEAD,
        equal="{} active",
        box=_chosen_of_all,
    ),
    Fact(
        "ffns.*.router.token_table",
        _SECTION,
        "routed by token id",
        ChangeRule(
            "token-table-changed",
            "weights",
            "routing by token id changed",
            "A stored table of token ids chooses the experts in one of the two models, or has a "
            "different number of rows.",
        ),
        _KINDS,
        words=None,
        unit="token ids",
        rank=LEAD,
    ),
    Fact(
        "ffns.*.expert_width",
        _SECTION,
        "expert width",
        ChangeRule(
            "expert-width-changed",
            "weights",
            "width of the routed experts changed",
            "The matrices of every routed expert have different shapes.",
        ),
        _KINDS,
        rank=LEAD,
        equal="width {}",
    ),
    Fact(
        "ffns.*.latent_width",
        _SECTION,
        "expert latent",
        ChangeRule(
            "expert-latent-changed",
            "weights",
            "width of the experts' latent changed",
            "The projections around the routed experts were added or removed, or have different "
            "shapes.",
        ),
        _KINDS,
    ),
    Fact(
        "ffns.*.{shared_experts,shared_width,shared_gate}",
        _SECTION,
        "shared experts",
        _SHARED_EXPERTS,
        _KINDS,
        words=shared_experts_word,
        takes="block",
        number=attrgetter("shared_experts"),
        rank=LEAD,
        equal="shared expert {}",
        box=_shared_count,
    ),
    Fact(
        "ffns.*.zero_experts",
        _SECTION,
        "zero experts",
        ChangeRule(
            "zero-experts-changed",
            "weights",
            "number of zero experts changed",
            "The router has a different number of rows. Zero experts return their input.",
        ),
        _KINDS,
        words=zero_experts_word,
        takes="block",
        number=attrgetter("zero_experts"),
        unit="experts",
    ),
    Fact(
        "ffns.*.router.{scoring,softcap,normalized,weights,own_norm}",
        _SECTION,
        "router",
        _ROUTER,
        _KINDS,
        words=_router,
        takes="block",
        equal="{} router",
    ),
    Fact(
        "ffns.*.router.{selection_bias,bias}",
        _SECTION,
        "router",
        _ROUTER_BIAS,
        _KINDS,
        words=None,
    ),
    Fact(
        "ffns.*.zero_returns",
        _SECTION,
        "zero experts",
        _ROUTER,
        _KINDS,
        words=None,
    ),
    Fact(
        "ffns.*.router.{hidden_width,carries_state}",
        _SECTION,
        "router MLP",
        ChangeRule(
            "router-mlp-changed",
            "weights",
            "MLP of the router changed",
            "The router is an MLP in one of the two models only, or one of another width, or its "
            "state passes to the next layer in one of them only.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "ffns.*.router.product_keys",
        _SECTION,
        "product keys",
        ChangeRule(
            "product-keys-changed",
            "weights",
            "product keys of the router changed",
            "Experts are pairs of keys in one of the two models only: the router has another "
            "number of rows.",
        ),
        _KINDS,
        rank=DETAIL,
    ),
    Fact(
        "ffns.*.router.{input_scale,expert_scale,learned_scale,scores_shared}",
        _SECTION,
        "router",
        _ROUTER_SCALES,
        _KINDS,
        words=None,
    ),
    Fact(
        "ffns.*.router.{groups,active_groups,group_score}",
        _SECTION,
        "group limit",
        _ROUTER,
        _KINDS,
        words=_group_limit,
        takes="block",
    ),
    Fact("ffns.*.router.scale", _SECTION, "routed scale", _ROUTER, _KINDS),
)
