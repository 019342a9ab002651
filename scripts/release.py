"""Make a release of llmarch: version, changelog, checks, build, commit and tag. Publishes nothing.

python scripts/release.py 0.2.0
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION_FILE = ROOT / "llmarch" / "__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = "(unreleased)"


class ReleaseError(Exception):
    """Why there is no release."""


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
    changelog = with_release(CHANGELOG.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}")
    VERSION_FILE.write_text(with_version(VERSION_FILE.read_text(), version))
    CHANGELOG.write_text(changelog)
    run("make", "test")
    run("make", "check")
    run(sys.executable, "-m", "hatchling", "build")
    run("git", "commit", "--all", "--message", f"Release {version}")
    run("git", "tag", "--annotate", f"v{version}", "--message", f"llmarch {version}")
    print(f"dist/ holds {version}. To publish: git push --follow-tags, then upload dist/.")


if __name__ == "__main__":
    try:
        release(sys.argv[1] if len(sys.argv) == 2 else "")
    except ReleaseError as error:
        sys.exit(f"error: {error}")
