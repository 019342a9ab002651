"""JUnit XML, for test reports of CI servers: a test case for each model.

ElementTree escapes markup; characters that XML cannot hold are escaped before.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ..compare.report import Report, Verdict, change_line, change_meaning, summary_lines
from .cleaning import clean

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def report(r: Report) -> str:
    """Return the document."""
    failed = [v for v in r.verdicts if r.outcome(v) == "failed"]
    uncertain = [v for v in r.verdicts if r.outcome(v) == "uncertain"]
    counts = {
        "tests": str(len(r.verdicts)),
        "failures": str(len(failed)),
        "errors": str(len(uncertain)),
    }
    suites = ET.Element("testsuites", {"name": "llmarch", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "llmarch check", **counts, "skipped": "0"})
    for v in r.verdicts:
        add_case(suite, r, v)
    ET.SubElement(suite, "system-out").text = "\n".join(summary_lines(r))
    ET.indent(suites)
    return f"{DECLARATION}\n{ET.tostring(suites, encoding='unicode')}\n"


def add_case(suite: ET.Element, r: Report, v: Verdict) -> None:
    """Add the test case of a model.

    It has a failure with the changes that fail, or an error with the reason why the model was not
    read as a whole. All else is its output.
    """
    case = ET.SubElement(suite, "testcase", {"name": clean(v.name), "classname": "llmarch.check"})
    failing = r.failing(v)
    if failing:
        rules = ", ".join(dict.fromkeys(c.rule for c in failing))
        attributes = {"message": clean(rules), "type": failing[0].severity}
        lines = [clean(f"{change_line(c)} ({change_meaning(c)})") for c in failing]
        ET.SubElement(case, "failure", attributes).text = "\n".join(lines)
    elif v.error:
        attributes = {"message": clean(v.error.message), "type": type(v.error).__name__}
        ET.SubElement(case, "error", attributes).text = clean(v.error.hint or "")
    elif v.partial:
        attributes = {"message": "read only in part", "type": "Partial"}
        ET.SubElement(case, "error", attributes).text = "\n".join(map(clean, v.remarks))
    output = [change_line(c) for c in v.changes if not r.fails(c)]
    output += v.remarks
    if output:
        ET.SubElement(case, "system-out").text = "\n".join(map(clean, output))
