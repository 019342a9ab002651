"""SARIF 2.1.0, for code scanning, as a plain document.

The Python libraries for SARIF are generated classes that have not changed for years. Results
point at lines of the lock file; without one, at the model as if it were a file, because GitHub
refuses a whole report for one result that has no file. A model that could not be read is a
notification of the run, which then did not succeed.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from .. import __version__
from ..architecture.schema import Change
from ..compare.report import (
    ComparedSide,
    Report,
    Verdict,
    change_details,
    change_meaning,
    change_of_model,
    model_with_commits,
    rule_of,
    verdict_remarks,
)
from ..compare.rules import CONSEQUENCES, Rule, Severity
from .cleaning import clean
from .links import project_url, rule_url

LEVELS: dict[Severity, str] = {
    "weights": "error",
    "behaviour": "error",
    "capacity": "warning",
    "quantization": "warning",
    "info": "note",
}
"""The level of a rule, by the severity of its changes."""


def report(r: Report) -> dict[str, Any]:
    """Return the document: one run with its rules, results and notifications."""
    rules = {c.rule: rule_of(c) for v in r.verdicts for c in v.changes}
    ids = sorted(rules)
    driver = {
        "name": "llmarch",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": project_url(),
        "rules": [descriptor(rules[id]) for id in ids],
    }
    errors = [note for v in r.verdicts for note in notifications(r, v)]
    remarks = [note for v in r.verdicts for note in remark_notifications(r, v)]
    invocation = {
        "executionSuccessful": not errors,
        "exitCode": r.exit_code,
        "toolExecutionNotifications": [*errors, *remarks],
        "toolConfigurationNotifications": [policy_notification(note) for note in r.notes],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": run_id(r)},
        "invocations": [invocation],
        "results": [result(r, v, c, ids.index(c.rule)) for v in r.verdicts for c in v.changes],
        "columnKind": "utf16CodeUnits",
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def descriptor(rule: Rule) -> dict[str, Any]:
    """Return the description of a rule."""
    breaks = f"{rule.explanation} In short: {CONSEQUENCES[rule.severity]}."
    url = rule_url(rule.id)
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.explanation},
        "helpUri": url,
        "help": {
            "text": f"{breaks} See `llmarch rules explain {rule.id}`.",
            "markdown": f"**{rule.title}**\n\n{breaks}\n\n[{rule.id}]({url})",
        },
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {
            "severity": rule.severity,
            "since": rule.since,
            "tags": ["llmarch", rule.severity],
        },
    }


def result(r: Report, v: Verdict, c: Change, index: int) -> dict[str, Any]:
    """Return the result of one change.

    r: the report.
    v: the verdict of the model that changed.
    c: the change.
    index: the place of its rule among the rules of the run.
    """
    message = f"{change_of_model(v, c)} ({change_details(c)})"
    return {
        "ruleId": c.rule,
        "ruleIndex": index,
        "level": result_level(r, c),
        "message": {"text": clean(message)},
        "locations": [location(r, v, c.path)],
        "partialFingerprints": {"llmarchChange/v1": change_digest(v, c)},
        "properties": {
            "severity": c.severity,
            "model": clean(v.name),
            **change_properties(c),
            "old": side_properties(v.old_side),
            "new": side_properties(v.new_side),
        },
    }


def change_properties(c: Change) -> dict[str, str]:
    """Return what a change means, its config key and its id, without what is not known."""
    values = {"meaning": change_meaning(c), "key": c.key, "id": c.id}
    return {name: clean(value) for name, value in values.items() if value}


def run_id(r: Report) -> str:
    """Return the category of a run, so that reports of several locks do not replace each other.

    GitHub takes what is before the last slash for the category.
    """
    words = [r.file] if r.file else [v.name for v in r.verdicts[:1]]
    subject = clean("".join(words)) or "models"
    return f"llmarch/{subject}/"


def side_properties(side: ComparedSide | None) -> dict[str, str]:
    """Return where one side of a comparison was read, without what is not known."""
    if side is None:
        return {}
    values = {
        "reference": side.reference,
        "repository": side.repo,
        "revision": side.revision,
        "commit": side.commit,
    }
    return {name: clean(value) for name, value in values.items() if value}


def result_level(r: Report, c: Change) -> str:
    """Return the level of a change: an error if it fails the check."""
    if r.fails(c):
        return "error"
    if c.severity == "info":
        return "note"
    return "warning"


def change_digest(v: Verdict, c: Change) -> str:
    """Return what identifies a change from run to run, whatever the old value was."""
    return digest_of(v.name, c.rule, c.path, repr(c.new))


def digest_of(*parts: str) -> str:
    """Return a hash of texts, whatever characters are in them."""
    identity = "\0".join(parts)
    digest = sha256(identity.encode(errors="backslashreplace"))
    return digest.hexdigest()


def location(r: Report, v: Verdict, path: str) -> dict[str, Any]:
    """Return the place of a fact: its name, and its line."""
    name = clean(f"{v.name}:{path}")
    logical = {"fullyQualifiedName": name, "kind": "member"}
    return {
        "logicalLocations": [logical],
        **physical_location(r, v, path),
    }


def physical_location(r: Report, v: Verdict, path: str = "") -> dict[str, Any]:
    """Return the line of the lock file, or the model as a file."""
    line = 1
    if r.file:
        line = v.line_of(path)
    location = {
        "artifactLocation": artifact(r.file or v.name),
        "region": {"startLine": line},
    }
    return {"physicalLocation": location}


def artifact(file: str) -> dict[str, str]:
    """Return the address of a file of the project, or of one elsewhere."""
    for flavour in (PurePosixPath, PureWindowsPath):
        path = flavour(file)
        if path.is_absolute():
            absolute = path.as_posix().lstrip("/")
            quoted = quote(f"/{absolute}", safe="/:", errors="replace")
            return {"uri": f"file://{quoted}"}
    plain = file.removeprefix("./")
    quoted = quote(plain, safe="/", errors="replace")
    relative = quoted or "."
    return {"uri": relative, "uriBaseId": "%SRCROOT%"}


def notifications(r: Report, v: Verdict) -> list[dict[str, Any]]:
    """Return why a model was not read as a whole."""
    reasons: list[str] = []
    if v.error:
        reasons = [v.error.message]
    elif v.partial:
        reasons = list(v.remarks)
    found: list[dict[str, Any]] = []
    for reason in reasons:
        told = notification(r, v, "error", reason)
        found.append(told)
    return found


def remark_notifications(r: Report, v: Verdict) -> list[dict[str, Any]]:
    """Return what else a reader should know of a model."""
    return [notification(r, v, "note", remark) for remark in verdict_remarks(v)]


def policy_notification(note: str) -> dict[str, Any]:
    """Return what a reader should know of the settings."""
    return {"level": "note", "message": {"text": clean(note)}}


def notification(r: Report, v: Verdict, level: str, words: str) -> dict[str, Any]:
    """Return a notification about a model."""
    return {
        "level": level,
        "message": {"text": clean(f"{model_with_commits(v)}: {words}")},
        "locations": [physical_location(r, v)],
    }
