"""What an HTML page has: elements with attributes, texts, and the policy that guards it."""

from __future__ import annotations

from html.parser import HTMLParser

from llmarch.renderers.web.elements import inline_hashes


class Page(HTMLParser):
    """A page as a browser's parser sees it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def policy(self) -> str:
        return next(
            attributes["content"]
            for attributes in self.all("meta")
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )


def faults(page: Page) -> list[str]:
    """Return what a strict page must not have."""
    found: list[str] = []
    if "unsafe" in page.policy or not page.policy.startswith("default-src 'none'"):
        found.append(f"policy: {page.policy}")
    for kind in ("style", "script"):
        for digest in inline_hashes(page.html, kind):
            if digest not in page.policy:
                found.append(f"{kind} without its hash")
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name.startswith("on") or name == "style":
                found.append(f"{tag} has {name}")
            if name == "src" and ":" in value:
                found.append(f"{tag} loads {value}")
            if name == "href" and ":" in value and not is_link(tag, value):
                found.append(f"{tag} leads to {value}")
    twice = {id for id in page.ids if page.ids.count(id) > 1}
    found += [f"id twice: {id}" for id in sorted(twice)]
    for _, attributes in page.elements:
        target = attributes.get("href", "")
        if target.startswith("#") and target[1:] not in page.ids:
            found.append(f"leads nowhere: {target}")
    return found


def is_link(tag: str, address: str) -> bool:
    """Whether an address is one that a reader may follow, or the empty icon."""
    if tag == "link":
        return address == "data:,"
    return tag == "a" and address.startswith("https://")
