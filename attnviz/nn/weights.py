"""Weights that are converted when they are used, so that not all of them are in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from attnviz.nn.types import Array


class LazyWeight:
    """A matrix [d_out, d_in] that is made each time it is used, unless it was told to stay."""

    def __init__(self, shape: tuple[int, ...], make: Callable[[Array | None], Array]) -> None:
        """`make(rows)` gives the rows of these numbers; all of them for None."""
        self.shape = shape
        self._make = make
        self._whole: Array | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._make(None) if self._whole is None else self._whole
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def rows(self, ids: Array) -> Array:
        """[n] -> [n, d_in], without making the others."""
        if self._whole is not None:
            return self._whole[ids]
        return self._make(ids.reshape(-1)).reshape(*ids.shape, *self.shape[1:])

    def stay(self) -> None:
        """Keep the matrix from now on: for many passes with few tokens each."""
        if self._whole is None:
            self._whole = self._make(None)


Weight: TypeAlias = "Array | LazyWeight"


def rows(weight: Weight, ids: Array) -> Array:
    """The rows `ids` of a table: [n] -> [n, d]."""
    selected: Array = weight.rows(ids) if isinstance(weight, LazyWeight) else weight[ids]
    return selected
