"""Two things measured in turn, A B A B …, so that a ratio holds while the machine drifts."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence


def in_turn(
    a: Callable[[], float], b: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Median of A, of B, and of the ratios A/B pair by pair; one round first is not counted."""
    a(), b()
    pairs = [(a(), b()) for _ in range(rounds)]
    return (
        statistics.median(x for x, _ in pairs),
        statistics.median(y for _, y in pairs),
        statistics.median(x / y for x, y in pairs),
    )


def process(command: Sequence[str]) -> Callable[[], float]:
    """Seconds that a whole process takes."""

    def call() -> float:
        start = time.perf_counter()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
        return time.perf_counter() - start

    return call


def timed(function: Callable[[], object]) -> Callable[[], float]:
    """Seconds that a call takes."""

    def call() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return call
