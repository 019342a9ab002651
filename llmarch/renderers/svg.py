"""Write drawings as SVG: six kinds of elements, text as text, no library.

Classes and ids are scoped by a hash of the content, because the style of an inline SVG reaches the
whole page.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from ..layout.compose import drawing
from ..layout.drawing import (
    Cells,
    Drawing,
    DrawnShape,
    Label,
    Point,
    Polygon,
    Rectangle,
    Sign,
    Wire,
)
from ..views.figure.description import Figure
from .cleaning import clean
from .themes import DARK, LIGHT, Paint, Palette, Theme, paint_of, paints

FONTS = (
    "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans Condensed', "
    "sans-serif"
)
"""Text is measured by the widest of these and DejaVu Sans, which plain Linux machines have."""
BASELINE = 0.36
"""From the middle of a line of text down to its baseline, in sizes of the text."""
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def svg(figure: Figure, *, theme: Theme = "auto", narrow: bool = False, scale: float = 1.0) -> str:
    """Return a figure as an SVG document.

    figure: what it shows.
    theme: `light`, `dark`, or `auto` for what the reader's system asks for.
    narrow: whether it is drawn for a phone or a column of print.
    scale: factor of its width and height.
    """
    placed = drawing(figure, narrow=narrow)
    return drawing_svg(placed, theme=theme, scale=scale)


def drawing_svg(d: Drawing, *, theme: Theme = "auto", scale: float = 1.0) -> str:
    """Return a drawing as an SVG document; see `svg`."""
    body = "".join(map(element_text, d.shapes))
    scope = "f" + sha256((d.title + body).encode()).hexdigest()[:8]
    width, height = number_text(d.width), number_text(d.height)
    shown = number_text(d.width * scale), number_text(d.height * scale)
    classes = sorted({css for shape in d.shapes for css in classes_of(shape)} | {"paper"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{scope}" viewBox="0 0 {width} {height}"'
        f' width="{shown[0]}" height="{shown[1]}" role="img" aria-labelledby="{scope}t {scope}d"'
        f' font-family="{FONTS}">'
        f'<title id="{scope}t">{escaped(d.title)}</title>'
        f'<desc id="{scope}d">{escaped(d.summary)}</desc>'
        f"<style>{style(classes, scope, theme)}</style>"
        f'<rect class="paper" width="{width}" height="{height}"/>'
        f"{body}</svg>\n"
    )


def escaped(text: str) -> str:
    """Return a text for an SVG document: control characters shown, markup escaped."""
    return "".join(ESCAPES.get(character, character) for character in clean(text))


def number_text(n: float) -> str:
    """Return a number with one decimal at most."""
    text = f"{n:.1f}"
    if text == "-0.0":
        return "0"
    return text.removesuffix(".0")


# Styles


def class_name(css: str) -> str:
    """Return the class of an element: `panel io` -> `panel-io`."""
    return css.replace(" ", "-")


def classes_of(shape: DrawnShape) -> list[str]:
    """Return the classes that a shape is painted with."""
    match shape:
        case Sign(kind="plus"):
            return ["plus", "wire"]
        case Sign(kind="dot"):
            return ["head"]
        case Sign(kind="flag"):
            return ["flag", "flag-sign"]
        case Wire(arrow=True):
            return [shape.css, "head"]
        case Sign():
            return []
        case _:
            return [shape.css]


def style(classes: Iterable[str], scope: str, theme: Theme) -> str:
    """Return the rules of the classes that a drawing has."""
    names = list(classes)
    if theme == "dark":
        return rules(names, scope, DARK)
    light = rules(names, scope, LIGHT)
    if theme == "light":
        return light
    return f"{light}@media (prefers-color-scheme:dark){{{rules(names, scope, DARK)}}}"


def rules(classes: Iterable[str], scope: str, palette: Palette) -> str:
    """Return the rules of classes in the colours of a theme."""
    known = paints(palette)
    text = ""
    for css in classes:
        paint = known.get(css) or paint_of(css, palette)
        selector = f"#{scope} .{class_name(css)}"
        block = declarations(paint)
        text += f"{selector}{{{block}}}"
    return text


def declarations(paint: Paint) -> str:
    """Return the declarations of a paint."""
    found = [f"fill:{paint.fill or 'none'}"]
    if paint.fill and paint.fill_opacity != 1:
        found.append(f"fill-opacity:{paint.fill_opacity:g}")
    if paint.stroke:
        found.append(f"stroke:{paint.stroke}")
        if paint.width != 1:
            found.append(f"stroke-width:{paint.width:g}")
        if paint.stroke_opacity != 1:
            found.append(f"stroke-opacity:{paint.stroke_opacity:g}")
        if paint.dash:
            dash = " ".join(f"{length:g}" for length in paint.dash)
            found.append(f"stroke-dasharray:{dash}")
    return ";".join(found)


# Shapes


def element_text(shape: DrawnShape) -> str:
    """Return the elements of a shape."""
    match shape:
        case Rectangle():
            return rectangle_text(shape)
        case Cells():
            return f'<path class="{class_name(shape.css)}" d="{cells_path(shape)}"/>'
        case Label():
            return label_text(shape)
        case Wire():
            return wire_text(shape)
        case Polygon():
            points = points_text(shape.points)
            return f'<polygon class="{class_name(shape.css)}" points="{points}"/>'
        case Sign():
            return sign_text(shape)


def rectangle_text(r: Rectangle) -> str:
    """Return a rectangle; its path is an attribute for pages that link it."""
    x, y, width, height = map(number_text, r.area)
    data = f' data-path="{escaped(r.path)}"' if r.path else ""
    return (
        f'<rect class="{class_name(r.css)}" x="{x}" y="{y}" width="{width}" height="{height}"'
        f' rx="{r.radius:g}"{data}/>'
    )


def cells_path(cells: Cells) -> str:
    """Return many rectangles as one path."""
    parts: list[str] = []
    for area in cells.areas:
        x, y, width, height = map(number_text, area)
        parts.append(f"M{x} {y}h{width}v{height}h-{width}z")
    return "".join(parts)


def label_text(label: Label) -> str:
    """Return a text, with the whole of it as a tooltip where it was cut."""
    drop = BASELINE * label.size
    x = number_text(label.x)
    y = number_text(label.y + drop)
    attributes = f'class="{label.css}" x="{x}" y="{y}" font-size="{label.size:g}"'
    if label.anchor != "start":
        attributes += f' text-anchor="{label.anchor}"'
    if label.bold:
        attributes += ' font-weight="600"'
    content = escaped(label.text)
    if label.whole:
        tip = escaped(label.whole)
        content += f"<title>{tip}</title>"
    return f"<text {attributes}>{content}</text>"


def wire_text(wire: Wire) -> str:
    """Return a line with its arrowhead."""
    first, *rest = wire.points
    path = f"M{point_text(first)}" + "".join(f"L{point_text(point)}" for point in rest)
    text = f'<path class="{class_name(wire.css)}" d="{path}"/>'
    if wire.arrow:
        text += f'<polygon class="head" points="{points_text(wire.head)}"/>'
    return text


def point_text(point: Point) -> str:
    """Return a point of a path."""
    x, y = map(number_text, point)
    return f"{x} {y}"


def points_text(points: Iterable[Point]) -> str:
    """Return the points of a polygon."""
    texts: list[str] = []
    for point in points:
        x, y = map(number_text, point)
        corner = f"{x},{y}"
        texts.append(corner)
    return " ".join(texts)


def sign_text(sign: Sign) -> str:
    """Return a sign."""
    x, y, r = number_text(sign.x), number_text(sign.y), number_text(sign.radius)
    if sign.kind == "dot":
        return f'<circle class="head" cx="{x}" cy="{y}" r="{r}"/>'
    if sign.kind == "plus":
        half = 4 * sign.scale
        whole = number_text(2 * half)
        left, top = number_text(sign.x - half), number_text(sign.y - half)
        stroke = f"M{left} {y}h{whole}M{x} {top}v{whole}"
        return f'<circle class="plus" cx="{x}" cy="{y}" r="{r}"/><path class="wire" d="{stroke}"/>'
    k = sign.scale
    left, bar = number_text(sign.x - 3.5 * k), number_text(7 * k)
    upper, lower = number_text(sign.y - 1.6 * k), number_text(sign.y + 1.6 * k)
    bars = f"M{left} {upper}h{bar}M{left} {lower}h{bar}"
    start = number_text(sign.x + 2 * k), number_text(sign.y - 4.2 * k)
    slash = f"M{start[0]} {start[1]}l-{number_text(4 * k)} {number_text(8.4 * k)}"
    return (
        f'<circle class="flag" cx="{x}" cy="{y}" r="{r}"/>'
        f'<path class="flag-sign" d="{bars}{slash}"/>'
    )
