"""Fewer, larger cells: heatmaps and images that are too large to be drawn as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from attnviz.nn.types import Array
from attnviz.views.kinds import Axis, Heatmap


def pool(heatmap: Heatmap, rows: int, columns: int) -> Heatmap:
    """The heatmap with `rows` × `columns` cells in one; it is said how they are put together, once
    also where its cells were put together before.

    A block is masked if all of it is, for its first reason.
    """
    if rows == columns == 1:
        return heatmap
    if heatmap.columns.outside:
        return _pool_beside(heatmap, rows, columns)
    masked = heatmap.masked
    sizes = heatmap.rows.sizes, heatmap.columns.sizes
    said = pooling_notes(heatmap)
    pooled = heatmap._replace(
        values=_POOLINGS[heatmap.pooling][0](heatmap, sizes, rows, columns),
        rows=pool_axis(heatmap.rows, rows),
        columns=pool_axis(heatmap.columns, columns),
        masked=None if masked is None else _pool_mask(masked, rows, columns),
        details=(),
    )
    others = (note for note in heatmap.notes if note not in said)
    return pooled._replace(notes=(*others, *pooling_notes(pooled)))


def _pool_beside(heatmap: Heatmap, rows: int, columns: int) -> Heatmap:
    """The same where some columns are no positions: of these the rows alone are pooled."""
    inside, masked = heatmap.columns.without_outside(), heatmap.masked
    n = len(inside)
    labels = heatmap.columns.labels[n:]

    def part(cells: slice, axis: Axis, step: int) -> Heatmap:
        own = None if masked is None else masked[:, cells]
        return pool(
            heatmap._replace(values=heatmap.values[:, cells], masked=own, columns=axis), rows, step
        )

    pooled = part(slice(0, n), inside, columns)
    beside = part(slice(n, None), Axis(inside.name, labels), 1)
    return pooled._replace(
        values=np.concatenate([pooled.values, beside.values], -1),
        masked=None
        if pooled.masked is None or beside.masked is None
        else np.concatenate([pooled.masked, beside.masked], -1),
        columns=pooled.columns.with_outside(*labels),
    )


def steps_within(shape: tuple[int, ...], most: int) -> tuple[int, int]:
    """How many rows and columns go into one, so that none of both has more than `most` cells; the
    same of both where a matrix is square."""
    n_row, n_column = shape
    rows, columns = -(-n_row // most), -(-n_column // most)
    if abs(n_row - n_column) <= 1:  # a sink may stand beside the keys
        rows = columns = max(rows, columns)
    return max(1, rows), max(1, columns)


def pooling_notes(heatmap: Heatmap) -> tuple[str, ...]:
    """What is to be said of a heatmap whose cells stand for several each; else nothing."""
    rows, columns = heatmap.rows, heatmap.columns
    if rows.step == columns.step == 1:
        return ()
    n_row, n_column = rows.n_position, columns.n_position
    how = _POOLINGS[heatmap.pooling][1]
    return (f"each cell: {rows.step} × {columns.step} of {n_row} × {n_column}, {how}",)


Sizes = tuple[Array, Array]
"""How many of the original's rows and columns each row and column stands for."""


def _masses(heatmap: Heatmap, sizes: Sizes, rows: int, columns: int) -> Array:
    """What is visible, added up over columns and averaged over rows."""
    each = sizes[0][:, None]
    shown = _or_zero(heatmap)
    total = _block_sums(shown if heatmap.rows.step == 1 else shown * each, rows, columns)
    return np.asarray(total / _block_sums(each, rows, 1))


def _means(heatmap: Heatmap, sizes: Sizes, rows: int, columns: int) -> Array:
    """Over the cells that are visible."""
    each = np.multiply.outer(*sizes)
    shown = _or_zero(heatmap)
    was_pooled = heatmap.rows.step > 1 or heatmap.columns.step > 1
    total = _block_sums(shown * each if was_pooled else shown, rows, columns)
    seen = each if heatmap.masked is None else each * (heatmap.masked == 0)
    return np.asarray(total / np.maximum(_block_sums(seen, rows, columns), 1))


def _largest(heatmap: Heatmap, sizes: Sizes, rows: int, columns: int) -> Array:
    """The visible value of the largest magnitude, with its sign; NaN if one is in the block."""
    shown = _or_zero(heatmap)
    low, high = (_blocks(pick.reduceat, shown, rows, columns) for pick in (np.minimum, np.maximum))
    return np.where(high >= -low, high, low)


_POOLINGS = {
    "mass": (_masses, "summed over keys, averaged over queries"),
    "mean": (_means, "averaged"),
    "largest": (_largest, "the value farthest from 0"),
}


def _or_zero(heatmap: Heatmap) -> Array:
    values, masked = heatmap.values, heatmap.masked
    if masked is None or not masked.any():
        return values
    return np.where(masked == 0, values, values.dtype.type(0))


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


def pool_axis(axis: Axis, step: int) -> Axis:
    """Of groups of so many tokens, each labelled by its first; of an axis that was pooled before,
    what it stood for counts on."""
    if step == 1:
        return axis
    return replace(
        axis,
        labels=axis.labels[::step],
        step=axis.step * step,
        special=frozenset(),
        end=len(axis) if axis.end is None else axis.end,
        spans=(),
    )
