"""The command `llmarch check`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..renderers.output import Form, write_text
from . import app
from .common import ConfigOnly, Offline, Refresh, complete, examples, fail, inspect_reference

if TYPE_CHECKING:
    from ..compare.check import CheckResult
    from ..compare.lock import Entry, Lock
    from ..compare.report import Report
    from ..compare.rereading import LoadEntry


class ReportFormat(StrEnum):
    """How to write the report."""

    text = "text"
    json = "json"
    markdown = "markdown"
    github = "github"
    sarif = "sarif"
    junit = "junit"


SINGLE_DOCUMENTS = (ReportFormat.json, ReportFormat.sarif, ReportFormat.junit)
"""Formats that are one document, so that nothing else may share their file or stream."""
FORMS: dict[ReportFormat, Form] = {
    ReportFormat.json: "json",
    ReportFormat.sarif: "json",
    ReportFormat.markdown: "markup",
    ReportFormat.junit: "markup",
}
"""How a format spells characters that a stream cannot hold; `text` for others."""

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LEVEL",
        help="Exit with 1 for changes at this level or above: weights, behaviour, capacity,"
        " quantization, info.",
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="RULE[:PATH]",
        help="Ignore changes of a rule, such as vocabulary-changed. Repeatable.",
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
            metavar="[REF]",
            help="One model, or a pattern such as 'acme/*'. Default: all of the lock.",
            autocompletion=complete,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF|LOCK",
            help="Compare with another model, or with a lock file.",
        ),
    ] = None,
    lock: Annotated[
        str, typer.Option("--lock", metavar="FILE", help="The lock file.")
    ] = "llmarch.lock",
    fail_on: FailOn = None,
    ignore: Ignored = None,
    update: Annotated[
        bool, typer.Option("--update", help="Accept the changes: write them into the lock.")
    ] = False,
    format: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="Format of the report.")
    ] = ReportFormat.text,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="FORMAT=FILE",
            help="Write the report to a file too; - is standard output. Repeatable.",
        ),
    ] = None,
    config_only: ConfigOnly = False,
    offline: Offline = False,
    refresh: Refresh = False,
) -> None:
    """Check models against their lock entries or another model."""
    from ..compare import check as checking

    targets = [parse_target(text) for text in output or ()]
    refuse_shared_output([kind for kind, path in targets if path == "-"])
    policy = checking.project_policy().with_options(fail_on, ignore or ())
    load = loader(offline, refresh)
    done = checking.run_check(ref, against, lock, policy, load, headers=not config_only)
    if update and done.lock is None:
        fail("--update writes the lock; --against names a model")
    if not any(path == "-" for _, path in targets):
        targets.insert(0, (format, "-"))
    for kind, path in sorted(targets, key=lambda target: target[1] == "-"):  # files first
        write_report(done.report, kind, path)
    code = update_lock(done) if update else done.report.exit_code
    raise typer.Exit(code)


def parse_target(text: str) -> tuple[ReportFormat, str]:
    """Return the format and the file of `sarif=out.sarif`. Ends the program for other text."""
    kind, _, path = text.partition("=")
    if kind not in ReportFormat.__members__ or not path:
        formats = ", ".join(ReportFormat)
        fail(
            f"--output {text} is not FORMAT=FILE",
            f"The formats are {formats}; - is standard output.",
        )
    return ReportFormat(kind), path


def refuse_shared_output(printed: Sequence[ReportFormat]) -> None:
    """End the program if a document would share standard output with another report."""
    documents = [kind for kind in printed if kind in SINGLE_DOCUMENTS]
    if documents and len(printed) > 1:
        message = f"--output {documents[0]}=- cannot share standard output with another report"
        fail(message, "give all but one a file")


def loader(offline: bool, refresh: bool) -> LoadEntry:
    """Return what reads a model for a check.

    offline: do not use the network.
    refresh: read tensor headers again.
    """

    def read(ref: str, headers: bool) -> Entry:
        from ..checkpoint.reading import Observation
        from ..compare.lock import make_entry
        from ..errors import UnknownFamily

        reading = inspect_reference(ref, offline=offline, headers=headers, refresh=refresh)
        if isinstance(reading, Observation):
            hint = f"llmarch show {ref} shows what its tensors prove; that cannot be compared"
            raise UnknownFamily(reading.why, hint)
        return make_entry(reading)

    return read


def write_report(report: Report, kind: ReportFormat, path: str) -> None:
    """Write the report to a file, or to standard output for `-`."""
    from ..sources import project

    if path != "-":
        project.write_file(path, report_text(report, kind))
    elif kind is ReportFormat.text:
        from ..renderers import text

        text.report(report)
    else:
        write_text(report_text(report, kind), FORMS.get(kind, "text"), end="")


def report_text(report: Report, kind: ReportFormat) -> str:
    """Return the report as the text of a file."""
    match kind:
        case ReportFormat.text:
            from ..renderers import text

            return text.captured(lambda out: text.report(report, out))
        case ReportFormat.json:
            from ..renderers import json

            return json.json_text(json.report(report)) + "\n"
        case ReportFormat.markdown:
            from ..renderers import markdown

            return markdown.report(report)
        case ReportFormat.github:
            from ..renderers import github

            return github.report(report)
        case ReportFormat.sarif:
            from ..renderers import json, sarif

            return json.json_text(sarif.report(report)) + "\n"
        case ReportFormat.junit:
            from ..renderers import junit

            return junit.report(report)


def is_changed(lock: Lock, new: Entry, name: str) -> bool:
    """Return whether the lock would hold something else of a model; who read it does not count."""
    from ..compare.lock import entry_document

    if name in lock.outdated:
        return True
    reader = {"read_by": ""}
    return entry_document(new) | reader != entry_document(lock.entries[name]) | reader


UPDATE_CODES = (4, 2, 3, 1)
"""Exit codes for models that were not updated, the one that wins last: read in part, unreadable, a
checkpoint that contradicts its config."""


def update_lock(done: CheckResult) -> int:
    """Write the lock as it is now. Return the exit code for models that were not updated."""
    from .. import __version__
    from ..compare.lock import lock_text
    from ..sources import project

    assert done.lock is not None
    new = done.updated_entries()
    left = [name for name in done.lock.outdated if name not in new]
    if left:
        fail(
            f"{done.path}: an older llmarch wrote {', '.join(left)}, which cannot be read again",
            f"`llmarch check --update` reads all models; `llmarch lock --remove {left[0]}` forgets"
            " one",
        )
    changed = [name for name in new if is_changed(done.lock, new[name], name)]
    if changed:
        project.write_file(done.path, lock_text(new, f"llmarch {__version__}"))
    words = f"{', '.join(changed)} updated" if changed else "nothing to update"
    write_text(f"{done.path}: {words}", error=True)
    codes: list[int] = []
    for name in done.refused_updates():
        write_text(f"{done.path}: {name} has a conflict: not updated", error=True)
        codes.append(1)
    for v in done.report.verdicts:
        if v.error:
            codes.append(v.error.exit_code)
        elif v.partial:
            codes.append(4)
    return max(codes, key=UPDATE_CODES.index, default=0)
