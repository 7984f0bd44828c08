"""What is kept of attention whose weights are too many to be kept: readers of its tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from attnviz.nn.streaming import Inputs, Tile, TileReader
from attnviz.nn.types import Array


class PooledMaps:
    """Each head's weights as a map of at most `size` × `size` cells.

    A cell stands for `row_step` × `key_step` weights, the last ones for those that are left.
    """

    def __init__(self, inputs: Inputs, heads: Sequence[int], size: int) -> None:
        self.row_step = max(1, -(-inputs.n_q // size))
        self.key_step = max(1, -(-inputs.n_k // size))
        shape = (len(heads), -(-inputs.n_q // self.row_step), -(-inputs.n_k // self.key_step))
        self._index = {head: i for i, head in enumerate(heads)}
        self.total = np.zeros(shape)
        """[n_head, n_row_cell, n_key_cell]: the sum of each cell's weights."""
        self.largest = np.zeros(shape, np.float32)
        """[n_head, n_row_cell, n_key_cell]: the largest of each cell's weights."""

    def fork(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.total, other.largest = np.zeros_like(self.total), np.zeros_like(self.largest)
        return other

    def read(self, tile: Tile) -> None:
        index = self._index.get(tile.head)
        if index is None:
            return
        first_key = tile.rows.keys.start
        n_key = tile.weights.shape[-1]
        keys = np.arange(first_key, first_key + n_key) // self.key_step
        rows = np.arange(tile.rows.queries.start, tile.rows.queries.stop) // self.row_step
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        sums = np.add.reduceat(tile.weights, starts, axis=1)
        peaks = np.maximum.reduceat(tile.weights, starts, axis=1)
        where = (rows[:, None], keys[starts])
        np.add.at(self.total[index], where, sums)
        np.maximum.at(self.largest[index], where, peaks)

    def merge(self, other: Self) -> None:
        self.total += other.total
        np.maximum(self.largest, other.largest, out=self.largest)


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
        masked = inputs.mask.reasons(inputs.q_pos[block.rows], inputs.k_pos[block.keys])
        self.masked = masked if masked.any() else None
        """[n_row, n_key] or [n_head, n_row, n_key]: see `Mask.reasons`."""

    def fork(self) -> Self:
        return self  # threads have different rows, and write to different places

    def read(self, tile: Tile) -> None:
        index, (queries, keys, _) = self._index.get(tile.head), tile.rows
        if index is None:
            return
        rows = np.flatnonzero((self.block.rows >= queries.start) & (self.block.rows < queries.stop))
        cols = np.flatnonzero((self.block.keys >= keys.start) & (self.block.keys < keys.stop))
        if rows.size and cols.size:
            taken = np.ix_(
                self.block.rows[rows] - queries.start, self.block.keys[cols] - keys.start
            )
            self.weights[index][np.ix_(rows, cols)] = tile.weights[taken]

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
