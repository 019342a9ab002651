"""Make HTML of elements, so that every text and attribute is escaped, and pages with their policy.

Nothing but `Markup` goes into a page as it is; all other strings are escaped.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from ..svg import escaped

VOID_ELEMENTS = ("input", "link", "meta", "br", "img")
"""Elements without content or end."""
FOLDER = Path(__file__).parent
_INLINE = {
    "style": re.compile(r"<style>(.*?)</style>", re.DOTALL),
    "script": re.compile(r"<script>(.*?)</script>", re.DOTALL),
}
"""Inline styles and scripts, which are only ours: those of texts are escaped."""
_JSON_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


class Markup(str):
    """HTML that is written as it is."""


Content = str | Iterable["str | Markup"] | None
"""What an element holds: a text, or several texts and elements."""
Attribute = str | int | bool | None
"""The value of an attribute; True is one without a value, None and False leave it out."""


def element(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """Return an element with its content.

    name: the element.
    content: texts, which are escaped, and elements.
    attributes: by name; `class_` is `class`, `data_kind` is `data-kind`.
    """
    shown = attribute_text(attributes)
    opened = f"<{name}{shown}>"
    if name in VOID_ELEMENTS:
        return Markup(opened)
    inner = content_text(content)
    return Markup(f"{opened}{inner}</{name}>")


def content_text(content: Iterable[Content]) -> Markup:
    """Return texts and elements as HTML."""
    found: list[str] = []
    for item in content:
        if item is None:
            continue
        if isinstance(item, Markup):
            found.append(item)
        elif isinstance(item, str):
            found.append(escaped_text(item))
        else:
            found.append(content_text(item))
    return Markup("".join(found))


def escaped_text(text: str) -> Markup:
    """Return a text with its lines; markup and control characters are escaped."""
    lines = text.split("\n")
    shown = [escaped(line) for line in lines]
    joined = "<br>".join(shown)
    return Markup(joined)


def attribute_text(attributes: dict[str, Attribute]) -> str:
    """Return attributes with their values, escaped."""
    found = ""
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            found += f" {name}"
        else:
            found += f' {name}="{escaped(str(value))}"'
    return found


def scrolling(table: Markup, label: str) -> Markup:
    """Return a table in a region that scrolls by itself where the screen is too small."""
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def outside_link(words: str, address: str) -> Markup:
    """Return a link to another site; words alone if the address is not an https address."""
    is_safe = address.startswith("https://")
    if not is_safe:
        return content_text([words])
    return element("a", words, href=address, rel="noreferrer noopener")


def embedded_json(id: str, data: object) -> Markup:
    """Return data for a script of the page; no text in it can end the element."""
    content = safe_json(data)
    script = f'<script type="application/json" id="{id}">{content}</script>'
    return Markup(script)


def safe_json(data: object) -> str:
    """Return data as JSON in which no character means anything to HTML or JavaScript."""
    compact = (",", ":")
    text = json.dumps(data, ensure_ascii=False, separators=compact)
    return text.translate(_JSON_ESCAPES)


def inline_file(name: str) -> Markup:
    """Return a style sheet or a script of this folder as an inline element."""
    text = file_text(name)
    kind = "script"
    if name.endswith(".css"):
        kind = "style"
    return Markup(f"<{kind}>{text}</{kind}>")


def file_text(name: str) -> str:
    """Return the text of a file of this folder."""
    path = FOLDER / name
    return path.read_text(encoding="utf-8")


def html_document(
    title: str, body: Iterable[Markup], *, style: Markup, description: str, with_files: bool = False
) -> str:
    """Return a page whose policy allows its own styles and scripts and nothing else.

    title: the title.
    body: what it shows, with its scripts at the end.
    style: its styles.
    description: what it is, in a sentence.
    with_files: whether it has scripts and pictures in files of its own site.
    """
    shown = content_text([*body])
    policy = security_policy(f"{style}{shown}", with_files=with_files)
    head = [
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="description", content=description),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        style,
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{"".join(head)}\n</head>\n'
        f"<body>\n{shown}\n</body>\n</html>\n"
    )


def security_policy(html: str, *, with_files: bool) -> str:
    """Return the Content-Security-Policy of a page: its inline styles and scripts by their hashes.

    html: the page.
    with_files: whether it has scripts and pictures in files of its own site.
    """
    sources = {"style": inline_hashes(html, "style"), "script": inline_hashes(html, "script")}
    images = ["data:"]
    if with_files:
        sources["script"].append("'self'")
        images.append("'self'")
    rules = ["default-src 'none'"]
    for kind, allowed in sources.items():
        if allowed:
            listed = " ".join(allowed)
            rules.append(f"{kind}-src {listed}")
    rules += [f"img-src {' '.join(images)}", "base-uri 'none'", "form-action 'none'"]
    return "; ".join(rules)


def inline_hashes(html: str, kind: str) -> list[str]:
    """Return the hash of each inline style or script, as policies have them."""
    found: dict[str, None] = {}
    for text in _INLINE[kind].findall(html):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        found[f"'sha256-{digest}'"] = None
    return list(found)
