"""Draw a badge: a label and a few words in a box of one line, as READMEs have them."""

from __future__ import annotations

from ..views.card import BADGE_LABEL, Badge
from .drawing import Area, Drawing, Group, Rectangle, finished
from .metrics import FACT, text_width

BADGE_HEIGHT = 20.0
BESIDE_TEXT = 7.0
"""Between a text and the edges beside it."""
STATUS_CLASSES = {
    "verified": "linear",
    "computed": "attention",
    "partial": "dense",
    "conflict": "moe",
    "observed": "dense",
}
"""The class of the right half, by what the reading is proven by."""


def badge_drawing(badge: Badge) -> Drawing:
    """Return a badge; its title is all that it says."""
    group = Group()
    label_width = draw_half(group, 0, BADGE_LABEL, "io")
    draw_half(group, label_width, badge.words, STATUS_CLASSES[badge.status])
    said = f"{BADGE_LABEL}: {badge.words}"
    return finished(group, 1, said, said)


def draw_half(group: Group, x: float, text: str, css: str) -> float:
    """Draw a box with a text in its middle; return its width.

    group: where it is drawn.
    x: its left edge.
    text: the text.
    css: its class.
    """
    width = text_width(text, FACT) + 2 * BESIDE_TEXT
    box = Area(x, 0, width, BADGE_HEIGHT)
    group.add(Rectangle(box, css, 3))
    group.text(x + width / 2, BADGE_HEIGHT / 2, text, FACT, anchor="middle")
    return width
