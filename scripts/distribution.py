"""Build what a release publishes into dist/: wheel, sdist, list of components, notes.

python scripts/distribution.py [FOLDER]

The builds are reproducible: the same tree gives the same bytes. The list of components (SBOM) is
CycloneDX JSON of an environment into which the wheel alone was installed. The notes are the section
of CHANGELOG.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
CHANGELOG = ROOT / "CHANGELOG.md"
_SECTION = re.compile(r"(?ms)^## (?P<title>[^\n]*)\n(?P<text>.*?)(?=^## |\Z)")


def run(*command: str | Path) -> None:
    """Run a program in the checkout. Raises CalledProcessError."""
    subprocess.run(command, cwd=ROOT, check=True)


def notes(changelog: str, version: str) -> str:
    """Return the section of a version. Raises ValueError without one."""
    for section in _SECTION.finditer(changelog):
        if section["title"].split(" ")[0] == version:
            return section["text"].strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section {version}")


def build(folder: Path) -> tuple[Path, Path]:
    """Build into an empty folder and check what a package index checks; return wheel and sdist."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    return wheel, sdist


def list_components(wheel: Path, target: Path) -> None:
    """Write the list of components of an environment that holds the wheel and what it needs."""
    with TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*install, wheel)
        uninstall = [python, "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools"]
        run(*uninstall)
        listing = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
        project = ["--pyproject", ROOT / "pyproject.toml", "--output-file", target]
        run(*listing, *project, python)


def main(folder: Path) -> None:
    """Fill a folder."""
    wheel, _ = build(folder)
    name, version, *_ = wheel.name.split("-")
    list_components(wheel, folder / f"{name}-{version}.cdx.json")
    section = notes(CHANGELOG.read_text(encoding="utf-8"), version)
    (folder / "notes.md").write_text(section, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute())
