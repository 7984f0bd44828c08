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


def _bar(unit: str | None) -> Any:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    speed = [] if unit is None else [TextColumn(f"{{task.fields[speed]}} {unit}/s")]
    columns = (*Progress.get_default_columns(), *speed)
    return Progress(*columns, console=Console(stderr=True), transient=True)
