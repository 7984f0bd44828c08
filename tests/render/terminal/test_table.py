"""Tables on a screen."""

from __future__ import annotations

from attnviz.views.kinds import Table
from tests.render.terminal.drawing import drawn


def test_tables_never_drop_a_column():
    columns = tuple(f"column number {i}" for i in range(12))
    table = Table("t", columns, (tuple(float(i) for i in range(12)),))
    for width in (40, 80, 200):
        text = " ".join(drawn([table], width).split())
        assert all(name in text for name in columns)


def test_long_tables_say_so():
    table = Table("t", ("a",), tuple((i,) for i in range(100)))
    assert "60 of 100 rows shown" in drawn([table])


def test_numbers_stand_at_the_right_and_words_at_the_left():
    table = Table("t", ("name", "n"), (("a", 5), ("long one", 1234)))
    assert drawn([table]).splitlines() == [
        "t",
        "name         n",
        "a            5",
        "long one  1234",
    ]


def test_columns_that_do_not_fit_go_below_with_the_first_again():
    table = Table("t", ("id", *(f"number {i}" for i in range(6))), ((7, *range(10, 16)),))
    lines = drawn([table], 40).splitlines()
    heads = [line for line in lines if line.lstrip().startswith("id")]
    assert len(heads) == 2
    assert " ".join(heads).split().count("number") == 6
    assert [line.split()[0] for line in lines if line.split() and line.split()[0].isdigit()] == [
        "7"
    ] * 2


def test_words_wrap_and_numbers_never_do():
    table = Table("t", ("what", "n", "m"), ((" ".join(["word"] * 30), 123456789, 5),))
    lines = drawn([table], 40).splitlines()
    assert lines[1].split() == ["what", "n", "m"]  # narrow words leave the others their room
    assert sum(line.count("word") for line in lines) == 30
    assert sum("123456789" in line for line in lines) == 1
    assert max(map(len, lines)) <= 40
