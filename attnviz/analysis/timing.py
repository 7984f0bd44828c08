"""How long a computation takes, on a machine that does other things as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attnviz.nn.types import Array

FEWEST = 5

COARSE = 1e-5
"""Of a clock: on some systems a thread's own time goes up every few milliseconds only."""


def least_times(
    function: Callable[[Any], Any], arguments: Sequence[Any], seconds: float = 0.05
) -> Array:
    """For each argument the shortest time of several calls, in seconds of this thread's own work:
    what others take away from a call only makes it longer. The arguments take turns, so that a busy
    moment meets them all, for so many seconds altogether.
    """
    fine = time.get_clock_info("thread_time").resolution < COARSE
    clock = time.thread_time if fine else time.perf_counter
    least = np.full(len(arguments), np.inf)
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < FEWEST or time.perf_counter() < end:
        for place, argument in enumerate(arguments):
            start = clock()
            function(argument)
            least[place] = min(least[place], clock() - start)
        rounds += 1
    return least
