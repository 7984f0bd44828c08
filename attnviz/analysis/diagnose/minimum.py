"""Where a function of one number is least."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

GOLDEN = (math.sqrt(5) - 1) / 2


def minimum(
    function: Callable[[float], float], low: float, high: float, *, steps: int, sections: int
) -> float:
    """On a grid of so many `steps`, then by golden `sections` around its best point, each of which
    leaves .618 of what was left."""
    grid = np.linspace(low, high, steps)
    best = int(np.argmin([function(float(x)) for x in grid]))
    left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, steps - 1)])
    for _ in range(sections):
        a, b = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        if function(a) < function(b):
            right = b
        else:
            left = a
    return (left + right) / 2
