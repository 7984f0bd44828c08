"""What lets a head's context through, or puts a constant in its place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array


class Gate(NamedTuple):
    """Contexts [n_head, n_q, d_v] -> the same, as far as the gate of each head is open.

    Source: Michel et al. 2019, section 2.3, whose mask variables ξ the numbers in `opening` are.
    """

    opening: Array
    """[n_head]: 1 leaves a head as it is, 0 takes it out, whatever it holds."""
    instead: Array | None = None
    """[n_head, d_v]: what stands in for as much as is held back; None for zeros."""

    def __call__(self, context: Array) -> Array:
        opening = np.asarray(self.opening, context.dtype)[:, None, None]
        passed: Array = np.where(opening == 0, opening, context) * opening
        if self.instead is None:
            return passed
        passed += (1 - opening) * np.asarray(self.instead, context.dtype)[:, None]
        return passed
