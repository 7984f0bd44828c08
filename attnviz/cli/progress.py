"""A bar on stderr for work that takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 1.0


@contextlib.contextmanager
def progress(
    what: str, patience: float | None = None
) -> Iterator[Callable[[int, int], None] | None]:
    """Yields `update(done, total)`; None where nobody would see a bar.

    The bar appears with the first update after `patience` seconds, by default `PATIENCE`.
    """
    if not sys.stderr.isatty():
        yield None
        return
    start = time.monotonic()
    bar: Any = None
    task: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar, task
        waits = PATIENCE if patience is None else patience
        if bar is None and time.monotonic() - start >= waits:
            from rich.console import Console
            from rich.progress import Progress

            bar = Progress(console=Console(stderr=True), transient=True)
            bar.start()
            task = bar.add_task(what, total=total)
        if bar is not None:
            bar.update(task, completed=done)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()
