"""The shortest of several times."""

from __future__ import annotations

import time

from attnviz.analysis.timing import FEWEST, least_times


def work(seconds):
    start = time.thread_time()
    while time.thread_time() - start < seconds:
        pass


def test_what_takes_longer_takes_longer():
    """The first call of each is slower than the others."""
    calls = []

    def run(seconds):
        calls.append(seconds)
        work(seconds if calls.count(seconds) > 1 else 0.05)

    least = least_times(run, [0.001, 0.01], seconds=0)
    assert 0.001 <= least[0] < 0.01 <= least[1] < 0.05
    assert calls == [0.001, 0.01] * FEWEST


def test_waiting_is_no_work():
    assert least_times(time.sleep, [0.02], seconds=0)[0] < 0.01
