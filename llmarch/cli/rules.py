"""The command `llmarch rules`: what differences break."""

from __future__ import annotations

from typing import Annotated

import typer

from ..renderers.output import write_text
from . import Program, app
from .answer_file import AnswerGroup
from .common import Format, Output, examples, fail, write_document
from .completion import complete_rules

table = Program(
    cls=AnswerGroup,
    help="List the rules of differences, or explain one.",
    invoke_without_command=True,
    rich_markup_mode=None,
    epilog=examples(
        "llmarch rules",
        "llmarch rules --format markdown",
        "llmarch rules explain rope-theta-changed",
    ),
)
app.add_typer(table, name="rules")


@table.callback()
def all_rules(context: typer.Context, format: Output = Format.text) -> None:
    """List the rules, unless a subcommand was called."""
    if context.invoked_subcommand is not None:
        return
    from ..compare.rules import RULES

    if format.is_document:
        from ..renderers import json

        write_document(format, json.rules(RULES))
    elif format is Format.markdown:
        from ..renderers import markdown

        write_text(markdown.rules(RULES), "markup", end="")
    else:
        from ..renderers import text
        from ..views.documents import Table

        rows = [[rule.id, rule.severity, rule.title] for rule in RULES]
        text.table(Table(["rule", "severity", ""], rows))


@table.command()
def explain(
    id: Annotated[
        str, typer.Argument(metavar="RULE", help="A rule's id.", autocompletion=complete_rules)
    ],
) -> None:
    """Explain a rule: what it covers, what breaks and for whom."""
    from ..compare.rules import CONSEQUENCES, find, nearest
    from ..errors import did_you_mean
    from ..renderers import text

    rule = find(id)
    if rule is None:
        hint = did_you_mean(nearest(id)) or "`llmarch rules` lists them"
        fail(f"there is no rule {id!r}", hint)
    lines: list[tuple[str, list[str]]] = []
    if rule.pattern is not None:
        lines.append(("covers", [rule.pattern]))
    lines += [
        ("severity", [f"{rule.severity}: {CONSEQUENCES[rule.severity]}"]),
        ("since", [rule.since]),
        ("what breaks", [rule.explanation]),
    ]
    text.explanation(f"{rule.id}: {rule.title}", lines)
