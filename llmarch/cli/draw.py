"""The command `llmarch draw`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    end_if_partial,
    examples,
    file_option,
    finite,
    inspect_references,
    models_argument,
)
from .pictures import figure_drawings, picture_format, write_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.reading import Observation, Reading


class ThemeName(StrEnum):
    """The colours of a figure."""

    auto = "auto"
    light = "light"
    dark = "dark"


class PartName(StrEnum):
    """What of a figure is drawn."""

    layers = "layers"
    panels = "panels"
    layer_strip = "strip"


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
        models_argument("One model, two side by side, or more in a row over a matrix."),
    ],
    output: Annotated[
        str | None,
        file_option("File to write: .svg, .png, .pdf or .html. Default: SVG on standard output."),
    ] = None,
    theme: Annotated[
        ThemeName,
        typer.Option("--theme", help="Colours; auto follows the reader's system (SVG, HTML)."),
    ] = ThemeName.auto,
    narrow: Annotated[
        bool, typer.Option("--narrow", help="Draw for a phone or a column of print.")
    ] = False,
    scale: Annotated[
        float,
        typer.Option(
            "--scale", min=0.1, max=8.0, callback=finite, help="Factor of width and height."
        ),
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
    suffix = picture_format(output)
    readings = inspect_references(
        refs,
        offline=offline,
        headers=not config_only,
        refresh=refresh,
        config_suffices=len(refs) > 1,
    )
    parts = frozenset(part.value for part in only or PartName)
    drawings = figure_drawings(readings, suffix, narrow=narrow, parts=parts)
    write_picture(drawings, output, theme.value, scale)
    warn_of(readings)
    end_if_partial(readings)


def warn_of(readings: Sequence[Reading | Observation]) -> None:
    """Say on stderr what contradicts the models' configs, and what was read in place of another."""
    from ..checkpoint.reading import Reading
    from ..renderers.output import write_text
    from ..views.remarks import reading_warnings

    for line in reading_warnings([r for r in readings if isinstance(r, Reading)]):
        write_text(line, error=True)
