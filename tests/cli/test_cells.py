"""Places in a text, by position or by name."""

from __future__ import annotations

import pytest

from attnviz.cli.cells import check_cell, parse_cell, parse_place
from attnviz.errors import AttnvizError
from attnviz.tokens import Tokens

SAW = Tokens.of(["[BOS]", "I", "saw", "a", "saw", ",", "▁Dog", "7"])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("3,1", (3, 1)),
        (" 3 , 1 ", (3, 1)),
        ("-1,0", (7, 0)),
        ("a,I", (3, 1)),
        ("a -> i", (3, 1)),
        ("3→1", (3, 1)),
        ("dog,[bos]", (6, 0)),
        ("▁Dog,2", (6, 2)),
        (",,a", (5, 3)),
        ("a,,", (3, 5)),
        ("2,7", (2, 7)),
    ],
)
def test_a_cell_by_position_or_name(text, place):
    assert parse_cell(text, SAW, SAW) == place


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("saw,a", "--cell: the query 'saw' is at 2 and 4: which?", "--cell 2,a"),
        ("a,saw", "--cell: the key 'saw' is at 2 and 4: which?", "--cell a,2"),
        ("cat,a", "--cell: there is no query 'cat'", "0 [BOS]  1 I  2 saw"),
        ("dgo,a", "--cell: there is no query 'dgo'", "did you mean"),
        ("8,0", "--cell: there is no query 8", "they count from 0 to 7"),
        ("0,-9", "--cell: there is no key -9", "they count from 0 to 7"),
    ],
)
def test_a_cell_that_is_none_or_several(text, message, hint):
    tokens = SAW if "dgo" not in text else Tokens.of(["dog", "a"])
    with pytest.raises(AttnvizError) as caught:
        parse_cell(text, tokens, tokens)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["1", "", ",", "a", ",a", "1,"])
def test_what_is_no_cell_of_any_text(text):
    with pytest.raises(AttnvizError, match="--cell: expected QUERY,KEY"):
        check_cell(text)


def test_many_places_are_counted():
    with pytest.raises(AttnvizError, match=r"at 0, 1, .*, 7 and 3 more places: which\?"):
        parse_place("a", Tokens.of(["a"] * 11), "--token", "output")
