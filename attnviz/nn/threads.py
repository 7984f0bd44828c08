"""How many threads matrix products use.

Threads that wait for one another cost small products more than they gain, and where the machine is
shared very much more: with two cores busy, 1.2 million multiplications took 0.2 ms with one thread
and 7 ms, often 60, with two.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, MutableMapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

LARGE = 2_000_000_000
"""Multiplications, about 0.1 s on one thread, from which work may use all cores."""

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""What the user sets to say it; read when NumPy is imported."""

_most: list[int] = []
"""How many large work may use, where a command has begun with one."""


class _Library(NamedTuple):
    """The functions of NumPy's own OpenBLAS."""

    read: Callable[[], int]
    set_count: Callable[[int], None]


def begin_with_one(environment: MutableMapping[str, str] = os.environ) -> None:
    """One thread for all but large work, in a process that has not imported NumPy yet; what the
    user has set holds."""
    if not any(environment.get(name) for name in VARIABLES):
        environment[VARIABLES[0]] = "1"
        _most[:] = [_cores()]


@contextlib.contextmanager
def suited_to(n_product: int) -> Iterator[None]:
    """One thread inside, if fewer than LARGE numbers are multiplied; else as many as are meant.

    Of another library than NumPy's own OpenBLAS nothing is known, and nothing changed.
    """
    library = _library()
    if library is None:
        yield
        return
    before = library.read()
    wanted = 1 if n_product < LARGE else max([before, *_most])
    if wanted == before:
        yield
        return
    library.set_count(wanted)
    try:
        yield
    finally:
        library.set_count(before)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _library() -> _Library | None:
    """The library that a wheel of NumPy brings with it; None of another build."""
    import ctypes

    import numpy as np

    folder = Path(np.__file__).parent
    for place in (folder.with_name("numpy.libs"), folder / ".dylibs"):
        for path in sorted(place.glob("*openblas*")):
            try:
                loaded = ctypes.CDLL(str(path))
            except OSError:
                continue
            for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
                if hasattr(loaded, name.format("get")):
                    return _Library(*(getattr(loaded, name.format(x)) for x in ("get", "set")))
    return None
