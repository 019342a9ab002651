"""Put the bundled specs into the wheel as a few compressed blocks.

The specs resemble each other. In blocks of 32, sorted by organisation, they take 62 KB of the
wheel; as files of their own they took 165 KB. A block is a zlib stream of spec files with a zero
byte between two of them. The wheel's index.json says for each model which block holds it and where
(sources/specs.py reads them). A checkout and the sdist keep one file a spec.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SPECS_IN_BLOCK = 32
"""Specs of one block. More make a smaller wheel and a slower start: 32 take 0.3 ms to unpack."""


class BundledSpecs(BuildHookInterface[Any]):
    """Write the blocks into a temporary folder that lives as long as the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add index.json and the blocks to a wheel; an editable one reads specs/ itself."""
        if self.target_name != "wheel" or version == "editable":
            return
        self.folder = tempfile.TemporaryDirectory()
        for file in write_blocks(Path(self.root) / "specs", Path(self.folder.name)):
            build_data["force_include"][str(file)] = f"llmarch/_specs/{file.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if self.target_name == "wheel" and version != "editable":
            self.folder.cleanup()


def write_blocks(specs: Path, target: Path) -> list[Path]:
    """Write the blocks of the folder `specs` and their index into `target`; return the files."""
    index = json.loads((specs / "index.json").read_bytes())
    texts = {alias: (specs / f"{alias}.json").read_bytes() for alias in index["models"]}
    order = sorted(texts, key=lambda alias: (json.loads(texts[alias])["organization"], alias))
    files: list[Path] = []
    for start in range(0, len(order), SPECS_IN_BLOCK):
        aliases = order[start : start + SPECS_IN_BLOCK]
        block = target / f"{len(files)}.zlib"
        block.write_bytes(zlib.compress(b"\0".join(texts[alias] for alias in aliases), 9))
        files.append(block)
        for position, alias in enumerate(aliases):
            index["models"][alias]["block"] = [block.name, position]
    index_file = target / "index.json"
    index_file.write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
    return [*files, index_file]
