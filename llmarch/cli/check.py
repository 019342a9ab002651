"""`llmarch check`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from . import app
from .common import ConfigOnly, Offline, Refresh, complete, examples, fail, inspect

if TYPE_CHECKING:
    from ..compare.check import CheckResult
    from ..compare.gate import LoadEntry
    from ..compare.lock import Entry
    from ..compare.report import Report


class ReportFormat(StrEnum):
    """How to write the report."""

    text = "text"
    json = "json"
    markdown = "markdown"
    github = "github"
    sarif = "sarif"
    junit = "junit"


DOCUMENTS = (ReportFormat.json, ReportFormat.sarif, ReportFormat.junit)
"""Formats of which nothing can be read when anything stands beside it."""

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LEVEL",
        help="Exit with 1 for changes at or above weights, behaviour, capacity, quantization or info.",
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="RULE[:PATH]",
        help="Changes that do not count, such as vocabulary-changed; may be given several times.",
    ),
]


@app.command(
    epilog=examples(
        "llmarch check",
        "llmarch check acme/fine-tune --against Qwen/Qwen3-8B --ignore vocabulary-changed",
        "llmarch check acme/model-FP8 --against acme/model --fail-on capacity",
        "llmarch check --output sarif=llmarch.sarif --output markdown=-",
        "llmarch check --update",
    )
)
def check(
    ref: Annotated[
        str | None,
        typer.Argument(
            metavar="[REF]", help="One model. Default: all of the lock.", autocompletion=complete
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF|LOCK",
            help="What it is held against: another model, or a lock file.",
        ),
    ] = None,
    lock: Annotated[
        str, typer.Option("--lock", metavar="FILE", help="The lock file.")
    ] = "llmarch.lock",
    fail_on: FailOn = None,
    ignore: Ignored = None,
    update: Annotated[
        bool, typer.Option("--update", help="After review: write into the lock what was read now.")
    ] = False,
    format: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="How to write the report.")
    ] = ReportFormat.text,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="FORMAT=FILE",
            help="The report into a file too (- is standard output); may be given several times.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Read models again and report what changed: those of the lock, or one against another."""
    from ..compare import check as checking

    targets = [target(text) for text in output or ()]
    printed = [kind for kind, path in targets if path == "-"]
    if len(printed) > 1 and (whole := [kind for kind in printed if kind in DOCUMENTS]):
        fail(
            f"--output {whole[0]}=- cannot share standard output with another report",
            "give all but one a file",
        )
    policy = checking.project_policy().with_options(fail_on, ignore or ())
    done = checking.run_check(
        ref, against, lock, policy, reader(offline, refresh), headers=not config_only
    )
    if update and done.lock is None:
        fail("--update writes the lock; --against names a model")
    for kind, path in (
        targets if any(path == "-" for _, path in targets) else [(format, "-"), *targets]
    ):
        write(done.report, kind, path)
    code = rewrite(done) if update else done.report.exit_code
    raise typer.Exit(code)


def target(text: str) -> tuple[ReportFormat, str]:
    """`sarif=out.sarif`"""
    kind, _, path = text.partition("=")
    if kind not in ReportFormat.__members__ or not path:
        fail(
            f"--output {text}: FORMAT=FILE is needed",
            f"The formats are {', '.join(ReportFormat)}; - is standard output.",
        )
    return ReportFormat(kind), path


def reader(offline: bool, refresh: bool) -> LoadEntry:
    """How a check reads a model."""

    def read(ref: str, headers: bool) -> Entry:
        from ..checkpoint.reading import Observation
        from ..compare.lock import make_entry
        from ..errors import UnknownFamily

        reading = inspect(ref, offline=offline, headers=headers, refresh=refresh)
        if isinstance(reading, Observation):
            raise UnknownFamily(
                reading.why,
                f"llmarch show {ref} tells what its tensors tell; that is not enough to compare",
            )
        return make_entry(reading)

    return read


def write(report: Report, kind: ReportFormat, path: str) -> None:
    """The report to standard output or into a file."""
    from ..sources import project

    if kind is ReportFormat.text and path == "-":
        from ..renderers import text

        text.report(report)
    elif path == "-":
        typer.echo(rendered(report, kind), nl=False)
    else:
        project.write(path, rendered(report, kind))


def rendered(report: Report, kind: ReportFormat) -> str:
    match kind:
        case ReportFormat.text:
            from ..renderers import text

            return text.captured(lambda out: text.report(report, out))
        case ReportFormat.json:
            from ..renderers import json

            return json.text(json.report(report)) + "\n"
        case ReportFormat.markdown:
            from ..renderers import markdown

            return markdown.report(report)
        case ReportFormat.github:
            from ..renderers import github

            return github.report(report)
        case ReportFormat.sarif:
            from ..renderers import json, sarif

            return json.text(sarif.report(report)) + "\n"
        case ReportFormat.junit:
            from ..renderers import junit

            return junit.report(report)


def rewrite(done: CheckResult) -> int:
    """The lock as it is now; the exit code is that of what could not be read."""
    from .. import __version__
    from ..compare.lock import lock_text
    from ..sources import project

    assert done.lock is not None
    new = done.updated_entries()
    changed = [name for name in new if new[name] != done.lock.entries[name]]
    if changed:
        project.write(done.path, lock_text(new, f"llmarch {__version__}"))
    typer.echo(
        f"{done.path}: {', '.join(changed)} updated"
        if changed
        else f"{done.path}: nothing to update",
        err=True,
    )
    unsure = [
        v.error.exit_code if v.error else 4 for v in done.report.verdicts if v.error or v.partial
    ]
    return max(unsure, key=(4, 2, 3).index, default=0)
