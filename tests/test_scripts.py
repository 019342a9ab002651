"""The project's own scripts: generated files are current, releases, the verbs of the Makefile."""

from __future__ import annotations

import re

import pytest
from helpers.paths import ROOT
from helpers.scripts import script


def test_generated_files_are_current() -> None:
    assert script("docs").outdated() == [], "run make docs"


def test_a_release_dates_the_unreleased_section() -> None:
    release = script("release")
    changelog = "# Changelog\n\n## 0.2.0 (unreleased)\n\n- New.\n\n## 0.1.0 (2026-11-27)\n"
    dated = release.with_release(changelog, "0.2.0", "2026-12-01")
    assert dated == changelog.replace("(unreleased)", "(2026-12-01)")
    with pytest.raises(release.ReleaseError, match="no section"):
        release.with_release(dated, "0.3.0", "2026-12-02")


def test_a_release_sets_the_version() -> None:
    release = script("release")
    source = (ROOT / "llmarch" / "__init__.py").read_text(encoding="utf-8")
    assert '\n__version__ = "9.8.7"\n' in release.with_version(source, "9.8.7")


@pytest.mark.parametrize("version", ["", "v1.2.3", "1.2", "1.2.3; rm -rf ~"])
def test_a_release_needs_a_version(version: str) -> None:
    release = script("release")
    with pytest.raises(release.ReleaseError, match="is not a version"):
        release.release(version)


def test_the_changelog_has_a_section_for_what_comes_next() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(re.findall(r"(?m)^## .*\(unreleased\)$", changelog)) == 1


def test_verbs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"(?m)^([a-z]+):.*## ", makefile))
    assert verbs >= {"check", "test", "fast", "docs", "oracle", "release"}
