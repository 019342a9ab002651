"""Write every generated file, or with --check say which ones are not current."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import architecture_page
import families_page
import glossary_page
import index_specs

from llmarch.compare.rules import RULES
from llmarch.renderers import markdown

ROOT = Path(__file__).parent.parent
GENERATED: dict[str, Callable[[], str]] = {
    "specs/index.json": index_specs.index,
    "docs/rules.md": lambda: markdown.rules(RULES),
    "docs/glossary.md": glossary_page.glossary,
    "docs/families.md": families_page.page,
    "docs/design/architecture.md": architecture_page.page,
}
"""Path in the checkout -> its text as it should be."""


def outdated() -> list[str]:
    """Return the generated files that differ from what their generator makes."""
    return [path for path, text in GENERATED.items() if read(ROOT / path) != text()]


def read(path: Path) -> str:
    """Return the text of a file, empty if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    """Write or check; return the exit code."""
    changed = outdated()
    if "--check" in sys.argv:
        for path in changed:
            print(f"{path} is not current: run `make docs`")
        return int(bool(changed))
    for path in changed:
        (ROOT / path).write_text(GENERATED[path](), encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
