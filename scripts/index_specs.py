"""Write specs/index.json, which answers `list`, aliases and completion without opening every spec.

Run after a spec changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from llmarch.checkpoint.reading import read_model
from llmarch.sources import specs
from llmarch.views.bundled import index_entry

COMPACT = (",", ":")
"""Separators without blanks: every start of the program reads the index."""
FOLDER = Path(__file__).parent.parent / "specs"


def index() -> str:
    """Return the text of the index, from the specs as they are."""
    models = {}
    for path in sorted(FOLDER.glob("*.json")):
        if path.name != "index.json":
            spec = json.loads(path.read_bytes())
            models[spec["alias"]] = index_entry(
                spec, read_model(specs.from_document(spec, text=spec["alias"], file=path))
            )
    lines = (
        f"{json.dumps(alias)}:{json.dumps(model, ensure_ascii=False, separators=COMPACT)}"
        for alias, model in models.items()
    )
    return '{"models": {\n' + ",\n".join(lines) + "\n}}\n"


if __name__ == "__main__":
    (FOLDER / "index.json").write_text(index(), encoding="utf-8")
