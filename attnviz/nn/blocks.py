"""Memory in blocks, for the keys and values of many sequences.

A block has room for `block_size` tokens in every attention: its number is the same place in each
of their arrays, keys [n_block, n_kv_head, block_size, d_k] and values [n_block, n_kv_head,
block_size, d_v]. So a sequence needs one table of blocks, and not one for each layer.
Source: Kwon et al. 2023 (PagedAttention), section 4.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.cache import Pair
from attnviz.nn.types import Array


class BlockPool:
    """Blocks by number, and how many tables name each of them."""

    def __init__(self, n_block: int, block_size: int) -> None:
        for what, size in (("blocks", n_block), ("tokens in a block", block_size)):
            if size < 1:
                raise AttnvizError(f"a cache of {size} {what}", "give at least 1")
        self.n_block, self.block_size = n_block, block_size
        self._pairs: dict[str, Pair] = {}
        self._holders: dict[int, int] = {}
        self._returned: list[int] = []
        self._n_touched = 0

    @property
    def n_used(self) -> int:
        return len(self._holders)

    @property
    def n_free(self) -> int:
        return self.n_block - self.n_used

    @property
    def n_byte(self) -> int:
        """What all blocks take, of all attentions that were seen so far."""
        return sum(array.nbytes for pair in self._pairs.values() for array in pair)

    def holders(self, block: int) -> int:
        """How many tables name this block."""
        return self._holders.get(block, 0)

    def take(self, count: int) -> list[int]:
        """Free blocks, those of the lowest numbers, held by one table each.

        Raises:
            AttnvizError: there are not as many; then none is taken.
        """
        if count > self.n_free:
            raise AttnvizError(
                f"the key/value cache is full: blocks of {self.block_size} tokens needed: {count}, "
                f"free: {self.n_free} of {self.n_block}",
                "give it more blocks (--kv-blocks), or free a sequence",
            )
        blocks = [self._lowest() for _ in range(count)]
        for block in blocks:
            self._holders[block] = 1
        return blocks

    def hold(self, blocks: Sequence[int]) -> None:
        """One more table names these blocks."""
        for block in blocks:
            self._holders[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """One table less names these blocks; those that none names are free."""
        for block in blocks:
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                heapq.heappush(self._returned, block)

    def copy(self, source: int, target: int) -> None:
        """What stands in one block, of all attentions, into another."""
        for pair in self._pairs.values():
            for array in pair:
                array[target] = array[source]

    def pair(self, id: str, k: Array, v: Array) -> Pair:
        """The arrays [n_block, n_kv_head, block_size, d] of the attention `id`, made for its first
        keys and values."""
        if id not in self._pairs:
            self._pairs[id] = self._room(k), self._room(v)
        return self._pairs[id]

    def _room(self, x: Array) -> Array:
        shape = (self.n_block, *x.shape[:-2], self.block_size, x.shape[-1])
        try:
            return np.zeros(shape, x.dtype)
        except (MemoryError, ValueError) as error:
            raise AttnvizError(
                f"there is no memory for {self.n_block} blocks of {self.block_size} tokens",
                "take fewer or smaller blocks",
            ) from error

    def _lowest(self) -> int:
        if self._returned:
            return heapq.heappop(self._returned)
        self._n_touched += 1
        return self._n_touched - 1
