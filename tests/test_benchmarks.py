"""The table of the benchmarks says what was measured, what is over its bound and what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks.pairs import Cost, apart, each_in_turn, in_turn, need, process
from tests.benchmarks.table import HEADINGS, Missing, Row, amount, columns, limit, machine


def test_ratios_are_medians_of_pairs_after_the_warm_up() -> None:
    ours, theirs = iter([99, 1, 4, 3]), iter([1, 2, 2, 2])
    pair = in_turn(lambda: Cost(next(ours), 5), lambda: Cost(next(theirs), 10), rounds=3)
    assert pair.time("x", "y") == Row("x", 3, 2, "y", 1.5)
    assert pair.memory("x", "y", 0.4) == Row("x: memory", 5, 10, "y", 0.5, 0.4, "MB")


def allocating(n_mb: int, seconds: float) -> Callable[[], object]:
    def call() -> object:
        time.sleep(seconds)
        return b"x" * (n_mb * 1_000_000)

    return call


def test_calls_in_processes_of_their_own_tell_their_seconds_and_memory() -> None:
    cost = apart(allocating, 83, 0.05, warm=0)()
    assert 0.05 <= cost.seconds < 1
    assert 80 < cost.mb < 100


def test_whole_processes_are_measured_and_must_succeed() -> None:
    import sys

    cost = process([sys.executable, "-c", "x = b'x' * 83_000_000"])()
    assert 0 < cost.seconds < 10
    assert 83 < cost.mb < 150
    with pytest.raises(RuntimeError, match="here is why"):
        process([sys.executable, "-c", "import sys; sys.exit('here is why')"])()


def test_calls_by_name_are_paired_by_name() -> None:
    found = each_in_turn(
        lambda: {"a": Cost(1, 1), "b": Cost(6, 1)}, lambda: {"a": Cost(2, 1), "b": Cost(2, 1)}, 3
    )
    assert {name: pair.ratio.seconds for name, pair in found.items()} == {"a": 0.5, "b": 3}


def test_a_row_says_whether_it_is_over_its_bound() -> None:
    within, over = Row("x", 0.5, 1, "y", 0.5, 0.6), Row("x", 0.5, 1, "y", 0.61, 0.6)
    assert (within.over, over.over, Row("x", 1).over) == (False, True, False)
    assert within.line().split() == ["x", "500", "ms", "1.00", "s", "y", "0.50", "0.6", "ok"]
    assert over.line().endswith("over")
    assert over.markdown() == "| x | 500 ms | 1.00 s y | 0.61 | 0.6 | over |"
    assert Row("x", note="why").markdown() == "| x | not measured: why |  |  |  |  |"
    assert limit("x", 380, 400, "MB").cells()[1:] == ("380 MB", "400 MB limit", "0.95", "1", "ok")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.0412, "s", "41.2 ms"),
        (21.4, "s", "21.4 s"),
        (6410, "MB", "6.41 GB"),
        (136.4, "MB", "136 MB"),
        (1.25, "", "1.25"),
        (2.3e-6, "", "2.3e-06"),
    ],
)
def test_amounts_have_three_digits(number: float, unit: str, text: str) -> None:
    assert amount(number, unit) == text


def test_what_is_missing_is_a_row_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Missing, match="pip install nowhere-at-all"):
        need("json", "nowhere-at-all")
    monkeypatch.setattr("tests.benchmarks.pairs.CACHE", command.Path("nowhere"))
    rows = list(command.measured("checkpoint"))
    assert [row.ours for row in rows] == [None]
    assert "pip install" in rows[0].line()


def test_the_command_knows_its_modules_and_the_machine() -> None:
    assert {"startup", "figure", "checkpoint"} <= set(command.names())
    assert not {"pairs", "table", "__main__"} & set(command.names())
    assert machine()["cores"]
    assert len(columns(HEADINGS)) < 120
