"""Regular expressions that a repository brings (`ignore` lists of quantisation tools): only such as cannot take long to match."""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of an expression, and of a name to match it with."""


def bounded(regex: str) -> re.Pattern[str] | None:
    """The expression, if matching it cannot take long: few repetitions, none of a group, nothing fancy. Else None."""
    repetitions = len(re.findall(r"(?<!\\)[*+{]", regex))
    if (
        len(regex) > LONGEST
        or repetitions > 3
        or "(?" in regex
        or re.search(r"\)[*+{?]|\\[1-9]", regex)
    ):
        return None
    try:
        return re.compile(regex)
    except re.error:
        return None
