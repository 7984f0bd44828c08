"""What every tokenizer does; and what a decoder's reads while it writes."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.tokenizer import DecoderTokenizer, NoTokenizer, Tokenizer
from attnviz.tokens import Tokens

BEGIN, END, SAW = 0, 2, 7


class Words(Tokenizer):
    """A tokenizer that knows one word, and closes a text if it is told to."""

    end = END
    other_ends = frozenset({9})
    where = "words"

    def __init__(self, closes=True):
        self.closes = closes

    def encode(self, text, pair=None):
        n = len(text.split())
        names, ids = ["saw"] * n + ["</s>"], [SAW] * n + [END]
        return Tokens.of(names, ids, special=(n,)) if self.closes else Tokens.of(names[:n], ids[:n])

    def take(self, ids, pair=None):
        return Tokens.of([f"t{id}" for id in ids], list(ids))


def test_it_stops_at_its_ends():
    assert [id for id in range(12) if Words().stops_at(id)] == [2, 9]
    assert Words().pieces(["a", "b"]).shape == (2, 0)


def test_a_text_is_joined_without_its_marks():
    words = Words()
    words.begin = BEGIN
    assert words.join([BEGIN, SAW, 8, END]) == "t7 t8"


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize(("begin", "first"), [(5, [5]), (None, [])])
def test_a_decoder_reads_its_first_token_and_no_end(closes, begin, first):
    decoder = DecoderTokenizer(Words(closes), begin, END)
    assert list(decoder.encode("saw saw").ids) == [*first, SAW, SAW]
    assert (decoder.where, decoder.other_ends) == ("words", {9})


def test_a_decoder_is_given_all_of_its_first_tokens():
    decoder = DecoderTokenizer(Words(), 5, END, [11, 8])
    assert decoder.prompt == (5, 11, 8)
    assert list(decoder.encode("saw").ids) == [5, 11, 8, SAW]


def test_first_tokens_that_the_text_begins_with_stand_there_once():
    class Begins(Words):
        def encode(self, text, pair=None):
            return Tokens.of(["<s>", "fr", "saw"], [5, 11, SAW], special=[0, 1])

    assert list(DecoderTokenizer(Begins(), 5, END, [11]).encode("saw").ids) == [5, 11, SAW]
    assert list(DecoderTokenizer(Begins(), 5, END).encode("saw").ids) == [5, 11, SAW]


def test_a_target_in_a_language_that_nobody_named():
    decoder = DecoderTokenizer(Words(), 5, END, [None, 8], {"fr": 11})
    assert decoder.languages == {"fr": 11}
    with pytest.raises(AttnvizError, match="does not say its language"):
        decoder.encode("saw")


def test_ids_are_taken_as_they_are():
    decoder = DecoderTokenizer(Words(), 5, END)
    assert list(decoder.take([SAW, END]).ids) == [SAW, END]
    assert decoder.join([SAW, END]) == "t7"


def test_an_end_that_the_text_itself_holds_is_read():
    class Written(Words):
        def encode(self, text, pair=None):
            return Tokens.of(["saw", "</s>"], [SAW, END])

    assert list(DecoderTokenizer(Written(), 5, END).encode("saw </s>").ids) == [5, SAW, END]


def test_words_of_a_vocabulary_label_ids_whose_text_cannot_be_read():
    tokenizer = NoTokenizer("no rule", "give ids", words=["[PAD]", "C", ">>"])
    assert tokenizer.take([2, 1, 7]).labels == (">>", "C", "#7")
