"""Words for feed-forward blocks: dense ones, mixtures of experts and their routers."""

from __future__ import annotations

from ...views.numbers import number
from ..schema import FFN, Dense, MoE

GATED_ACTIVATIONS = {
    "silu": "SwiGLU",
    "gelu_tanh": "GeGLU (tanh)",
    "gelu": "GeGLU",
    "relu2": "gated squared ReLU",
}
"""Names of activations in a gated block."""

PLAIN_ACTIVATIONS = {
    "xielu": "xIELU",
    "gelu_tanh": "GELU (tanh)",
    "gelu": "GELU",
    "silu": "SiLU",
    "relu": "ReLU",
    "relu2": "squared ReLU",
}
"""Names of activations in a block without a gate."""

SCORING = {
    "softmax": "softmax",
    "softmax_chosen": "softmax over the chosen",
    "sigmoid": "sigmoid",
    "sigmoid_chosen": "sigmoid of the chosen",
    "sqrt_softplus": "√softplus",
    "sparsemixer": "SparseMixer",
}
"""Names of how a router scores experts."""


def ffn_word(f: FFN) -> str:
    """Return one block as the recipe of layers names it: `dense`, `MoE`, `Laurel`."""
    if isinstance(f, MoE):
        if f.router.token_table:
            return "hash-routed MoE"
        return "MoE"
    if f.per_layer:
        return "per-layer input"
    if f.own_skip:
        return "Laurel"
    return "dense"


def ffn_class_title(f: FFN) -> str:
    """Return the class of a feed-forward block as a figure titles it: `Mixture of experts`."""
    if isinstance(f, MoE):
        return "Mixture of experts"
    if f.per_layer:
        return "Per-layer input"
    if f.own_skip:
        return "Laurel (low-rank)"
    return "Feed-forward"


def activation_word(f: FFN) -> str:
    """Return `SwiGLU`, `GELU (tanh)`; with gpt-oss's factor and offset where there are such."""
    if f.gated:
        words = [GATED_ACTIVATIONS.get(f.activation, f"gated {f.activation}")]
    else:
        words = [PLAIN_ACTIVATIONS.get(f.activation, f.activation)]
    if f.alpha is not None:
        words.append(f"α {f.alpha:g}")
    if f.up_offset:
        words.append(f"up + {f.up_offset:g}")
    return ", ".join(words)


def clamp_word(f: FFN) -> str | None:
    """Return the bound of activations: `7`, `7 (shared 16)`, `shared 16`, or None."""
    own = None
    if f.clamp:
        own = f"{f.clamp:g}"
    if isinstance(f, Dense) or f.shared_clamp == f.clamp:
        return own
    if f.shared_clamp is not None:
        shared = f"shared {f.shared_clamp:g}"
    elif f.shared_width:
        shared = "shared none"
    else:
        return own
    if own is None:
        return shared
    return f"{own} ({shared})"


def shared_experts_word(f: MoE) -> str:
    """Return the shared experts: `1 of width 2,048, sigmoid gate`, or `none`.

    The width of several is that of all together where it is not a multiple of their number.
    """
    if not f.shared_width:
        return "none"
    count = number(f.shared_experts)
    width, rest = divmod(f.shared_width, max(f.shared_experts, 1))
    if rest or not f.shared_experts:
        words = f"{count}, together of width {number(f.shared_width)}"
    else:
        words = f"{count} of width {number(width)}"
    if f.shared_gate:
        return f"{words}, sigmoid gate"
    return words


def router_words(f: MoE) -> list[str]:
    """Return what a router has besides its scores: a table, a norm of its own, learned scales."""
    r = f.router
    words: list[str] = []
    if r.token_table:
        size = number(r.token_table)
        words.append(f"a table of {size} token ids names the experts")
    inputs: list[str] = []
    if r.own_norm:
        inputs.append("a norm of its own")
    if r.input_scale:
        inputs.append("a learned scale")
    if inputs:
        product = " and ".join(inputs)
        words.append(f"reads the stream through {product}")
    if r.expert_scale:
        words.append("a learned scale per expert")
    if r.learned_scale:
        words.append("a learned scale of all")
    if r.scores_shared:
        words.append("rows for shared experts")
    if r.hidden_width:
        words.append(f"an MLP of width {number(r.hidden_width)}")
    if r.product_keys:
        words.append("product keys")
    return words


def zero_experts_word(f: MoE) -> str | None:
    """Return how many experts return their input: `256 return their input, …`."""
    if not f.zero_experts:
        return None
    zeros = number(f.zero_experts)
    computing = f.active * f.experts / (f.experts + f.zero_experts)
    chosen = number(f.active)
    if f.zero_returns == "nothing":
        return f"{zeros} without an expert"
    return f"{zeros} return their input, on average {computing:.3g} of {chosen} chosen compute"
