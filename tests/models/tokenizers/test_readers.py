"""Lists of words and characters: what is known, unknown, added, and joined again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.tokenizers.pieces import N_PIECE_OF_WORD, SHAPES, word_pieces
from attnviz.models.tokenizers.readers import NoText, Reader

WORDS = {
    "reads": "words",
    "words": ["[UNK]", "[BOS]", "[EOS]", "i", "saw", "a", "."],
    "lower": True,
    "begin": "[BOS]",
    "end": "[EOS]",
    "n_piece": 40,
}
LETTERS = {
    "reads": "characters",
    "characters": ["[UNK]", "[EOS]", "早", "上", "好"],
    "end": "[EOS]",
}


def test_words():
    tokens = Reader(Config(WORDS, "here")).encode("I saw Xylem.")
    assert tokens.tokens == ("[BOS]", "I", "saw", "Xylem", ".")
    assert tokens.ids == (1, 3, 4, 0, 6)
    assert (tokens.special, tokens.unknown) == ((0,), (3,))


def test_characters_skip_spaces_and_may_close():
    assert Reader(Config(LETTERS, "here")).encode("早 上\n好").ids == (2, 3, 4)
    closed = Reader(Config({**LETTERS, "close": True}, "here")).encode("早?")
    assert (closed.tokens, closed.ids) == (("早", "?", "[EOS]"), (2, 0, 1))
    assert (closed.special, closed.unknown) == ((2,), (1,))


def test_ids_are_taken_as_they_are():
    tokens = Reader(Config(WORDS, "here")).take([1, 5, 0, 99])
    assert tokens.tokens == ("[BOS]", "a", "[UNK]", "#99")
    assert (tokens.special, tokens.unknown) == ((0,), (2,))


def test_joined_again():
    reader = Reader(Config(WORDS, "here"))
    assert reader.join([1, 3, 4, 5, 4, 6, 2]) == "i saw a saw."
    assert Reader(Config(LETTERS, "here")).join([2, 3, 4, 1]) == "早上好"


def test_nothing_is_nothing():
    assert len(Reader(Config(WORDS, "here")).encode("  ")) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reads": "sounds"}, "reads = 'sounds'"),
        ({"words": "abc"}, "expected a list"),
        ({"words": ["a", 3]}, "expected a list"),
        ({"words": ["[UNK]", "a", "a"]}, "twice"),
        ({"lower": "yes"}, "expected true or false"),
        ({"n_piece": 3}, "too small"),
        ({"colour": "red"}, "'colour'"),
        ({"begin": "[START]"}, "not in its list"),
        ({"unknown": "?"}, "not in its list"),
    ],
)
def test_a_garbled_list_is_refused(change, message):
    with pytest.raises(AttnvizError, match=message.replace("[", r"\[").replace("?", r"\?")):
        Reader(Config({**WORDS, **change}, "here"))


def test_one_text_only():
    with pytest.raises(AttnvizError, match="one text"):
        Reader(Config(WORDS, "here")).encode("a", "b")
    with pytest.raises(AttnvizError, match="not text"):
        NoText().encode("a")


@given(st.text(min_size=1), st.integers(len(SHAPES) + 1, 5000))
def test_every_word_has_its_pieces(word, n_piece):
    pieces = word_pieces(word, n_piece)
    assert len(pieces) == N_PIECE_OF_WORD
    assert all(0 <= piece < n_piece for piece in pieces)


def test_pieces_see_the_ends_and_the_shape():
    walking, talking = word_pieces("walking", 10**6), word_pieces("talking", 10**6)
    assert walking[1:5] == talking[1:5]
    assert walking[5:] != talking[5:]
    assert word_pieces("Walking", 10**6)[1:] == walking[1:]
    assert word_pieces("Walking", 10**6)[0] != walking[0]
