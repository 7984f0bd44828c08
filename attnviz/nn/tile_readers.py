"""What is kept of attention whose weights are too many to be kept: readers of its tiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from attnviz.nn.streaming import Inputs, Rows, Tile, TileReader
from attnviz.nn.types import Array


class PooledMaps:
    """Each head's weights as a map of at most `size` × `size` cells.

    A cell stands for `row_step` × `key_step` weights, the last ones for those that are left.
    """

    def __init__(self, inputs: Inputs, heads: Sequence[int], size: int) -> None:
        self.row_step = max(1, -(-inputs.n_q // size))
        self.key_step = max(1, -(-inputs.n_k // size))
        shape = (len(heads), -(-inputs.n_q // self.row_step), -(-inputs.n_k // self.key_step))
        self._heads = tuple(heads)
        self._index = {head: i for i, head in enumerate(heads)}
        self._n_head = inputs.n_head
        self._counted: Rows | None = None
        self.total = np.zeros(shape)
        """[n_head, n_row_cell, n_key_cell]: the sum of each cell's weights."""
        self.largest = np.zeros(shape, np.float32)
        """[n_head, n_row_cell, n_key_cell]: the largest of each cell's weights."""
        self.visible = np.zeros(shape[1:], np.int64)
        """[n_row_cell, n_key_cell]: how many of each cell's weights are not masked;
        [n_head, n_row_cell, n_key_cell] where heads have masks of their own."""

    def fork(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.total, other.largest = np.zeros_like(self.total), np.zeros_like(self.largest)
        other.visible = np.zeros(self.total.shape[1:], np.int64)
        return other

    def read(self, tile: Tile) -> None:
        if tile.rows is not self._counted:
            self._counted = tile.rows
            self._count(tile.rows)
        index = self._index.get(tile.head)
        if index is None:
            return
        for rows, part in self._row_cells(tile.rows):
            weights = tile.weights[part].reshape(rows.stop - rows.start, -1, tile.weights.shape[-1])
            for map_, ufunc in ((self.total, np.add), (self.largest, np.maximum)):
                keys, pooled = self._pooled(ufunc.reduce(weights, 1), tile.rows, ufunc)
                cells = map_[index, rows, keys]
                ufunc(cells, pooled, out=cells)

    def merge(self, other: Self) -> None:
        self.total += other.total
        np.maximum(self.largest, other.largest, out=self.largest)
        self.visible = self.visible + other.visible

    def _count(self, rows: Rows) -> None:
        visible = rows.visible
        if visible is not None and visible.ndim > 2:
            visible = visible[list(self._heads)]
            if self.visible.ndim < 3:
                self.visible = np.repeat(self.visible[None], len(self._heads), 0)
        for cells, part in self._row_cells(rows):
            n_cell, n_key = cells.stop - cells.start, rows.keys.stop - rows.keys.start
            if visible is None:
                seen = np.full((n_cell, n_key), (part.stop - part.start) // n_cell)
            else:
                grouped = visible[..., part, :].reshape(*visible.shape[:-2], n_cell, -1, n_key)
                seen = np.count_nonzero(grouped, axis=-2)
            keys, pooled = self._pooled(seen, rows, np.add)
            self.visible[..., cells, keys] += pooled

    def _row_cells(self, rows: Rows) -> Iterator[tuple[slice, slice]]:
        """Rows of the map and those of the tile that belong to them, equally many to each: what
        the tile has of a first one, whole ones, what it has of a last one."""
        start, stop, step = rows.queries.start, rows.queries.stop, self.row_step
        first, last = min(-(-start // step) * step, stop), max(stop // step * step, start)
        edges = [start, first, max(first, last), stop]
        for begin, end in itertools.pairwise(edges):
            if end > begin:
                yield slice(begin // step, -(-end // step)), slice(begin - start, end - start)

    def _pooled(self, x: Array, rows: Rows, ufunc: np.ufunc) -> tuple[slice, Array]:
        """x [..., n_key] taken together by cells of the map: which cells, and [..., n_cell]."""
        start, stop, step = rows.keys.start, rows.keys.stop, self.key_step
        first, last = start // step, -(-stop // step)
        edges = np.maximum(np.arange(first, last) * step, start) - start
        # sums of few numbers in float32, of those in float64
        wide = x.astype(np.float64) if ufunc is np.add and x.dtype == np.float32 else x
        return slice(first, last), ufunc.reduceat(wide, edges, axis=-1)


class StrongestLinks:
    """The largest weights of each query, and their keys, from the largest on; of equal ones the
    first keys. What is left of a query that sees fewer has the weight 0 and the key -1."""

    def __init__(self, inputs: Inputs, heads: Sequence[int], n_link: int) -> None:
        self.n_link = min(n_link, inputs.n_k)
        self._index = {head: i for i, head in enumerate(heads)}
        shape = (len(heads), inputs.n_q, self.n_link)
        self.weights = np.zeros(shape, inputs.v.dtype)
        """[n_head, n_q, n_link]"""
        self.keys = np.full(shape, -1, np.int32)
        """[n_head, n_q, n_link]"""

    def fork(self) -> Self:
        return self  # strips have different rows, and write to different places

    def read(self, tile: Tile) -> None:
        index = self._index.get(tile.head)
        if index is None:
            return
        n_row, n_key = tile.weights.shape
        every, taken = np.arange(n_row), []
        # a few searches for the largest cost less than one partition
        for link in range(min(self.n_link, n_key)):
            keys = tile.weights.argmax(-1)
            weights = tile.weights[every, keys]
            at = index, tile.rows.queries, link
            self.weights[at] = weights
            self.keys[at] = np.where(weights != 0, keys + tile.rows.keys.start, -1)
            tile.weights[every, keys] = -1
            taken.append((keys, weights))
        for keys, weights in taken:  # others read the tile too
            tile.weights[every, keys] = weights

    def merge(self, other: Self) -> None:
        pass


class Block(NamedTuple):
    """Some rows and keys that are wanted in full."""

    rows: Array
    """Positions of queries, increasing."""
    keys: Array
    """Positions of keys, increasing."""


class ExactBlock:
    """The weights of some rows and keys of each head, as they are."""

    def __init__(self, inputs: Inputs, heads: Sequence[int], block: Block) -> None:
        self.block = block
        self._index = {head: i for i, head in enumerate(heads)}
        self.weights = np.zeros((len(heads), len(block.rows), len(block.keys)), inputs.v.dtype)
        """[n_head, n_row, n_key]"""
        masked = inputs.mask.reasons_part(inputs.q_pos, inputs.k_pos, block.rows, block.keys)
        if masked.ndim > 2:
            masked = masked[0] if len(masked) == 1 else masked[list(heads)]
        self.masked = masked if masked.any() else None
        """[n_row, n_key] or [n_head, n_row, n_key]: see `Mask.reasons`."""

    def fork(self) -> Self:
        return self  # strips have different rows, and write to different places

    def read(self, tile: Tile) -> None:
        index, queries, keys = self._index.get(tile.head), tile.rows.queries, tile.rows.keys
        rows = slice(*np.searchsorted(self.block.rows, [queries.start, queries.stop]))
        cols = slice(*np.searchsorted(self.block.keys, [keys.start, keys.stop]))
        if index is not None:
            taken = np.ix_(
                self.block.rows[rows] - queries.start, self.block.keys[cols] - keys.start
            )
            self.weights[index, rows, cols] = tile.weights[taken]

    def merge(self, other: Self) -> None:
        pass


class ReadAll:
    """Several readers as one."""

    def __init__(self, readers: Sequence[TileReader]) -> None:
        self.readers = tuple(readers)

    def fork(self) -> ReadAll:
        return ReadAll([reader.fork() for reader in self.readers])

    def read(self, tile: Tile) -> None:
        for reader in self.readers:
            reader.read(tile)

    def merge(self, other: ReadAll) -> None:
        for own, its in zip(self.readers, other.readers, strict=True):
            own.merge(its)
