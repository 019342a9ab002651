"""JUnit XML, for test reports of CI servers: a test case for each model.

ElementTree escapes markup; characters that XML cannot hold are escaped before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from ..architecture.schema import Change
from ..compare.report import (
    Report,
    Verdict,
    change_details,
    change_line,
    compared_commits,
    summary_lines,
)
from .cleaning import clean

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def report(r: Report) -> str:
    """Return the document."""
    outcomes = [r.outcome(v) for v in r.verdicts]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("uncertain")),
    }
    times = time_attribute([v.seconds for v in r.verdicts])
    suites = ET.Element("testsuites", {"name": "llmarch", **counts, **times})
    attributes = {"name": "llmarch check", **counts, "skipped": "0", **times}
    suite = ET.SubElement(suites, "testsuite", attributes)
    for v in r.verdicts:
        add_case(suite, r, v)
    ET.SubElement(suite, "system-out").text = "\n".join(summary_lines(r))
    ET.indent(suites)
    content = ET.tostring(suites, encoding="unicode")
    return f"{DECLARATION}\n{content}\n"


def add_case(suite: ET.Element, r: Report, v: Verdict) -> None:
    """Add the test case of a model.

    It has a failure with the changes that fail, or an error with the reason why the model was not
    read as a whole. All else is its output.
    """
    attributes = {
        "name": clean(v.name),
        "classname": "llmarch.check",
        **time_attribute([v.seconds]),
    }
    case = ET.SubElement(suite, "testcase", attributes)
    failing = r.failing(v)
    if failing:
        add_failure(case, failing)
    elif v.error:
        problem = type(v.error).__name__
        add_problem(case, "error", problem, v.error.message, [v.error.hint or ""])
    elif v.partial:
        add_problem(case, "error", "Partial", "read only in part", v.remarks)
    output = [commits for commits in [compared_commits(v)] if commits]
    output += [detailed_line(c) for c in v.changes if not r.fails(c)]
    output += v.remarks
    if output:
        element = ET.SubElement(case, "system-out")
        element.text = "\n".join(map(clean, output))


def time_attribute(seconds: Sequence[float | None]) -> dict[str, str]:
    """Return the time that models took together, in seconds; nothing where it was not measured."""
    known = [s for s in seconds if s is not None]
    if not known:
        return {}
    return {"time": f"{sum(known):.3f}"}


def add_failure(case: ET.Element, failing: Sequence[Change]) -> None:
    """Add the changes that fail: their rules as the message, and a line for each."""
    rules = dict.fromkeys(c.rule for c in failing)
    lines = map(detailed_line, failing)
    worst = failing[0].severity
    add_problem(case, "failure", worst, ", ".join(rules), lines)


def detailed_line(c: Change) -> str:
    """Return a change, what it breaks, and its id."""
    line = change_line(c)
    details = change_details(c)
    return f"{line} ({details})"


def add_problem(case: ET.Element, tag: str, kind: str, message: str, lines: Iterable[str]) -> None:
    """Add a failure or an error to a test case.

    case: the test case.
    tag: `failure` or `error`.
    kind: what sort of problem it is.
    message: the problem in a line.
    lines: its details.
    """
    element = ET.SubElement(case, tag, {"message": clean(message), "type": kind})
    element.text = "\n".join(map(clean, lines))
