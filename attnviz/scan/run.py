"""A scan from its first chunk to its last, with its state kept on the way."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

from attnviz.errors import AttnvizError
from attnviz.scan.corpus import Chunk
from attnviz.scan.state import State
from attnviz.scan.workers import Crew, in_order

SAVING = 0.02
"""The share of the time that goes into saving, at most."""


def run(
    state: State,
    chunks: Iterable[Chunk],
    crew: Crew,
    save: Callable[[State], None],
    progress: Callable[[State, Chunk], None],
) -> State:
    """The state after all chunks.

    It is saved on the way and at the end, whatever the end is.
    """
    saved, due = state, 0.0
    try:
        for chunk, tally in in_order(crew, chunks):
            state = state.plus(chunk, tally)
            progress(state, chunk)
            start = time.monotonic()
            if start >= due:
                save(state)
                saved, end = state, time.monotonic()
                due = end + (end - start) / SAVING
    except BaseException:
        if state is not saved:
            with contextlib.suppress(AttnvizError):  # what ended the scan is what is to be told
                save(state)
        raise
    if state is not saved:
        save(state)
    return state
