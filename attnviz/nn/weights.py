"""Weights that are converted when they are used, so that not all of them are in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from attnviz.nn.threads import ONE, team_here
from attnviz.nn.types import Array


class LazyWeight:
    """A matrix [d_out, d_in] that is made each time it is used, once for all threads of a team,
    unless it was told to stay."""

    def __init__(
        self,
        shape: tuple[int, ...],
        make: Callable[[Array | None], Array],
        converts: bool = True,
    ) -> None:
        """`make(rows)` gives the rows of these numbers; all of them for None. Where it `converts`
        nothing, the matrix takes no memory of its own until it is told to stay."""
        self.shape = shape
        self.converts = converts
        self._make = make
        self._whole: Array | None = None
        self._stays = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._whole
        if whole is None:
            make, team = self._make, team_here()
            if self._stays and team is ONE:  # threads of a team must all make the same calls
                whole = self._whole = laid_out(make(None))
            else:
                whole = team.shared(lambda: make(None)) if self.converts else make(None)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def rows(self, ids: Array) -> Array:
        """[n] -> [n, d_in], without making the others."""
        if self._whole is not None:
            return self._whole[ids]
        return self._make(ids.reshape(-1)).reshape(*ids.shape, *self.shape[1:])

    def stay(self) -> None:
        """Keep the matrix from when it is first used: for many passes with few tokens each. The
        experts of a mixture that no token is sent to are never made."""
        self._stays = True


def laid_out(weight: Array) -> Array:
    """The same matrix [d_out, d_in], in memory as its transpose: products with few or many tokens
    are fastest so."""
    return np.ascontiguousarray(weight.T).T


Weight: TypeAlias = "Array | LazyWeight"


def rows(weight: Weight, ids: Array) -> Array:
    """The rows `ids` of a table: [n] -> [n, d]."""
    selected: Array = weight.rows(ids) if isinstance(weight, LazyWeight) else weight[ids]
    return selected
