"""Sentences about heads: true, plain, and in every language."""

from __future__ import annotations

import pytest

import attnviz
from attnviz.analysis.looks import EVEN, FOCUSED, KEY, SCATTERED, Look, head_looks
from attnviz.analysis.roles import MIXED, role_names
from attnviz.language import speaking
from attnviz.tokens import Tokens
from attnviz.trace.selection import Head
from attnviz.views.sentences import PATTERNS, count, focus_sentence, key_name, look_sentence

TOKENS = Tokens.of(["[BOS]", "I", "saw", "a", "saw", "x" * 50], special=[0])


@pytest.fixture(scope="module")
def tagged():
    return attnviz.run("I saw a saw")


def look(pattern, **about):
    usual = {
        "is_role": True, "share": 0.9, "even": 0.2, "n_query": 5, "position": 4,
        "position_share": 0.6, "offset": -2, "keys": 1.52, "max_keys": 6.0, "spread": 0.2,
    }  # fmt: skip
    return Look(pattern, **{**usual, **about})


def test_every_role_and_every_look_has_its_sentence():
    known = {*role_names(), KEY, EVEN, FOCUSED, SCATTERED} - {MIXED}
    assert set(PATTERNS) | {"positional"} == known
    for language in ("en", "zh"):
        with speaking(language):
            sentences = {look_sentence(look(pattern), TOKENS) for pattern in known}
        assert len(sentences) == len(known)
        assert not any("{" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (look("next-token", share=0.971), "looks at the next token (97% of its weight)"),
        (look("sink", share=0.83), "looks at [BOS] (sink, 83%)"),
        (look("other sink"), "looks at “saw” at 4 (sink, 90%)"),
        (look("special-token"), "looks at “saw” at 4 (sink, 60%)"),
        (look("special-token", position_share=0.4),
         "looks at the special tokens (90% of its weight)"),
        (look("positional"), "looks two tokens back (90% of its rows look there most)"),
        (look("positional", offset=5), "looks 5 tokens ahead (90% of its rows look there most)"),
        (look(KEY, is_role=False, position=3, share=0.41),
         "looks most at “a” (41% of its weight)"),
        (look(SCATTERED, is_role=False),
         "no simple pattern: its rows look at 1.5 of 6 keys on average"),
        (look("self", is_role=False, n_query=3),
         "here looks at itself (90% of its weight), in 3 rows"),
        (look("self", share=0.9967), "looks at itself (99.7% of its weight)"),
        (look("self", share=1.0), "looks at itself (100% of its weight)"),
    ],
)  # fmt: skip
def test_sentences(found, sentence):
    assert look_sentence(found, TOKENS) == sentence


def test_sentences_of_a_real_head(tagged):
    head = Head(tagged.records[1].id, 3)
    found = head_looks(tagged, [head])[head]
    weights = tagged["L1.H3"].weights[0]
    share = weights.diagonal(1).mean()
    assert look_sentence(found, tagged.streams["source"]) == (
        f"looks at the next token ({share:.0%} of its weight)"
    )


def test_how_focused():
    assert focus_sentence(1.12, 6.0) == "very focused: effectively 1.1 of 6 keys"
    assert focus_sentence(5.8, 6.0) == "almost even: effectively 5.8 of 6 keys"
    assert focus_sentence(1.0, 1.0).startswith("very focused")


def test_names_of_keys():
    assert [key_name(i, TOKENS) for i in (0, 3, 4)] == ["[BOS]", "“a”", "“saw” at 4"]
    assert len(key_name(5, TOKENS)) == 22
    assert [key_name(i, None) for i in (0, 3, None)] == ["the first token", "token 3", "one token"]


def test_counts():
    assert [count(n) for n in (1.04, 5.9999, 1.52, 124.6)] == ["1", "6", "1.5", "125"]
