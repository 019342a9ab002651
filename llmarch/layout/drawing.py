"""Shapes with places, and groups of them that are placed as one.

A group draws at its own origin. Its shapes may have places on all sides of it; `Bounds` say how far
they reach. No shape knows a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Union

from .metrics import FACT, cut_text, text_width

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

WEDGE, FRAME, WIRE, SOLID, MARKER, TEXT, SIGN = range(7)
"""Levels from the bottom: what lies over what."""
ARROW = 5.0
"""Length of an arrowhead."""
HALF_ARROW = 3.0
"""Half its width."""
PALETTE_SIZE = 6
"""Number of colours, which are taken in turn."""


class Area(NamedTuple):
    """A rectangle: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Return its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Return its lower edge."""
        return self.y + self.height

    @property
    def center(self) -> float:
        """Return the middle from left to right."""
        half = self.width / 2
        return self.x + half

    @property
    def middle(self) -> float:
        """Return the middle from top to bottom."""
        half = self.height / 2
        return self.y + half

    def moved(self, dx: float, dy: float) -> Area:
        """Return it at another place."""
        x = self.x + dx
        y = self.y + dy
        return Area(x, y, self.width, self.height)

    def scaled(self, factor: float) -> Area:
        """Return it larger or smaller."""
        lengths = [length * factor for length in self]
        return Area(*lengths)


class Rectangle(NamedTuple):
    """A rectangle with round corners."""

    area: Area
    css: str
    radius: float = 0
    level: int = SOLID
    path: str = ""
    """Path of the fact that it stands for."""

    def moved(self, dx: float, dy: float) -> Rectangle:
        """Return it at another place."""
        area = self.area.moved(dx, dy)
        return self._replace(area=area)

    def scaled(self, factor: float) -> Rectangle:
        """Return it larger or smaller."""
        area = self.area.scaled(factor)
        radius = self.radius * factor
        scaled = self._replace(area=area)
        return scaled._replace(radius=radius)


class Cells(NamedTuple):
    """Many rectangles of one class."""

    areas: tuple[Area, ...]
    css: str
    level: int = SOLID

    def moved(self, dx: float, dy: float) -> Cells:
        """Return them at another place."""
        areas = [area.moved(dx, dy) for area in self.areas]
        return self._replace(areas=tuple(areas))

    def scaled(self, factor: float) -> Cells:
        """Return them larger or smaller."""
        areas = [area.scaled(factor) for area in self.areas]
        return self._replace(areas=tuple(areas))


class Label(NamedTuple):
    """A text on one line."""

    x: float
    y: float
    """The middle of the line."""
    text: str
    size: float
    css: str = "ink"
    anchor: Anchor = "start"
    bold: bool = False
    whole: str = ""
    """The whole text, where it was cut."""
    level: int = TEXT

    @property
    def area(self) -> Area:
        """Return what the text covers."""
        width = text_width(self.text, self.size, self.bold)
        shift = anchor_shift(self.anchor, width)
        left = self.x - shift
        half = self.size / 2
        top = self.y - half
        return Area(left, top, width, self.size)

    def moved(self, dx: float, dy: float) -> Label:
        """Return it at another place."""
        x = self.x + dx
        y = self.y + dy
        return self._replace(x=x, y=y)

    def scaled(self, factor: float) -> Label:
        """Return it larger or smaller."""
        return self._replace(x=self.x * factor, y=self.y * factor, size=self.size * factor)


def anchor_shift(anchor: Anchor, width: float) -> float:
    """Return how far from the left edge of a text its anchor is."""
    shifts = {"start": 0.0, "middle": width / 2, "end": width}
    return shifts[anchor]


class Wire(NamedTuple):
    """A line through points, with an arrowhead at its end if it leads into something."""

    points: tuple[Point, ...]
    arrow: bool = False
    css: str = "wire"
    level: int = WIRE

    def moved(self, dx: float, dy: float) -> Wire:
        """Return it at another place."""
        points = moved_points(self.points, dx, dy)
        return self._replace(points=points)

    def scaled(self, factor: float) -> Wire:
        """Return it larger or smaller."""
        points = tuple((x * factor, y * factor) for x, y in self.points)
        return self._replace(points=points)

    @property
    def segments(self) -> Iterator[tuple[Point, Point]]:
        """Yield the straight parts."""
        points = self.points
        ends = points[1:]
        yield from zip(points, ends, strict=False)

    @property
    def head(self) -> tuple[Point, ...]:
        """Return the corners of the arrowhead."""
        before, tip = self.points[-2:]
        before_x, before_y = before
        tip_x, tip_y = tip
        dx = direction(before_x, tip_x)
        dy = direction(before_y, tip_y)
        base_x = tip_x - ARROW * dx
        base_y = tip_y - ARROW * dy
        across_x = HALF_ARROW * dy
        across_y = HALF_ARROW * dx
        return (
            tip,
            (base_x - across_x, base_y - across_y),
            (base_x + across_x, base_y + across_y),
        )


def direction(start: float, end: float) -> int:
    """Return 1 where a line goes to higher numbers, -1 where to lower ones, 0 where to neither."""
    return (end > start) - (end < start)


class Polygon(NamedTuple):
    """A closed shape through points."""

    points: tuple[Point, ...]
    css: str
    level: int = WEDGE

    def moved(self, dx: float, dy: float) -> Polygon:
        """Return it at another place."""
        points = moved_points(self.points, dx, dy)
        return self._replace(points=points)

    def scaled(self, factor: float) -> Polygon:
        """Return it larger or smaller."""
        points = tuple((x * factor, y * factor) for x, y in self.points)
        return self._replace(points=points)


class Sign(NamedTuple):
    """A small sign: `plus` of an addition, `dot` of a fork, `flag` of a difference in form."""

    kind: Literal["plus", "dot", "flag"]
    x: float
    y: float
    level: int = SIGN
    scale: float = 1.0

    def moved(self, dx: float, dy: float) -> Sign:
        """Return it at another place."""
        x = self.x + dx
        y = self.y + dy
        return self._replace(x=x, y=y)

    def scaled(self, factor: float) -> Sign:
        """Return it larger or smaller."""
        return self._replace(x=self.x * factor, y=self.y * factor, scale=self.scale * factor)

    @property
    def radius(self) -> float:
        """Return its radius."""
        if self.kind == "dot":
            return 2.0 * self.scale
        return 7.0 * self.scale

    @property
    def area(self) -> Area:
        """Return what the sign covers."""
        radius = self.radius
        left = self.x - radius
        top = self.y - radius
        size = 2 * radius
        return Area(left, top, size, size)


DrawnShape = Union[Rectangle, Cells, Label, Wire, Polygon, Sign]


def moved_points(points: Sequence[Point], dx: float, dy: float) -> tuple[Point, ...]:
    """Return points at another place."""
    moved = [(x + dx, y + dy) for x, y in points]
    return tuple(moved)


@dataclass(slots=True)
class Bounds:
    """How far a group reaches."""

    left: float = 0
    top: float = 0
    right: float = 0
    bottom: float = 0

    def include(self, area: Area) -> None:
        """Reach around an area as well."""
        self.left = min(self.left, area.x)
        self.top = min(self.top, area.y)
        self.right = max(self.right, area.right)
        self.bottom = max(self.bottom, area.bottom)

    @property
    def width(self) -> float:
        """Return how wide they are."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Return how tall they are."""
        return self.bottom - self.top


@dataclass(slots=True)
class Group:
    """Shapes that are placed as one."""

    shapes: list[DrawnShape] = field(default_factory=list["DrawnShape"])
    anchors: dict[str, Area] = field(default_factory=dict[str, Area])
    """Places by name that others refer to."""
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def width(self) -> float:
        """Return how wide it is."""
        return self.bounds.width

    @property
    def height(self) -> float:
        """Return how tall it is."""
        return self.bounds.height

    def add(self, shape: DrawnShape) -> None:
        """Add a shape; frames, boxes and texts make the group reach around them."""
        self.shapes.append(shape)
        match shape:
            case Rectangle() | Label() | Sign():
                self.bounds.include(shape.area)
            case Cells():
                for area in shape.areas:
                    self.bounds.include(area)
            case Wire() | Polygon():
                for x, y in shape.points:
                    self.bounds.include(Area(x, y, 0, 0))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = FACT,
        css: str = "ink",
        *,
        anchor: Anchor = "start",
        bold: bool = False,
        room: float | None = None,
    ) -> None:
        """Add a text on one line, cut where it is wider than `room`.

        x, y: its start, middle or end (see `anchor`), and the middle of the line.
        text: the text.
        size: its size.
        css: its class.
        anchor: which point of the text `x` is.
        bold: whether it is semibold.
        room: its width at most, None for any.
        """
        shown = text
        if room is not None:
            shown = cut_text(text, size, room, bold)
        label = Label(x, y, shown, size, css, anchor, bold)
        is_cut = shown != text
        if is_cut:
            label = label._replace(whole=text)
        self.add(label)

    def wire(self, *points: Point, arrow: bool = False, css: str = "wire") -> None:
        """Add a line through points; parts without a length are left out."""
        kept: list[Point] = []
        for point in points:
            has_length = not kept or point != kept[-1]
            if has_length:
                kept.append(point)
        if len(kept) > 1:
            corners = tuple(kept)
            line = Wire(corners, arrow, css)
            self.add(line)

    def place(self, group: Group, x: float, y: float, prefix: str = "") -> None:
        """Add the shapes and anchors of a group whose origin comes to a place.

        group: the group.
        x, y: the place of its origin.
        prefix: what the names of its anchors get in front.
        """
        for shape in group.shapes:
            moved = shape.moved(x, y)
            self.shapes.append(moved)
        for name, area in group.anchors.items():
            self.anchors[prefix + name] = area.moved(x, y)
        b = group.bounds
        whole = Area(b.left, b.top, b.width, b.height)
        self.bounds.include(whole.moved(x, y))

    def place_corner(self, group: Group, x: float, y: float, prefix: str = "") -> None:
        """Add a group whose upper left corner comes to a place; see `place`."""
        left = x - group.bounds.left
        top = y - group.bounds.top
        self.place(group, left, top, prefix)

    def scaled(self, factor: float) -> Group:
        """Return a group that is larger or smaller, with its texts."""
        b = self.bounds
        ends = [factor * end for end in (b.left, b.top, b.right, b.bottom)]
        return Group(
            shapes=[shape.scaled(factor) for shape in self.shapes],
            anchors={name: area.scaled(factor) for name, area in self.anchors.items()},
            bounds=Bounds(*ends),
        )

    def paragraph(
        self,
        x: float,
        y: float,
        lines: Iterable[str],
        size: float = FACT,
        css: str = "ink",
        *,
        step: float,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> float:
        """Add lines of text, one below the other; return where the next one would be.

        x, y: as for `text`, of the first line.
        lines: the lines.
        size: their size.
        css: their class.
        step: from one line to the next.
        anchor: which point of a line `x` is.
        bold: whether they are semibold.
        """
        for line in lines:
            self.text(x, y, line, size, css, anchor=anchor, bold=bold)
            y += step
        return y


class Drawing(NamedTuple):
    """A finished figure: shapes on a page, from the bottom level up."""

    width: float
    height: float
    shapes: tuple[DrawnShape, ...]
    title: str
    summary: str


def finished(group: Group, margin: float, title: str, summary: str) -> Drawing:
    """Return a group as a drawing with a margin on all sides.

    group: the shapes.
    margin: width of the margin.
    title: title for those who do not see the drawing.
    summary: description for them.
    """
    page = Group()
    page.place_corner(group, margin, margin)
    shapes = sorted(page.shapes, key=lambda shape: shape.level)
    return Drawing(
        width=group.width + 2 * margin,
        height=group.height + 2 * margin,
        shapes=tuple(shapes),
        title=title,
        summary=summary,
    )


def palette_class(number: int, prefix: str = "k") -> str:
    """Return the class of a colour of the palette: `k0`, or `line0` for lines."""
    colour = number % PALETTE_SIZE
    return f"{prefix}{colour}"


def union(areas: Iterable[Area]) -> Area:
    """Return the smallest area around some areas."""
    infinity = float("inf")
    bounds = Bounds(infinity, infinity, -infinity, -infinity)
    for area in areas:
        bounds.include(area)
    return Area(bounds.left, bounds.top, bounds.width, bounds.height)
