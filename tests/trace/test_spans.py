"""Rows and keys as people ask for them."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.tokens import Tokens
from attnviz.trace.spans import Zoom, parse_span, span_text

TOKENS = Tokens.of(
    ["[CLS]", "a", "b", "c", "d", "e", "f", "g", "h", "[SEP]", "i"], special=(0, 9), generated=(10,)
)


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("3", [3]),
        ("-1", [10]),
        ("4-6", [4, 5, 6]),
        ("8-", [8, 9, 10]),
        ("-3-", [8, 9, 10]),
        ("-3--2", [8, 9]),
        ("5,1-2, 2", [1, 2, 5]),
        ("last", [10]),
        ("special", [0, 9]),
        ("generated,0", [0, 10]),
        ("^special", [1, 2, 3, 4, 5, 6, 7, 8, 10]),
        ("^special,2-8", [1, 10]),
        ("prompt,^3-", [1, 2]),
    ],
)
def test_positions(text, positions):
    assert parse_span(text, "--rows").positions(TOKENS).tolist() == positions


@pytest.mark.parametrize("text", ["", " ", ",", "^", "a b!", "1:3", "1..3", "--", "1--", "^^3"])
def test_what_cannot_be_read(text):
    with pytest.raises(AttnvizError, match="--keys: cannot read") as caught:
        parse_span(text, "--keys")
    parse_span(caught.value.hint.partition("example ")[2].partition(",")[0], "--keys")


def test_a_number_is_no_text():
    with pytest.raises(AttnvizError, match="rows: expected a string, got -1"):
        parse_span(-1, "rows")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("11", "there is no position 11, of 11 tokens", "from 0 to 10"),
        ("-12", "there is no position -12", "back from -1"),
        ("4-11", "no position 11", "from 0 to 10"),
        ("9999999999999", "no position 9999999999999", "from 0"),
        ("6-4", "6-4 ends before it begins", "--rows 4-6"),
        ("-1-3", "ends before it begins", "--rows 3-10"),
        ("system", "this text has no part 'system'", "last, special, generated, prompt"),
        ("^0-", "none of the 11 tokens is left", "--rows"),
    ],
)
def test_what_this_text_has_not(text, message, hint):
    with pytest.raises(AttnvizError) as caught:
        parse_span(text, "--rows").positions(TOKENS)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"--rows {text}: ")
    assert hint in caught.value.hint


def test_a_zoom_is_the_rest_where_only_one_is_asked_for():
    assert not Zoom()
    block = Zoom(keys=parse_span("2-4", "--keys")).block(TOKENS.first(3), TOKENS)
    assert [places.tolist() for places in block] == [[0, 1, 2], [2, 3, 4]]


@pytest.mark.parametrize("positions", [[3], [0, 1, 2], [0, 2, 3, 4, 9]])
def test_the_text_of_positions_reads_back(positions):
    text = span_text(np.array(positions))
    assert parse_span(text, "--rows").positions(TOKENS).tolist() == positions
