"""Colours of figures, by theme.

Each role has a hue, a lightness and a title of its own, never a hue alone. Strokes and the colours
of layer kinds were searched for the largest least distance under normal and three kinds of
colour-deficient sight; the first four kinds differ in lightness too, for print in grey.
"""

from __future__ import annotations

from typing import Literal

from ..architecture.frozen import Frozen, frozen

Theme = Literal["light", "dark", "auto"]
ROLES = ("attention", "linear", "dense", "moe", "norm", "io", "tower")
LINE_ROLES = ("attention", "moe", "linear", "dense", "tower", "io")
"""Whose strokes the lines of a chart have."""
DASHES: tuple[tuple[float, ...], ...] = ((), (8, 3), (2, 3), (12, 3), (5, 5), (1, 2))
"""Dashes of the lines of a chart, so that they differ in print too."""


@frozen(kw_only=True)
class Palette(Frozen):
    """The colours of a theme."""

    fills: tuple[str, ...]
    """Fill of each role, in the order of ROLES."""
    strokes: tuple[str, ...]
    """Outline of each role."""
    kinds: tuple[str, ...]
    """Colours of the kinds of layers."""
    ink: str
    muted: str
    paper: str
    marker: str
    line: str


LIGHT = Palette(
    fills=("#DFE6F5", "#D6F2EA", "#F8F2C6", "#F7E1D4", "#EFEFEF", "#F4F5F7", "#F3E3EE"),
    strokes=("#36487A", "#01A085", "#9C8D05", "#8A3818", "#8A8A8A", "#5B626B", "#9A4580"),
    kinds=("#2452A6", "#A9D3F8", "#BD8A12", "#53152A", "#3FCF84", "#8F8C8B"),
    ink="#15181C",
    muted="#5B626B",
    paper="#FFFFFF",
    marker="#FFE98A",
    line="#3A4048",
)
DARK = Palette(
    fills=("#1D2A4D", "#0E3A32", "#3A3710", "#47211A", "#2A2E35", "#20242B", "#3B2335"),
    strokes=("#6A88E0", "#2CE6C0", "#E6CB2C", "#D85F4A", "#8A93A0", "#9AA3AE", "#DE9CC4"),
    kinds=("#4F7FD1", "#C0E1F9", "#D0A820", "#A71243", "#2FDD83", "#989992"),
    ink="#ECEEF1",
    muted="#A9B0BA",
    paper="#14171C",
    marker="#5C5112",
    line="#C3C9D1",
)


@frozen(kw_only=True)
class Paint(Frozen):
    """How a class of shapes is painted."""

    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    fill_opacity: float = 1.0
    stroke_opacity: float = 1.0
    dash: tuple[float, ...] = ()


def paints(p: Palette) -> dict[str, Paint]:
    """Return the paint of each class of a drawing. A later class of a shape goes before."""
    found: dict[str, Paint] = {}
    for role, fill, stroke in zip(ROLES, p.fills, p.strokes, strict=True):
        found[role] = Paint(fill=fill, stroke=stroke)
        found[f"{role}-full"] = Paint(fill=stroke)
        found[f"{role}-light"] = Paint(fill=stroke, fill_opacity=0.35)
        found[f"{role}-hollow"] = Paint(stroke=stroke, width=0.7)
    for i, colour in enumerate(p.kinds):
        found[f"k{i}"] = Paint(fill=colour)
    for i, (role, dash) in enumerate(zip(LINE_ROLES, DASHES, strict=True)):
        stroke = p.strokes[ROLES.index(role)]
        found[f"line{i}"] = Paint(stroke=stroke, width=2.0, dash=dash)
    return found | {
        "paper": Paint(fill=p.paper),
        "ink": Paint(fill=p.ink),
        "muted": Paint(fill=p.muted),
        "wire": Paint(stroke=p.line, width=1.2),
        "head": Paint(fill=p.line),
        "reuse": Paint(stroke=p.muted, width=1.0),
        "grid": Paint(stroke=p.muted, stroke_opacity=0.3),
        "limit": Paint(stroke=p.ink, width=1.2, dash=(6, 4)),
        "plus": Paint(fill=p.paper, stroke=p.line, width=1.2),
        "block": Paint(fill=p.paper, stroke=p.line, width=1.4),
        "frame": Paint(stroke=p.muted, dash=(4, 3)),
        "marker": Paint(fill=p.marker),
        "flag": Paint(fill=p.ink),
        "flag-sign": Paint(stroke=p.paper, width=1.4),
    }


def paint_of(css: str, palette: Palette) -> Paint:
    """Return the paint of a shape with one or several classes: `moe differs`, `panel io`."""
    known = paints(palette)
    first, _, second = css.partition(" ")
    if first == "panel":
        return Paint(fill=palette.paper, stroke=known[second].stroke)
    if first == "wedge":
        role = known[second]
        return Paint(
            fill=role.fill,
            stroke=role.stroke,
            fill_opacity=0.45,
            stroke_opacity=0.35,
            dash=(3, 3),
        )
    if first == "marker":
        return Paint(fill=known[first].fill, stroke=palette.muted, width=0.8)
    if second == "differs":
        return Paint(fill=known[first].fill, stroke=palette.ink, width=2.6)
    return known[first]
