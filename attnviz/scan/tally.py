"""What a chunk gave, and how chunks add up."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from socket import gethostname
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.registry import Bins
from attnviz.errors import AttnvizError
from attnviz.memory import BUDGET, available_memory
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.nn.types import Array
from attnviz.scan import statistics
from attnviz.scan.corpus import Chunk
from attnviz.scan.measure import Measures, Meter, alone, heads_of
from attnviz.scan.statistics import Statistics
from attnviz.scan.texts import Text, batches, read_line

BATCH_CELLS = 1 << 19
"""Weights of one layer that are measured together: they stay in a processor's cache."""

FOLD_CELLS = 1 << 22
"""Measured values that are kept before they become statistics."""


class Counts(NamedTuple):
    """How a corpus fared."""

    lines: int = 0
    empty: int = 0
    huge: int = 0
    """Skipped lines of more bytes than are read at once."""
    unreadable: int = 0
    """Skipped lines that the model cannot read."""
    windowed: int = 0
    """Lines that were cut into windows."""
    texts: int = 0
    """What was measured: lines and windows."""
    broken: int = 0
    """Texts whose weights are not numbers; they do not enter the statistics."""
    tokens: int = 0
    unknown: int = 0
    """Tokens that stand for what the tokenizer does not know."""

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class Complaint(NamedTuple):
    """Why the first unreadable line was skipped."""

    line: int
    reason: str


class Tally(NamedTuple):
    """What some lines gave."""

    statistics: Statistics
    counts: Counts
    complaint: Complaint | None = None


def merge(a: Tally, b: Tally) -> Tally:
    """Of `a` and then `b`."""
    return Tally(
        statistics.merge(a.statistics, b.statistics),
        a.counts.plus(b.counts),
        a.complaint or b.complaint,
    )


def metric_bins(max_length: int) -> list[Bins | None]:
    """The bins of all metrics on texts of up to so many tokens; None where they follow the data."""
    return [metric.histogram_bins(max_length) for metric in METRICS.values()]


def check_ranges(values: Array) -> None:
    """Raise AttnvizError if a metric has values [n_text, n_metric, n_row] outside its range, for
    which the bins of its histogram are not made."""
    for i, (name, metric) in enumerate(METRICS.items()):
        outside = metric.outside(values[:, i])
        if outside.size:
            low, high = metric.range or (-math.inf, math.inf)
            raise AttnvizError(
                f"the metric {name} is {outside[0]:g} on a text; expected {low:g} to {high:g}",
                "name its range: @METRICS.add(range=(low, high))",
            )


class Worker:
    """Tallies chunks with one model."""

    def __init__(self, model: Model, max_length: int, memory: int = BUDGET) -> None:
        self._model, self._max_length = model, max_length
        self._meter = Meter(model, memory)
        self._bins = metric_bins(max_length)
        n_head = max(site.n_head for site in model.transformer.sites())
        self._capacity = 0 if alone(model.transformer) else BATCH_CELLS // n_head

    def __call__(self, chunk: Chunk) -> Tally:
        texts, counts, complaint = self._read(chunk)
        n_row = len(heads_of(self._model.transformer)[0])
        total = statistics.nothing(self._bins, n_row)
        pending: list[Measures] = []
        n_broken = 0
        for batch in batches(texts, self._capacity):
            pending.append(self._meter(batch))
            if sum(measures.values.size for measures in pending) > FOLD_CELLS:
                total, n_broken = self._folded(total, pending, n_broken)
                pending = []
        total, n_broken = self._folded(total, pending, n_broken)
        return Tally(total, counts._replace(broken=n_broken), complaint)

    def _read(self, chunk: Chunk) -> tuple[list[Text], Counts, Complaint | None]:
        texts: list[Text] = []
        complaint: Complaint | None = None
        n_unreadable = n_windowed = 0
        for number, line in chunk.lines:
            try:
                read = read_line(self._model, line, self._max_length)
            except AttnvizError as error:
                n_unreadable += 1
                complaint = complaint or Complaint(number, error.message)
                continue
            n_windowed += len(read) > 1
            texts += read
        counts = Counts(
            lines=chunk.n_line,
            empty=chunk.n_empty,
            huge=chunk.n_huge,
            unreadable=n_unreadable,
            windowed=n_windowed,
            texts=len(texts),
            tokens=sum(sum(text.lengths) for text in texts),
            unknown=sum(len(t.unknown) for text in texts for t in text.streams.values()),
        )
        return texts, counts, complaint

    def _folded(
        self, total: Statistics, pending: Sequence[Measures], n_broken: int
    ) -> tuple[Statistics, int]:
        if not pending:
            return total, n_broken
        values, nulls, rows = (np.concatenate(parts) for parts in zip(*pending, strict=True))
        broken = (np.isnan(values) & ~np.isnan(nulls)).any((1, 2))
        intact = ~broken
        check_ranges(values[intact])
        measured = statistics.measured(values[intact], nulls[intact], rows[intact], self._bins)
        return statistics.merge(total, measured), n_broken + int(broken.sum())


class Job(NamedTuple):
    """What a process has to know to tally chunks."""

    model: str | None
    changes: tuple[tuple[str, Any], ...]
    max_length: int
    """Tokens of a window."""
    sharing: int = 1
    """How many processes share the memory of a machine."""
    metrics: tuple[tuple[str, str], ...] = ()
    """What is measured, and the modules in which it is registered."""
    memory: int = BUDGET
    """Bytes that the matrices of a machine's processes may take; texts that have larger ones are
    measured tile by tile."""
    sha256: str | None = None
    """What the model's weights must have, where the file may be another one."""


def tally(job: Job, chunk: Chunk) -> Tally:
    """What a chunk gives, in whatever process; the model is loaded once in each."""
    return _worker(job)(chunk)


def check_worker(job: Job) -> None:
    """Raise AttnvizError if this process cannot do the job."""
    _worker(job)


@lru_cache(maxsize=1)
def _worker(job: Job) -> Worker:
    _check_metrics(job)
    model = load_model(job.model, dict(job.changes))
    if job.sha256 is not None and model.fingerprint() != job.sha256:
        raise AttnvizError(
            f"the weights of {job.model} differ on {gethostname()}: expected the SHA-256 "
            f"{job.sha256}, got {model.fingerprint()}",
            "put the same files at the same path on every machine",
        )
    model.keep_weights((available_memory() or 0) // (2 * job.sharing))
    return Worker(model, job.max_length, job.memory // job.sharing)


def registered_metrics() -> tuple[tuple[str, str], ...]:
    """The metrics of this process, for a `Job`."""
    return tuple((name, metric.function.__module__) for name, metric in METRICS.items())


def _check_metrics(job: Job) -> None:
    """Register in this process what was registered elsewhere."""
    for name, module in job.metrics:
        if name not in METRICS:
            with contextlib.suppress(ImportError):
                import_module(module)
    names = [name for name, _ in job.metrics]
    if names and list(METRICS) != names:
        differing = ", ".join(sorted(set(METRICS).symmetric_difference(names)))
        raise AttnvizError(
            f"a worker process on {gethostname()} has other metrics: {differing or 'their order'}",
            "register metrics at the top of a module that the workers can import too",
        )
