"""Markdown, fit for a README or a comment on a pull request.

Strings from repositories are escaped: no markup of theirs survives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import printable
from ..views.documents import Comparison, Listing, Sheet, Table, marked_row
from .cleaning import clean_lines

if TYPE_CHECKING:
    from ..architecture.schema import Change
    from ..compare.report import Report, Verdict
    from ..compare.rules import Rule
    from ..views.card import ModelCard
    from ..views.memory import MemoryView, Plot

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$!])")
_PATH_FIRST = re.compile(r"[a-z][a-z0-9_.]*[a-z0-9](?=, )")
"""A path of a fact at the beginning of a remark. Its underscores are within words: no markup."""
_LIVE = re.compile(
    r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=\bGH-)(?=\d)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE
)
"""Where people are pinged, issues are referred to and addresses become links.

GitHub looks for them after Markdown, so a backslash does not help; an empty comment does."""

ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
LONGEST_COMMENT = 60_000
"""Characters of a report, of the 65,536 that GitHub takes in a comment."""
EXIT_MARKS = {0: "✅", 1: "❌"}
"""The mark of a report by its exit code; others stand for an incomplete one."""
MOST_ROWS = (10**6, 100, 20, 5, 0)
"""Rows of each table that are tried until a report fits."""
CELL = 300
"""Characters of a cell that comes from a repository."""
PLOT_LINE = 500


def escape(value: str) -> str:
    """Return text that Markdown and HTML show as it is, with nothing to click or to ping.

    Lines become `<br>`.
    """
    cleaned = clean_lines(value)
    lines = cleaned.split("\n")
    escaped = map(_escape, lines)
    return "<br>".join(escaped)


def escape_remark(value: str) -> str:
    """Return text as `escape` does, with the path that it begins with as it is."""
    path = _PATH_FIRST.match(value)
    if path is None:
        return escape(value)
    end = path.end()
    rest = escape(value[end:])
    return path[0] + rest


def _escape(line: str) -> str:
    """Return one line without markup and without references that GitHub would resolve."""
    for character, entity in ENTITIES:
        line = line.replace(character, entity)
    plain = _SPECIAL.sub(r"\\\1", line)
    return _LIVE.sub("<!-- -->", plain)


# Tables and lists


def rows(columns: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table of escaped cells."""
    header = table_row(columns)
    count = len(columns)
    rule = "|" + " --- |" * count
    lines = [header, rule]
    lines += map(table_row, body)
    return "\n".join(lines)


def table_row(cells: Sequence[str]) -> str:
    """Return one row of a table."""
    escaped = map(escape, cells)
    separator = " | "
    shown = [cell or " " for cell in escaped]
    row = separator.join(shown)
    return f"| {row} |"


def table(t: Table) -> str:
    """Return a table; sections are a column of their own, named in their first row."""
    return "\n\n".join(filter(None, [_table_rows(t), bullets(t.notes)]))


def _table_rows(t: Table) -> str:
    shown = [marked_row(t, row) for row in t.rows]
    if not t.sections:
        return rows(t.columns, shown)
    body: list[list[str]] = []
    for i, row in enumerate(shown):
        section = t.sections.get(i, "")
        body.append([section, *row])
    return rows(["", *t.columns], body)


def listing(items: Listing) -> str:
    """Return a list of models as a table with all its columns."""
    return table(items.table)


def heading(level: int, title: str) -> str:
    """Return a heading; level 1 is that of the page."""
    marks = "#" * level
    words = escape(title)
    return f"{marks} {words}"


def line_rows(lines: list[tuple[str, list[str]]]) -> list[list[str]]:
    """Return labels and the lines that belong to each as rows of a table."""
    body: list[list[str]] = []
    for label, label_lines in lines:
        text = "\n".join(label_lines)
        row = [label, text]
        body.append(row)
    return body


def bullets(notes: Iterable[str]) -> str:
    """Return a list with an entry for each note."""
    escaped = map(escape, notes)
    lines = [f"- {note}" for note in escaped]
    return "\n".join(lines)


def page(parts: Iterable[str]) -> str:
    """Return paragraphs as a document."""
    content = "\n\n".join(parts)
    return f"{content}\n"


# One model


def sheet(s: Sheet) -> str:
    """Return a model: title and origin, labelled lines, tables, notes."""
    location = escape(s.origin)
    what = escape(s.headline)
    facts = rows(["fact", "value"], line_rows(s.lines))
    parts = [heading(2, s.title), f"{location}  \n{what}", facts]
    for t in s.tables:
        parts.append(heading(3, t.title))
        parts.append(table(t))
    notes = bullets(s.notes)
    parts.append(notes)
    return page(parts)


CARD_BEGIN = "<!-- llmarch card: begin -->"
CARD_END = "<!-- llmarch card: end -->"
"""Between these lines `llmarch card --update` replaces what it wrote before."""


def card_section(c: ModelCard, pictures: Iterable[tuple[str, str]] = ()) -> str:
    """Return the section of a model card about the architecture, between its two marks.

    c: the section.
    pictures: what each picture shows, and the name of its file beside the card.
    """
    from .links import project_url

    parts = [CARD_BEGIN, heading(2, "Architecture")]
    for words, file in pictures:
        parts.append(f"![{escape(words)}]({quote(file)})")
    facts = rows(["fact", "value"], line_rows(c.sheet.lines))
    project = project_url()
    maker = f"[llmarch]({project})"
    said = escape(c.statement).replace("llmarch", maker, 1)
    notes = bullets(c.sheet.notes)
    parts += [escape(c.sheet.headline), facts, f"{said}:", notes, CARD_END]
    return page(parts)


def with_card(document: str, section: str) -> str:
    """Return a model card with the section in the place of an older one, else at its end.

    Raises ValueError if the document has one of the two marks alone, or has them twice.
    """
    begins = document.count(CARD_BEGIN)
    ends = document.count(CARD_END)
    if not begins and not ends:
        separator = "\n\n" if document.strip() else ""
        return f"{document.rstrip()}{separator}{section}"
    before, _, rest = document.partition(CARD_BEGIN)
    _, found, after = rest.partition(CARD_END)
    if begins != 1 or ends != 1 or not found:
        raise ValueError("the marks of llmarch are not one beginning and one end")
    return f"{before}{section.rstrip()}{after}"


def memory(v: MemoryView) -> str:
    """Return memory plans: what was asked for, the table of bytes, lines, the plot, notes."""
    title = heading(2, v.title)
    asked = escape(v.asked)
    parts = [title, asked]
    if v.warnings:
        parts.append(bullets(v.warnings))
    parts.append(table(v.table))
    if v.lines:
        body = line_rows(v.lines)
        parts.append(rows(["", ""], body))
    if v.plot:
        parts.append(plot_block(v.plot))
    if v.notes:
        parts.append(bullets(v.notes))
    return page(parts)


def plot_block(p: Plot) -> str:
    """Return a plot as a fenced block."""
    from . import plot

    drawn = plot.plot_lines(p, plot.WIDEST)
    lines = [printable(line, PLOT_LINE) for line in drawn]
    return "\n".join(["```text", *lines, "```"])


# Reports


def report(r: Report) -> str:
    """Return a check, fit for a comment on a pull request: the rest of the changes is folded.

    Where it is too long, tables have fewer rows; where it is still too long, models are left out,
    those that pass first.
    """
    from ..compare.report import OUTCOMES, summary_lines

    mark = EXIT_MARKS.get(r.exit_code, "❔")
    first, *others = map(escape, summary_lines(r))
    summary = "  \n".join([f"**{first}**", *others])
    parts = [f"## {mark} llmarch check", summary]
    for most in MOST_ROWS:
        models = [verdict_block(r, v, most) for v in r.verdicts]
        length = sum(len(model) + 2 for model in models)
        if length <= LONGEST_COMMENT:
            return page(parts + models)
    worst_first: list[Verdict] = []
    for outcome in OUTCOMES:
        worst_first += [v for v in r.verdicts if r.outcome(v) == outcome]
    return page(parts + models_in_room(r, worst_first))


def models_in_room(r: Report, verdicts: Sequence[Verdict]) -> list[str]:
    """Return the models that fit without tables, and how many are left out."""
    models: list[str] = []
    room = LONGEST_COMMENT
    for v in verdicts:
        model = verdict_block(r, v, 0)
        room -= len(model) + 2
        if room < 0:
            models.append(f"and {len(verdicts) - len(models)} models more")
            break
        models.append(model)
    return models


def verdict_block(r: Report, v: Verdict, most: int) -> str:
    """Return a model of a report.

    r: the report.
    v: the model's verdict.
    most: how many rows a table may have.
    """
    from ..compare.report import failing_words, verdict_mark, verdict_reasons, verdict_state

    mark, name, commits = verdict_mark(r, v), escape(v.name), linked_commits(v)
    title = f"{mark} **{name}** {commits}".rstrip()
    if not v.changes and not v.error and not v.remarks:
        state = verdict_state(v)
        return f"{title}: {state}"
    if not v.changes and not v.error and not v.partial:
        title = f"{title}: {verdict_state(v)}"
    reasons = verdict_reasons(v)[: most + 3]
    lines = [title]
    lines += [f"- {escape(printable(reason, CELL))}" for reason in reasons]
    failing = r.failing(v)
    if failing:
        label = f"{len(failing)} {failing_words(r)}"
        lines += ["", changes(failing, most) or label]
    others = [c for c in v.changes if not r.fails(c)]
    if others:
        label = f"{len(others)} below '{r.level}'"
        lines += ["", folded(label, changes(others, most))]
    return "\n".join(lines)


def linked_commits(v: Verdict) -> str:
    """Return the commits that are compared, with links to those on the Hub."""
    from ..compare.report import compared_commits
    from .links import commit_url

    words = escape(compared_commits(v))
    sides = ((v.old, v.old_side), (v.new, v.new_side))
    for commit, side in sides:
        if not commit or side is None:
            continue
        url = commit_url(side)
        shown = f"[{commit}]"
        if url and shown not in words:
            words = words.replace(commit, f"{shown}({url})", 1)
    return words


def folded(label: str, content: str) -> str:
    """Return a section that opens on a click; the label alone where there is no content."""
    if not content:
        return label
    return f"<details><summary>{label}</summary>\n\n{content}\n\n</details>"


def changes(found: Sequence[Change], most: int) -> str:
    """Return a table of changes, and how many it leaves out; nothing where no row is wanted.

    found: the changes.
    most: how many rows the table may have.
    """
    from ..compare.report import change_text

    if not most:
        return ""
    header = ["severity", "rule", "fact", "change"]
    has_ids = any(c.id for c in found[:most])
    if has_ids:
        header.append("id")
    body: list[list[str]] = []
    for c in found[:most]:
        path = printable(c.path, CELL)
        what = printable(change_text(c), CELL)
        cells = [c.severity, c.rule, path, what]
        if has_ids:
            cells.append(c.id or "")
        body.append(cells)
    shown = rows(header, body)
    left_out = len(found) - len(body)
    if left_out:
        shown += f"\n\nand {left_out} more"
    return f"{shown}\n\n{rule_lines(found[:most])}"


def rule_lines(found: Iterable[Change]) -> str:
    """Return what breaks, a line for each rule and meaning, with a link to the rule."""
    from ..compare.report import change_meaning
    from .links import rule_url

    lines: dict[str, None] = {}
    for c in found:
        meaning = escape(printable(change_meaning(c), CELL))
        lines[f"- [{c.rule}]({rule_url(c.rule)}): {meaning}"] = None
    return "\n".join(lines)


# Rules


def rules(table: Iterable[Rule]) -> str:
    """Return the page of rules (docs/rules.md)."""
    from ..compare.rules import CONSEQUENCES, SEVERITIES

    every = list(table)
    facts = [r for r in every if r.pattern is not None]
    findings = [r for r in every if r.pattern is None]
    severities = [[severity, CONSEQUENCES[severity]] for severity in SEVERITIES]
    return page(
        [
            "# Rules",
            "Each difference between two models has a rule with a stable id."
            " Its severity says what breaks, from worst:",
            rows(["severity", "means"], severities),
            "`--fail-on` takes a severity, `--ignore` a rule or `rule:path`;"
            " [ci.md](ci.md) says how a project sets them.",
            "## Facts",
            "Of the paths, `*` is one part, `**` any number, `{a,b}` one of several."
            " One rule covers each fact; the last one covers what no other does.",
            "What a change breaks is computed: it is `weights` if names or shapes of tensors differ"
            " because of it, whatever the rule. Else it is what the rule says, or `behaviour` where"
            " that is `weights`. A change of what the decoder does not use is `info`.",
            rule_rows(["rule", "covers", "severity", "what breaks, and for whom"], facts),
            "## Findings",
            "About a checkpoint and its files. One that is there now and was not before is a"
            " change; where it does no harm it has a milder severity than its row.",
            rule_rows(["rule", "severity", "what breaks, and for whom"], findings),
        ]
    )


def rule_rows(columns: list[str], found: Iterable[Rule]) -> str:
    """Return a table of rules."""
    header = rows(columns, [])
    lines = [header]
    lines += map(rule_row, found)
    return "\n".join(lines)


def rule_row(r: Rule) -> str:
    """Return the row of a rule; a finding covers no path."""
    title, explanation = escape(r.title), escape(r.explanation)
    cells = [f'<a id="{r.id}"></a>`{r.id}`', r.severity]
    if r.pattern is not None:
        cells.insert(1, f"`{r.pattern}`")
    cells.append(f"**{title}**<br>{explanation}")
    row = " | ".join(cells)
    return f"| {row} |"


# Several models


def comparison(c: Comparison) -> str:
    """Return several models side by side: what differs, what is equal, and their layers."""
    parts = ["## " + " · ".join(escape(s.name) for s in c.strips)]
    if c.summary:
        parts.append(escape(c.summary))
    parts.append("\n".join(f"- {escape(name)}: {escape(origin)}" for name, origin in c.origins))
    if c.verdict:
        end = "" if c.conflicts else "."
        parts.append(f"{c.verdict[0].upper()}{c.verdict[1:]}{end}")
    if c.conflicts:
        parts.append(bullets(c.conflicts))
    if c.table.rows:
        parts.append(table(c.table))
    if c.equal:
        more = f" · and {c.hidden} more" if c.hidden else ""
        parts.append(f"Equal: {escape(' · '.join(c.equal))}{more}")
    layers = [f"{printable(s.name):24} {s.symbols}" for s in c.strips]
    legend = [f"{'':24} {symbol} {word}" for symbol, word in c.legend]
    parts.append("\n".join(["```text", *layers, *legend, "```"]))
    if c.notes:
        parts.append("\n".join(f"- {escape_remark(n)}" for n in c.notes))
    return page(parts)
