"""How large pages are, and how fast they answer in a headless Chromium."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attnviz.nn.softmax import softmax
from attnviz.render.html import render
from attnviz.trace.summary import MAP_SIZE, N_LINK
from attnviz.views.kinds import Axis, Grid, Heatmap, Strongest
from attnviz.views.pooling import pool_axis
from tests.benchmarks.pairs import need
from tests.benchmarks.table import Missing, Row, limit, run_alone

SIZES = ((144, 128),)
"""Heads, and tokens of each."""
SUMMARISED = 1024
"""Of more tokens, pages have maps of groups and the strongest links."""
FRAMES = """async (view) => {
    document.querySelector(`.explorer [data-value="${view}"]`).click();
    const canvas = document.querySelector('.explorer .panel canvas');
    const box = canvas.getBoundingClientRect();
    const times = [];
    for (let i = 0; i < 60; i++) {
        const start = performance.now();
        const at = {clientX: box.x + 90 + 7 * i, clientY: box.y + 60 + 5 * i, bubbles: true};
        canvas.dispatchEvent(new MouseEvent('mousemove', at));
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[30];
}"""
OPENING = """() => new Promise((resolve) => {
    const start = performance.now();
    const head = document.querySelectorAll('.thumb')[1];
    head.click();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
})"""


def page_of(n_head: int, n_token: int) -> bytes:
    """Heads as sharp as those of trained models."""
    random = np.random.default_rng(0)
    axis = Axis("query", tuple(f"token{i}" for i in range(n_token)))
    shown, strongest = axis, None
    if n_token > SUMMARISED:
        shown = pool_axis(axis, n_token // MAP_SIZE)
        keys = random.integers(0, n_token, (n_token, N_LINK))
        strongest = Strongest(random.random(keys.shape), keys, axis, axis)
    n = len(shown)
    panels = tuple(
        Heatmap(
            f"H{i}",
            softmax(1.5 * random.standard_normal((n, n))),
            shown,
            shown,
            strongest=strongest and strongest._replace(weights=random.random(keys.shape)),
        )
        for i in range(n_head)
    )
    grid = Grid("heads", (panels,), ("L0",), tuple(f"H{i}" for i in range(n_head)))
    return render([grid])[0]


def rows() -> Iterator[Row]:
    need("playwright")
    path = shutil.which("chromium")
    if path is None:
        raise Missing("apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for n_head, n_token in SIZES:
            start = time.perf_counter()
            content = page_of(n_head, n_token)
            made = time.perf_counter() - start
            file = Path(folder) / "page.html"
            file.write_bytes(content)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
            what = f"page of {n_head} heads × {n_token} tokens"
            yield Row(f"{what}: written", made)
            yield Row(f"{what}: size", len(content) / 1e6, unit="MB")
            yield limit(f"{what}: another head", page.evaluate(OPENING) / 1000, 0.5)
            for view in ("matrix", "links"):
                seconds = page.evaluate(FRAMES, view) / 1000
                yield limit(f"{what}: a frame, {view}", seconds, 0.05)
            page.close()
        browser.close()


if __name__ == "__main__":
    run_alone(rows)
