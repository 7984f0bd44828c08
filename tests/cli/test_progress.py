"""A bar, after a second, where somebody sees it."""

from __future__ import annotations

import io
import sys
import time

import pytest

from attnviz.cli.progress import estimating, in_words, progress


def test_a_bar_appears_after_a_second_only(monkeypatch):
    seen = io.StringIO()
    monkeypatch.setattr(seen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", seen)
    with progress("work") as update:
        update(0, 10)
        assert seen.getvalue() == ""
        monkeypatch.setattr("attnviz.cli.progress.PATIENCE", -1)
        update(1, 10)
        update(10, 10)
    assert "work" in seen.getvalue()


def test_a_bar_appears_where_the_first_step_is_long(monkeypatch):
    seen = io.StringIO()
    monkeypatch.setattr(seen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setattr("attnviz.cli.progress.PATIENCE", 0.01)
    with progress("work"):
        end = time.monotonic() + 20
        while "work" not in seen.getvalue():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_bar_at_once(monkeypatch):
    seen = io.StringIO()
    monkeypatch.setattr(seen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", seen)
    with progress("work", patience=0) as update:
        update(0, 10)
        assert "work" in seen.getvalue()


def test_no_bar_where_nobody_would_see_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress("work") as update:
        assert update is None


def test_long_work_is_announced_once_it_is_known_how_long(monkeypatch):
    """Four seconds of start-up, then 10 of 1000 steps a second: 103 seconds in all."""
    clock = iter([0.0, 4.0, 4.2, 5.2, 6.0, 7.0])
    monkeypatch.setattr("attnviz.cli.progress.time.monotonic", lambda: next(clock))
    said, passed = [], []
    update = estimating(lambda done, total: passed.append(done), said.append)
    for done in (0, 2, 12, 20, 30):
        update(done, 1000)
    assert said == pytest.approx([5.2 + 988 / 10])
    assert passed == [0, 2, 12, 20, 30]


def test_short_work_is_not_announced(monkeypatch):
    clock = iter([0.0, 0.1, 0.8, 0.9])
    monkeypatch.setattr("attnviz.cli.progress.time.monotonic", lambda: next(clock))
    update = estimating(None, pytest.fail)
    for done in (10, 500, 900):
        update(done, 1000)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.4, "4 s"), (12.6, "15 s"), (51, "50 s"), (56, "1 min"), (130, "2 min"), (3400, "0.9 h"),
     (5400, "1.5 h")],
)  # fmt: skip
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
