"""What is published: wheel, sdist, image, formula, recipe, the `hf` extension, the workflows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.paths import ROOT
from helpers.scripts import script

PACKAGING = ROOT / "packaging"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MOST_BYTES = 3_000_000
"""Of the wheel."""
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def project() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and sdist, which pass what a package index checks."""
    return script("distribution").build(tmp_path_factory.mktemp("dist"))


def run(*command: str | Path, **env: str) -> str:
    """Return what a program prints."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, **env}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_of(version: str) -> Path | None:
    """Return a Python of this machine, if it has one of the version."""
    candidates = [Path.home() / ".pyenv" / "versions", Path("/opt/hostedtoolcache/Python")]
    for folder in candidates:
        for found in sorted(folder.glob(f"{version}.*")):
            python = next(found.glob("**/bin/python3"), None)
            if python is not None:
                return python
    name = shutil.which(f"python{version}")
    return Path(name) if name else None


@pytest.mark.slow
def test_the_wheel(built: tuple[Path, Path]) -> None:
    """It is small, says what it is, and holds the program alone."""
    wheel, _ = built
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (file,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(archive.read(file).decode())
    assert {name.split("/")[0] for name in names} == {"llmarch", file.split("/")[0]}
    assert metadata["Requires-Python"] == project()["requires-python"]
    assert metadata["License-Expression"] == "Apache-2.0"
    labels = {url.split(",")[0] for url in metadata.get_all("Project-URL", [])}
    assert labels == {"Homepage", "Documentation", "Changelog", "Issues"}
    classifiers = metadata.get_all("Classifier", [])
    assert all(f"Programming Language :: Python :: {v}" in classifiers for v in PYTHONS)
    assert "llmarch/py.typed" in names


@pytest.mark.slow
def test_the_sdist_makes_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Builds are reproducible, and the sdist has all that a build needs."""
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (again,) = (source / "dist").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_it_runs_in_a_clean_environment(
    version: str, built: tuple[Path, Path], tmp_path: Path
) -> None:
    """With what pyproject.toml names and nothing else; a Python that this machine lacks is left
    to the matrix of ci.yml.
    """
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    wheel, _ = built
    environment = tmp_path / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    run(*uv, "venv", "--python", python, environment)
    installed = environment / "bin" / "python"
    run(*uv, "pip", "install", "--python", installed, wheel)
    assert version in run(installed, "-c", "import sys; print(sys.version)")
    llmarch = environment / "bin" / "llmarch"
    assert "94 × GQA + MoE" in run(llmarch, "show", "qwen3-235b", PYTHONUTF8="1")
    assert "png" in project()["optional-dependencies"]
    done = subprocess.run(
        [llmarch, "draw", "qwen3-8b", "-o", tmp_path / "a.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "llmarch[png]" in done.stderr, "extras are named where needed"


@pytest.mark.slow
def test_uvx_runs_it(built: tuple[Path, Path]) -> None:
    wheel, _ = built
    out = run(sys.executable, "-m", "uv", "tool", "run", "--from", wheel, "llmarch", "--version")
    assert out.strip() == f"llmarch {script('release').current_version()}"


def test_the_image_is_linted() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run(hadolint, PACKAGING / "Dockerfile")
    text = (PACKAGING / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all(f"!{name}" in ignored for name in line.split())


def test_the_recipe_needs_what_the_project_needs() -> None:
    """The same packages with the same bounds, and the same command."""
    recipe = yaml.safe_load((PACKAGING / "conda" / "recipe.yaml").read_text())
    needed = {re.sub(r"(?<=[a-z0-9])(?=[<>=])", " ", name) for name in project()["dependencies"]}
    run_needs = recipe["requirements"]["run"]
    assert set(run_needs) == needed | {f"python {project()['requires-python']}"}
    (command,) = recipe["build"]["python"]["entry_points"]
    assert command == f"llmarch = {project()['scripts']['llmarch']}"


def test_a_release_names_itself_everywhere() -> None:
    release = script("release")
    digest = "ab" * 32
    for file in (release.FORMULA, release.RECIPE, release.EXTENSION):
        text = release.with_version_in_packages(file.read_text(), "9.8.7", digest)
        assert "9.8.7" in text and release.current_version() not in text
        assert digest in text or file == release.EXTENSION
    assert release.current_version() in (PACKAGING / "homebrew" / "llmarch.rb").read_text()


def test_notes_are_the_section_of_the_changelog() -> None:
    notes = script("distribution").notes
    changelog = (
        "# Changelog\n\n## 0.2.0 (2026-12-01)\n\n- New.\n\n## 0.1.0 (2026-11-27)\n\n- Old.\n"
    )
    assert notes(changelog, "0.2.0") == "- New.\n" and notes(changelog, "0.1.0") == "- Old.\n"
    with pytest.raises(ValueError, match=r"0\.3\.0"):
        notes(changelog, "0.3.0")


@pytest.mark.slow
def test_the_extension_of_hf_runs(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Its console script has the name that `hf extensions install` looks for."""
    wheel, _ = built
    source = tmp_path / "hf-arch"
    shutil.copytree(PACKAGING / "hf-arch", source)
    file = source / "pyproject.toml"
    file.write_text(re.sub(r"llmarch @ [^\"]*", f"llmarch @ {wheel.as_uri()}", file.read_text()))
    uv = [sys.executable, "-m", "uv", "--quiet"]
    run(*uv, "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(*uv, "pip", "install", "--python", python, source)
    assert "llmarch " in run(tmp_path / "venv" / "bin" / "hf-arch", "--version")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows(file: Path) -> None:
    """Actions are pinned by commit, permissions are read-only but where a job says otherwise, and
    what is run exists.
    """
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    verbs = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            if "uses" in step:
                assert re.search(r"@[0-9a-f]{40}$", step["uses"])
            else:
                assert "${{" not in step["run"], "values reach scripts as variables only"
                assert set(re.findall(r"\bmake (\w+)", step["run"])) <= verbs
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_only_the_job_that_publishes_has_an_identity() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert "permissions" not in jobs["build"]
    uses = [step.get("uses", "") for step in jobs["publish"]["steps"]]
    assert not any(name.startswith("actions/checkout@") for name in uses), "no code of the tree"
