"""Words for norms, the residual stream, encoders, and how weights are stored."""

from __future__ import annotations

from ..schema import Conformer, ConvTower, Norm, Quantization, Residual, Tower

STREAMS = {"hyper": "under hyper-connections", "altup": "updated in turns (AltUp)"}
"""How several residual streams are mixed."""


def norm_word(n: Norm) -> str:
    """Return `RMSNorm, weight + 1`, `LayerNorm with bias`."""
    text = "RMSNorm" if n.kind == "rmsnorm" else "LayerNorm"
    if n.bias:
        text += " with bias"
    if n.offset:
        text += f", weight + {n.offset}"
    if not n.weight:
        text += " without weight"
    return text


def residual_word(r: Residual) -> str:
    """Return `one stream`, or `4 streams under hyper-connections`."""
    if r.kind in STREAMS:
        return f"{r.streams} streams {STREAMS[r.kind]}"
    return "one stream"


def tower_word(t: Tower | Conformer | ConvTower) -> str:
    """Return `siglip, 27 layers × 1,152`."""
    if isinstance(t, ConvTower):
        blocks = sum(map(len, t.stages))
        return f"{t.kind}, {blocks} convolutional blocks to {t.outputs:,}"
    return f"{t.kind}, {t.layers} layers × {t.hidden_size:,}"


def quantization_word(q: Quantization) -> str:
    """Return the stored format: `fp8 e4m3, 8 bits, blocks 128 × 128`."""
    format = q.format if q.format != q.method else None
    words = [f"{q.method} {format}" if format else q.method]
    if q.bits:
        words.append(f"{q.bits:g} bits")
    if q.block:
        words.append("blocks " + " × ".join(map(str, q.block)))
    elif q.group_size:
        words.append(f"groups of {q.group_size}")
    if q.experts:
        words.append(f"experts {q.experts}")
    return ", ".join(words)
