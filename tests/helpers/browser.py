"""Pages in headless Chromium, that of the system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium")
in_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium, which .ci/run installs")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
"""As root in a container, whose shared memory is small."""
WIDTHS = (360, 1440)
WAITS = 300
"""Tenths of a second."""


@contextmanager
def started(**environment: str) -> Iterator[Any]:
    """A browser, for as long as it is needed, with these variables of its environment changed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=ARGUMENTS, env={**os.environ, **environment}
        )
        yield browser
        browser.close()


def opened(browser: Any, file: Path, width: int = 1440, fragment: str = "", **context: Any) -> Any:
    """A page of a file.

    What goes wrong and requests that leave the machine are in its `told`, files in its `files`.
    """
    page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    page.told, page.files = [], []
    page.on("console", lambda message: page.told.append(message.text))
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.on("request", lambda request: note_request(page, request.url))
    page.on("requestfailed", lambda request: page.told.append(f"failed: {request.url}"))
    page.goto(file.as_uri() + fragment)
    return page


def note_request(page: Any, url: str) -> None:
    """Note a request."""
    if url.startswith("file:"):
        page.files.append(url)
    elif not url.startswith("data:"):
        page.told.append(f"request: {url}")


def wait_until(page: Any, expression: str) -> None:
    """Wait for an expression to be true.

    The page's own waiting evaluates strings in the page, which our policy forbids.
    """
    for _ in range(WAITS):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def is_seen(page: Any, selector: str) -> bool:
    return page.locator(selector).is_visible()


def serious_faults(page: Any) -> list[str]:
    """What axe-core finds that is serious or worse."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
