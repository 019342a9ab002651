"""Models side by side: the rows that differ, the facts that are equal, and the layers as strips."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from ..checkpoint.reading import Reading
from ..compare.diff import diff
from . import numbers
from .documents import ABSENT, Comparison, Strip, Table
from .fact_rows import Row, facts
from .model import remarks
from .wording import kind_word

SYMBOLS = "█▁▄░▒▀▖▚"


PER_TOKEN, UNTIL_FULL = ("Cache (bf16)", "per token"), ("Cache (bf16)", "until windows fill")


def compare(readings: list[Reading], everything: bool = False) -> Comparison:
    """Models side by side. Two models get a column of ratios; equal facts are summed up unless `everything` is asked for."""
    archs = [r.architecture for r in readings]
    tables = [{(f.section, f.label): f for f in facts(a)} for a in archs]
    if all(t.get(UNTIL_FULL) and t[UNTIL_FULL].text == t[PER_TOKEN].text for t in tables):
        for t in tables:  # no windows anywhere: nothing to say twice
            del t[UNTIL_FULL]
    order = merged_order([list(t) for t in tables])
    rows: list[list[str]] = []
    sections: dict[int, str] = {}
    equal: list[Row] = []
    for section, keys in groupby(order, key=lambda k: k[0]):
        for key in keys:
            cells = [t.get(key) for t in tables]
            if len({c.text if c else None for c in cells}) == 1:
                equal.append(next(c for c in cells if c))
                if not everything:
                    continue
            if section not in sections.values():
                sections[len(rows)] = section
            rows.append(
                [
                    key[1],
                    *(c.text if c else ABSENT for c in cells),
                    *([ratio_of(cells[0], cells[1])] if len(cells) == 2 else []),
                ]
            )
    columns = ["", *(r.name for r in readings), *([""] if len(readings) == 2 else [])]
    said, hidden = equal_phrases(equal)
    strips, legend = layer_strips(readings)
    same = all(not diff(archs[0], a) for a in archs[1:])
    notes = [f"{r.name}: {remark}" for r in readings for remark in remarks(r)]
    return Comparison(
        Table(columns, rows, sections),
        said,
        0 if everything else hidden,
        strips,
        legend,
        notes,
        same,
    )


def merged_order(orders: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """One order of rows that keeps each model's own, sections together."""
    out: list[tuple[str, str]] = []
    for keys in orders:
        at = -1
        for key in keys:
            if key in out:
                at = out.index(key)
                continue
            same = [i for i, k in enumerate(out) if k[0] == key[0]]
            at = (
                max(at, same[0]) if same and same[0] <= at <= same[-1] else same[-1] if same else at
            )
            at += 1
            out.insert(at, key)
    return out


def ratio_of(old: Row | None, new: Row | None) -> str:
    if old is None or new is None or old.number is None or new.number is None:
        return ""
    return numbers.ratio(old.number, new.number)


WORTH_SAYING: dict[tuple[str, str], str] = {
    ("Layers", "layers"): "{} layers",
    ("Layers", "hidden size"): "hidden {}",
    ("Attention", "kind"): "{}",
    ("Attention", "query heads"): "{} query heads",
    ("Attention", "KV heads"): "{} KV heads",
    ("Attention", "head dim"): "head dim {}",
    ("Attention", "MLA ranks"): "MLA ranks {}",
    ("Attention", "window"): "window {}",
    ("Attention", "QK-norm"): "QK-norm {}",
    ("Linear attention", "kind"): "{}",
    ("MoE", "routed experts"): "{} routed experts",
    ("MoE", "active experts"): "{} active",
    ("MoE", "expert width"): "width {}",
    ("MoE", "shared experts"): "shared expert {}",
    ("MoE", "router"): "{} router",
    ("Feed-forward", "activation"): "{}",
    ("Norms", "kind"): "{}",
    ("Norms", "placement"): "{}",
    ("Position", "positions"): "{}",
    ("Size", "vocabulary"): "vocabulary {}",
    ("Cache (bf16)", "per token"): "cache {} per token",
}
"""Equal facts that a comparison names, and how; the others are counted."""


def equal_phrases(equal: list[Row]) -> tuple[list[str], int]:
    """The equal facts worth saying, and how many more there are."""
    worth = [
        r for r in equal if (r.section, r.label) in WORTH_SAYING and r.text not in ("none", "0")
    ]
    said = [WORTH_SAYING[r.section, r.label].format(", ".join(r.text.split("\n"))) for r in worth]
    return said, len(equal) - len(worth)


def layer_strips(readings: list[Reading]) -> tuple[list[Strip], list[tuple[str, str]]]:
    """Layers as symbols; kinds that two models share have the same symbol. The most common kind is the full block."""
    words = [[kind_word(r.architecture, k) for k in r.architecture.layers] for r in readings]
    total: Counter[str] = Counter(w for ws in words for w in ws)
    ranked = sorted(total, key=lambda w: -total[w])
    symbol = {w: SYMBOLS[i] if i < len(SYMBOLS) else "·" for i, w in enumerate(ranked)}
    strips = [
        Strip(r.name, "".join(symbol[w] for w in ws)) for r, ws in zip(readings, words, strict=True)
    ]
    return strips, [(symbol[w], w) for w in dict.fromkeys(w for ws in words for w in ws)]
