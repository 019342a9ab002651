"""The command `llmarch card`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..renderers.output import write_text
from . import app
from .common import (
    ConfigOnly,
    Offline,
    Ref,
    Refresh,
    end_if_partial,
    examples,
    fail,
    file_option,
    inspect_reference,
)

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation, Reading
    from ..views.card import ModelCard

CardPicture = tuple[str, str]
"""What a picture shows, and its file."""
CONFLICT = 1
"""The exit code for a checkpoint that contradicts its config."""
LONGEST_CARD = 10_000_000
"""Bytes of a file that --update reads."""


@app.command(
    epilog=examples(
        "llmarch card ./checkpoint",
        "llmarch card org/model -o ARCHITECTURE.md --badge architecture.svg",
        "llmarch card ./checkpoint --update README.md --badge badge.svg --figure figure.svg",
    )
)
def card(
    ref: Ref,
    output: Annotated[str | None, file_option("File to write. Default: standard output.")] = None,
    update: Annotated[
        str | None,
        typer.Option(
            "--update",
            metavar="FILE",
            help="Write it into this model card: in the place of the last one, else at the end.",
        ),
    ] = None,
    badge: Annotated[
        str | None,
        typer.Option("--badge", metavar="FILE", help="Write a badge (.svg, .png) and show it."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", metavar="FILE", help="Write the figure (.svg, .png) and show it."),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Write the section of a model card about the architecture, with a badge and a figure."""
    from ..renderers import markdown
    from ..views.card import model_card

    if output and update:
        fail("--output and --update exclude each other", "--update FILE changes a file in place")
    for file in (badge, figure):
        check_picture(file)
    reading = inspect_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
    described = model_card(reading)
    pictures = [*write_badge(described, badge), *write_figure(reading, figure)]
    place = Path(update or output or ".").parent
    shown = [(words, relative_name(file, place)) for words, file in pictures]
    write_section(markdown.card_section(described, shown), output, update)
    end_if_partial([reading])
    if reading.status == "conflict":
        raise typer.Exit(CONFLICT)


def check_picture(file: str | None) -> None:
    """End the program for a file that no page shows as a picture."""
    from .pictures import picture_format

    if file is not None and picture_format(file) not in (".svg", ".png"):
        fail(f"{file} is not a picture for a model card", "the formats are .svg, .png")


def relative_name(file: str, folder: Path) -> str:
    """Return the name of a file as a page in a folder refers to it."""
    from os.path import relpath

    return Path(relpath(file, folder)).as_posix()


def write_badge(described: ModelCard, file: str | None) -> list[CardPicture]:
    """Write the badge, if a file is named; return what it shows."""
    from ..layout.badge import badge_drawing
    from .pictures import write_picture

    if file is None:
        return []
    drawing = badge_drawing(described.badge)
    write_picture([drawing], file, "light")
    return [(drawing.title, file)]


def write_figure(reading: Reading | Observation, file: str | None) -> list[CardPicture]:
    """Write the figure, if a file is named; return what it shows."""
    from .pictures import figure_drawings, picture_format, write_picture

    if file is None:
        return []
    drawings = figure_drawings([reading], picture_format(file))
    write_picture(drawings, file)
    return [(drawings[0].title, file)]


def write_section(section: str, output: str | None, update: str | None) -> None:
    """Write the section into a new file, into a model card, or to standard output."""
    from ..renderers.markdown import with_card
    from ..sources.atomic import replace_file
    from ..sources.regular_files import read_regular

    if update is not None:
        try:
            document = read_regular(Path(update), LONGEST_CARD).decode()
            section = with_card(document, section)
        except ValueError as error:
            fail(f"{update}: {error}", "delete the marks, or write the section with --output")
    file = update or output
    if file is None:
        write_text(section.removesuffix("\n"), "markup")
        return
    replace_file(Path(file), section.encode(), mode=0o644)
