"""Tables on a screen."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from attnviz.views.kinds import Table, verdicts
from tests.render.terminal.drawing import drawn, plain


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_short_table_never_drops_a_column(width):
    columns = tuple(f"column x{i}" for i in range(13))
    words = drawn([Table("t", columns, (tuple(float(i) for i in range(13)),))], width).split()
    assert {f"x{i}" for i in range(13)} <= set(words)


def test_a_long_table_says_which_columns_it_leaves_out():
    columns = tuple(f"x{i}" for i in range(13))
    rows = tuple((i, *(1000.5 + j for j in range(12))) for i in range(29))
    text = drawn([Table("t", columns, rows, importance=(0, 12))], 60)
    shown = text.splitlines()[1].split()
    assert shown[:: len(shown) - 1] == ["x0", "x12"]
    note = " ".join(text[text.index("columns left out") - 8 :].split())
    missing = [name for name in columns if name not in shown]
    assert note.startswith(f"{len(missing)} of 13 columns left out: {', '.join(missing)}; ")
    width = int(note.partition("--width ")[2].split()[0])
    assert "left out" not in drawn([Table("t", columns, rows)], width)
    assert "left out" in drawn([Table("t", columns, rows)], width - 1)


def test_points_stand_below_one_another():
    rows = tuple((name, value) for name, value in zip("abcd", (12.5, 0, -0.25, 3.75), strict=True))
    lines = drawn([Table("t", ("name", "x"), rows)]).splitlines()[3:]
    assert [line.split()[1] for line in lines] == ["12.50", "0", "-0.25", "3.75"]
    assert {line.find(".") for line in lines if "." in line} == {lines[0].index(".")}
    assert lines[1].index("0") == lines[0].index(".") - 1


def test_heads_wrap_between_words_and_stand_above_their_numbers():
    table = Table("t", ("head", "previous token", "next"), (("L0.H0", 0.5, 0.25),) * 3)
    narrow = drawn([table], 22).splitlines()
    assert narrow[1].split() == ["previous"]
    assert narrow[2].split() == ["head", "token", "next"]
    assert len(drawn([table], 40).splitlines()) == len(narrow) - 1


def test_a_light_rule_between_groups():
    table = Table("t", ("name", "n"), (("a", 1), ("b", 2), ("all", 3)), groups=(2,))
    lines = drawn([table]).splitlines()
    assert [set(line) for line in (lines[2], lines[5])] == [{"─"}, {"╌"}]
    ascii = drawn([table], unicode=False).splitlines()
    assert [set(line) for line in (ascii[2], ascii[5])] == [{"-"}, {"-"}]


def test_a_verdict_has_a_colour_where_there_are_any():
    table = Table("t", ("claim", "holds"), (("a", "yes"), ("b", "NO")),
                  tones=verdicts(1, (True, False)))  # fmt: skip
    assert "\x1b" not in drawn([table])
    colour = drawn([table], depth=16)
    assert "\x1b[32myes" in colour
    assert "\x1b[1;31mNO" in colour
    assert plain(colour).split() == drawn([table]).split()


@pytest.mark.parametrize(
    "token", ["[red]", "[/INST]", "[bold]x[/bold]", "[link=x]", "\\[", ":smile:"]
)
def test_no_text_is_markup(token):
    lines = drawn([Table(token, (token,), ((token,),), (token,))]).splitlines()
    assert [lines[i] for i in (0, 1, 3, 4)] == [token] * 4


def test_wide_and_combining_characters_keep_the_columns():
    rows = tuple((name, 1) for name in ("注意力", "e\u0301te\u0301", "plain", "שלום"))
    lines = drawn([Table("t", ("token", "n"), rows)]).splitlines()[3:]
    assert {cell_len(line) for line in lines} == {9}


def test_long_tables_say_so():
    table = Table("t", ("a",), tuple((i,) for i in range(100)))
    assert "60 of 100 rows shown" in drawn([table])


def test_numbers_stand_at_the_right_and_words_at_the_left():
    table = Table("t", ("name", "n"), (("a", 5), ("long one", 1234)))
    assert drawn([table]).splitlines() == [
        "t",
        "name         n",
        "──────────────",
        "a            5",
        "long one  1234",
    ]


def test_columns_that_do_not_fit_go_below_with_the_first_again():
    table = Table("t", ("id", *(f"number {i}" for i in range(6))), ((7, *range(10, 16)),))
    lines = drawn([table], 40).splitlines()
    heads = [line for line in lines if line.lstrip().startswith("id")]
    assert len(heads) == 2
    assert " ".join(lines).split().count("number") == 6
    assert [line.split()[0] for line in lines if line.split() and line.split()[0].isdigit()] == [
        "7"
    ] * 2


def test_what_names_a_row_stands_in_every_group():
    rows = tuple((name, n, 1234567.5, 7654321.5) for name in ("dot", "add") for n in (4, 16))
    table = Table("t", ("score", "d_k", "one number", "another one"), rows)
    lines = drawn([table], 24).splitlines()
    for name, n in (("dot", 4), ("dot", 16), ("add", 4), ("add", 16)):
        assert sum(line.split()[:2] == [name, str(n)] for line in lines) == 2


def test_words_wrap_and_numbers_never_do():
    table = Table("t", ("what", "n", "m"), ((" ".join(["word"] * 30), 123456789, 5),))
    lines = drawn([table], 40).splitlines()
    assert lines[1].split() == ["what", "n", "m"]  # narrow words leave the others their room
    assert sum(line.count("word") for line in lines) == 30
    assert sum("123456789" in line for line in lines) == 1
    assert max(map(len, lines)) <= 40
