"""Labels that are safe anywhere, and the words of a text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from attnviz.tokens import Tokens, label, split_words, word_numbers

LABELS = {
    "saw": "saw",
    "": "∅",
    " ": "␣",
    " the": "␣the",
    "a b": "a b",
    "end  ": "end␣␣",
    "\n": "⏎",
    "\t": "⇥",
    "\x1b[31m": "␛[31m",
    "\x7f": "␡",
    "\x85": "\\u0085",
    "\u200b": "\\u200b",
    "\u202eabc": "\\u202eabc",
    "\ufeff": "\\ufeff",
    "\u00a0": "⍽",
    "\u2028": "\\u2028",
    "\udc80": "\\udc80",
    "[/INST]": "[/INST]",
    "[red]": "[red]",
    "</script>": "</script>",
    "$\\frac$": "$\\frac$",
    "e\u0301": "é",
    "\u0301": "◌\u0301",
    "a" + "\u0316" * 9: "a" + "\u0316" * 3,
    "👩\u200d👧": "👩+👧",
    "👍\U0001f3fd": "👍+\U0001f3fd",
    "❤\ufe0f": "❤",
    "🇫🇷": "⚑FR",
    "地": "地",
    "##ing": "##ing",
    "Ġthe": "Ġthe",
}


@pytest.mark.parametrize("token", LABELS)
def test_label(token):
    assert label(token) == LABELS[token]


@given(st.text() | st.characters().map(str))
def test_a_label_is_one_line_that_moves_no_cursor(token):
    shown = label(token)
    assert shown
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert shown == shown.strip()
    shown.encode("utf-8")


@given(st.text())
def test_the_width_of_a_label_is_that_of_its_characters(token):
    """Nothing joins with its neighbour, so that every terminal agrees on the width."""
    shown = label(token)
    assert cell_len(shown) == sum(cell_len(c) for c in shown)


@given(st.text() | st.text("a+\u0301\ufe0f\U0001f3fd\u200d🇫 \n\u3099か"))
def test_a_label_is_its_own_label(token):
    """A saved trace shows what the run showed."""
    assert label(label(token)) == label(token)


WORDS = {
    "I saw a saw": ["I", "saw", "a", "saw"],
    "I saw, didn't I?": ["I", "saw", ",", "didn't", "I", "?"],
    "  tabs\tand\nlines ": ["tabs", "and", "lines"],
    "我看见了一把锯子": list("我看见了一把锯子"),
    "早上好！": ["早", "上", "好", "！"],
    "ひらカタ": list("ひらカタ"),
    "3.14": ["3", ".", "14"],
    "snake_case": ["snake_case"],
    "नमस्ते दुनिया": ["नमस्ते", "दुनिया"],
    "re\u0301sume\u0301": ["re\u0301sume\u0301"],
    "👩\u200d👧🇫🇷👍\U0001f3fd": ["👩\u200d👧", "🇫🇷", "👍\U0001f3fd"],
    "'quoted'": ["'", "quoted", "'"],
    "[/INST]": ["[", "/", "INST", "]"],
    "a \u0301b": ["a", "\u0301", "b"],
    "": [],
    " \n": [],
}


@pytest.mark.parametrize("text", WORDS)
def test_split_words(text):
    assert split_words(text) == WORDS[text]


@given(st.text())
def test_no_character_is_lost(text):
    assert "".join(split_words(text)) == "".join(c for c in text if not c.isspace())


@given(st.text() | st.text("ab '\u0301\u200d我👍"))
def test_words_are_pieces_of_the_text(text):
    """Spaces are in none, and no word has a hole."""
    numbers = word_numbers(text)
    assert [n is None for n in numbers] == [char.isspace() for char in text]
    spans = {n: [i for i, other in enumerate(numbers) if other == n] for n in numbers}
    spans.pop(None, None)
    assert [text[at[0] : at[-1] + 1] for at in spans.values()] == split_words(text)


def test_tokens_of():
    tokens = Tokens.of(["a", "\n"], [7, 8], special=[1])
    assert tokens.labels == ("a", "⏎")
    assert (len(tokens), tokens.ids, tokens.special) == (2, (7, 8), (1,))
    assert Tokens.of(["a", "b"]).ids == (0, 1)


PIECES = Tokens.of(
    ["[CLS]", "##a", "##b", "c"],
    [7, 8, 9, 5],
    labels=["[CLS]", "a\n", "b", "c"],
    special=[0],
    unknown=[3],
    words=[0, 1, 1, 2],
    word_labels=["[CLS]", "ab", "c"],
    notes=["a mark"],
)


def test_labels_may_say_more_than_tokens():
    assert PIECES.labels == ("[CLS]", "a⏎", "b", "c")


def test_tokens_after_tokens():
    both = PIECES.followed_by(PIECES)
    assert (both.special, both.unknown) == ((0, 4), (3, 7))
    assert both.words == (0, 1, 1, 2, 3, 4, 4, 5)
    assert both.word_labels == PIECES.word_labels * 2
    assert both.notes == ("a mark",)
    assert PIECES.followed_by(Tokens.of(["x"])).words == ()


@pytest.mark.parametrize("count", range(5))
def test_the_first_tokens(count):
    some = PIECES.first(count)
    assert (len(some), some.ids, some.labels) == (count, PIECES.ids[:count], PIECES.labels[:count])
    assert some.word_labels == PIECES.word_labels[: len(set(some.words))]
    assert all(place < count for place in some.special + some.unknown)


@pytest.mark.parametrize("count", range(5))
def test_the_other_tokens(count):
    rest, n = PIECES.after(count), len(PIECES) - count
    assert (len(rest), rest.ids, rest.labels) == (n, PIECES.ids[count:], PIECES.labels[count:])
    words = [PIECES.word_labels[word] for word in PIECES.words[count:]]
    assert [rest.word_labels[word] for word in rest.words] == words
    for name in ("special", "unknown"):
        places = [place for place in getattr(PIECES, name) if place >= count]
        assert getattr(rest, name) == tuple(place - count for place in places)


def test_a_word_of_any_length_is_one_word():
    """An emoji's joints and flags are told by the characters next to them."""
    word, family = "a" * 1000, "👨\u200d👩\u200d👧"
    assert split_words(f"{word} {family}🇩🇪🇫🇷 x") == [word, family, "🇩🇪", "🇫🇷", "x"]
