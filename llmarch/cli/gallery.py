"""The command `llmarch gallery`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    end_if_partial,
    examples,
    fail,
    inspect_references,
    models_argument,
    models_bar,
)
from .pictures import described_models, figure_drawings
from .report import report_charts

if TYPE_CHECKING:
    from ..checkpoint.reading import Observation, Reading

FEW_MODELS = 16
"""Models up to which all is written in this process."""
Files = Iterator[tuple[str, str]]
"""Names of files within the site, and what they hold."""


@app.command(
    epilog=examples(
        "llmarch gallery -o site/",
        "llmarch gallery qwen3-8b qwen3-next ./checkpoint -o site/",
        "python -m http.server --directory site/",
    )
)
def gallery(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder of the site. It is made; files in it are replaced, others stay.",
        ),
    ],
    refs: Annotated[
        list[str] | None,
        models_argument("The models. Default: all bundled ones.", "[REF...]"),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Write a static site of models: cards, filters, comparisons, a timeline."""
    from ..sources.aliases import bundled_models
    from ..views.gallery import by_release

    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        fail(f"--output {output} is a file", "name a folder")
    readings = inspect_references(
        refs or bundled_models(), offline=offline, headers=not config_only, refresh=refresh
    )
    write_site(folder, by_release(readings))
    end_if_partial(readings)


def write_site(folder: Path, readings: Sequence[Reading | Observation]) -> None:
    """Write the site of models, which are in the order of their release."""
    number_of_files = 4 * len(readings) + 3
    with models_bar() as report:
        for done, (name, text) in enumerate(site_files(readings), 1):
            write_site_file(folder / name, text)
            report(done, number_of_files, name)


def write_site_file(path: Path, text: str) -> None:
    """Write a file of the site, with its folder."""
    from ..sources.atomic import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), mode=0o644)


def site_files(readings: Sequence[Reading | Observation]) -> Files:
    """Yield the files of the site.

    readings: the models, the oldest first.
    """
    from ..checkpoint.reading import Reading
    from ..renderers.web import gallery_html
    from ..views.features import feature_table
    from ..views.gallery import gallery_cards

    cards = gallery_cards(readings)
    ids = [card.id for card in cards]
    yield "index.html", gallery_html.index_page(cards)
    yield "compare.html", gallery_html.compare_page(cards)
    known = [i for i, r in enumerate(readings) if isinstance(r, Reading)]
    features = feature_table([r for r in readings if isinstance(r, Reading)])
    yield "timeline.html", gallery_html.timeline_page([cards[i] for i in known], features)
    for files in files_of_models(readings, ids):
        yield from files


# The files of each model


_models: list[Reading | Observation] = []
"""The models of a worker process, which writes the files of some of them."""


def files_of_models(
    readings: Sequence[Reading | Observation], ids: Sequence[str]
) -> Iterator[list[tuple[str, str]]]:
    """Yield the files of each model, made in several processes."""
    if len(readings) <= FEW_MODELS:
        keep_models(readings)
        for i in range(len(readings)):
            yield files_of_model(i, ids)
        return
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial

    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, initializer=keep_models, initargs=(readings,)) as pool:
        yield from pool.map(partial(files_of_model, ids=ids), range(len(readings)))


def keep_models(readings: Sequence[Reading | Observation]) -> None:
    """Keep the models of which this process writes files."""
    _models[:] = readings


def files_of_model(i: int, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files of a model: its figures, its report, its pairs with those after it.

    i: its number.
    ids: the name of each model's files.
    """
    from ..layout.compose import stack_drawing
    from ..renderers.svg import drawing_svg
    from ..renderers.web.gallery_html import site_links
    from ..renderers.web.report_html import report_html
    from ..views.page import report_page

    r, id = _models[i], ids[i]
    forms = figure_drawings([r], ".html")
    links = site_links("", "../", id)
    page = report_html(report_page([r]), forms, report_charts([r]), before=[links])
    return [
        (f"thumbnails/{id}.svg", drawing_svg(stack_drawing(described_models([r])))),
        (f"figures/{id}.svg", drawing_svg(forms[0])),
        (f"models/{id}.html", page),
        (f"pairs/{id}.js", pair_script(i, ids)),
    ]


def pair_script(i: int, ids: Sequence[str]) -> str:
    """Return the script of a model's pairs with those after it; see `files_of_model`."""
    from ..renderers.web.gallery_html import pairs_script
    from ..views.gallery import pair_of_models, pairs_document

    others = zip(ids[i + 1 :], _models[i + 1 :], strict=True)
    pairs = {id: pair_of_models(_models[i], other) for id, other in others}
    return pairs_script(pairs_document(ids[i], pairs))
