"""The command `llmarch log`: when what changed in a repository."""

from __future__ import annotations

from typing import Annotated

import typer

from ..renderers.output import write_text
from . import app
from .check import loader
from .commits import MOST_COMMITS, listed_commits
from .common import PARTIAL, ConfigOnly, Format, Output, Ref, Refresh, examples, models_bar, write


@app.command(
    epilog=examples(
        "llmarch log org/model",
        "llmarch log org/model --since v1.0",
        "llmarch log org/model@dev --limit 200 --config-only",
    )
)
def log(
    ref: Ref,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="REV", help="Only what came after this branch, tag or commit."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Commits to read at most, the newest ones.")
    ] = MOST_COMMITS,
    format: Output = Format.text,
    config_only: ConfigOnly = False,
    refresh: Refresh = False,
) -> None:
    """List the commits of a repository that changed the architecture, and what each changed."""
    from ..compare.history import is_uncertain, walk
    from ..views.history import history_summary, history_table

    repo, commits = listed_commits(ref, since, limit)
    load = loader(offline=False, refresh=refresh)
    with models_bar() as progress:
        steps = walk(repo, commits, load, not config_only, progress)
    if since is not None or len(steps) > limit:
        steps = steps[:-1]

    def document() -> object:
        from ..renderers import json

        return json.history(repo, steps)

    write(format, "table", lambda: history_table(steps), document)
    if not format.is_document:
        write_text(history_summary(repo, steps))
    if any(map(is_uncertain, steps)):
        raise typer.Exit(PARTIAL)
