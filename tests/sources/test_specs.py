"""The bundled specs: complete, indexed, and shipped in the wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.paths import ROOT

SPECS = sorted(p for p in (ROOT / "specs").glob("*.json") if p.name != "index.json")
STATES = {"published", "re-saved", "re-serialised", "reconstructed"}


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_a_spec_is_whole(path: Path) -> None:
    spec = json.loads(path.read_text(encoding="utf-8"))
    assert spec["alias"] == path.stem
    assert (
        spec["name"] == spec["repo_id"].split("/")[1]
        or spec["provenance"]["state"] == "reconstructed"
    )
    provenance = spec["provenance"]
    assert provenance["state"] in STATES and provenance["source"]
    assert isinstance(provenance["complete"], bool)
    if provenance["state"] == "reconstructed":
        assert provenance["reconstruction"]
    assert set(provenance.get("unknown", {})) <= {"context_length"}
    assert spec.get("report", "https://").startswith("https://")
    assert spec.get("license", "unknown") != ""
    assert all(isinstance(f["value"], int) and f["source"] for f in spec["published"])


def test_a_maker_has_one_name() -> None:
    """Repositories of one owner have one organization, but for those that someone else made."""
    names: dict[str, set[str]] = {}
    for path in SPECS:
        spec = json.loads(path.read_text(encoding="utf-8"))
        names.setdefault(spec["repo_id"].split("/")[0], set()).add(spec["organization"])
    assert {owner: found for owner, found in names.items() if len(found) > 1} == {}
    assert len(SPECS) >= 170


def test_the_index_is_up_to_date() -> None:
    script = importlib.util.spec_from_file_location(
        "index_specs", ROOT / "scripts" / "index_specs.py"
    )
    assert script and script.loader
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    assert (ROOT / "specs" / "index.json").read_text(encoding="utf-8") == module.index(), (
        "run make docs"
    )


def test_the_wheel_carries_the_specs(tmp_path: Path) -> None:
    """Built, unpacked elsewhere, and run from there: the specs are those of the repository."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    imports = "import hashlib, llmarch; from llmarch.sources import aliases as a, specs as s"
    texts = "b''.join(s.read_spec(alias) for alias in sorted(a.bundled_models()))"
    digest = f"hashlib.sha256({texts}).hexdigest()"
    figures = f"llmarch.__file__, {digest}, llmarch.load('qwen3-235b').name"
    code = f"{imports}; print({figures})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=env,
    )
    where, digest, name = done.stdout.split()
    files = b"".join(path.read_bytes() for path in sorted(SPECS, key=lambda path: path.stem))
    assert where.startswith(str(tmp_path)) and name == "Qwen3-235B-A22B"
    assert digest == hashlib.sha256(files).hexdigest()
