"""Fewer, larger cells: heatmaps and images that are too large to be drawn as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from attnviz.nn.types import Array, Bool
from attnviz.views.kinds import Axis, Heatmap


def pool(heatmap: Heatmap, rows: int, columns: int) -> Heatmap:
    """The heatmap with `rows` × `columns` cells in one; it is said how they are put together.

    A block is masked if all of it is, for its first reason.
    """
    if rows == columns == 1:
        return heatmap
    n_row, n_column = heatmap.values.shape
    masked = heatmap.masked
    visible = np.broadcast_to(np.True_, (n_row, n_column)) if masked is None else masked == 0
    pooled, how = _POOLINGS[heatmap.pooling]
    note = f"each cell: {rows} × {columns} of {n_row} × {n_column}, {how}"
    return heatmap._replace(
        values=pooled(heatmap.values, visible, rows, columns),
        rows=_pool_axis(heatmap.rows, rows),
        columns=_pool_axis(heatmap.columns, columns),
        masked=None if masked is None else _pool_mask(masked, rows, columns),
        notes=(*heatmap.notes, note),
        details=(),
    )


def _masses(values: Array, visible: Bool, rows: int, columns: int) -> Array:
    """What is visible, added up over columns and averaged over rows."""
    total = _block_sums(_or_zero(values, visible), rows, columns)
    return np.asarray(total / _block_sums(np.ones((len(values), 1)), rows, 1))


def _means(values: Array, visible: Bool, rows: int, columns: int) -> Array:
    """Over the cells that are visible."""
    total = _block_sums(_or_zero(values, visible), rows, columns)
    return np.asarray(total / np.maximum(_block_sums(visible, rows, columns), 1))


def _largest(values: Array, visible: Bool, rows: int, columns: int) -> Array:
    """The visible value of the largest magnitude, with its sign; NaN if one is in the block."""
    shown = _or_zero(values, visible)
    low, high = (_blocks(pick.reduceat, shown, rows, columns) for pick in (np.minimum, np.maximum))
    return np.where(high >= -low, high, low)


_POOLINGS = {
    "mass": (_masses, "summed over keys, averaged over queries"),
    "mean": (_means, "averaged"),
    "largest": (_largest, "the value farthest from 0"),
}


def _or_zero(values: Array, visible: Bool) -> Array:
    return values if visible.all() else np.where(visible, values, values.dtype.type(0))


def block_means(image: Array, step: int) -> Array:
    """The means of squares of that many pixels: [height, width] or [height, width, channel]."""
    counts = _block_sums(np.ones(image.shape[:2]), step, step)
    return _block_sums(image, step, step) / counts.reshape(counts.shape + (1,) * (image.ndim - 2))


def _block_sums(array: Array, rows: int, columns: int) -> Array:
    """The sums of blocks of rows × columns, float64; the last blocks may be smaller."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN show in the result
        return _blocks(partial(np.add.reduceat, dtype=np.float64), array, rows, columns)


def _blocks(reduce: Callable[..., Array], array: Array, rows: int, columns: int) -> Array:
    """Blocks of rows × columns as one value each; the last blocks may be smaller."""
    n_row, n_column = array.shape[:2]
    by_column = reduce(array, np.arange(0, n_column, columns), axis=1)
    return reduce(by_column, np.arange(0, n_row, rows), axis=0)


def _pool_mask(masked: Array, rows: int, columns: int) -> Array:
    """0 where any cell of a block is visible, else the largest number of a reason in it."""
    lowest, highest = (
        _blocks(pick.reduceat, masked, rows, columns) for pick in (np.minimum, np.maximum)
    )
    return np.where(lowest == 0, np.uint8(0), highest)


def _pool_axis(axis: Axis, step: int) -> Axis:
    return Axis(axis.name, axis.labels[::step], axis.first, axis.step * step, end=len(axis))
