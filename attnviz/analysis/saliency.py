"""What of the input an output depends on: by its gradient, or by hiding parts of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attnviz.nn.embedding import Input
from attnviz.nn.softmax import softmax
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array
from attnviz.trace.record import Trace

STEP = 1e-4
"""In float64 the error of a central difference is of the order STEP²."""

BATCH = 128
"""Numbers that are shifted at a time."""


def class_probabilities(trace: Trace) -> Array | None:
    """[n_class] at the class token; None if the logits were not kept, or there are none."""
    return None if trace.logits is None else softmax(trace.logits[0].astype(np.float64))


def class_logit(transformer: Transformer, label: int) -> Callable[[Array], Array]:
    """Images [..., channel, height, width] -> the logits [...] of a class."""

    def logit(images: Array) -> Array:
        output = transformer(Input(pixels=images), logits=True).logits
        assert output is not None
        chosen: Array = output[..., 0, label]
        return chosen

    return logit


def gradient(function: Callable[[Array], Array], x: Array, step: float = STEP) -> Array:
    """∂function/∂x at x, of any shape; `function` maps a batch [n, *shape] to numbers [n].

    Source: Simonyan et al. 2014, section 3, for the gradient as a saliency map; here it is taken
    by (f(x + h) - f(x - h)) / 2h for each number, which needs no backward pass.
    """
    x = np.asarray(x, np.float64)
    slopes = np.empty(x.size)
    for start in range(0, x.size, BATCH):
        indices = np.arange(start, min(start + BATCH, x.size))
        shifts = np.zeros((len(indices), x.size))
        shifts[np.arange(len(indices)), indices] = step
        shifts = shifts.reshape(-1, *x.shape)
        up, down = np.split(function(np.concatenate([x + shifts, x - shifts])), 2)
        slopes[indices] = (up - down) / (2 * step)
    return slopes.reshape(x.shape)


def occlusion(
    function: Callable[[Array], Any],
    image: Array,
    patch: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """How much the output drops when a patch has the image's mean colour: [row, column].

    Args:
        function: an image [channel, height, width] -> a number.
        image: in whole patches of this height and width.
        progress: called as `progress(patches_done, patches)`.

    Source: Zeiler & Fergus 2014, section 4.2.
    """
    (down, across), (_, height, width) = patch, image.shape
    mean = image.mean((1, 2), keepdims=True)
    drops = np.full((height // down, width // across), float(function(image)))
    for done, (row, column) in enumerate(np.ndindex(drops.shape), 1):
        hidden = image.copy()
        hidden[:, row * down :, column * across :][:, :down, :across] = mean
        drops[row, column] -= float(function(hidden))
        if progress is not None:
            progress(done, drops.size)
    return drops
