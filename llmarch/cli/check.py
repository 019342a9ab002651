"""The command `llmarch check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import LlmarchError
from ..renderers.output import Form, write_text
from . import app
from .common import (
    ConfigOnly,
    Offline,
    Refresh,
    examples,
    fail,
    inspect_reference,
    models_argument,
    models_bar,
)
from .completion import complete_levels, complete_locked, complete_rules

if TYPE_CHECKING:
    from ..compare.check import CheckOptions, CheckResult
    from ..compare.lock import Entry, Lock
    from ..compare.report import Report
    from ..compare.rereading import LoadEntry
    from ..sources.progress import Progress


class ReportFormat(StrEnum):
    """How to write the report."""

    text = "text"
    json = "json"
    ndjson = "ndjson"
    markdown = "markdown"
    github = "github"
    sarif = "sarif"
    junit = "junit"
    gitlab = "gitlab"


SINGLE_DOCUMENTS = (
    ReportFormat.json,
    ReportFormat.ndjson,
    ReportFormat.sarif,
    ReportFormat.junit,
    ReportFormat.gitlab,
)
"""Formats that are one document, so that nothing else may share their file or stream."""
FORMS: dict[ReportFormat, Form] = {
    ReportFormat.json: "json",
    ReportFormat.ndjson: "json",
    ReportFormat.sarif: "json",
    ReportFormat.gitlab: "json",
    ReportFormat.markdown: "markup",
    ReportFormat.junit: "markup",
}
"""How a format spells characters that a stream cannot hold; `text` for others."""

FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LEVEL|RULE",
        help="Exit with 1 for changes at this level or above: weights, behaviour, capacity,"
        " quantization, info; or of this rule, beside the level. Several by commas.",
        autocompletion=complete_levels,
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="RULE[:PATH]",
        help="Ignore changes of a rule, such as vocabulary-changed. Repeatable.",
        autocompletion=complete_rules,
    ),
]


class CheckCommand(TyperCommand):
    """The command, whose errors of usage are written into the reports that were asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line. Raises click's UsageError, which is in the reports too."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of click, which some versions of typer have within themselves
            message = getattr(error, "format_message", None)
            if message is not None:
                write_usage_error(message(), words)
            raise


def write_usage_error(message: str, words: Sequence[str]) -> None:
    """Write what is wrong with a command line into the reports that its words ask for."""
    from ..errors import ConfigError

    with suppress(SystemExit):  # a target that is wrong too: the first error is told
        error = ConfigError(message, "`llmarch check --help` has the usage")
        write_failure(error, named_targets(words))


def named_targets(words: Sequence[str]) -> list[tuple[ReportFormat, str]]:
    """Return the targets that the words of a command line name with `--output`."""
    option = "--output"
    targets: list[tuple[ReportFormat, str]] = []
    for i, word in enumerate(words):
        if word.startswith(f"{option}="):
            targets.append(parse_target(word.removeprefix(f"{option}=")))
        elif word == option and i + 1 < len(words):
            targets.append(parse_target(words[i + 1]))
    return targets


@app.command(
    cls=CheckCommand,
    epilog=examples(
        "llmarch check",
        "llmarch check acme/fine-tune --against Qwen/Qwen3-8B --ignore vocabulary-changed",
        "llmarch check acme/model-FP8 --against acme/model --fail-on capacity",
        "llmarch check --output sarif=llmarch.sarif --output markdown=-",
        "llmarch check --update",
    ),
)
def check(
    refs: Annotated[
        list[str] | None,
        models_argument(
            "Models, or patterns such as 'acme/*'. Default: all of the lock.",
            "[REF...]",
            complete_locked,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF|LOCK",
            help="Compare with another model, with a lock file, or with the base_model that the "
            "model's card names.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="REV",
            help="Compare with an earlier revision of the repository, and say when what changed.",
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
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="ID",
            help="Accept one change by its id, and write that into the lock. Repeatable.",
        ),
    ] = None,
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
    if_cached: Annotated[
        bool,
        typer.Option(
            "--if-cached", help="Offline, and leave out what was never read on this machine."
        ),
    ] = False,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="REF are files that changed: check the models that they are about. For hooks.",
        ),
    ] = False,
) -> None:
    """Check models against their lock entries or another model."""
    from ..compare import check as checking

    targets = [parse_target(text) for text in output or ()]
    refuse_shared_output([kind for kind, path in targets if path == "-"])
    try:
        policy = checking.project_policy().with_options(fail_on, ignore or (), accept=accept or ())
        offline = offline or if_cached
        load = loader(offline, refresh)
        options = checking.CheckOptions(policy, not config_only, if_cached)
        references = refs or []
        if since is not None:
            against = earlier_revision(references, since, against, update)
        with models_bar() as progress:
            if changed:
                refuse_another_side(against)
                done = check_changed(references, lock, options, load, progress)
            elif against == BASE_MODEL:
                done = check_base_models(references, options, load, offline=offline)
            else:
                done = checking.run_check(references, against, lock, options, load, progress)
        if since is not None:
            done = with_history(done, references[0], since, load, headers=not config_only)
    except LlmarchError as error:
        write_failure(error, targets)
        raise
    if update and done.lock is None:
        fail("--update writes the lock; --against names a model")
    refuse_unknown_ids(done.report, accept or [])
    if not any(path == "-" for _, path in targets):
        targets.insert(0, (format, "-"))
    for kind, path in files_first(targets):
        write_report(done.report, kind, path)
    code = done.report.exit_code
    if update:
        code = update_lock(done)
    elif accept and done.lock is not None:
        write_accepted(done)
    raise typer.Exit(code)


BASE_MODEL = "base_model"
"""What `--against` takes for the model that the card names."""


def check_base_models(
    refs: Sequence[str], options: CheckOptions, load: LoadEntry, *, offline: bool
) -> CheckResult:
    """Compare a model with those that its card names. Ends the program for wrong usage.

    A merge is compared with each. That a quantised copy is stored in another way is meant.
    """
    if len(refs) != 1:
        fail("--against base_model: one REF is needed, whose card names it")
    from ..compare.check import as_quantized_copies, check_pairs
    from ..sources.cards import base_models_of
    from ..sources.references import parse_reference

    (ref,) = refs
    bases = base_models_of(parse_reference(ref), offline=offline)
    done = check_pairs([(ref, name) for name in bases.names], options, load)
    if bases.relation == "quantized":
        done = as_quantized_copies(done)
    return done


def earlier_revision(refs: Sequence[str], since: str, against: str | None, update: bool) -> str:
    """Return the reference of a model at an earlier revision. Ends the program for wrong usage."""
    from ..sources.references import parse_reference

    if len(refs) != 1:
        fail("--since: one REF is needed, a repository on the Hub")
    if against is not None or update:
        fail("--since compares a repository with itself: neither --against nor --update")
    (ref,) = refs
    reference = parse_reference(ref)
    if reference.kind != "hub":
        fail(f"--since: {ref} is not a repository on the Hub")
    return f"{reference.repo_id}@{since}"


def refuse_another_side(against: str | None) -> None:
    """End the program if changed files are to be compared with something else than the lock."""
    if against is not None:
        fail("--changed: files are those of models in the lock; neither --against nor --since")


def check_changed(
    files: Sequence[str], path: str, options: CheckOptions, load: LoadEntry, progress: Progress
) -> CheckResult:
    """Check the models of a lock that changed files are about. Raises LlmarchError.

    A project that has no lock yet, or an empty one, has nothing to check.
    """
    from ..compare.changed_files import models_of_files
    from ..compare.check import CheckResult, check_entries, make_report, open_lock
    from ..sources import project

    if not project.exists(path):
        note = f"{path}: no such file, so nothing was checked"
        return CheckResult(make_report((), options.policy, notes=(note,)))
    lock = open_lock(path)
    names = models_of_files(files, lock.references, path)
    notes: list[str] = []
    if not names:
        notes.append("no changed file is one of a model in the lock")
    asked = {name: name for name in names}
    return check_entries(asked, lock, path, options, load, notes=notes, progress=progress)


def with_history(
    done: CheckResult, ref: str, since: str, load: LoadEntry, *, headers: bool
) -> CheckResult:
    """Return the check with a remark for each commit since then that changed something."""
    from dataclasses import replace

    from ..compare.history import commit_remark, walk
    from .commits import MOST_COMMITS, listed_commits

    (verdict,) = done.report.verdicts
    if not verdict.changes:
        return done
    repo, commits = listed_commits(ref, since, MOST_COMMITS)
    steps = walk(repo, commits, load, headers)[:-1]
    remarks = [commit_remark(step) for step in steps if step.verdict.changes or step.verdict.error]
    told = replace(verdict, remarks=(*verdict.remarks, *remarks))
    report = replace(done.report, verdicts=(told,))
    return replace(done, report=report)


def refuse_unknown_ids(report: Report, ids: Sequence[str]) -> None:
    """End the program if an id to accept is that of no change."""
    accepted = {change.id for verdict in report.verdicts for change in verdict.accepted}
    unknown = [id for id in ids if id not in accepted]
    if not unknown:
        return
    changes = [change for verdict in report.verdicts for change in verdict.changes]
    known = [f"{change.id}  {change.rule}  {change.path}" for change in changes]
    hint = "\n".join(known) or "there is no change"
    fail(f"--accept {', '.join(unknown)}: no change has this id", hint)


def write_failure(error: LlmarchError, targets: Sequence[tuple[ReportFormat, str]]) -> None:
    """Write why a check could not begin into each report that `--output` asks for.

    What cannot be written is left out: the error itself ends the program with its message.
    """
    from ..compare.report import failed_report
    from ..errors import ConfigError

    report = failed_report(error)
    for kind, path in files_first(targets):
        with suppress(ConfigError):
            write_report(report, kind, path)


def files_first(targets: Sequence[tuple[ReportFormat, str]]) -> list[tuple[ReportFormat, str]]:
    """Return the targets of reports, files before standard output."""
    return sorted(targets, key=lambda target: target[1] == "-")


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
        from ..compare.lock import make_entry
        from ..sources.identity import identify_files

        reading = inspect_reference(
            ref, offline=offline, headers=headers, refresh=refresh, config_suffices=True
        )
        identify_files(reading.raw)
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
        case ReportFormat.ndjson:
            from ..renderers import json

            lines = json.json_lines(json.report(report))
            return lines + "\n" if lines else ""
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
        case ReportFormat.gitlab:
            from ..renderers import gitlab, json

            return json.json_text(gitlab.report(report)) + "\n"


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
    changed = write_entries(done, done.updated_entries())
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


def write_accepted(done: CheckResult) -> None:
    """Write the changes that were accepted into the lock."""
    entries = done.accepting_entries()
    changed = write_entries(done, entries)
    if changed:
        names = ", ".join(changed)
        write_text(f"{done.path}: accepted changes of {names}", error=True)


def write_entries(done: CheckResult, entries: Mapping[str, Entry]) -> list[str]:
    """Write the entries that differ from those of the lock, and return their names.

    The lock is read again first: what others wrote into it since is kept.
    """
    from .. import __version__
    from ..compare.check import merge_lock

    assert done.lock is not None
    left = [name for name in done.lock.outdated if name not in entries]
    if left:
        fail(
            f"{done.path}: an older llmarch wrote {', '.join(left)}, which cannot be read again",
            f"`llmarch check --update` reads all models; `llmarch lock --remove {left[0]}` forgets"
            " one",
        )
    changed = {name: new for name, new in entries.items() if is_changed(done.lock, new, name)}
    if changed:
        merge_lock(done.path, changed, renewed=entries, written_by=f"llmarch {__version__}")
    return list(changed)
