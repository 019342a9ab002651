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
        return self.x + self.width / 2

    @property
    def middle(self) -> float:
        """Return the middle from top to bottom."""
        return self.y + self.height / 2

    def moved(self, dx: float, dy: float) -> Area:
        """Return it at another place."""
        return Area(self.x + dx, self.y + dy, self.width, self.height)


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
        return self._replace(area=self.area.moved(dx, dy))


class Cells(NamedTuple):
    """Many rectangles of one class."""

    areas: tuple[Area, ...]
    css: str
    level: int = SOLID

    def moved(self, dx: float, dy: float) -> Cells:
        """Return them at another place."""
        return self._replace(areas=tuple(area.moved(dx, dy) for area in self.areas))


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
        shift = {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return Area(self.x - shift, self.y - self.size / 2, width, self.size)

    def moved(self, dx: float, dy: float) -> Label:
        """Return it at another place."""
        return self._replace(x=self.x + dx, y=self.y + dy)


class Wire(NamedTuple):
    """A line through points, with an arrowhead at its end if it leads into something."""

    points: tuple[Point, ...]
    arrow: bool = False
    css: str = "wire"
    level: int = WIRE

    def moved(self, dx: float, dy: float) -> Wire:
        """Return it at another place."""
        return self._replace(points=moved_points(self.points, dx, dy))

    @property
    def segments(self) -> Iterator[tuple[Point, Point]]:
        """Yield the straight parts."""
        yield from zip(self.points, self.points[1:], strict=False)

    @property
    def head(self) -> tuple[Point, ...]:
        """Return the corners of the arrowhead."""
        (x0, y0), (x1, y1) = self.points[-2:]
        dx = (x1 > x0) - (x1 < x0)
        dy = (y1 > y0) - (y1 < y0)
        base_x, base_y = x1 - ARROW * dx, y1 - ARROW * dy
        side = 3.0
        return (
            (x1, y1),
            (base_x - side * dy, base_y - side * dx),
            (base_x + side * dy, base_y + side * dx),
        )


class Polygon(NamedTuple):
    """A closed shape through points."""

    points: tuple[Point, ...]
    css: str
    level: int = WEDGE

    def moved(self, dx: float, dy: float) -> Polygon:
        """Return it at another place."""
        return self._replace(points=moved_points(self.points, dx, dy))


class Sign(NamedTuple):
    """A small sign: `plus` of an addition, `dot` of a fork, `flag` of a difference in form."""

    kind: Literal["plus", "dot", "flag"]
    x: float
    y: float
    level: int = SIGN

    def moved(self, dx: float, dy: float) -> Sign:
        """Return it at another place."""
        return self._replace(x=self.x + dx, y=self.y + dy)

    @property
    def radius(self) -> float:
        """Return its radius."""
        return {"plus": 7.0, "dot": 2.0, "flag": 7.0}[self.kind]


DrawnShape = Union[Rectangle, Cells, Label, Wire, Polygon, Sign]


def moved_points(points: Sequence[Point], dx: float, dy: float) -> tuple[Point, ...]:
    """Return points at another place."""
    return tuple((x + dx, y + dy) for x, y in points)


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
        return self.bounds.right - self.bounds.left

    @property
    def height(self) -> float:
        """Return how tall it is."""
        return self.bounds.bottom - self.bounds.top

    def add(self, shape: DrawnShape) -> None:
        """Add a shape; frames, boxes and texts make the group reach around them."""
        self.shapes.append(shape)
        match shape:
            case Rectangle() | Label():
                self.bounds.include(shape.area)
            case Cells():
                for area in shape.areas:
                    self.bounds.include(area)
            case Wire() | Polygon():
                for x, y in shape.points:
                    self.bounds.include(Area(x, y, 0, 0))
            case Sign():
                r = shape.radius
                self.bounds.include(Area(shape.x - r, shape.y - r, 2 * r, 2 * r))

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
        shown = text if room is None else cut_text(text, size, room, bold)
        whole = "" if shown == text else text
        self.add(Label(x, y, shown, size, css, anchor, bold, whole))

    def wire(self, *points: Point, arrow: bool = False, css: str = "wire") -> None:
        """Add a line through points; parts without a length are left out."""
        kept = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
        if len(kept) > 1:
            self.add(Wire(tuple(kept), arrow, css))

    def place(self, group: Group, x: float, y: float, prefix: str = "") -> None:
        """Add the shapes and anchors of a group whose origin comes to a place.

        group: the group.
        x, y: the place of its origin.
        prefix: what the names of its anchors get in front.
        """
        for shape in group.shapes:
            self.shapes.append(shape.moved(x, y))
        for name, area in group.anchors.items():
            self.anchors[prefix + name] = area.moved(x, y)
        b = group.bounds
        self.bounds.include(Area(b.left + x, b.top + y, group.width, group.height))

    def place_corner(self, group: Group, x: float, y: float, prefix: str = "") -> None:
        """Add a group whose upper left corner comes to a place; see `place`."""
        self.place(group, x - group.bounds.left, y - group.bounds.top, prefix)


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
    width = group.width + 2 * margin
    height = group.height + 2 * margin
    return Drawing(width, height, tuple(shapes), title, summary)


def union(areas: Iterable[Area]) -> Area:
    """Return the smallest area around some areas."""
    bounds = Bounds(float("inf"), float("inf"), float("-inf"), float("-inf"))
    for area in areas:
        bounds.include(area)
    return Area(bounds.left, bounds.top, bounds.right - bounds.left, bounds.bottom - bounds.top)
