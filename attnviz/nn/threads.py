"""Work on all cores, and how many threads matrix products use.

Threads that wait for one another cost small products more than they gain, and where the machine is
shared very much more: with two cores busy, 1.2 million multiplications took 0.2 ms with one thread
and 7 ms, often 60, with two. Large work is therefore cut into tasks that do not wait for one
another, with matrix products of one thread inside them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextvars import copy_context
from functools import cache
from typing import Protocol, TypeVar

T = TypeVar("T")

LARGE = 2_000_000_000
"""Multiplications, about 0.1 s on one thread, from which work may use all cores."""

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""What the user sets to say it; read when NumPy is imported."""

_most: list[int] = []
"""How many large work may use, where a command has begun with one."""

_here = threading.local()
"""Whether this thread is inside a task."""


class Library(Protocol):
    """A library of matrix products that is loaded."""

    def get_num_threads(self) -> int: ...

    def set_num_threads(self, num_threads: int, /) -> object: ...


def begin_with_one(environment: MutableMapping[str, str] = os.environ) -> None:
    """One thread for all but large work, in a process that has not imported NumPy yet; what the
    user has set holds."""
    if not any(environment.get(name) for name in VARIABLES):
        environment[VARIABLES[0]] = "1"
        _most[:] = [_cores()]


def n_worker() -> int:
    """How many tasks `in_parallel` runs at a time: as many as there are cores for this process, or
    as the user has set; one inside a task."""
    if getattr(_here, "inside", False):
        return 1
    if _most:
        return _most[0]
    said = next((text for text in map(os.environ.get, VARIABLES) if text), "")
    return max(1, int(said)) if said.isdecimal() else _cores()


def in_parallel(tasks: Iterable[Callable[[], T]]) -> list[T]:
    """What the tasks return, in their order. They run on all cores, the next one wherever a core
    is free, each with matrix products of one thread; inside a task one after another.

    NumPy's error state holds inside the tasks. The first exception of a task is raised when those
    that had begun have ended; the others do not begin.
    """
    tasks = list(tasks)
    n = min(n_worker(), len(tasks))
    if n <= 1:
        return [task() for task in tasks]
    waiting = deque(enumerate(tasks))
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def work() -> None:
        _here.inside = True
        try:
            while waiting:
                try:
                    number, task = waiting.popleft()
                except IndexError:  # another thread was faster
                    break
                results[number] = task()
        except BaseException as error:
            errors.append(error)
            waiting.clear()
        finally:
            _here.inside = False

    with blas_threads(1):
        others = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(n - 1)]
        for thread in others:
            thread.start()
        try:
            work()
        finally:
            waiting.clear()
            for thread in others:
                thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(tasks))]


@contextlib.contextmanager
def suited_to(n_product: int) -> Iterator[None]:
    """Matrix products of one thread inside, if fewer than LARGE numbers are multiplied; else of as
    many as are meant. Inside a task nothing is changed."""
    small = n_product < LARGE
    holds = small if _most else not small
    if holds or getattr(_here, "inside", False):
        yield
        return
    with blas_threads(1 if small else _most[0]):
        yield


@contextlib.contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Matrix products of `n` threads inside, of all libraries that were loaded when NumPy's was
    first looked for; of a library that cannot be told (Apple's) nothing is changed."""
    libraries = _libraries()
    before = [library.get_num_threads() for library in libraries]
    if all(count == n for count in before):
        yield
        return
    for library in libraries:
        library.set_num_threads(n)
    try:
        yield
    finally:
        for library, count in zip(libraries, before, strict=True):
            library.set_num_threads(count)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _libraries() -> tuple[Library, ...]:
    from threadpoolctl import ThreadpoolController

    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)
