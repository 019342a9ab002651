"""Write the report of models as one page that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from ... import __version__
from ...layout.drawing import Drawing, palette_class
from ...views import numbers
from ...views.memory_terms import OWN_FORMAT
from ...views.page import ReportedFact, ReportedModel, ReportPage
from ..svg import drawing_svg
from .elements import (
    Markup,
    content_text,
    element,
    embedded_json,
    html_document,
    inline_file,
    outside_link,
    scrolling,
)

MEMORY_PARTS = ("weights", "cache", "state", "total")
PageSection = tuple[str, str, list[Markup]]
"""Id, title and content of a section."""
NOT_IN_SLUGS = re.compile(r"[^a-z0-9]+")


class PageIds:
    """Ids of facts, no two alike."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    def of_fact(self, fact: ReportedFact) -> str:
        """Return the id of a fact: `fact-attention-query-heads`."""
        words = f"{fact.section} {fact.label}".lower().replace("θ", "theta").replace("ε", "epsilon")
        slug = "fact-" + NOT_IN_SLUGS.sub("-", words).strip("-")
        times = self.used.get(slug, 0)
        self.used[slug] = times + 1
        return f"{slug}-{times + 1}" if times else slug


def report_html(
    page: ReportPage,
    figure: Sequence[Drawing],
    charts: Sequence[Sequence[Drawing]],
    *,
    before: Sequence[Markup] = (),
) -> str:
    """Return the page.

    page: what it shows.
    figure: the figure, and a narrow one of the same for small screens if there is one.
    charts: charts of parameters, then of memory if that is known, in the same forms.
    before: what stands above the title, such as links of a site.
    """
    candidates: list[PageSection] = [
        ("figure", "Figure", figure_elements(figure)),
        ("layers", "Layers", strip_elements(page)),
        ("memory", "Memory", memory_elements(page, charts[1:])),
        (
            "parameters",
            "Parameters",
            [picture for forms in charts[:1] for picture in figure_elements(forms)],
        ),
        ("facts", facts_title(page), fact_elements(page)),
        ("notes", "Findings and notes", note_elements(page)),
    ]
    sections = [section for section in candidates if section[2]]
    body = [
        *before,
        element("header", *page_head(page, sections), class_="head"),
        element("main", *map(section_element, sections)),
        element("footer", *page_foot(page)),
    ]
    if page.has_memory:
        body.append(embedded_json("memory-terms", memory_data(page)))
    body.append(inline_file("report.js"))
    return html_document(
        f"{page.title} · llmarch",
        body,
        style=Markup(inline_file("page.css") + inline_file("report.css")),
        description=page.headline,
    )


def section_element(section: PageSection) -> Markup:
    """Return a section with its title and a link to itself."""
    id, title, content = section
    heading = element("h2", element("a", title, href=f"#{id}"), id=f"{id}-title")
    return element("section", heading, content, id=id, aria_labelledby=f"{id}-title")


# Head and foot


def page_head(page: ReportPage, sections: Sequence[PageSection]) -> Iterator[Markup]:
    """Yield names, headline, origins, and links to other sites and to the sections."""
    yield element("h1", page.title)
    yield element("p", page.headline, class_="headline")
    for model in page.models:
        links = [outside_link(words, address) for words, address in model.links]
        parts = [content_text([model.origin])]
        if len(page.models) > 1:
            parts.insert(0, element("b", model.name))
        yield element("p", separated([*parts, *links]), class_="origin")
    links = [element("a", title, href=f"#{id}") for id, title, _ in sections]
    yield element("nav", *links, class_="contents", aria_label="Sections")


def separated(parts: Sequence[Markup]) -> Markup:
    """Return parts with a dot between two of them."""
    return Markup(" · ".join(parts))


def page_foot(page: ReportPage) -> Iterator[Markup]:
    """Yield what made the page."""
    command = " ".join(["llmarch report", *page.reference])
    yield element("p", f"llmarch {__version__} · ", element("code", command))


# Figures, charts, layers


def figure_elements(forms: Sequence[Drawing]) -> list[Markup]:
    """Return a figure in its forms; a style sheet shows the one that fits."""
    found: list[Markup] = []
    for name, drawing in zip(("wide", "narrow"), forms, strict=False):
        only = "" if len(forms) > 1 else " only"
        picture = Markup(drawing_svg(drawing))
        found.append(element("figure", picture, class_=f"picture {name}{only}"))
    return found


def strip_elements(page: ReportPage) -> list[Markup]:
    """Return the layers of each model as a row of cells, and what their colours mean."""
    found: list[Markup] = []
    for number, model in enumerate(page.models):
        cells: list[Markup] = []
        for i, layer in enumerate(model.layers):
            words = f"layer {i} · {layer.words}"
            cells.append(element("i", class_=palette_class(layer.kind), title=words))
        name = f"{model.name}: {numbers.plural(len(model.layers), 'layer')}"
        label = f"{name}. Arrow keys go through them."
        found.append(
            element(
                "div",
                element("p", name, class_="strip-name"),
                element(
                    "div",
                    cells,
                    class_="strip",
                    role="img",
                    tabindex=0,
                    aria_label=label,
                    aria_describedby=f"layer-{number}",
                ),
                element("p", runs_of_layers(model), class_="strip-told", id=f"layer-{number}"),
            )
        )
    colours = [
        element("li", element("i", class_=palette_class(i)), words)
        for i, words in enumerate(page.legend)
    ]
    found.append(element("ul", *colours, class_="legend"))
    return found


def runs_of_layers(model: ReportedModel) -> str:
    """Return the layers of a model in words: `0-2 MLA + dense, 3-60 MLA + MoE`."""
    runs: list[str] = []
    for words, run in groupby(enumerate(model.layers), key=lambda item: item[1].words):
        numbers_of_run = [i for i, _ in run]
        first, last = numbers_of_run[0], numbers_of_run[-1]
        reach = f"{first}" if first == last else f"{first}-{last}"
        runs.append(f"{reach} {words}")
    if len(runs) > 4:
        runs = [*runs[:3], f"and {len(runs) - 3} more runs"]
    return ", ".join(runs)


# Memory


def memory_elements(page: ReportPage, charts: Sequence[Sequence[Drawing]]) -> list[Markup]:
    """Return controls with what they compute, and a table that needs no script."""
    if not page.has_memory:
        return [element("p", "not known: no family reads one of these models")]
    return [
        element("div", memory_controls(page), computed_elements(page), class_="scripted"),
        element("div", *map(figure_elements, charts), class_="unscripted"),
        memory_table(page),
        element(
            "p",
            "One undivided copy; the cache of an ideal engine: nothing paged, padded or "
            "replicated. ",
            element("code", "llmarch memory"),
            " has GPUs and the rules of engines.",
            class_="note",
        ),
    ]


def memory_controls(page: ReportPage) -> Markup:
    """Return sliders and numbers for context and batch, and lists of dtypes and formats."""
    dtypes: dict[str, None] = {}
    formats: dict[str, None] = {}
    for model in page.models:
        if model.terms is not None:
            dtypes |= dict.fromkeys(model.terms.caches)
            formats |= dict.fromkeys(model.terms.weights)
    own = {OWN_FORMAT: "as stored"}
    cache_options = [element("option", "auto (the model's own)", value="auto", selected=True)]
    cache_options += [element("option", dtype, value=dtype) for dtype in dtypes]
    weight_options = [element("option", own.get(name, name), value=name) for name in formats]
    return element(
        "form",
        slider_element("context", "Context", "tokens", 4096),
        slider_element("batch", "Batch", "sequences", 1),
        element("label", "Cache", element("select", cache_options, id="cache")),
        element("label", "Weights", element("select", weight_options, id="weights")),
        class_="controls",
        id="controls",
        autocomplete="off",
    )


def slider_element(id: str, words: str, unit: str, value: int) -> Markup:
    """Return a slider with a field for an exact number."""
    return element(
        "div",
        element("label", words, for_=id),
        element("input", id=id, type="number", min=1, step=1, value=value, inputmode="numeric"),
        element("span", unit, class_="unit"),
        element(
            "input",
            id=f"{id}-slider",
            type="range",
            min=0,
            max=1,
            step=1,
            value=0,
            aria_label=f"{words} in usual steps",
        ),
        class_="slider",
    )


def computed_elements(page: ReportPage) -> list[Markup]:
    """Return the places of what the page's script computes."""
    rows: list[Markup] = []
    for i, model in enumerate(page.models):
        cells = [element("td", data_part=part) for part in MEMORY_PARTS]
        colour = palette_class(i, "s")
        name = element("th", element("i", class_=f"key {colour}"), model.name, scope="row")
        rows.append(element("tr", name, cells, data_model=i))
    head = [element("th", words, scope="col", class_=f"of-{words}") for words in MEMORY_PARTS]
    return [
        scrolling_table(
            "computed",
            [element("thead", element("tr", element("td"), head)), element("tbody", rows)],
            "Memory at the chosen context, batch and formats",
        ),
        element("p", class_="told", id="told", role="status"),
        element("div", id="bars", class_="bars", aria_hidden="true"),
        element("div", id="plot", class_="plot"),
    ]


def scrolling_table(id: str, content: Sequence[Markup], label: str) -> Markup:
    """Return a table that scrolls by itself where the screen is too small."""
    return scrolling(element("table", element("caption", label), content, id=id), label)


def memory_table(page: ReportPage) -> Markup:
    """Return what one copy takes with one sequence of usual lengths."""
    rows: list[Markup] = []
    is_alone = len(page.models) == 1
    for model in page.models:
        if model.memory is None:
            continue
        for tokens, taken in model.memory.footprints.items():
            words = numbers.context(tokens)
            if not is_alone:
                words = f"{model.name} · {words}"
            name = element("th", words, scope="row")
            sizes = (taken.weights, taken.cache, taken.state, taken.total)
            cells = [element("td", numbers.size(size) if size else "-") for size in sizes]
            row = element("tr", name, cells)
            rows.append(row)
    first = element("th", "context", scope="col")
    others = [element("th", words, scope="col") for words in MEMORY_PARTS]
    titles = element("tr", first, others)
    head = element("thead", titles)
    body = element("tbody", rows)
    label = "One sequence of usual lengths, weights as stored"
    return scrolling_table("usual", [head, body], label)


def memory_data(page: ReportPage) -> list[dict[str, object]]:
    """Return the terms of all models, as the script takes them."""
    found: list[dict[str, object]] = []
    for model in page.models:
        if model.terms is None:
            continue
        terms = model.terms.to_dict()
        found.append({"name": model.name, **terms})
    return found


# Facts


def facts_title(page: ReportPage) -> str:
    """Return the title of the facts."""
    if len(page.models) == 1:
        return "Facts"
    return "Differences"


def fact_elements(page: ReportPage) -> list[Markup]:
    """Return the facts by section; what is folded is in an element that opens."""
    ids = PageIds()
    found: list[Markup] = []
    for section, group in groupby(page.facts, key=lambda fact: fact.section):
        facts = list(group)
        shown = [fact for fact in facts if not fact.folded]
        folded = [fact for fact in facts if fact.folded]
        content = [element("h3", section)]
        if shown:
            content.append(facts_element(page, shown, ids, section))
        if folded:
            words = numbers.plural(len(folded), folded_noun(page))
            table = facts_element(page, folded, ids, f"{section}, {words}")
            content.append(element("details", element("summary", words), table, class_="folded"))
        found.append(element("div", *content, class_="facts"))
    if not found:
        return found
    unfold = element("button", "Unfold all", type="button", id="unfold", class_="scripted")
    hint = element("span", "A fact's name opens what it means and where it comes from.")
    several = f"fact-groups columns{min(len(page.models), 4)}"
    return [
        element("p", hint, " ", unfold, class_="note"),
        element("div", *found, class_=several),
    ]


def folded_noun(page: ReportPage) -> str:
    """Return what folded facts are called."""
    if len(page.models) == 1:
        return "detail"
    return "equal fact"


def facts_element(
    page: ReportPage, facts: Sequence[ReportedFact], ids: PageIds, label: str
) -> Markup:
    """Return facts as a table, a column for each model."""
    is_pair = len(page.models) == 2
    names = [model.name for model in page.models]
    head = [element("th", "fact", scope="col")]
    head += [element("th", name, scope="col") for name in names]
    if is_pair:
        head.append(element("th", "ratio", scope="col"))
    rows: list[Markup] = []
    for fact in facts:
        id = ids.of_fact(fact)
        cells = [element("td", cell) for cell in fact.cells]
        if is_pair:
            cells.append(element("td", fact.ratio, class_="ratio"))
        rows.append(
            element(
                "tr",
                element("th", *about_fact(page, fact, id), scope="row"),
                cells,
                id=id,
                class_="differs" if fact.differs else None,
            )
        )
    table = element(
        "table",
        element("caption", label),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
    )
    return scrolling(table, label)


def about_fact(page: ReportPage, fact: ReportedFact, id: str) -> Iterator[Markup]:
    """Yield the name of a fact as a button, and what it opens: meaning, sources, a link."""
    description = f"about-{id}"
    yield element(
        "button", fact.label, type="button", popovertarget=description, class_="about-button"
    )
    content = [element("b", f"{fact.section} · {fact.label}")]
    if fact.meaning:
        content.append(element("p", *prose_elements(fact.meaning)))
    for model, lines in zip(page.models, fact.sources, strict=False):
        if len(page.models) > 1:
            content.append(element("p", model.name, class_="of-model"))
        content.append(element("ul", *[element("li", line) for line in lines]))
    content.append(element("a", "link to this fact", href=f"#{id}"))
    yield element("div", *content, id=description, popover="auto", class_="about")


def prose_elements(text: str) -> Iterator[str | Markup]:
    """Yield the parts of a text, those between backticks as code."""
    for i, part in enumerate(text.split("`")):
        if i % 2:
            yield element("code", part)
        else:
            yield part


# Notes


def note_elements(page: ReportPage) -> list[Markup]:
    """Return what is found, and what a reader must know, each line once."""
    classes: dict[str, str | None] = dict.fromkeys(page.notes)
    for model in page.models:
        name = f"{model.name}: " if len(page.models) > 1 else ""
        classes |= {f"{name}{line}": "finding" for line in model.findings}
        for line in model.notes:
            classes.setdefault(f"{name}{line}", None)
    items = [element("li", line, class_=css) for line, css in classes.items()]
    if not items:
        return [element("p", "none")]
    return [element("ul", *items, class_="notes")]
