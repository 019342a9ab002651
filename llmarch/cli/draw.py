"""The command `llmarch draw`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    complete,
    end_if_partial,
    examples,
    fail,
    load_reference,
)

if TYPE_CHECKING:
    from ..layout.drawing import Drawing
    from ..renderers.themes import Theme


class ThemeName(StrEnum):
    """The colours of a figure."""

    auto = "auto"
    light = "light"
    dark = "dark"


class PartName(StrEnum):
    """What of a figure is drawn."""

    layers = "layers"
    panels = "panels"
    order = "strip"


FORMATS = (".svg", ".png", ".pdf", ".html")


@app.command(
    epilog=examples(
        "llmarch draw deepseek-v3 -o deepseek-v3.svg",
        "llmarch draw llama3-8b olmo2-7b -o pair.png --scale 2",
        "llmarch draw gemma3-27b --narrow --theme dark -o phone.svg",
        "llmarch draw qwen3-next --only layers --only strip -o layers.svg",
    )
)
def draw(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF...",
            help="One model, two side by side, or more in a row over a matrix.",
            autocompletion=complete,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .svg, .png, .pdf or .html. Default: SVG on standard output.",
        ),
    ] = None,
    theme: Annotated[
        ThemeName,
        typer.Option("--theme", help="Colours; auto follows the reader's system (SVG, HTML)."),
    ] = ThemeName.auto,
    narrow: Annotated[
        bool, typer.Option("--narrow", help="Draw for a phone or a column of print.")
    ] = False,
    scale: Annotated[
        float, typer.Option("--scale", min=0.1, max=8.0, help="Factor of width and height.")
    ] = 1.0,
    only: Annotated[
        list[PartName] | None,
        typer.Option("--only", help="Draw this part of the figure only. Repeatable."),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Draw a model's architecture, or several side by side with what differs marked."""
    suffix = Path(output or "-.svg").suffix.lower()
    if suffix not in FORMATS:
        fail(f"--output {output} is no format to draw in", "the formats are " + ", ".join(FORMATS))
    readings = [
        load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
        for ref in refs
    ]
    from ..layout.compose import drawing
    from ..views.figure import figure

    described = figure(readings)
    parts = frozenset(map(str, only or PartName))
    drawings = [drawing(described, narrow=narrow, parts=parts)]
    if suffix == ".html" and not narrow and len(refs) < 3:
        drawings.append(drawing(described, narrow=True, parts=parts))
    data = rendered(drawings, suffix, theme.value, scale)
    if output is None:
        typer.echo(data.decode(), nl=False)
    else:
        from ..sources.atomic import replace_file

        replace_file(Path(output), data, mode=0o644)
    end_if_partial(readings)


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
