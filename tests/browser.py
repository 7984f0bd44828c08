"""A real browser over real files: Debian's Chromium, headless, with the network off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attnviz.render.html import render
from attnviz.views.kinds import View

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; the tests that ask for it are skipped where there is none. It stops
    with its module, as its event loop would be in the way of others."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = os.environ.get("ATTNVIZ_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page in the browser, and all that it said and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def readout(self) -> str:
        return self.text(".explorer .readout")

    def asked_for(self) -> list[str]:
        """Requests of anything but the file itself."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """`open_page(views)` or `open_page(path)`, with a fragment, a size, a colour scheme."""
    contexts = []

    def open_it(
        what: Path | list[View] | bytes,
        fragment: str = "",
        *,
        size: tuple[int, int] = (1440, 900),
        scheme: str = "light",
        **options: Any,
    ) -> Opened:
        path = tmp_path / f"page{len(contexts)}.html"
        if isinstance(what, Path):
            path = what
        else:
            path.write_bytes(what if isinstance(what, bytes) else render(what)[0])
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme, offline=True, **options,
        )  # fmt: skip
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.goto(f"{path.as_uri()}{fragment}")
        if options.get("java_script_enabled", True):
            opened.page.wait_for_selector("html[data-ready=yes]")
        return opened

    yield open_it
    for context in contexts:
        context.close()
