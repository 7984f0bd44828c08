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
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

LARGE = 2_000_000_000
"""Multiplications, about 0.1 s on one thread, from which work may use all cores."""

ENOUGH, ROWS_OF_PART = 200_000_000, 16
"""Multiplications, about 5 ms on one core, from which work is cut into parts; rows in each."""

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""What the user sets to say it; read when NumPy is imported."""

_most: list[int] = []
"""How many large work may use, where a command has begun with one."""

_here = threading.local()
"""The team that this thread belongs to, and how often it has shared something."""


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
    if team_here() is not ONE:
        return 1
    if _most:
        return _most[0]
    said = next((text for text in map(os.environ.get, VARIABLES) if text), "")
    return max(1, int(said)) if said.isdecimal() else _cores()


def parts_of(n_row: int, n_product: int) -> int:
    """Into how many parts work on so many rows is cut, if so many numbers are multiplied: one
    for each core where it is enough work, with ROWS_OF_PART rows or more in each."""
    return 1 if n_product < ENOUGH else max(1, min(n_worker(), n_row // ROWS_OF_PART))


class Team:
    """Threads that each take a part of the same work, in step: all make the same calls."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._barrier = threading.Barrier(n, self._alone)
        self._lock = threading.Lock()
        self._action: Callable[[], object] = lambda: None
        self._shared: dict[int, list[Any]] = {}
        self.over = threading.Event()
        """Set when a thread has failed or was interrupted: nobody waits for the others."""

    def part(self, number: int, n: int) -> slice:
        """Which of `n` things the thread of this number takes."""
        return slice(n * number // self.n, n * (number + 1) // self.n)

    def shared(self, make: Callable[[], T], last: Callable[[T], object] | None = None) -> T:
        """What the first thread that comes here makes, for all; the last one that comes passes it
        on to `last`, and it is forgotten. Nobody waits longer than it takes to make."""
        if self.n == 1:
            value = make()
            if last is not None:
                last(value)
            return value
        call = _here.call = _here.call + 1
        with self._lock:
            entry = self._shared.get(call)
            if entry is None:
                entry = self._shared[call] = [0, make()]
            entry[0] += 1
            value = entry[1]
            if entry[0] == self.n:
                del self._shared[call]
                if last is not None:
                    last(value)
        return value

    def last(self, action: Callable[[], object]) -> None:
        """The last thread that comes here acts; the others have gone on."""
        self.shared(lambda: None, lambda _: action())

    def alone(self, action: Callable[[], object]) -> None:
        """When all threads have come here, one of them acts, with all cores for it; then all go
        on."""
        if self.n == 1:
            action()
            return
        self._action = action
        self._barrier.wait()

    def _alone(self) -> None:
        team, _here.team = _here.team, None
        try:
            self._action()
        finally:
            _here.team = team
            self._action = lambda: None  # what it works on is not held until the next one

    def abort(self) -> None:
        """Nobody waits any more: a thread has failed."""
        self.over.set()
        self._barrier.abort()


class Over(Exception):
    """Another thread failed or was interrupted: nobody waits for this one."""


FOLLOWING = (Over, threading.BrokenBarrierError)
"""What is raised in the threads of a team when another one has failed."""


def leave_if_over() -> None:
    """To be called in long work, now and then.

    Raises:
        Over: its result is of no use any more.
    """
    if any(over.is_set() for over in getattr(_here, "over", ())):
        raise Over


ONE = Team(1)
"""A thread by itself."""


def team_here() -> Team:
    """The team that this thread belongs to."""
    return getattr(_here, "team", None) or ONE


def in_team(n: int, work: Callable[[int, Team], T]) -> list[T]:
    """What `work(number, team)` returns for each of `n` threads, the first of them this one, with
    matrix products of one thread inside.

    NumPy's error state holds in all of them. The first exception is raised when all have ended;
    long work ends where it calls `leave_if_over`.
    """
    if n <= 1:
        return [work(0, ONE)]
    team = Team(n)
    results: dict[int, T] = {}
    errors: list[BaseException] = []
    around: tuple[threading.Event, ...] = getattr(_here, "over", ())

    def run(number: int) -> None:
        before = getattr(_here, "team", None), getattr(_here, "call", 0), around
        _here.team, _here.call, _here.over = team, 0, (*around, team.over)
        try:
            results[number] = work(number, team)
        except BaseException as error:
            errors.append(error)
            team.abort()
        finally:
            _here.team, _here.call, _here.over = before

    with blas_threads(1):
        others = [
            threading.Thread(target=copy_context().run, args=(run, number))
            for number in range(1, n)
        ]
        for thread in others:
            thread.start()
        try:
            run(0)
            for thread in others:
                thread.join()
        except BaseException as error:  # an interrupt while it waited
            errors.append(error)
            team.abort()
        finally:
            for thread in others:
                thread.join()
    if errors:
        own = [error for error in errors if not isinstance(error, FOLLOWING)]
        raise (own or errors)[0]
    return [results[number] for number in range(n)]


def in_parallel(tasks: Iterable[Callable[[], T]]) -> list[T]:
    """What the tasks return, in their order. They run on all cores, the next one wherever a core
    is free, each with matrix products of one thread; inside a task one after another.

    The first exception of a task is raised when those that had begun have ended; the others do
    not begin.
    """
    tasks = list(tasks)
    n = min(n_worker(), len(tasks))
    if n <= 1:
        return [task() for task in tasks]
    waiting = deque(enumerate(tasks))
    results: dict[int, T] = {}

    def work(_number: int, _team: Team) -> None:
        while waiting:
            try:
                number, task = waiting.popleft()
            except IndexError:  # another thread was faster
                break
            try:
                results[number] = task()
            except BaseException:
                waiting.clear()
                raise

    in_team(n, work)
    return [results[number] for number in range(len(tasks))]


@contextlib.contextmanager
def suited_to(n_product: int) -> Iterator[None]:
    """Matrix products of one thread inside, if fewer than LARGE numbers are multiplied; else of as
    many as are meant. Inside a task nothing is changed."""
    small = n_product < LARGE
    holds = small if _most else not small
    if holds or team_here() is not ONE:
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
