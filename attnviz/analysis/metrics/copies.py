"""Where tokens come again: lists of cells, for they are few."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array

NOBODY = -1
"""The id of what is nobody's copy."""


class CellList(NamedTuple):
    """Some cells of matrices [..., n_head, n_q, n_k], the same ones of all heads."""

    row: Array
    """[n_cell]: the number of the query among those of all texts, rising."""
    key: Array
    """[n_cell]"""
    shape: tuple[int, ...]
    """Leading axes of texts, if there are any, and n_q."""

    def sums(self, matrices: Array) -> Array:
        """Σ of each query's cells: [..., n_head, n_q, n_k] -> [..., n_head, n_q]."""
        *lead, n_head, n_row, n_key = matrices.shape
        row = self.row
        if len(row) == 0:
            return np.zeros((*lead, n_head, n_row))
        if np.prod(self.shape[:-1], dtype=int) == 1:
            if matrices.flags.c_contiguous:
                return self._by_row(
                    matrices.reshape(*lead, n_head, -1).take(row * n_key + self.key, -1)
                )
            return self._by_row(matrices[..., row, self.key])
        if np.prod(lead, dtype=int) == 1:
            matrices = matrices.reshape(n_head, n_row, n_key)
            return self.add(matrices[:, row % n_row, self.key])
        texts = np.broadcast_to(matrices, (*self.shape[:-1], n_head, n_row, n_key))
        texts = texts.reshape(-1, n_head, n_row, n_key)
        return self.add(texts[row // n_row, :, row % n_row, self.key].T)

    def add(self, values: Array) -> Array:
        """Σ of each query's values: [n_head, n_cell] or [n_cell] -> [..., n_head or 1, n_q]."""
        heads = values if values.ndim > 1 else values[None]
        *texts, n_row = self.shape
        total = self._by_row(heads).reshape(len(heads), *texts, n_row)
        return np.moveaxis(total, 0, -2)

    def _by_row(self, values: Array) -> Array:
        """[..., n_cell] -> [..., n_row of all texts]"""
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))
        total = np.zeros((*values.shape[:-1], int(np.prod(self.shape))))
        if len(starts):
            total[..., self.row[starts]] = np.add.reduceat(values, starts, -1, dtype=np.float64)
        return total


class Copies:
    """The earlier keys with the same id as each key."""

    def __init__(self, ids: Array) -> None:
        """ids: [..., n_k]; `NOBODY` for those that no other can be the same as."""
        self.shape = ids.shape
        n_key = ids.shape[-1]
        texts = ids.reshape(-1, n_key)
        span = int(ids.max(initial=0)) + 2
        labels = (texts + 1 + span * np.arange(len(texts))[:, None]).reshape(-1)
        self._order = np.argsort(labels, kind="stable")
        in_order = labels[self._order]
        place = np.arange(len(labels))
        begins = np.flatnonzero(np.diff(in_order, prepend=-1))
        n_before = place - np.repeat(begins, np.diff(begins, append=len(labels)))
        self._place, self._n_earlier = np.empty_like(place), np.empty_like(place)
        self._place[self._order], self._n_earlier[self._order] = place, n_before
        self._n_earlier[texts.reshape(-1) == NOBODY] = 0

    def any(self) -> bool:
        """Whether any token comes again."""
        return bool(self._n_earlier.any())

    def cells(self, first: int, n_row: int, behind: int = 0) -> CellList:
        """The copies of the keys from `first` on, as queries; or the keys right behind them."""
        *lead, n_key = self.shape
        n_text = int(np.prod(lead))
        own = (np.arange(n_text)[:, None] * n_key + first + np.arange(n_row)).reshape(-1)
        count = self._n_earlier[own]
        row = np.repeat(np.arange(len(own)), count)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        key = self._order[np.repeat(self._place[own] - count, count) + nth] + behind
        if behind:
            earlier = key < own[row]
            row, key = row[earlier], key[earlier]
        return CellList(row, key % n_key, (*lead, n_row))
