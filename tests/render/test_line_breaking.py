"""Lines break between words, and in scripts without spaces between characters."""

from __future__ import annotations

import time
from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from attnviz.render.line_breaking import fill, wrapped
from attnviz.render.terminal.screen import Screen
from attnviz.render.terminal.text import wrap

MIXED = st.text("我看见一把锯子，。：（）「」ab-q1·², \u0301\u200d👩한ー", max_size=60)


@given(text=MIXED, width=st.integers(2, 30))
@example(text="\u200d\u200d111", width=2)
def test_nothing_is_lost_and_no_line_is_too_long(text, width):
    lines = fill(text.split(" "), width)
    assert all(cell_len(" ".join(word for _, word in line)) <= width for line in lines)
    pieces = [piece for line in lines for piece in line]
    split = {
        n: "".join(w for _, w in same) for n, same in groupby(pieces, key=lambda piece: piece[0])
    }
    for number, word in enumerate(text.split(" ")):
        assert split.get(number, "") == word


@given(text=st.text("注意力权重", min_size=1), width=st.integers(2, 30))
def test_lines_without_spaces_are_full(text, width):
    *full, last = wrapped(text, width)
    assert {len(line) for line in full} <= {width // 2}
    assert 0 < len(last) <= width // 2


@given(text=MIXED)
def test_what_fits_is_one_line(text):
    assert wrapped(text, max(1, cell_len(text))) == [text.lstrip(" ")]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("注意力权重", 4, ["注意", "力权", "重"]),
        ("注意力权重", 5, ["注意", "力权", "重"]),
        ("我看见，了。", 6, ["我看", "见，", "了。"]),
        ("（缩放）点积", 6, ["（缩", "放）点", "积"]),
        ("除以 √d_k 之后", 9, ["除以 √d_k", "之后"]),
        ("q·k 的方差是 d_k", 10, ["q·k 的方差", "是 d_k"]),
        ("用softmax求权重", 8, ["用", "softmax", "求权重"]),
        ("two words", 5, ["two", "words"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("", 5, [""]),
    ],
)
def test_where_lines_break(text, width, lines):
    assert wrapped(text, width) == lines


def test_marks_stay_with_what_they_stand_on():
    for text in ("我e\u0301我", "👩\u200d👧👩\u200d👧", "は\u3099は\u3099"):
        for line in wrapped(text, 3):
            assert line[0] not in "\u0301\u200d\u3099"
            assert line[-1] != "\u200d"


def test_the_terminal_cuts_a_word_without_a_place_to_break_and_says_so():
    assert wrap("看abcdefgh见", 5, Screen()) == ["看", "abcd…", "见"]


@pytest.mark.parametrize("letter", ["a", "早", "e\u0301\u0302\u0303"])
def test_a_word_of_many_letters_takes_no_time(letter):
    text = letter * (200_000 // len(letter))
    start = time.monotonic()
    lines = wrapped(text, 60)
    assert time.monotonic() - start < 1
    assert "".join(lines) == text
    assert {cell_len(line) for line in lines[:-1]} == {60}
