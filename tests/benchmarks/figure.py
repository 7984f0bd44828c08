"""A page of 144 heads of 64 tokens to PNG, against one bare imshow of the same pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from tests.benchmarks.pairs import in_turn, timed
from tests.benchmarks.table import Row, run_alone

N_LAYER, N_HEAD, N_TOKEN, ROUNDS = 12, 12, 64, 15


def page():
    from attnviz.views.kinds import Grid, Heatmap, indices

    raw = np.random.default_rng(0).random((N_LAYER, N_HEAD, N_TOKEN, N_TOKEN), np.float32) ** 4
    weights = raw / raw.sum(-1, keepdims=True)
    query, key = indices("query", N_TOKEN), indices("key", N_TOKEN)
    panels = tuple(tuple(Heatmap("", head, query, key) for head in layer) for layer in weights)
    layers, heads = (f"L{i}" for i in range(N_LAYER)), (f"H{i}" for i in range(N_HEAD))
    return Grid("all heads", panels, tuple(layers), tuple(heads))


def bare(pixels: np.ndarray) -> None:
    """The very pixels of our page as one image, straight from Matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = pixels.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(pixels, aspect="auto")
    figure.savefig(io.BytesIO(), format="png")


def rows() -> Iterator[Row]:
    from PIL import Image

    from attnviz.render.formats.png import render

    grid = page()
    pixels = np.asarray(Image.open(io.BytesIO(render([grid])[0])).convert("RGBA"))
    pair = in_turn(timed(lambda: render([grid])), timed(lambda: bare(pixels)), ROUNDS)
    yield pair.time(f"PNG of {N_LAYER * N_HEAD} heads of {N_TOKEN} tokens", "bare imshow", 1.3)


if __name__ == "__main__":
    run_alone(rows)
