"""Write drawings as PDF by fpdf2 (the extra `llmarch[pdf]`): vector shapes, and text as text.

The font that llmarch ships is embedded as far as it is used, so that text can be searched and
copied, and looks the same everywhere. One pixel is 0.75 points.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from ..layout.drawing import (
    Area,
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
from .cleaning import clean
from .png import FONT_FILES, FONT_FOLDER
from .svg import BASELINE
from .themes import DARK, LIGHT, Paint, Palette, Theme, paint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fpdf import FPDF

POINTS = 0.75
"""Points of a pixel."""
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""The date in the file, always the same, so that the same figure is the same bytes."""


def pdf(drawing: Drawing, *, theme: Theme = "light", scale: float = 1.0) -> bytes:
    """Return a drawing as a PDF of one page of its size.

    drawing: the drawing.
    theme: `light` or `dark`; a page has one.
    scale: factor of its width and height.
    Raises MissingExtra without fpdf2.
    """
    try:
        from fpdf import FPDF
    except ImportError:
        raise MissingExtra("PDF", "pdf") from None
    factor = POINTS * scale
    size = (drawing.width * factor, drawing.height * factor)
    document = FPDF(orientation="P", unit="pt", format=size)
    document.set_creation_date(EPOCH)
    document.set_title(clean(drawing.title))
    document.set_margin(0)
    document.set_auto_page_break(False)
    regular, bold = (str(FONT_FOLDER / name) for name in FONT_FILES)
    document.add_font("Inter", "", regular)
    document.add_font("Inter", "B", bold)
    document.add_page(format=size)
    palette = LIGHT
    if theme == "dark":
        palette = DARK
    page = Page(document, factor, palette)
    whole = Area(0, 0, drawing.width, drawing.height)
    page.rectangle(whole, 0, "paper")
    for shape in drawing.shapes:
        page.draw(shape)
    return bytes(document.output())


class Page:
    """One page, and how lengths and colours come to it."""

    def __init__(self, document: FPDF, factor: float, palette: Palette) -> None:
        self.document = document
        self.factor = factor
        self.palette = palette

    def draw(self, shape: DrawnShape) -> None:
        """Draw one shape."""
        match shape:
            case Rectangle():
                self.rectangle(shape.area, shape.radius, shape.css)
            case Cells():
                for area in shape.areas:
                    self.rectangle(area, 0, shape.css)
            case Label():
                self.text(shape)
            case Wire():
                self.line(shape.points, shape.css)
                if shape.arrow:
                    self.polygon(shape.head, "head")
            case Polygon():
                self.polygon(shape.points, shape.css)
            case Sign():
                self.sign(shape)

    def rectangle(self, area: Area, radius: float, css: str) -> None:
        """Draw a rectangle with round corners."""
        r = min(radius, 0.49 * area.width, 0.49 * area.height)  # fpdf2 draws none from one half
        corners: dict[str, Any] = {}
        if r:
            corners = {"round_corners": True, "corner_radius": r * self.factor}
        x, y, width, height = (length * self.factor for length in area)
        self.paint(
            css, lambda style: self.document.rect(x, y, width, height, style=style, **corners)
        )

    def polygon(self, points: Sequence[Point], css: str) -> None:
        """Draw a closed shape."""
        placed = [(x * self.factor, y * self.factor) for x, y in points]
        self.paint(css, lambda style: self.document.polygon(placed, style=style))

    def line(self, points: Sequence[Point], css: str) -> None:
        """Draw a line through points."""
        placed = [(x * self.factor, y * self.factor) for x, y in points]
        self.paint(css, lambda _: self.document.polyline(placed))

    def circle(self, x: float, y: float, radius: float, css: str) -> None:
        """Draw a circle around a point."""
        center = x * self.factor, y * self.factor, radius * self.factor
        self.paint(css, lambda style: self.document.circle(*center, style=style))

    def sign(self, sign: Sign) -> None:
        """Draw a sign."""
        x, y, scale = sign.x, sign.y, sign.scale
        if sign.kind == "dot":
            self.circle(x, y, sign.radius, "head")
        elif sign.kind == "plus":
            self.circle(x, y, sign.radius, "plus")
            half = 4 * scale
            self.line([(x - half, y), (x + half, y)], "wire")
            self.line([(x, y - half), (x, y + half)], "wire")
        else:
            self.circle(x, y, sign.radius, "flag")
            ends = (((-3.5, -1.6), (3.5, -1.6)), ((-3.5, 1.6), (3.5, 1.6)), ((2, -4.2), (-2, 4.2)))
            for bar in ends:
                points = [(x + dx * scale, y + dy * scale) for dx, dy in bar]
                self.line(points, "flag-sign")

    def text(self, label: Label) -> None:
        """Write a text."""
        document = self.document
        size = label.size * self.factor
        document.set_font("Inter", "B" if label.bold else "", size)
        red, green, blue = colour(paint_of(label.css, self.palette).fill or "#000000")
        document.set_text_color(red, green, blue)
        text = clean(label.text)
        width = document.get_string_width(text)
        shift = {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
        y = (label.y + BASELINE * label.size) * self.factor
        document.text(label.x * self.factor - shift, y, text)

    def paint(self, css: str, draw: Callable[[str], object]) -> None:
        """Draw a shape in the colours of its class.

        css: the class.
        draw: called with the style: fill, outline or both.
        """
        paint = paint_of(css, self.palette)
        document = self.document
        if paint.fill:
            document.set_fill_color(*colour(paint.fill))
        if paint.stroke:
            document.set_draw_color(*colour(paint.stroke))
        document.set_line_width(paint.width * self.factor)
        with document.local_context(**paint_context(paint, self.factor)):
            draw(style_of(paint))


def style_of(paint: Paint) -> str:
    """Return whether a shape is filled, outlined, or both."""
    style = ""
    if paint.fill:
        style += "F"
    if paint.stroke:
        style += "D"
    return style


def paint_context(paint: Paint, factor: float) -> dict[str, Any]:
    """Return opacities and dashes of a paint, as fpdf2 takes them."""
    found: dict[str, Any] = {}
    if paint.fill_opacity != 1:
        found["fill_opacity"] = paint.fill_opacity
    if paint.stroke_opacity != 1:
        found["stroke_opacity"] = paint.stroke_opacity
    if paint.dash:
        dash, gap = paint.dash
        dash *= factor
        gap *= factor
        found["dash_pattern"] = {"dash": dash, "gap": gap}
    return found


def colour(text: str) -> tuple[int, int, int]:
    """Return red, green and blue of `#RRGGBB`, 0 to 255."""
    digits = text[1:7]
    channels = bytes.fromhex(digits)
    red, green, blue = channels
    return red, green, blue
