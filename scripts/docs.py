"""Write every generated file, or with --check say which ones are not current."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import architecture_page
import console_blocks
import families_page
import glossary_page
import index_specs

import llmarch
from llmarch.compare.rules import RULES
from llmarch.renderers import markdown
from llmarch.renderers.svg import svg
from llmarch.views.figure import figure

ROOT = Path(__file__).parent.parent


def picture(*aliases: str) -> Callable[[], str]:
    """Return what makes the figure of bundled models."""
    return lambda: svg(figure([llmarch.load(alias) for alias in aliases]))


def page_with_output(path: str) -> Callable[[], str]:
    """Return what makes a page that shows what commands print."""
    return lambda: console_blocks.filled(ROOT / path)


GENERATED: dict[str, Callable[[], str]] = {
    "specs/index.json": index_specs.index,
    "docs/rules.md": lambda: markdown.rules(RULES),
    "docs/glossary.md": glossary_page.glossary,
    "docs/families.md": families_page.page,
    "docs/design/architecture.md": architecture_page.page,
    "docs/first-steps.md": page_with_output("docs/first-steps.md"),
    "docs/memory.md": page_with_output("docs/memory.md"),
    "docs/pictures/llama3-8b--olmo2-7b.svg": picture("llama3-8b", "olmo2-7b"),
    "docs/pictures/deepseek-v4-flash.svg": picture("deepseek-v4-flash"),
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
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(GENERATED[path](), encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
