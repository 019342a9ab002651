"""JUnit XML, for test reports of CI servers: a test case for each model. By ElementTree, which escapes; characters that XML cannot hold are
spelled out before."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ..compare.report import Report, Verdict, change_meaning, change_text, summary_lines
from ..errors import printable


def report(r: Report) -> str:
    failed = [v for v in r.verdicts if r.failing(v)]
    unsure = [v for v in r.verdicts if (v.error or v.partial) and v not in failed]
    counts = {
        "tests": str(len(r.verdicts)),
        "failures": str(len(failed)),
        "errors": str(len(unsure)),
    }
    suites = ET.Element("testsuites", {"name": "llmarch", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "llmarch check", **counts, "skipped": "0"})
    for v in r.verdicts:
        case(suite, r, v)
    ET.SubElement(suite, "system-out").text = "\n".join(summary_lines(r))
    ET.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
    )


def case(suite: ET.Element, r: Report, v: Verdict) -> None:
    """A model: a failure with what fails, or an error with what could not be told; all else is output."""
    test = ET.SubElement(suite, "testcase", {"name": clean(v.name), "classname": "llmarch.check"})
    failing = r.failing(v)
    if failing:
        message = clean(", ".join(dict.fromkeys(c.rule for c in failing)))
        failure = ET.SubElement(test, "failure", {"message": message, "type": failing[0].severity})
        failure.text = "\n".join(
            clean(f"{c.severity}: {c.rule}: {c.path}: {change_text(c)} ({change_meaning(c)})")
            for c in failing
        )
    elif v.error:
        error = ET.SubElement(
            test, "error", {"message": clean(v.error.message), "type": type(v.error).__name__}
        )
        error.text = clean(v.error.hint or "")
    elif v.partial:
        ET.SubElement(
            test, "error", {"message": "read only in part", "type": "Partial"}
        ).text = "\n".join(map(clean, v.remarks))
    rest = [c for c in v.changes if not r.fails(c)]
    said = [
        *(clean(f"{c.severity}: {c.rule}: {c.path}: {change_text(c)}") for c in rest),
        *map(clean, v.remarks),
    ]
    if said:
        ET.SubElement(test, "system-out").text = "\n".join(said)


def clean(text: str) -> str:
    return printable(text, 10_000)
