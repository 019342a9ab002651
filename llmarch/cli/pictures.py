"""What commands that draw share: the format of a file, and writing a picture into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .common import fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.reading import Observation, Reading
    from ..layout.drawing import Drawing
    from ..renderers.themes import Theme
    from ..views.figure.description import Figure

PICTURE_FORMATS = (".svg", ".png", ".pdf", ".html")


def picture_format(output: str | None) -> str:
    """Return the format that a file's suffix names, SVG without a file.

    Ends the program for a suffix that names none.
    """
    name = output or "-.svg"
    suffix = Path(name).suffix.lower()
    if suffix not in PICTURE_FORMATS:
        formats = ", ".join(PICTURE_FORMATS)
        fail(f"--output {output} is not a supported picture format", f"the formats are {formats}")
    return suffix


def figure_drawings(
    readings: Sequence[Reading | Observation],
    suffix: str,
    *,
    narrow: bool = False,
    parts: frozenset[str] | None = None,
) -> list[Drawing]:
    """Return the figure of models; for HTML also a narrow one for small screens.

    readings: the models.
    suffix: the format.
    narrow: whether the figure is narrow.
    parts: what of it is drawn, None for all.
    """
    from ..layout.compose import FIGURE_PARTS, drawing

    described = described_models(readings)
    shown = parts or FIGURE_PARTS
    drawings = [drawing(described, narrow=narrow, parts=shown)]
    if suffix == ".html" and not narrow:
        drawings.append(drawing(described, narrow=True, parts=shown))
    return drawings


def described_models(readings: Sequence[Reading | Observation]) -> Figure:
    """Return the figure of models; of one that no family reads, what its tensors show."""
    from ..checkpoint.reading import Observation

    known = [r for r in readings if not isinstance(r, Observation)]
    if len(known) < len(readings):
        from ..views.figure.observed import figure_with_observed

        return figure_with_observed(readings)
    from ..views.figure import figure

    return figure(known)


def print_sketch(readings: Sequence[Reading | Observation], *, fenced: bool) -> None:
    """Print a sketch of models in characters, in ASCII where the output has no more.

    readings: the models.
    fenced: whether it stands in a Markdown block.
    """
    import sys
    from shutil import get_terminal_size

    from ..renderers.sketch import sketch_lines

    encoding = sys.stdout.encoding or "ascii"
    ascii_only = not encoding.lower().startswith("utf")
    width = get_terminal_size((100, 24)).columns
    lines = sketch_lines(described_models(readings), width, ascii_only=ascii_only)
    if fenced:
        lines = ["```text", *lines, "```"]
    typer.echo("\n".join([*lines, ""]))


def write_picture(
    drawings: list[Drawing], output: str | None, theme: Theme = "auto", scale: float = 1.0
) -> None:
    """Write drawings into a file, or as SVG to standard output.

    drawings: the drawing; for HTML also one for small screens.
    output: the file, whose suffix is the format.
    theme: the colours.
    scale: factor of width and height.
    """
    data = rendered(drawings, picture_format(output), theme, scale)
    if output is None:
        typer.echo(data.decode(), nl=False)
        return
    from ..sources.atomic import replace_file

    replace_file(Path(output), data, mode=0o644)


def rendered(drawings: list[Drawing], suffix: str, theme: Theme, scale: float) -> bytes:
    """Return drawings in the format of a file's suffix; only HTML has room for more than one."""
    if suffix == ".html":
        from ..renderers.html import html_page

        return html_page(tuple(drawings), theme=theme, scale=scale).encode()
    if suffix == ".svg":
        from ..renderers.svg import drawing_svg

        return drawing_svg(drawings[0], theme=theme, scale=scale).encode()
    one = "light" if theme == "auto" else theme
    if suffix == ".pdf":
        from ..renderers.pdf import pdf

        return pdf(drawings[0], theme=one, scale=scale)
    from ..renderers.png import png
    from ..renderers.svg import drawing_svg

    return png(drawing_svg(drawings[0], theme=one, scale=scale))
