"""Render SVG as PNG by resvg (the extra `llmarch[png]`), with the font that llmarch ships.

No font of the system is used, so that the same figure is the same bytes everywhere.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import MissingExtra

FONT_FOLDER = Path(__file__).parent / "fonts"
FONT_FILES = ("Inter-Regular.ttf", "Inter-SemiBold.ttf")


def png(svg_text: str) -> bytes:
    """Return an SVG document as PNG; its width and height are the pixels.

    svg_text: the document, of one theme: resvg knows no reader's preference.
    Raises MissingExtra without resvg.
    """
    try:
        import resvg_py
    except ImportError:
        raise MissingExtra("PNG", "png") from None
    fonts = [str(FONT_FOLDER / name) for name in FONT_FILES]
    image = resvg_py.svg_to_bytes(
        svg_string=svg_text,
        skip_system_fonts=True,
        font_files=fonts,
        font_family="Inter",
        sans_serif_family="Inter",
    )
    return bytes(image)
