"""Settings of the site that Sphinx makes of this folder: `make site`."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from llmarch import __version__
from llmarch.renderers.links import PROJECT

project = "llmarch"
author = "the llmarch developers"
copyright = author
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures"]
html_theme = "furo"
html_title = f"llmarch {__version__}"
html_copy_source = False
html_show_sphinx = False
myst_heading_anchors = 3
"""Links to headings work as they do on GitHub."""
autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]

FOLDER = Path(__file__).parent
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
"""The target of a link to a file."""


def setup(app: Any) -> None:
    """Have links that leave the site changed before a page is parsed."""
    app.connect("source-read", link_to_repository)


def link_to_repository(app: Any, page: str, source: list[str]) -> None:
    """Make links to files and folders that are no pages of the site addresses of the repository.

    app: Sphinx, which is not needed.
    page: the page's path in this folder, without its suffix.
    source: the page's text, which is replaced.
    """
    parent = PurePosixPath("docs", page).parent

    def address(found: re.Match[str]) -> str:
        target = normpath(str(parent / found[1]))
        file = FOLDER.parent / target
        if target.startswith("docs/") and file.is_file():
            return found[1]
        return f"{PROJECT}/blob/main/{target}"

    source[0] = _LINK.sub(address, source[0])
