"""The command `llmarch gallery`."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
    load_reference,
    models_argument,
    models_bar,
)
from .pictures import figure_drawings
from .report import report_charts

if TYPE_CHECKING:
    from ..checkpoint.reading import Reading

FEW_MODELS = 16
"""Models up to which pairs are compared in this process."""
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
    readings = [
        load_reference(ref, offline=offline, headers=not config_only, refresh=refresh)
        for ref in refs or bundled_models()
    ]
    write_site(folder, by_release(readings))
    end_if_partial(readings)


def write_site(folder: Path, readings: list[Reading]) -> None:
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


def site_files(readings: list[Reading]) -> Files:
    """Yield the files of the site.

    readings: the models, the oldest first.
    """
    from ..layout.compose import stack_drawing
    from ..renderers.svg import drawing_svg
    from ..renderers.web import gallery_html
    from ..renderers.web.report_html import report_html
    from ..views.features import feature_table
    from ..views.figure import figure
    from ..views.gallery import gallery_cards
    from ..views.page import report_page

    cards = gallery_cards(readings)
    ids = [card.id for card in cards]
    yield "index.html", gallery_html.index_page(cards)
    yield "compare.html", gallery_html.compare_page(cards)
    yield "timeline.html", gallery_html.timeline_page(cards, feature_table(readings))
    for id, r in zip(ids, readings, strict=True):
        figure_forms = figure_drawings([r], ".html")
        charts = report_charts([r])
        links = gallery_html.site_links("", "../", id)
        yield f"thumbnails/{id}.svg", drawing_svg(stack_drawing(figure([r])))
        yield f"figures/{id}.svg", drawing_svg(figure_forms[0])
        yield (
            f"models/{id}.html",
            report_html(report_page([r]), figure_forms, charts, before=[links]),
        )
    for id, text in zip(ids, pair_scripts(readings, ids), strict=True):
        yield f"pairs/{id}.js", text


# Pairs


_compared: list[Reading] = []
"""The models of a worker process, which compares the pairs of some of them."""


def pair_scripts(readings: list[Reading], ids: list[str]) -> Iterator[str]:
    """Yield for each model the script of its pairs with later ones, in several processes."""
    if len(readings) <= FEW_MODELS:
        keep_models(readings)
        for i in range(len(readings)):
            yield pair_script(i, ids)
        return
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial

    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers, initializer=keep_models, initargs=(readings,)) as pool:
        yield from pool.map(partial(pair_script, ids=ids), range(len(readings)))


def keep_models(readings: list[Reading]) -> None:
    """Keep the models of which this process compares pairs."""
    _compared[:] = readings


def pair_script(i: int, ids: list[str]) -> str:
    """Return the script of a model's pairs with those after it.

    i: its number.
    ids: the name of each model's files.
    """
    from ..renderers.web.gallery_html import pairs_script
    from ..views.gallery import pair_of_models, pairs_document

    first = _compared[i]
    others = zip(ids[i + 1 :], _compared[i + 1 :], strict=True)
    pairs = {id: pair_of_models(first, other) for id, other in others}
    return pairs_script(pairs_document(ids[i], pairs))
