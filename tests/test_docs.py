"""README.md and docs/: the site is made of them, and every command that they show runs.

The output of `console` blocks is written by scripts/docs.py, whose check is in test_scripts.py;
README's own two are in tests/cli/test_cli.py and tests/integrations/.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkpoints import write
from helpers.loopback import Files, Hub
from helpers.models import files
from helpers.paths import FIXTURES, ROOT
from helpers.program import Run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?ms)^```sh\n(.*?)^```$")
_REPOSITORY = re.compile(r"(?<![./\w-])([A-Za-z][\w-]*/[\w.-]+)(?:@([\w.-]+))?")
_PLACE = re.compile(r"\b[a-z]\w*://")
"""Object stores and web servers; tests/sources/ have a server of each kind."""
_FOLDER = re.compile(r"\./([\w-]+)(?![\w.])")
MODEL = "qwen3-0.6b"
"""What stands for every model that the pages make up."""
LISTED = "Qwen/Qwen3-0.6B acme/bot-GGUF"
"""What the Hub lists for an author and for a word that pages look for."""
SHOWN_ELSEWHERE = {
    "llmarch mcp": "waits for a client: tests/api/test_mcp.py",
    "llmarch gallery -o site/": "all bundled models take a minute: tests/renderers/",
    "llmarch --install-completion": "changes the shell's own files: tests/cli/test_completion.py",
}


def commands(page: Path) -> list[list[str]]:
    """Return the commands of each block; loops of shells are tested as integrations."""
    blocks: list[list[str]] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        blocks.append([line for line in lines if line.startswith("llmarch ")])
    return [block for block in blocks if block]


BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(commands(page))
]


def model_files(name: str, base: str) -> Files:
    """Return the files of what a name stands for: a model, or an adapter of a base."""
    if not name.endswith("lora"):
        return files(MODEL)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
    }
    return {"adapter_config.json": json.dumps(config).encode()}


def add_models(hub: Hub, block: str) -> None:
    """Put a model into the place of every repository that commands name."""
    for name, revision in _REPOSITORY.findall(block):
        content = model_files(name, MODEL)
        hub.add(name, content)
        if revision not in ("", "main"):
            hub.add(name, content, revision)


def add_folders(block: str) -> None:
    """Put a model, or an adapter, into every folder that commands name."""
    for name in _FOLDER.findall(block):
        write(Path(name), model_files(name, "qwen3-8b"))


def test_every_page_is_found() -> None:
    assert sum(len(block.values[0]) for block in BLOCKS) >= 40
    shown = {line.split("#")[0].strip() for block in BLOCKS for line in block.values[0]}
    assert set(SHOWN_ELSEWHERE) <= shown


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("block", BLOCKS)
def test_commands_of_the_pages_run(block: list[str], hub: Hub, run: Run) -> None:
    """In order, in one folder; each ends with 0, or 1 where it found changes."""
    text = "\n".join(line.split("#")[0] for line in block)
    add_models(hub, f"{text}\n{LISTED}")
    add_folders(text)
    shutil.copy(FIXTURES / "start_logs" / "vllm.txt", "vllm.log")
    Path("README.md").write_text("# A model\n")
    Path("refs.txt").write_text("qwen3-8b\n")
    for line in block:
        command = line.partition(" #")[0].strip()
        if command not in SHOWN_ELSEWHERE and not _PLACE.search(command):
            _, *words = shlex.split(command)
            run(*words)


@pytest.mark.slow
def test_the_site_is_made_without_a_warning(tmp_path: Path) -> None:
    """Every page is in its table of contents, and every link leads somewhere."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-b", "html"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "The first five minutes" in home and "llama3-8b--olmo2-7b.svg" in home
    decision = (tmp_path / "design" / "architecture.html").read_text(encoding="utf-8")
    assert "/blob/main/CONTRIBUTING.md" in decision
