"""Begin a rule for a finding: its row, and its id in the list of ids.

python scripts/new_rule.py ID SEVERITY "title"
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from llmarch.compare.rules import SEVERITIES, find

ROOT = Path(__file__).parent.parent
RULES = ROOT / "llmarch" / "compare" / "rules.py"
IDS = ROOT / "tests" / "fixtures" / "rule_ids.txt"
USAGE = "usage: new_rule.py ID SEVERITY TITLE"

ROW = """\
    Rule(
        "{id}",
        None,
        "{severity}",
        {title},
        "Say what breaks and for whom.",
    ),
"""


class RuleError(Exception):
    """Why nothing was written."""


def checked(id: str, severity: str, title: str) -> None:
    """Raise RuleError if these make no new rule."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", id):
        raise RuleError(f"{id!r} is not a rule id such as tensor-missing")
    if find(id) is not None or re.search(rf"(?m)^{id}\s", IDS.read_text(encoding="utf-8")):
        raise RuleError(f"{id} exists or existed: ids are never reused")
    if severity not in SEVERITIES:
        raise RuleError(f"{severity!r} is no severity: {', '.join(SEVERITIES)}")
    if title.endswith(".") or not title:
        raise RuleError("a title says what was found, without a final period")


def with_row(source: str, row: str) -> str:
    """Return compare/rules.py with a row at the end of FINDING_RULES."""
    table = re.search(r"(?s)^FINDING_RULES = \(\n.*?\n(?=\)\n)", source, re.MULTILINE)
    if table is None:
        raise RuleError("llmarch/compare/rules.py has no FINDING_RULES")
    return source.replace(table[0], table[0] + row)


def begin(id: str, severity: str, title: str) -> None:
    """Write the row and the id. Raises RuleError."""
    checked(id, severity, title)
    row = ROW.format(id=id, severity=severity, title=json.dumps(title, ensure_ascii=False))
    RULES.write_text(with_row(RULES.read_text(encoding="utf-8"), row), encoding="utf-8")
    with IDS.open("a", encoding="utf-8") as ids:
        ids.write(f"{id} {severity}\n")


def main() -> int:
    """Read the arguments; return the exit code."""
    try:
        if len(sys.argv) != 4:
            raise RuleError(USAGE)
        begin(*sys.argv[1:])
    except RuleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("Next: say what breaks in llmarch/compare/rules.py, report the finding where it is made,")
    print("add its case to tests/compare/test_findings.py, then `make docs`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
