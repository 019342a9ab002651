"""Parameter counts from the facts of an Architecture alone.

No names of tensors, no template, no family code: the count must equal the sum over the family's
template and over the headers, and is only worth something because it shares no code with them.
Blocks are counted in `block_parameters.py`, encoders in `encoder_parameters.py`.

`total` is the main model: tied weights once, towers and router-bias tables included; MTP modules,
quantisation scales and non-persistent buffers excluded. The active counts are of the text model.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from ..architecture.frozen import Frozen, frozen
from ..architecture.schema import Architecture, Attention, MoE, Residual
from .block_parameters import (
    count_block,
    count_expert,
    count_norm,
    count_projection,
    count_query_experts,
    count_shared_transformer,
)
from .encoder_parameters import count_encoder


@frozen
class Parameters(Frozen):
    """Counts of elements."""

    total: int
    active: int
    """Parameters that serve a token: of routed experts only the chosen ones, without encoders."""
    active_without_embedding: int
    """`active` without the input embedding."""
    active_without_embedding_and_head: int
    """`active` without input embedding and head; a tied matrix is subtracted once."""
    embedding: int
    head: int
    vision: int
    """All encoders."""
    mtp: int | None
    """Modules of multi-token prediction; None if they are announced with an unknown layout."""
    by_component: dict[str, int]
    active_by_component: dict[str, int]


def count_parameters(a: Architecture) -> Parameters:
    """Count the parameters of an architecture."""
    counts = _count_vocabulary_and_norms(a)
    active_experts = 0
    for kind, times in Counter(a.layers).items():
        for component, n in count_layer(a, kind).items():
            counts[component] += n * times
        active_experts += times * _count_active_experts(a, kind)
    counts.update(_count_outside_layers(a))

    active_counts = counts.copy()
    active_counts["experts"] = active_experts
    encoders = {name: count_encoder(tower) for name, tower in a.towers.items()}
    counts.update(encoders)

    embedding = a.embedding_rows * a.embedding_width
    head = counts["head"]
    active = active_counts.total()
    return Parameters(
        total=counts.total(),
        active=active,
        active_without_embedding=active - embedding,
        active_without_embedding_and_head=active - embedding - head,
        embedding=embedding,
        head=head,
        vision=sum(encoders.values()),
        mtp=count_mtp(a),
        by_component=dict(+counts),  # + drops components of 0
        active_by_component=dict(+active_counts),
    )


def _count_vocabulary_and_norms(a: Architecture) -> Counter[str]:
    """Count embedding, head, and the norms outside the layers."""
    matrix = a.embedding_rows * a.embedding_width
    positions = (a.embedding.positions or 0) * a.hidden_size
    norms = _count_norms(a, [a.final_norm, a.embedding.norm])
    gates = _count_norm_gates(a, [a.final_norm, a.embedding.norm])
    counts = Counter(
        embedding=matrix + positions,
        head=count_head(a, a.embedding.tied),
        norms=norms,
        norm_gates=gates,
        layer_scales=2 * a.embedding.affine * a.hidden_size,
    )
    if a.embedding.width:  # into the stream, and from it to the head
        counts["embedding_projections"] = 2 * count_projection(a.embedding.width, a.hidden_size)
    return counts


def count_head(a: Architecture, tied: bool) -> int:
    """Count the head of a language model, and one of another kind.

    tied: whether the head of a language model is the embedding, and counts as that.
    """
    head = a.head
    total = 0
    if head.predicts_tokens and not tied:
        total += count_projection(a.embedding_width, a.vocab_size)
    if head.kind == "language_model":
        return total + head.bias * a.vocab_size
    width = a.hidden_size
    if head.inner_width:
        total += count_projection(width, head.inner_width, bias=True)
        width = head.inner_width
    return total + count_projection(width, head.outputs or 0, bias=head.bias)


def _count_norms(a: Architecture, names: list[str | None]) -> int:
    """Count norms over the hidden size; None stands for a place without a norm."""
    total = 0
    for name in names:
        if name:
            total += count_norm(a.norms[name], a.hidden_size)
    return total


def _count_norm_gates(a: Architecture, names: list[str | None]) -> int:
    """Count the gates of norms over the hidden size, two matrices each (modeling_axk2)."""
    ranks = [a.norms[name].gate_rank or 0 for name in names if name]
    return 2 * a.hidden_size * sum(ranks)


def _count_outside_layers(a: Architecture) -> Counter[str]:
    """Count what is outside the layers: per-layer embedding, residual streams, other tensors."""
    counts: Counter[str] = Counter()
    per_layer = a.embedding.per_layer
    if per_layer:
        channels = len(a.layers) * per_layer.width
        norm = per_layer.width
        counts["per_layer_embedding"] = per_layer.vocab_size * channels
        counts["per_layer_projection"] = count_projection(a.hidden_size, channels) + norm
    for kind in set(a.layers):
        counts["layer_scales"] += a.layer_kinds[kind].initial_state * a.hidden_size
    for name in _used_mixers(a):
        mixer = a.mixers[name]
        if isinstance(mixer, Attention):
            counts.update(count_shared_transformer(mixer, a.hidden_size))
    counts["residual"] += _count_residual(a.residual, a.hidden_size)
    for other in a.other.values():
        counts["other"] += other.count * prod(other.shape)
    return counts


def _used_mixers(a: Architecture) -> dict[str, int]:
    """Return by name the mixers that layers have, with the number of these layers."""
    found: Counter[str] = Counter()
    layers_by_kind = Counter(a.layers)
    for kind, layers in layers_by_kind.items():
        layer_kind = a.layer_kinds[kind]
        for step in layer_kind.steps:
            for branch in step.branches:
                group, _, name = branch.block.partition(".")
                if group == "mixers":
                    found[name] += layers
    return found


def count_repeated(a: Architecture) -> dict[str, int]:
    """Count by component the shared weights that a token meets again, after the first time."""
    counts: Counter[str] = Counter()
    for kind, layers in Counter(a.layers).items():
        further = layers * (a.layer_kinds[kind].runs - 1)
        for component, n in count_layer(a, kind).items():
            counts[component] += further * n
    for name, layers in _used_mixers(a).items():
        mixer = a.mixers[name]
        if isinstance(mixer, Attention):
            for component, n in count_shared_transformer(mixer, a.hidden_size).items():
                counts[component] += (layers - 1) * n
    return dict(+counts)


def _count_active_experts(a: Architecture, kind: str) -> int:
    """Count the routed experts that serve a token in one layer of a kind."""
    total = 0
    for block in a.blocks_of(kind):
        if isinstance(block, MoE):
            expert = count_expert(block, a.hidden_size)
            total += block.active * expert
        if isinstance(block, Attention) and block.query_experts:
            chosen = block.heads // block.kv_heads
            queries = count_query_experts(block, chosen, a.hidden_size)
            total += queries
    return total


def count_layer(a: Architecture, kind: str) -> Counter[str]:
    """Count one layer of a kind, by component."""
    counts: Counter[str] = Counter()
    for step in a.layer_kinds[kind].steps:
        norms = [step.pre_norm, step.join_norm, step.after_norm]
        for branch in step.branches:
            norms += [branch.pre_norm, branch.post_norm]
            counts.update(count_block(a.block(branch.block), a.hidden_size))
            counts["layer_scales"] += branch.learned_gate
            counts["residual"] += (a.residual.conv_kernel or 0) * a.hidden_size
        vectors = step.learned_skip + 4 * step.affine
        counts["layer_scales"] += vectors * a.hidden_size
        counts["norms"] += _count_norms(a, norms)
        counts["norm_gates"] += _count_norm_gates(a, norms)
        counts["residual"] += count_hyper_connection(a.residual, a.hidden_size)
    counts["residual"] += count_altup_layer(a.residual, a.hidden_size)
    counts["layer_scales"] += a.layer_kinds[kind].learned_scale
    return counts


# --- several residual streams -------------------------------------------------------------------


def count_hyper_connection(residual: Residual, hidden_size: int) -> int:
    """Count the hyper-connection of one step: a matrix, and a scale for each of its parts.

    Three parts where streams are mixed (modeling_deepseek_v4), two else (modeling_hy_v4).
    """
    if residual.kind != "hyper":
        return 0
    streams = residual.streams
    weights = 2 * streams
    scales = 2
    if residual.mixing:
        weights += streams**2
        scales = 3
    mixing = count_projection(streams * hidden_size, weights, bias=True)
    return mixing + scales


def count_hyper_head(residual: Residual, hidden_size: int) -> int:
    """Count what joins the hyper-connected streams at the end: a matrix with bias, a scale."""
    if residual.kind != "hyper":
        return 0
    scale = 1
    return count_projection(residual.streams * hidden_size, residual.streams, bias=True) + scale


def count_altup_layer(residual: Residual, hidden_size: int) -> int:
    """Count the alternating updates of one layer (modeling_gemma3n)."""
    if residual.kind != "altup":
        return 0
    streams = residual.streams
    return sum(
        [
            count_projection(streams, streams**2),  # coefficients of prediction
            count_projection(streams, streams),  # coefficients of correction
            count_projection(hidden_size, streams),  # router
            hidden_size,  # its norm
            hidden_size,  # scale of the active stream
        ]
    )


def _count_residual(residual: Residual, hidden_size: int) -> int:
    """Count what makes the streams from the embedding, and one stream of them at the end."""
    if residual.kind == "altup":
        matrix = count_projection(hidden_size, hidden_size)
        further_streams = residual.streams - 1
        return 2 * further_streams * matrix
    return count_hyper_head(residual, hidden_size)


# --- multi-token prediction ---------------------------------------------------------------------


def count_mtp(a: Architecture) -> int | None:
    """Count all MTP modules; None if their layout is not known."""
    mtp = a.mtp
    if mtp is None or mtp.modules == 0:
        return 0
    if mtp.layer_kind is None:
        return None
    copies = 0
    matrix = a.vocab_size * a.hidden_size
    if mtp.own_embedding:
        copies += matrix
    if mtp.own_head:
        copies += matrix
    return sum(count_drafter(a).values()) + mtp.modules * copies


def count_drafter(a: Architecture) -> dict[str, int]:
    """Count the MTP modules as they run, by component: without copies of embedding and head.

    Empty without modules, or if their layout is not known.
    """
    mtp = a.mtp
    if mtp is None or mtp.layer_kind is None:
        return {}
    counts = count_layer(a, mtp.layer_kind)
    counts["mtp"] = sum(
        [
            count_projection(2 * a.hidden_size, a.hidden_size),
            mtp.norms * a.hidden_size,
            count_hyper_head(a.residual, a.hidden_size),
        ]
    )
    return {component: mtp.modules * n for component, n in counts.items() if n}
