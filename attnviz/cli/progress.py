"""A bar on stderr for work that takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from attnviz.cli.quiet import QUIET

PATIENCE = 1.0

ENOUGH = 0.5
"""Seconds of work from which it can be told how long the rest takes."""

LONG = 4.0
"""Seconds of work that are announced."""


@contextlib.contextmanager
def progress(
    what: str, patience: float | None = None, unit: str | None = None
) -> Iterator[Callable[[int, int], None] | None]:
    """Yields `update(done, total)`; None where nobody would see a bar.

    The bar appears after `PATIENCE` seconds, also where the first step takes longer than that; with
    a `patience` of its own, with the first update after so many seconds. With a `unit` it says how
    many of them are done in a second. A total of 0 is unknown.
    """
    if not sys.stderr.isatty() or QUIET.get():
        yield None
        return
    start = time.monotonic()
    bar: Any = None
    task: Any = None
    ended = False
    lock = threading.Lock()

    def show() -> None:
        nonlocal bar, task
        with lock:
            if bar is None and not ended:
                bar = _bar(unit)
                task = bar.add_task(what, total=None, speed="0")
                bar.start()

    def update(done: int, total: int) -> None:
        waits = PATIENCE if patience is None else patience
        if bar is None and time.monotonic() - start >= waits:
            show()
        if bar is not None:
            speed = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, total=total or None, speed=f"{speed:.0f}")

    timer = threading.Timer(PATIENCE, show)
    timer.daemon = True
    if patience is None:
        timer.start()
    try:
        yield update
    finally:
        timer.cancel()
        with lock:
            ended = True
        if bar is not None:
            bar.stop()


def estimating(
    update: Callable[[int, int], None] | None, say: Callable[[float], None]
) -> Callable[[int, int], None]:
    """Passes on to `update`, and once enough is done to tell, says how many seconds all of it will
    take, if these are many."""
    start = time.monotonic()
    first: tuple[float, int] | None = None  # what comes before any step is done tells nothing
    told = False

    def updated(done: int, total: int) -> None:
        nonlocal told, first
        now = time.monotonic()
        if first is None and done:
            first = now, done
        elif first is not None and not told and now - first[0] >= ENOUGH and done > first[1]:
            told = True
            seconds = now - start + (total - done) * (now - first[0]) / (done - first[1])
            if seconds >= LONG:
                say(seconds)
        if update is not None:
            update(done, total)

    return updated


def in_words(seconds: float) -> str:
    """`40 s`, `2 min`, `1.5 h`: no more exact than an estimate is."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s" if seconds >= 10 else f"{seconds:.0f} s"
    if seconds < 55 * 60:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h"


def _bar(unit: str | None) -> Any:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    speed = [] if unit is None else [TextColumn(f"{{task.fields[speed]}} {unit}/s")]
    columns = (*Progress.get_default_columns(), *speed)
    return Progress(*columns, console=Console(stderr=True), transient=True)
