"""Write a figure as an HTML page of its own: no script, no external request."""

from __future__ import annotations

from ..layout.drawing import Drawing
from .svg import drawing_svg, escaped
from .themes import Theme

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html_page(drawings: tuple[Drawing, ...], *, theme: Theme = "auto", scale: float = 1.0) -> str:
    """Return a page with a figure; a narrow one takes its place on small screens.

    drawings: the wide drawing, and the narrow one if there is one.
    theme: see `svg.svg`.
    scale: factor of the width and height.
    """
    title = escaped(drawings[0].title)
    scheme = "light dark" if theme == "auto" else theme
    figures = ""
    for name, drawing in zip(("wide", "narrow"), drawings, strict=False):
        picture = drawing_svg(drawing, theme=theme, scale=scale)
        figures += f'<figure class="{name}">{picture}</figure>\n'
    switch = ""
    if len(drawings) > 1:
        edge = f"{drawings[0].width * scale / 2:.0f}px"
        switch = (
            f".narrow{{display:none}}@media (max-width:{edge}){{.wide{{display:none}}"
            ".narrow{display:block}}"
        )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="{scheme}">\n<title>{title}</title>\n'
        "<style>body{margin:0}figure{margin:0 auto;width:fit-content;max-width:100%}"
        f"svg{{max-width:100%;height:auto}}{switch}</style>\n</head>\n<body>\n"
        f"{figures}</body>\n</html>\n"
    )
