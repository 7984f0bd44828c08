"""A page of 144 heads of 64 tokens to PNG, against one bare imshow of the same pixels.

python tests/benchmarks/figure.py
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pairs import in_turn, timed
from PIL import Image

from attnviz.render.formats.png import render
from attnviz.views.kinds import Grid, Heatmap, indices

N_LAYER, N_HEAD, N_TOKEN, ROUNDS = 12, 12, 64, 15


def page() -> Grid:
    raw = np.random.default_rng(0).random((N_LAYER, N_HEAD, N_TOKEN, N_TOKEN), np.float32) ** 4
    weights = raw / raw.sum(-1, keepdims=True)
    query, key = indices("query", N_TOKEN), indices("key", N_TOKEN)
    panels = tuple(tuple(Heatmap("", head, query, key) for head in layer) for layer in weights)
    return Grid(
        "all heads",
        panels,
        tuple(f"L{i}" for i in range(N_LAYER)),
        tuple(f"H{i}" for i in range(N_HEAD)),
    )


def bare(pixels: np.ndarray) -> None:
    """The very pixels of our page as one image, straight from Matplotlib."""
    height, width = pixels.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels, aspect="auto")
    figure.savefig(io.BytesIO(), format="png")


def main() -> None:
    grid = page()
    content, _ = render([grid])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    a, b, ratio = in_turn(timed(lambda: render([grid])), timed(lambda: bare(pixels)), ROUNDS)
    print(
        f"{N_LAYER * N_HEAD} heads of {N_TOKEN} tokens, {pixels.shape[1]} × {pixels.shape[0]} pixels: {a * 1000:.0f} ms; "
        f"bare imshow: {b * 1000:.0f} ms; ratio {ratio:.2f} (bound 1.3)"
    )


if __name__ == "__main__":
    main()
