"""Lines of `show` about feed-forward blocks: mixtures of experts and dense ones.

Each block that layers use has its own line; of several mixtures of experts the most used is
described in full, the others by what is different about them. Pure, like all views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..architecture.schema import FFN, Architecture, Dense, MoE, Router
from ..architecture.wording.feed_forward import (
    SCORING,
    activation_word,
    clamp_word,
    ffn_word,
    router_words,
    shared_experts_word,
    zero_experts_word,
)
from .numbers import number, plural


def layers_by_ffn(a: Architecture) -> Counter[str]:
    """Return how often layers use each feed-forward block, in order of first use."""
    layers: Counter[str] = Counter()
    for kind in a.layers:
        for step in a.layer_kinds[kind].steps:
            for branch in step.branches:
                group, _, name = branch.block.partition(".")
                if group == "ffns":
                    layers[name] += 1
    return layers


def moe_lines(a: Architecture) -> list[str]:
    """Return size, router and activation of the most used mixture, then how others differ."""
    mixtures: list[tuple[int, MoE]] = []
    for name, times in layers_by_ffn(a).most_common():
        block = a.ffns[name]
        if isinstance(block, MoE):
            mixtures.append((times, block))
    if not mixtures:
        return []
    _, main = mixtures[0]
    size = " · ".join(size_words(main))
    routing = ", ".join(routing_words(main))
    lines = [size, routing, experts_line(main)]
    usual = moe_words(main)
    for times, other in mixtures[1:]:
        different = [word for word in moe_words(other) if word not in usual]
        words = ", ".join(different)
        if words:
            lines.append(f"{words} · {plural(times, 'layer')}")
    return lines


def moe_words(f: MoE) -> list[str]:
    """Return all that the lines of a mixture of experts say, in pieces that can be compared."""
    words = size_words(f)
    words += routing_words(f)
    words.append(experts_line(f))
    return words


def size_words(f: MoE) -> list[str]:
    """Return `128 routed, top-8, width 1,536` and the shared experts."""
    width = number(f.expert_width)
    words = [f"{number(f.experts)} routed, top-{number(f.active)}, width {width}"]
    if f.shared_width:
        words.append(f"shared: {shared_experts_word(f)}")
    else:
        words.append("no shared expert")
    if f.latent_width:
        latent = number(f.latent_width)
        words.append(f"in a latent of {latent}")
    return words


def routing_words(f: MoE) -> list[str]:
    """Return how experts are chosen and weighted."""
    r = f.router
    words = [scoring_word(r)]
    if r.groups > 1:
        words.append(f"best {number(r.active_groups)} of {number(r.groups)} groups")
    if r.normalized and r.scoring != "softmax_chosen" and f.active > 1:
        words.append(f"weights of the chosen {number(f.active)} renormalised")
    if r.scale != 1:
        words.append(f"× {r.scale:g}")
    if r.weights == "input":
        words.append("weighting the expert's input")
    words += router_words(f)
    zeros = zero_experts_word(f)
    if zeros:
        words.append(f"zero experts: {zeros}")
    return words


def scoring_word(r: Router) -> str:
    """Return `sigmoid router with selection bias`, or `router with softmax over the chosen`."""
    word = f"{SCORING[r.scoring]} router"
    if r.scoring.endswith("_chosen"):
        word = f"router with {SCORING[r.scoring]}"
    if r.softcap:
        word += f" softcapped at {r.softcap:g}"
    if r.selection_bias:
        word += " with selection bias"
    if r.bias:
        word += " with bias"
    return word


def experts_line(f: MoE) -> str:
    """Return `experts: SwiGLU, with bias, clamped at 7`."""
    words = ", ".join(activation_words(f))
    return f"experts: {words}"


def activation_words(f: FFN) -> list[str]:
    """Return the activation, a bias and a clamp."""
    words = [activation_word(f)]
    if f.bias:
        words.append("with bias")
    clamp = clamp_word(f)
    if clamp and f.clamp_after:
        words.append(f"clamped at {clamp} after the activation")
    elif clamp:
        words.append(f"clamped at {clamp}")
    return words


def dense_lines(a: Architecture) -> list[str]:
    """Return a line for each dense block, with its layers where there are several."""
    plain: list[str] = []
    counted: list[str] = []
    special: list[str] = []
    for name, times in layers_by_ffn(a).items():
        block = a.ffns[name]
        if not isinstance(block, Dense):
            continue
        if block.own_skip or block.per_layer:
            special.append(special_line(block))
            continue
        line = ", ".join(dense_words(block))
        layers = plural(times, "layer")
        plain.append(line)
        counted.append(f"{line} · {layers}")
    if len(plain) > 1:
        return counted + special
    return plain + special


def special_line(f: Dense) -> str:
    """Return the line of a block in parallel to attention or of the per-layer input."""
    name = ffn_word(f)
    if f.own_skip:
        rank = number(f.width)
        return f"{name}: two matrices of rank {rank} beside attention, added to their input"
    words = ", ".join(dense_words(f))
    return f"{name}: {words}"


def dense_words(f: Dense) -> Iterator[str]:
    """Yield activation, width, bias, clamp, factors, norms and sparsity."""
    activation, *details = activation_words(f)
    yield activation
    yield f"width {number(f.width)}"
    yield from details
    if f.gate_scale != 1:
        yield f"gate × {f.gate_scale:.4g}"
    if f.inner_norm:
        yield "RMSNorm before the down projection"
    if f.channel_mix:
        yield "mixed with the token before, gated output"
    if f.sparsity:
        percent = 100 * (1 - f.sparsity)
        yield f"only the highest {percent:.2g} % of the gate pass"
