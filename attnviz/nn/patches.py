"""An image as patches, and the positions of patches on a grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array

BEND = -0.75
"""The free coefficient a of the cubic kernel, as PyTorch and OpenCV have it (Keys: -0.5)."""
SMOOTH_BEND = -0.5
"""The same where they smooth, as Pillow has it."""


def cut(image: Array, patch: tuple[int, int]) -> Array:
    """Patches, row by row: [channel, height, width] -> [n_patch, channel·height·width of a patch].

    `patch` is the height and width of one. What fills no patch, at the bottom and at the right, is
    left out. Leading axes are those of a batch.
    """
    (down, across), (*lead, channel, height, width) = patch, image.shape
    rows, columns = height // down, width // across
    whole = image[..., : rows * down, : columns * across]
    blocks = whole.reshape(*lead, channel, rows, down, columns, across)
    blocks = np.moveaxis(blocks, (-4, -2), (-5, -4))  # [row, column, channel, down, across]
    return blocks.reshape(*lead, rows * columns, channel * down * across)


class GridPositions(NamedTuple):
    """The learned positions of a grid of patches."""

    grid: Array
    """[row, column, d_model]"""
    smooth: bool = False
    """Whether a grid that is made smaller is smoothed (`smooth_cubic_weights`)."""

    def __call__(self, rows: int, columns: int) -> Array:
        """[rows·columns, d_model]: for another grid they are resized."""
        grid = resize_grid(self.grid, rows, columns, smooth=self.smooth)
        return grid.reshape(-1, grid.shape[-1])


def resize_grid(grid: Array, rows: int, columns: int, *, smooth: bool = False) -> Array:
    """Bicubic interpolation: [row, column, d] -> [rows, columns, d].

    The corners of the two grids lie on one another, not the centres of their corner cells
    (`align_corners=False`). Source: Dosovitskiy et al. 2021, section 3.2, for its use.
    """
    if grid.shape[:2] == (rows, columns):
        return grid
    weights = smooth_cubic_weights if smooth else cubic_weights
    down = weights(grid.shape[0], rows, grid.dtype.type)
    across = weights(grid.shape[1], columns, grid.dtype.type)
    resized: Array = np.einsum("ri,cj,ijd->rcd", down, across, grid, optimize=True)
    return resized


def cubic_weights(old: int, new: int, number: type[np.floating] = np.float64) -> Array:
    """How much each of `old` points counts in each of `new`: [new, old], every row sums to 1.

    Beyond the edge the outermost points go on; nothing is smoothed before it is made smaller.
    Source: Keys 1981, equation 4, with a = -0.75, as in PyTorch's `interpolate(mode="bicubic")`.
    """
    # rounded where PyTorch rounds, in the type of the values
    places = ((np.arange(new) + 0.5) * float(number(old / new)) - 0.5).astype(number)
    before = np.floor(places)
    weights = np.zeros((new, old), number)
    for step in (-1, 0, 1, 2):
        points = np.clip(before + step, 0, old - 1).astype(np.int64)
        np.add.at(weights, (np.arange(new), points), cubic(before + step - places))
    return weights


def smooth_cubic_weights(old: int, new: int, number: type[np.floating] = np.float64) -> Array:
    """The same where the kernel, with a = -0.5, is as wide as the steps between the new points, so
    that all old ones count, and is cut off at the edge: [new, old].

    Source: PyTorch's `interpolate(mode="bicubic", antialias=True)`, which is Pillow's.
    """
    step = old / new
    wide = max(step, 1.0)
    centres = step * (np.arange(new) + 0.5)[:, None]
    points = np.arange(old)
    first, last = (np.trunc(centres + end * wide + 0.5) for end in (-2, 2))
    seen = (points >= first) & (points < last)
    weights = np.where(seen, cubic((points + 0.5 - centres) / wide, SMOOTH_BEND), 0)
    return np.asarray(weights / weights.sum(-1, keepdims=True), number)


def cubic(distance: Array, a: float = BEND) -> Array:
    """Keys's kernel: 1 at 0, 0 at the other whole numbers, 0 from 2 on.

    Distances [...] -> [...].
    """
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(x.dtype)
