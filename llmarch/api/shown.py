"""Objects that show themselves: a few lines as text, and tables in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..views.documents import Sheet, Table


class SelfShown:
    """Base of objects with a sheet: `repr`, and what notebooks show instead."""

    def sheet(self) -> Sheet:
        """Return what is shown: a title, a headline, labelled lines, notes and tables."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return a few lines."""
        from ..renderers.notebook import short_text

        kind = type(self).__name__.removeprefix("Model")
        return short_text(kind, self.sheet())

    def _repr_markdown_(self) -> str:
        """Return Markdown for a notebook; nothing of a repository is markup."""
        from ..renderers import markdown

        return markdown.sheet(self.sheet())

    def _repr_html_(self) -> str:
        """Return HTML for a notebook, without scripts; nothing of a repository is markup."""
        from ..renderers.notebook import sheet_html

        return sheet_html(self.sheet())


def record_table(record: dict[str, Any], title: str = "") -> Table:
    """Return the known values of a flat record as a table of two columns."""
    from ..views.documents import Table
    from ..views.evidence import explained_value

    known = {name: value for name, value in record.items() if value not in (None, "", [])}
    rows = [[name.replace("_", " "), explained_value(value)] for name, value in known.items()]
    return Table(["", ""], rows, title=title)
