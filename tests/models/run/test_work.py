"""How much there is to compute, against what the tiles hold; and progress that follows it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.models.run.work import Counted, count_work
from attnviz.nn.multi_head import RecordNothing
from attnviz.nn.streaming import TILE
from attnviz.trace.summary import SummaryPlan

N = 401
STACK = "layers=3,heads=7,d_model=14,d_ff=0"


@pytest.mark.parametrize("mask", ["none", "causal", "window:size=50", "causal+window:size=50"])
def test_the_weights_between_the_keys_that_rows_see(mask):
    """Rows come in tiles; none of them needs the keys that none of them sees."""
    model = load_model(f"random:{STACK},mask={mask}")
    expected = 0
    for first in range(0, N, TILE.high):
        rows = range(first, min(first + TILE.high, N))
        keys = [
            key for key in range(N) for row in rows
            if (key <= row or "causal" not in mask) and (abs(key - row) < 50 or "window" not in mask)
        ]  # fmt: skip
        expected += len(rows) * (max(keys) - min(keys) + 1)
    linear = N * 4 * 14 * 14 // 64
    assert count_work(model, {"source": range(N)}) == pytest.approx(
        [7 * expected + linear] * 3, rel=0.01
    )


def test_what_cross_attention_sees():
    model = load_model("random:kind=encoder-decoder,layers=1,heads=3,d_model=12,d_ff=0")
    encoder, decoder, cross = count_work(model, {"source": range(1009), "target": range(11)})
    assert encoder == pytest.approx(3 * 1009 * 1009, rel=0.01)
    assert decoder == 3 * 11 * 11 + 11 * (8 * 12 * 12 // 2 // 64)
    assert cross == pytest.approx(3 * 11 * 1009, rel=0.01)


def progress_of(memory):
    model = load_model(f"random:{STACK},mask=causal")
    prepared = prepare(
        model, "saw " * N, memory=memory, summaries=lambda streams: SummaryPlan(map_size=8)
    )
    seen = []
    forward(prepared, progress=lambda done, total: seen.append((done, total)))
    return seen


def test_progress_moves_with_every_tile_and_never_back():
    done, totals = zip(*progress_of(memory=1), strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert len(set(done)) > 3 * 7 * (N // TILE.high)
    assert 0.98 * totals[0] < done[-1] <= totals[0]
    assert max(np.diff(done)) < totals[0] / 10


def test_progress_moves_with_every_attention_that_is_kept():
    done, totals = zip(*progress_of(memory=10**9), strict=True)
    assert done == (0, totals[0] // 3, 2 * (totals[0] // 3))


def test_many_threads_count_together():
    seen = []
    counted = Counted(RecordNothing(), [10**6], lambda done, total: seen.append(done))
    (site,) = load_model("random:layers=1").transformer.sites()
    counted.open(site)

    def count():
        for _ in range(5000):
            counted.add(20)

    threads = [threading.Thread(target=count) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen[-1] == 7 * 5000 * 20
    assert seen == sorted(seen)
