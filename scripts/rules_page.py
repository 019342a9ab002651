"""Write docs/rules.md, the page of rules, from the table in llmarch/compare/rules.py.

Run it after a rule or the catalogue of facts changed.
"""

from __future__ import annotations

from pathlib import Path

from llmarch.compare.rules import RULES
from llmarch.renderers import markdown

if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "rules.md").write_text(
        markdown.rules(RULES), encoding="utf-8"
    )
