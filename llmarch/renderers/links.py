"""Addresses that reports link to: the project, its rules, repositories and commits on the Hub."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from .. import __version__
from ..compare.report import ComparedSide

PROJECT = "https://github.com/OWNER/llmarch"
"""Where this repository is."""
PROJECT_VARIABLE = "LLMARCH_PROJECT_URL"
"""Variable with the address of a fork or mirror in its place; the action sets it."""
HUB_ADDRESS = "https://huggingface.co"
_ADDRESS = re.compile(r"https://[\w.-]+(?::\d+)?(?:/[\w.~-]+)+")


def project_url() -> str:
    """Return the address of the project."""
    given = os.environ.get(PROJECT_VARIABLE, "")
    if _ADDRESS.fullmatch(given):
        return given
    return PROJECT


def rule_url(id: str) -> str:
    """Return the address of a rule on the page of rules of this version."""
    return f"{project_url()}/blob/v{__version__}/docs/rules.md#{id}"


def commit_url(side: ComparedSide) -> str:
    """Return the address of a commit on the Hub; nothing where it is not known."""
    if not side.repo or not side.commit:
        return ""
    repository = quote(side.repo)
    commit = quote(side.commit, safe="")
    address = f"{HUB_ADDRESS}/{repository}"
    return f"{address}/commit/{commit}"
