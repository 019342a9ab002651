"""Write the gallery of models as a static site: it works from a folder and below any address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ... import __version__
from ...views import numbers
from ...views.features import DatedFeature, FeatureTable
from ...views.gallery import LARGEST, SIZE_CLASSES, GalleryCard
from .elements import (
    Markup,
    element,
    embedded_json,
    html_document,
    inline_file,
    safe_json,
    scrolling,
)

PAGES = {"index.html": "Models", "compare.html": "Compare", "timeline.html": "Timeline"}
SORTS = {
    "released": "newest first",
    "name": "name",
    "total": "most parameters",
    "active": "most active parameters",
    "context": "longest context",
    "cache": "smallest cache at 32k",
}
CONTRADICTED = "the checkpoint contradicts the config"
MOST_FIRST = 3
"""Models that may be the first with a feature and are named."""
SHADES = 10
"""Shades of a share of models, from none to all."""


def site_links(page: str, root: str = "", model: str = "") -> Markup:
    """Return the links to the pages of the site.

    page: the page that they stand on.
    root: the way from it to the folder of the site: `../`.
    model: the model that the page is about, which a comparison begins with.
    """
    links = [element("b", "llmarch gallery")]
    for file, words in PAGES.items():
        current = "page" if file == page else None
        address = f"{root}{file}"
        if model and file == "compare.html":
            address = f"{address}#first={model}"
        links.append(element("a", words, href=address, aria_current=current))
    return element("nav", *links, class_="site", aria_label="Site")


def site_page(
    file: str, title: str, content: Sequence[Markup], scripts: Sequence[Markup], description: str
) -> str:
    """Return a page of the site.

    file: its name.
    title: its title.
    content: what it shows.
    scripts: data and scripts, at its end.
    description: what it is, in a sentence.
    """
    body = [
        element("a", "Skip to the content", href="#content", class_="skip"),
        site_links(file),
        element(
            "header",
            element("h1", title),
            element("p", description, class_="headline"),
            class_="head",
        ),
        element("main", content, id="content"),
        element("footer", element("p", f"made by llmarch {__version__} from configs alone")),
        *scripts,
    ]
    return html_document(
        f"{title} · llmarch gallery",
        body,
        style=Markup(inline_file("page.css") + inline_file("gallery.css")),
        description=description,
        with_files=True,
    )


# Cards


def index_page(cards: Sequence[GalleryCard]) -> str:
    """Return the first page: a card for each model, filters, search and order."""
    count = numbers.plural(len(cards), "model")
    content = [
        element("div", filter_form(cards), class_="scripted"),
        element("p", count, id="count", role="status", class_="count"),
        element("ul", *map(card_element, reversed(cards)), class_="cards", id="cards"),
        element("p", "No model passes all filters.", id="none", hidden=True),
        chosen_bar(),
    ]
    description = (
        f"{count}, each drawn from its config: what they are built of, and what sets them apart."
    )
    return site_page(
        "index.html", "Architectures", content, [inline_file("gallery.js")], description
    )


def card_element(card: GalleryCard) -> Markup:
    """Return the card of a model; `data-k` is what filters and orders go by (gallery.js)."""
    made = " · ".join(words for words in (card.maker, card.released) if words)
    keys = (
        *(" ".join(card.attention), card.experts, ", ".join(card.norms), card.size_class),
        *(card.year, card.maker, card.released),
        *(card.total, card.active, card.context, card.cache),
    )
    warned: list[Markup] = []
    if card.contradicted:
        warned.append(element("p", CONTRADICTED, class_="contradicted"))
    choose = element("input", type="checkbox", value=card.id, aria_label=f"Compare {card.name}")
    return element(
        "li",
        element("img", src=f"thumbnails/{card.id}.svg", alt="", loading="lazy"),
        element("h2", element("a", card.name, href=f"models/{card.id}.html")),
        element("p", made),
        element("p", element("b", card.size)),
        *warned,
        element("p", "\n".join(card.recipe)),
        element("label", choose, "compare"),
        data_k="|".join(map(str, keys)),
    )


def filter_form(cards: Sequence[GalleryCard]) -> Markup:
    """Return search, filters and order."""
    attention = counted(kind for card in cards for kind in card.attention)
    norms = counted(kind for card in cards for kind in card.norms)
    sizes = counted(card.size_class for card in cards)
    size_order = [words for words, _ in SIZE_CLASSES] + [LARGEST]
    years = counted(card.year for card in cards)
    makers = counted(card.maker for card in cards)
    search = element(
        "input", id="search", type="search", placeholder="name, family, kind of attention"
    )
    order = [element("option", words, value=key) for key, words in SORTS.items()]
    experts = counted(card.experts for card in cards)
    lists = [
        filter_list("attention", "Attention", sorted(attention), attention),
        filter_list("experts", "Feed-forward", sorted(experts), experts),
        filter_list("norm", "Norms", sorted(norms), norms),
        filter_list("size", "Size", [words for words in size_order if words in sizes], sizes),
        filter_list("year", "Year", sorted(years, reverse=True), years),
        filter_list("maker", "Maker", sorted(makers, key=str.lower), makers),
    ]
    return element(
        "form",
        element("label", "Search", search),
        element("label", "Order", element("select", *order, id="sort")),
        element("button", "Clear", type="reset", id="clear"),
        element(
            "details",
            element("summary", "Filters"),
            element("div", *lists, class_="lists"),
            id="lists",
            open=True,
        ),
        class_="filters",
        id="filters",
        role="search",
        autocomplete="off",
    )


def counted(values: Any) -> Counter[str]:
    """Return how many models have each value; those without one are left out."""
    return Counter(value for value in values if value)


def filter_list(id: str, words: str, values: Sequence[str], counts: Counter[str]) -> Markup:
    """Return a list of the values of a filter with their numbers of models."""
    options = [element("option", "any", value="")]
    for value in values:
        options.append(element("option", f"{value} ({counts[value]})", value=value))
    return element("label", words, element("select", *options, id=id))


def chosen_bar() -> Markup:
    """Return the bar that leads to the comparison of two chosen models."""
    return element(
        "div",
        element("span", id="chosen"),
        element("a", "Compare", href="compare.html", id="compare"),
        element("button", "Clear", type="button", id="unchoose"),
        class_="chosen",
        id="chosen-bar",
        hidden=True,
        role="region",
        aria_label="Chosen models",
    )


# Comparison


def compare_page(cards: Sequence[GalleryCard]) -> str:
    """Return the page that shows any two models side by side."""
    by_maker = sorted(cards, key=lambda card: (card.maker.lower(), card.name.lower()))
    options: list[Markup] = []
    for card in by_maker:
        parts = [card.maker, card.name, CONTRADICTED if card.contradicted else ""]
        words = " · ".join(filter(None, parts))
        options.append(element("option", words, value=card.id))
    content = [
        element(
            "form",
            element("label", "First", element("select", *options, id="first")),
            element("label", "Second", element("select", *options, id="second")),
            class_="filters pair",
            id="pair",
            autocomplete="off",
        ),
        element(
            "noscript",
            element("p", "Comparing needs scripts; llmarch diff A B does the same."),
        ),
        element("div", id="result", aria_live="polite"),
    ]
    names: list[dict[str, str]] = []
    for card in cards:
        names.append({"id": card.id, "name": card.name, "reference": card.reference})
    return site_page(
        "compare.html",
        "Compare",
        content,
        [embedded_json("models", names), inline_file("compare.js")],
        "Any two models side by side: the rows of llmarch diff, the older model first.",
    )


def pairs_script(document: dict[str, Any]) -> str:
    """Return the pairs of a model as a script: a page that is opened from a folder can read it."""
    return f"llmarchPairs({safe_json(document)});\n"


# Timeline


def timeline_page(cards: Sequence[GalleryCard], table: FeatureTable) -> str:
    """Return the features of models by date, with the first model and the share of each year."""
    head = [element("th", "feature", scope="col"), element("th", "first", scope="col")]
    for year, total in zip(table.years, table.totals, strict=True):
        words = [year, element("small", numbers.plural(total, "model"))]
        head.append(element("th", words, scope="col"))
    rows = [feature_row(feature, cards, table) for feature in table.features]
    shown = element(
        "table",
        element("caption", "Features by the first model with each"),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        class_="timeline",
    )
    note = (
        "Of the models of this gallery alone. Where only the year of a release is known, or models "
        "came in one month, each of them may be the first. A cell is the share of a year's models "
        "that have the feature."
    )
    content = [
        element("section", scrolling(shown, "Features by year"), element("p", note, class_="note")),
    ]
    return site_page(
        "timeline.html",
        "Timeline",
        content,
        [],
        "Which model was first with what, and how it spread.",
    )


def feature_row(feature: DatedFeature, cards: Sequence[GalleryCard], table: FeatureTable) -> Markup:
    """Return a feature with its first models, and its share of the models of each year."""
    links = [element("a", cards[i].name, href=f"models/{cards[i].id}.html") for i in feature.first]
    shown: list[str | Markup] = [element("b", feature.date or "no date"), " "]
    for i, link in enumerate(links[:MOST_FIRST]):
        shown += [" or " if i else "", link]
    more = len(links) - MOST_FIRST
    if more > 0:
        shown.append(f" or one of {more} more")
    cells = [element("th", feature.title, scope="row"), element("td", shown)]
    for count, total in zip(feature.years, table.totals, strict=True):
        shade = -(-SHADES * count // total)
        share = f"{round(100 * count / total)} %" if count else ""
        title = f"{count} of {total}"
        cells.append(element("td", share, class_=f"share h{shade}", title=title))
    return element("tr", *cells)
