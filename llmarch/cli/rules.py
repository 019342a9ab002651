"""`llmarch rules`: what differences mean."""

from __future__ import annotations

from typing import Annotated

import typer

from . import app
from .common import Format, Output, examples, fail

table = typer.Typer(
    help="List the rules that differences have, or explain one.",
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
    if context.invoked_subcommand is not None:
        return
    from ..compare.rules import RULES

    if format is Format.json:
        from ..renderers import json

        typer.echo(json.json_text(json.rules(RULES)))
    elif format is Format.markdown:
        from ..renderers import markdown

        typer.echo(markdown.rules(RULES), nl=False)
    else:
        from ..renderers import text
        from ..views.documents import Table

        text.table(Table(["rule", "severity", ""], [[r.id, r.severity, r.title] for r in RULES]))


def complete_rule(incomplete: str) -> list[str]:
    from ..compare.rules import RULES

    return [r.id for r in RULES if r.id.startswith(incomplete)]


@table.command()
def explain(
    id: Annotated[
        str, typer.Argument(metavar="RULE", help="A rule's id.", autocompletion=complete_rule)
    ],
) -> None:
    """Say what a rule covers, what breaks and for whom."""
    from ..compare.rules import CONSEQUENCES, find, nearest
    from ..renderers import text

    rule = find(id)
    if rule is None:
        near = nearest(id)
        fail(
            f"there is no rule {id!r}",
            f"did you mean {' or '.join(near)}?" if near else "`llmarch rules` lists them",
        )
    covers = [] if rule.pattern is None else [("covers", [rule.pattern])]
    severity = ("severity", [f"{rule.severity}: {CONSEQUENCES[rule.severity]}"])
    lines = [*covers, severity, ("since", [rule.since]), ("what breaks", [rule.explanation])]
    text.explanation(f"{rule.id}: {rule.title}", lines)
