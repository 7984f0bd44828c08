"""How large pages are, and how fast they answer in a headless Chromium.

python tests/benchmarks/page.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from attnviz.nn.softmax import softmax
from attnviz.render.html import render
from attnviz.views.kinds import Axis, Grid, Heatmap

SIZES = ((8, 32), (144, 128), (12, 512), (4, 1024))
"""Heads, and tokens of each."""
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
    panels = tuple(
        Heatmap(f"H{i}", softmax(1.5 * random.standard_normal((n_token, n_token))), axis, axis)
        for i in range(n_head)
    )
    grid = Grid("heads", (panels,), ("L0",), tuple(f"H{i}" for i in range(n_head)))
    return render([grid])[0]


def main() -> None:
    path = shutil.which("chromium")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for n_head, n_token in SIZES:
            content = page_of(n_head, n_token)
            file = Path(folder) / "page.html"
            file.write_bytes(content)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
            opening = page.evaluate(OPENING)
            frames = [page.evaluate(FRAMES, view) for view in ("matrix", "links")]
            print(
                f"{n_head:4} heads × {n_token:4} tokens: {len(content) / 1e6:5.2f} MB, another head "
                f"after {opening:4.0f} ms, pointing: matrix {frames[0]:4.0f} ms, "
                f"links {frames[1]:4.0f} ms a frame"
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
