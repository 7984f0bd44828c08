"""The key/value cache: what a decoder keeps of the tokens that it has read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from attnviz.nn.types import Array

Pair = tuple[Array, Array]
"""Keys [n_kv_head, n_k, d_k] and values [n_kv_head, n_k, d_v]."""

FIRST_ROOM = 32


class Cache(Protocol):
    """Keys and values by attention, so that each new token costs one row and not all rows."""

    def extend(self, id: str, k: Array, v: Array) -> Pair:
        """Add the keys and values of new tokens to those of the attention `id`; return all."""
        ...

    def once(self, id: str, make: Callable[[], Pair]) -> Pair:
        """The keys and values of an encoder's output: made by the first call, then kept."""
        ...

    def free(self) -> None:
        """Give up all that it holds: it is empty again."""
        ...


class FixedPairs:
    """What no token adds to: the keys and values of an encoder's output."""

    def __init__(self) -> None:
        self._fixed: dict[str, Pair] = {}

    def once(self, id: str, make: Callable[[], Pair]) -> Pair:
        """The keys and values of the attention `id`: made by the first call, then kept."""
        if id not in self._fixed:
            k, v = make()
            self._fixed[id] = k.copy(), v.copy()
        return self._fixed[id]


class ContiguousCache(FixedPairs):
    """Each attention's keys and values in one array, with room for more."""

    def __init__(self) -> None:
        super().__init__()
        self._rooms: dict[str, Pair] = {}
        self._used: dict[str, int] = {}

    def extend(self, id: str, k: Array, v: Array) -> Pair:
        """Add the keys and values of new tokens to those of the attention `id`; return all."""
        used = self._used.get(id, 0)
        total = used + k.shape[-2]
        keys, values = self._room(id, k, v, total)
        keys[..., used:total, :], values[..., used:total, :] = k, v
        self._used[id] = total
        return keys[..., :total, :], values[..., :total, :]

    def free(self) -> None:
        """Give up all that it holds: it is empty again."""
        self._fixed, self._rooms, self._used = {}, {}, {}

    def _room(self, id: str, k: Array, v: Array, total: int) -> Pair:
        """Arrays that hold `total` tokens; they double, so that copying stays cheap."""
        old = self._rooms.get(id)
        if old is not None and old[0].shape[-2] >= total:
            return old
        room = max(FIRST_ROOM, total, 2 * old[0].shape[-2] if old else 0)
        new = tuple(np.zeros((*x.shape[:-2], room, x.shape[-1]), x.dtype) for x in (k, v))
        if old is not None:
            for array, before in zip(new, old, strict=True):
                array[..., : before.shape[-2], :] = before
        self._rooms[id] = (new[0], new[1])
        return self._rooms[id]
