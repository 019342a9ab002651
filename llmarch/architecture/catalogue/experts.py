"""Facts about mixtures of experts and their routers."""

from __future__ import annotations

from operator import attrgetter

from ...views.numbers import number
from ..schema import MoE
from ..wording.feed_forward import SCORING, router_words, shared_experts_word, zero_experts_word
from .fact import LEAD, ChangeRule, Fact

KINDS = (MoE,)
SECTION = "MoE"
GROUP_SCORES = {"max": "the best expert", "top2_sum": "the sum of the best two"}

SHARED_EXPERTS = ChangeRule(
    "shared-experts-changed",
    "weights",
    "shared experts changed",
    "The experts that serve every token, or their gate, were added or removed, or have different "
    "shapes.",
)
ROUTER = ChangeRule(
    "router-changed",
    "behaviour",
    "choice or weighting of experts changed",
    "Other experts serve a token, or the same experts with other weights. The model loads and "
    "answers differently.",
)
ROUTER_BIAS = ChangeRule(
    "router-bias-changed",
    "weights",
    "biases of the router added or removed",
    "The router has a bias for each expert in one of the two models only.",
)
ROUTER_SCALES = ChangeRule(
    "router-scales-changed",
    "weights",
    "learned scales of the router added or removed",
    "The router has stored factors in one of the two models only.",
)


def active_experts(f: MoE) -> str:
    """Return how many routed experts serve a token: `8`, or `12 at most`."""
    return f"{number(f.active)} at most" if f.zero_experts else number(f.active)


def latent_width(width: int | None) -> str | None:
    """Return the width of the latent in which routed experts work."""
    return number(width) if width else None


def router(f: MoE) -> str:
    """Return how a router scores, chooses and weights experts."""
    r = f.router
    words = [SCORING[r.scoring]]
    if r.softcap:
        words.append(f"logits softcapped at {r.softcap:g}")
    if r.selection_bias:
        words.append("selection bias")
    if r.bias:
        words.append("bias")
    if r.normalized and r.scoring != "softmax_chosen":
        words.append("renormalised")
    if r.weights == "input":
        words.append("weights the expert's input")
    return ", ".join([*words, *router_words(f)])


def group_limit(f: MoE) -> str:
    """Return `best 4 of 8 groups by the sum of the best two`, or `none`."""
    r = f.router
    if r.groups == 1:
        return "none"
    limit = f"best {r.active_groups} of {r.groups} groups"
    return f"{limit} by {GROUP_SCORES[r.group_score]}" if r.group_score else limit


FACTS = (
    Fact(
        "ffns.*.experts",
        SECTION,
        "routed experts",
        ChangeRule(
            "expert-count-changed",
            "weights",
            "number of routed experts changed",
            "Router and experts have different shapes, and the memory for weights changes with "
            "them. Expert-parallel degrees must divide the new number.",
        ),
        KINDS,
        unit="experts",
        rank=LEAD,
        equal="{} routed experts",
    ),
    Fact(
        "ffns.*.active",
        SECTION,
        "active experts",
        ChangeRule(
            "active-experts-changed",
            "behaviour",
            "number of active experts changed",
            "A different number of experts serves each token. The model loads, answers "
            "differently, and takes a different time for each token.",
        ),
        KINDS,
        words=active_experts,
        takes="block",
        number=attrgetter("active"),
        unit="experts",
        rank=LEAD,
        equal="{} active",
    ),
    Fact(
        "ffns.*.router.token_table",
        SECTION,
        "routed by token id",
        ChangeRule(
            "token-table-changed",
            "weights",
            "routing by token id changed",
            "A stored table of token ids chooses the experts in one of the two models, or has a "
            "different number of rows.",
        ),
        KINDS,
        words=None,
        unit="token ids",
        rank=LEAD,
    ),
    Fact(
        "ffns.*.expert_width",
        SECTION,
        "expert width",
        ChangeRule(
            "expert-width-changed",
            "weights",
            "width of the routed experts changed",
            "The matrices of every routed expert have different shapes.",
        ),
        KINDS,
        rank=LEAD,
        equal="width {}",
    ),
    Fact(
        "ffns.*.latent_width",
        SECTION,
        "expert latent",
        ChangeRule(
            "expert-latent-changed",
            "weights",
            "width of the experts' latent changed",
            "The projections around the routed experts were added or removed, or have different "
            "shapes.",
        ),
        KINDS,
    ),
    Fact(
        "ffns.*.{shared_experts,shared_width,shared_gate}",
        SECTION,
        "shared experts",
        SHARED_EXPERTS,
        KINDS,
        words=shared_experts_word,
        takes="block",
        number=attrgetter("shared_experts"),
        rank=LEAD,
        equal="shared expert {}",
    ),
    Fact(
        "ffns.*.zero_experts",
        SECTION,
        "zero experts",
        ChangeRule(
            "zero-experts-changed",
            "weights",
            "number of zero experts changed",
            "The router has a different number of rows. Zero experts return their input.",
        ),
        KINDS,
        words=zero_experts_word,
        takes="block",
        number=attrgetter("zero_experts"),
        unit="experts",
    ),
    Fact(
        "ffns.*.router.{scoring,softcap,normalized,weights,own_norm}",
        SECTION,
        "router",
        ROUTER,
        KINDS,
        words=router,
        takes="block",
        equal="{} router",
    ),
    Fact(
        "ffns.*.router.{selection_bias,bias}",
        SECTION,
        "router",
        ROUTER_BIAS,
        KINDS,
        words=None,
    ),
    Fact(
        "ffns.*.router.{input_scale,expert_scale}",
        SECTION,
        "router",
        ROUTER_SCALES,
        KINDS,
        words=None,
    ),
    Fact(
        "ffns.*.router.{groups,active_groups,group_score}",
        SECTION,
        "group limit",
        ROUTER,
        KINDS,
        words=group_limit,
        takes="block",
    ),
    Fact("ffns.*.router.scale", SECTION, "routed scale", ROUTER, KINDS),
)
