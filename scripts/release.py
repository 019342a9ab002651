"""Make a release of llmarch: version, changelog, checks, build, commit and tag. Publishes nothing.

python scripts/release.py 0.2.0

The workflow release.yml publishes what the tag names.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import distribution

ROOT = Path(__file__).parent.parent
VERSION_FILE = ROOT / "llmarch" / "__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = "(unreleased)"
FORMULA = ROOT / "packaging" / "homebrew" / "llmarch.rb"
RECIPE = ROOT / "packaging" / "conda" / "recipe.yaml"
EXTENSION = ROOT / "packaging" / "hf-arch" / "pyproject.toml"
PLACEHOLDER = "github.com/OWNER/"
"""Stands for where the repository is, until it is known."""


class ReleaseError(Exception):
    """Why there is no release."""


def current_version() -> str:
    """Return the version of the tree."""
    found = re.search(r'(?m)^__version__ = "(.*)"$', VERSION_FILE.read_text())
    if found is None:
        raise ReleaseError(f"{VERSION_FILE} has no version")
    return found[1]


def with_version(source: str, version: str) -> str:
    """Return llmarch/__init__.py with another version."""
    return re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', source)


def with_release(changelog: str, version: str, day: str) -> str:
    """Return the changelog with its unreleased section under this version and day.

    Raises ReleaseError if there is no unreleased section.
    """
    heading = re.search(rf"(?m)^## .*{re.escape(UNRELEASED)}$", changelog)
    if heading is None:
        raise ReleaseError(f"CHANGELOG.md has no section that ends in {UNRELEASED}")
    return changelog.replace(heading[0], f"## {version} ({day})")


def with_version_in_packages(text: str, version: str, digest: str) -> str:
    """Return a formula, recipe or extension that names a version and the hash of its sdist.

    text: the file.
    version: the version.
    digest: SHA-256 of the sdist.
    """
    text = re.sub(r"(?<=/v)\d[\w.]*(?=/llmarch-)", version, text)
    text = re.sub(r"(?<=/llmarch-)\d[\w.]*(?=\.tar\.gz)", version, text)
    text = re.sub(r"(?<=llmarch@v)\d[\w.]*", version, text)
    text = re.sub(r'(?m)^(\s*version(?: =|:) )"\d[\w.]*"', rf'\1"{version}"', text)
    return re.sub(r'(?m)^(\s*sha256:? )"[0-9a-f]{64}"', rf'\1"{digest}"', text)


def run(*command: str) -> None:
    """Run a command in the checkout and stop the release if it fails."""
    print("$", *command)
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise ReleaseError(f"{command[0]} failed")


def release(version: str) -> None:
    """Check, build, commit and tag. Raises ReleaseError."""
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise ReleaseError(f"{version!r} is not a version such as 0.2.0 or 0.2.0rc1")
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if status.stdout:
        raise ReleaseError("the work tree has changes: commit them first")
    if PLACEHOLDER in (ROOT / "pyproject.toml").read_text():
        raise ReleaseError(f"pyproject.toml says {PLACEHOLDER}…: put in where this repository is")
    changelog = with_release(CHANGELOG.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}")
    VERSION_FILE.write_text(with_version(VERSION_FILE.read_text(), version))
    CHANGELOG.write_text(changelog)
    run("make", "test")
    run("make", "check")
    _, sdist = distribution.build(ROOT / "dist")
    digest = sha256(sdist.read_bytes()).hexdigest()
    for file in (FORMULA, RECIPE, EXTENSION):
        file.write_text(with_version_in_packages(file.read_text(), version, digest))
    run("git", "commit", "--all", "--message", f"Release {version}")
    run("git", "tag", "--annotate", f"v{version}", "--message", f"llmarch {version}")
    print(f"dist/ holds {version}. To publish: git push --follow-tags.")


if __name__ == "__main__":
    try:
        release(sys.argv[1] if len(sys.argv) == 2 else "")
    except ReleaseError as error:
        sys.exit(f"error: {error}")
