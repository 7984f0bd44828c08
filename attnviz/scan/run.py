"""A scan from its first chunk to its last, with its state kept on the way: what `attnviz scan`
runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.scan import state as states
from attnviz.scan.corpus import Chunk, Corpus, chunks
from attnviz.scan.measure import heads_of
from attnviz.scan.result import ScanResult, check_result, head_table
from attnviz.scan.state import State
from attnviz.scan.tally import Job
from attnviz.scan.workers import Crew, in_order, processes
from attnviz.trace.record import ModelFacts

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

    It is saved on the way and at the end, whatever the end is, if anything was measured: what a
    corpus without a text leaves would only stand in the way of the right one.
    """
    saved, due = state, 0.0
    try:
        for chunk, tally in in_order(crew, chunks):
            state = state.plus(chunk, tally)
            progress(state, chunk)
            start = time.monotonic()
            if start >= due and state.n_measured:
                save(state)
                saved, end = state, time.monotonic()
                due = end + (end - start) / SAVING
    except BaseException:
        if state is not saved and state.n_measured:
            with contextlib.suppress(AttnvizError):  # what ended the scan is what is to be told
                save(state)
        raise
    if state is not saved and state.n_measured:
        save(state)
    return state


@dataclass(frozen=True)
class Scan:
    """A scan of a corpus with one model."""

    model: Model
    facts: ModelFacts
    job: Job
    state_file: Path | None = None
    """Where its state is kept, so that it can be resumed."""

    def identity(self, corpus: Corpus) -> dict[str, Any]:
        """What a state has to share with this scan."""
        return states.identity(self.facts, self.job.max_length, corpus.field)

    def begin(self, resume: bool, corpus: Corpus) -> State:
        """The state that was kept, or nothing."""
        start = states.beginning(len(heads_of(self.model.transformer)[0]), self.job.max_length)
        if resume and self.state_file is not None and self.state_file.exists():
            return states.load(self.state_file, self.identity(corpus), start)
        return start

    def remaining(self, state: State, corpus: Corpus) -> Iterator[Chunk]:
        """What was not yet counted."""
        every = chunks(corpus)
        return every if self.state_file is None else states.remaining(self.state_file, state, every)

    def count(
        self,
        state: State,
        corpus: Corpus,
        remaining: Iterable[Chunk],
        crew: Crew,
        progress: Callable[[int, int], None] | None = None,
    ) -> State:
        """The state with all that remains; `progress(texts_done, texts)` is told an estimate."""
        start, identity = state.tally.counts.texts, self.identity(corpus)

        def save(state: State) -> None:
            if self.state_file is not None:
                states.save(self.state_file, state, identity)

        def report(state: State, chunk: Chunk) -> None:
            if progress is not None:
                texts = state.tally.counts.texts
                total = texts * corpus.size // chunk.position if chunk.position else 0
                progress(texts - start, max(0, total - start))

        return run(state, remaining, crew, save, report)

    def result(self, state: State, corpus: str) -> ScanResult:
        """What was found in the corpus of this name.

        Raises:
            AttnvizError: nothing of it was measured.
        """
        check_result(state, corpus, self.model)
        ids, heads = heads_of(self.model.transformer)
        table = head_table(state, ids, heads, self.job.max_length)
        return ScanResult(state, table, self.facts, self.job.max_length)


@contextlib.contextmanager
def crew_of(scan: Scan, workers: int | None = None, dask: str | None = None) -> Iterator[Crew]:
    """Processes on this machine, one for each core if not said otherwise, or the workers of the
    Dask scheduler at the address `dask`."""
    if dask is not None:
        from attnviz.scan.cluster import cluster

        with cluster(dask, scan.job._replace(sha256=scan.facts.sha256)) as crew:
            yield crew
        return
    with processes(scan.job, workers or os.cpu_count() or 1) as crew:
        yield crew
