"""SARIF 2.1.0, for code scanning. A plain document: the Python libraries for it are generated classes that nobody has touched for years.

Results point at lines of the lock file; without one, at the model, as if it were a file: GitHub refuses a whole report for one result that
has no file. What could not be read is a notification of the run, which then did not succeed.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from .. import __version__
from ..architecture.schema import Change
from ..compare.report import Report, Verdict, change_meaning, change_text, rule_of
from ..compare.rules import CONSEQUENCES, Severity
from ..errors import printable

LEVELS: dict[Severity, str] = {
    "weights": "error",
    "behaviour": "error",
    "capacity": "warning",
    "quantization": "warning",
    "info": "note",
}


def report(r: Report) -> dict[str, Any]:
    rules = {c.rule: rule_of(c) for v in r.verdicts for c in v.changes}
    ids = sorted(rules)
    notes = [note for v in r.verdicts for note in notifications(r, v)]
    driver = {
        "name": "llmarch",
        "semanticVersion": __version__,
        "rules": [
            {
                "id": i,
                "shortDescription": {"text": rules[i].title},
                "fullDescription": {"text": rules[i].explanation},
                "help": {
                    "text": f"{rules[i].explanation} In short: {CONSEQUENCES[rules[i].severity]}. See `llmarch rules explain {i}`."
                },
                "defaultConfiguration": {"level": LEVELS[rules[i].severity]},
                "properties": {"severity": rules[i].severity, "since": rules[i].since},
            }
            for i in ids
        ],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {
                "executionSuccessful": not notes,
                "exitCode": r.exit_code,
                "toolExecutionNotifications": notes,
            }
        ],
        "results": [result(r, v, c, ids.index(c.rule)) for v in r.verdicts for c in v.changes],
        "columnKind": "utf16CodeUnits",
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def result(r: Report, v: Verdict, c: Change, index: int) -> dict[str, Any]:
    text = clean(f"{v.name}: {c.path}: {change_text(c)} ({change_meaning(c)})")
    level = "error" if r.fails(c) else "note" if c.severity == "info" else "warning"
    mark = sha256(
        "\0".join((v.name, c.rule, c.path, repr(c.new))).encode(errors="backslashreplace")
    ).hexdigest()
    return {
        "ruleId": c.rule,
        "ruleIndex": index,
        "level": level,
        "message": {"text": text},
        "locations": [location(r, v, c.path)],
        "partialFingerprints": {"llmarchChange/v1": mark},
        "properties": {"severity": c.severity, "model": clean(v.name)},
    }


def location(r: Report, v: Verdict, path: str) -> dict[str, Any]:
    place: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": clean(f"{v.name}:{path}"), "kind": "member"}]
    }
    return place | physical(r, v, path)


def physical(r: Report, v: Verdict, path: str = "") -> dict[str, Any]:
    """The line of the lock file, or the model."""
    region = {"startLine": v.line_of(path) if r.file else 1}
    return {"physicalLocation": {"artifactLocation": artifact(r.file or v.name), "region": region}}


def artifact(file: str) -> dict[str, str]:
    """A file of the project, or one elsewhere."""
    for flavour in (PurePosixPath, PureWindowsPath):
        if flavour(file).is_absolute():
            return {
                "uri": "file://"
                + quote("/" + flavour(file).as_posix().lstrip("/"), safe="/:", errors="replace")
            }
    return {
        "uri": quote(file.removeprefix("./"), safe="/", errors="replace") or ".",
        "uriBaseId": "%SRCROOT%",
    }


def notifications(r: Report, v: Verdict) -> list[dict[str, Any]]:
    """Why it is not told whether a model is the same."""
    said = [v.error.message] if v.error else list(v.remarks) if v.partial else []
    return [
        {
            "level": "error",
            "message": {"text": clean(f"{v.name}: {text}")},
            "locations": [physical(r, v)],
        }
        for text in said
    ]


def clean(text: str) -> str:
    return printable(text, 10_000)
