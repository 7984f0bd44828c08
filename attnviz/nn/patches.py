"""An image as patches, and the positions of patches on a grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array

BEND = -0.75
"""The free coefficient a of the cubic kernel, as PyTorch and OpenCV have it (Keys: -0.5)."""


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
    """The learned positions of a class token and of a grid of patches."""

    first: Array
    """[d_model]: that of the class token."""
    grid: Array
    """[row, column, d_model]"""

    def __call__(self, rows: int, columns: int) -> Array:
        """[1 + rows·columns, d_model]: for another grid they are resized."""
        grid = resize_grid(self.grid, rows, columns)
        return np.concatenate([self.first[None], grid.reshape(-1, len(self.first))])


def resize_grid(grid: Array, rows: int, columns: int) -> Array:
    """Bicubic interpolation: [row, column, d] -> [rows, columns, d].

    The corners of the two grids lie on one another, not the centres of their corner cells
    (`align_corners=False`); beyond the edge the outermost cells go on; nothing is smoothed before
    it is made smaller. Source: Keys 1981, equation 4, with a = -0.75, as in PyTorch's
    `interpolate(mode="bicubic")`; Dosovitskiy et al. 2021, section 3.2, for its use.
    """
    if grid.shape[:2] == (rows, columns):
        return grid
    down = cubic_weights(grid.shape[0], rows, grid.dtype.type)
    across = cubic_weights(grid.shape[1], columns, grid.dtype.type)
    resized: Array = np.einsum("ri,cj,ijd->rcd", down, across, grid, optimize=True)
    return resized


def cubic_weights(old: int, new: int, number: type[np.floating] = np.float64) -> Array:
    """How much each of `old` points counts in each of `new`: [new, old], every row sums to 1."""
    # rounded where PyTorch rounds, in the type of the values
    places = ((np.arange(new) + 0.5) * float(number(old / new)) - 0.5).astype(number)
    before = np.floor(places)
    weights = np.zeros((new, old), number)
    for step in (-1, 0, 1, 2):
        points = np.clip(before + step, 0, old - 1).astype(np.int64)
        np.add.at(weights, (np.arange(new), points), cubic(before + step - places))
    return weights


def cubic(distance: Array, a: float = BEND) -> Array:
    """Keys's kernel: 1 at 0, 0 at the other whole numbers, 0 from 2 on.

    Distances [...] -> [...].
    """
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(x.dtype)
