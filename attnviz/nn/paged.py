"""The paged key/value cache: one sequence's part of a pool of blocks that others share."""

from __future__ import annotations

import math

import numpy as np

from attnviz.nn.blocks import BlockPool
from attnviz.nn.cache import FixedPairs, Pair
from attnviz.nn.types import Array


class PagedCache(FixedPairs):
    """Keys and values of one sequence: token i stands in block `table[i // block_size]`.

    It is another way to find the same numbers, not another attention: they are gathered into
    contiguous arrays for it. Source: Kwon et al. 2023 (PagedAttention), sections 4.2 to 4.4.
    """

    def __init__(self, pool: BlockPool) -> None:
        super().__init__()
        self.pool = pool
        self._table: list[int] = []
        self._used: dict[str, int] = {}

    @property
    def table(self) -> tuple[int, ...]:
        """The numbers of its blocks, in the order of its tokens."""
        return tuple(self._table)

    @property
    def n_token(self) -> int:
        return max(self._used.values(), default=0)

    @property
    def n_empty(self) -> int:
        """The places of its blocks that hold no token: fewer than a block has."""
        return len(self._table) * self.pool.block_size - self.n_token

    def extend(self, id: str, k: Array, v: Array) -> Pair:
        """Add the keys and values of new tokens to those of the attention `id`; return all.

        Raises:
            AttnvizError: the pool has too few free blocks; then nothing has changed.
        """
        used = self._used.get(id, 0)
        total = used + k.shape[-2]
        keys, values = self.pool.pair(id, k, v)
        if total > used:
            self._own(used, total)
        for array, new in ((keys, k), (values, v)):
            self._write(array, new, used)
        self._used[id] = total
        return self._gather(keys, total), self._gather(values, total)

    def fork(self) -> PagedCache:
        """A second sequence that begins as this one does, and shares its blocks until one of the
        two writes into them."""
        other = PagedCache(self.pool)
        other._table, other._used = list(self._table), dict(self._used)
        other._fixed = dict(self._fixed)
        self.pool.hold(self._table)
        return other

    def free(self) -> None:
        """Give all blocks back: the sequence is empty again."""
        self.pool.release(self._table)
        self._table, self._used, self._fixed = [], {}, {}

    def _own(self, start: int, stop: int) -> None:
        """See to it that tokens start … stop - 1 have places that no other sequence sees:
        copies of shared blocks (copy-on-write), and new ones."""
        size, pool = self.pool.block_size, self.pool
        n_block = math.ceil(stop / size)
        shared = [
            place
            for place in range(start // size, min(n_block, len(self._table)))
            if pool.holders(self._table[place]) > 1
        ]
        blocks = pool.take(len(shared) + max(0, n_block - len(self._table)))
        for place, block in zip(shared, blocks, strict=False):
            pool.copy(self._table[place], block)
            pool.release([self._table[place]])
            self._table[place] = block
        self._table += blocks[len(shared) :]

    def _write(self, array: Array, new: Array, start: int) -> None:
        """New tokens [n_kv_head, n, d] to their places in [n_block, n_kv_head, block_size, d]."""
        places = np.arange(start, start + new.shape[-2])
        blocks = np.array(self._table)[places // self.pool.block_size]
        array[blocks, ..., places % self.pool.block_size, :] = np.moveaxis(new, -2, 0)

    def _gather(self, array: Array, total: int) -> Array:
        """[n_block, n_kv_head, block_size, d] -> [n_kv_head, total, d]"""
        size = self.pool.block_size
        own = np.moveaxis(array[self._table[: math.ceil(total / size)]], 0, -3)
        # contiguous, as the other cache's are: BLAS rounds otherwise where rows lie apart
        rows = np.ascontiguousarray(own).reshape(*own.shape[:-3], -1, own.shape[-1])
        return rows[..., :total, :]
