"""Words for norms, the residual stream, encoders, and how weights are stored."""

from __future__ import annotations

from ...views.numbers import number, plural
from ..schema import ConvTower, Encoder, FeatureEmbedding, Norm, Quantization, Residual

NORMS = {"rmsnorm": "RMSNorm", "layernorm": "LayerNorm"}
"""Names of the kinds of norm."""

STREAMS = {"hyper": "under hyper-connections", "altup": "updated in turns (AltUp)"}
"""How several residual streams are mixed."""


HEADS = {
    "language_model": "language model",
    "sequence_classification": "sequence classification",
    "token_classification": "token classification",
    "question_answering": "question answering",
    "reward": "reward model",
    "value": "language model with a value head",
    "none": "no head (base model)",
}
"""Words for the kinds of heads."""


def head_word(kind: str) -> str:
    """Return what a head is for: `sequence classification`."""
    return HEADS[kind]


def norm_word(n: Norm) -> str:
    """Return `RMSNorm, weight + 1`, `LayerNorm with bias`."""
    text = NORMS[n.kind]
    if n.bias:
        text += " with bias"
    if n.offset:
        text += f", weight + {n.offset}"
    if not n.weight:
        text += " without weight"
    if n.gate_rank:
        text += f", gate of rank {n.gate_rank}"
    return text


def residual_word(r: Residual) -> str:
    """Return `one stream`, or `4 streams under hyper-connections`."""
    if r.kind == "plain":
        return "one stream"
    mixing = STREAMS[r.kind]
    streams = plural(r.streams, "stream")
    if not r.mixing:
        mixing = f"{mixing} without mixing"
    return f"{streams} {mixing}"


def tower_word(t: Encoder) -> str:
    """Return `siglip, 27 layers × 1,152`."""
    if isinstance(t, FeatureEmbedding):
        first, last = t.projector[0], t.projector[-1]
        return f"{t.kind}, matrices from {number(first.inputs)} to {number(last.outputs)}"
    if not isinstance(t, ConvTower):
        width = number(t.hidden_size)
        layers = plural(t.layers, "layer")
        return f"{t.kind}, {layers} × {width}"
    blocks = plural(sum(map(len, t.stages)), "convolutional block")
    width = number(t.outputs)
    return f"{t.kind}, {blocks} to {width}"


def quantization_word(q: Quantization) -> str:
    """Return the stored format: `fp8 e4m3, 8 bits, blocks 128 × 128`."""
    words = [q.method]
    if q.format and q.format != q.method:
        words = [f"{q.method} {q.format}"]
    if q.bits:
        bits = "bit" if q.bits == 1 else "bits"
        words.append(f"{q.bits:g} {bits}")
    if q.block:
        sizes = " × ".join(map(number, q.block))
        words.append(f"blocks {sizes}")
    if q.group_size:
        words.append(f"groups of {number(q.group_size)}")
    if q.experts:
        words.append(f"experts {q.experts}")
    return ", ".join(words)
