"""A bar, after a second, where somebody sees it."""

from __future__ import annotations

import io
import sys
import time

from attnviz.cli.progress import progress


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
