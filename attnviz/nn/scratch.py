"""Memory that is used again: fresh memory costs the system a page fault every 4 KiB."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.nn.types import Array


class Scratch:
    """Arrays by name, for intermediate results that nobody keeps. Of one forward pass."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of this shape, holding whatever it last held."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._arrays[name] = np.empty(shape, dtype)
        return array
