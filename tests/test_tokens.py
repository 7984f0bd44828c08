"""Labels that are safe anywhere, and the words of a text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from attnviz.tokens import Tokens, label, split_words

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
    "": [],
    " \n": [],
}


@pytest.mark.parametrize("text", WORDS)
def test_split_words(text):
    assert split_words(text) == WORDS[text]


@given(st.text())
def test_no_character_is_lost(text):
    assert "".join(split_words(text)) == "".join(c for c in text if not c.isspace())


def test_tokens_of():
    tokens = Tokens.of(["a", "\n"], [7, 8], special=[1])
    assert tokens.labels == ("a", "⏎")
    assert (len(tokens), tokens.ids, tokens.special) == (2, (7, 8), (1,))
    assert Tokens.of(["a", "b"]).ids == (0, 1)
