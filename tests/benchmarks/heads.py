"""`attnviz heads` on long texts, against the same streamed forward pass without any metrics.

    python -m tests.benchmarks.heads

One layer of 12 heads, d_model 384, random weights; texts of words as frequent as in English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tests.benchmarks.pairs import apart, in_turn
from tests.benchmarks.table import Row, limit, run_alone

MODEL = "random:layers=1,heads=12,d_model=384"
LENGTHS, LONG = (2048, 4096), 16_384
N_WORD = 3000


def text(n: int) -> str:
    frequency = 1 / np.arange(1, N_WORD + 1)  # Zipf's law
    words = np.random.default_rng(0).choice(N_WORD, n, p=frequency / frequency.sum())
    return " ".join(f"w{word}" for word in words)


def heads(n: int, measures: bool = True) -> Callable[[], object]:
    """All that the command does to a text before it shows anything."""
    from attnviz import load_model
    from attnviz.analysis.checks import findings
    from attnviz.analysis.metrics.measure import measure_heads
    from attnviz.analysis.metrics.statistics import head_statistics
    from attnviz.analysis.metrics.values import output_weights
    from attnviz.models.run.forward import forward
    from attnviz.models.run.prepare import prepare
    from attnviz.trace.summary import SummaryPlan

    model, words = load_model(MODEL), text(n)
    outputs = output_weights(model.transformer)

    def call() -> object:
        prepared = prepare(model, words, memory=1 << 29, summaries=lambda _: SummaryPlan(1, 0))
        statistics = head_statistics(prepared.streams, outputs) if measures else None
        trace = forward(replace(prepared, summaries=SummaryPlan(1, 0, statistics=statistics)))
        return (measure_heads(trace), findings(trace)) if measures else None

    return call


def rows() -> Iterator[Row]:
    for n in LENGTHS:
        pair = in_turn(apart(heads, n), apart(heads, n, False), rounds=3)
        yield pair.time(f"heads of {n} tokens", "forward pass", 2)
    cost = apart(heads, LONG, warm=0)()
    yield limit(f"heads of {LONG} tokens", cost.seconds, 60)
    yield limit(f"heads of {LONG} tokens: memory", cost.mb, 600, "MB")


if __name__ == "__main__":
    run_alone(rows)
