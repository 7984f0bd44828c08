"""Processes that tally chunks, and the order in which their results come back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

from attnviz.errors import AttnvizError
from attnviz.scan.corpus import Chunk
from attnviz.scan.tally import Job, Tally, tally

IN_FLIGHT = 2
"""Chunks that are read ahead for each worker."""

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Result(Protocol):
    """What will come of a chunk."""

    def result(self) -> Tally: ...


class Crew(NamedTuple):
    """Who tallies chunks."""

    submit: Callable[[Chunk], Result]
    n_worker: int


def in_order(crew: Crew, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Tally]]:
    """Every chunk with its tally, in the order of the corpus, whoever is done first.

    So many chunks are read ahead as keep the crew busy. If the corpus cannot be read on, what was
    read before comes first, then the error.
    """
    pending: deque[tuple[Chunk, Result]] = deque()
    reader = iter(chunks)
    failure: AttnvizError | None = None
    while True:
        try:
            chunk = next(reader, None)
        except AttnvizError as error:
            chunk, failure = None, error
        if chunk is None:
            break
        pending.append((chunk, crew.submit(chunk)))
        if len(pending) >= IN_FLIGHT * crew.n_worker:
            done, result = pending.popleft()
            yield done, result.result()
    for done, result in pending:
        yield done, result.result()
    if failure is not None:
        raise failure


@contextlib.contextmanager
def processes(job: Job, n_worker: int) -> Iterator[Crew]:
    """Processes on this machine, each with one thread and a model of its own.

    They end with this one, however it ends: each waits for the far end of a pipe to close.
    """
    job = job._replace(sharing=n_worker)
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with _one_thread_each():
        pool = ProcessPoolExecutor(n_worker, context, _start, (reader,))
        try:
            yield Crew(lambda chunk: pool.submit(_tally, job, chunk), n_worker)
            pool.shutdown()
        except BrokenProcessPool as error:
            raise AttnvizError(
                "a worker process has died; the system ends those that need too much memory",
                "fewer --workers, or a smaller --longest; --resume goes on from what is counted",
            ) from error
        finally:
            writer.close()
            pool.shutdown(cancel_futures=True)
            reader.close()


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within compute with one thread: the number of threads is read when NumPy
    is imported, and together they would be more than there are cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(lifeline: Connection) -> None:
    """In a new process: leave when the lifeline breaks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    threading.Thread(target=_leave_with, args=(lifeline,), daemon=True).start()


_leaving, _computing = threading.Lock(), threading.Event()

GRACE = 0.5
"""Seconds in which a result that is being sent has surely arrived."""


def _tally(job: Job, chunk: Chunk) -> Tally:
    _computing.set()
    try:
        return tally(job, chunk)
    finally:
        with _leaving:  # who leaves lets nothing more be sent
            _computing.clear()


def _leave_with(lifeline: Connection) -> None:
    """End this process when the lifeline breaks, but not with half a result in the pipe: the far
    end would wait for the other half."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    with _leaving:
        if not _computing.is_set():
            time.sleep(GRACE)
        os._exit(1)
