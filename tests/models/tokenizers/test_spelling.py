"""What a reader sees of a tokenizer's pieces: no character is lost, whatever cuts it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attnviz.models.tokenizers.spelling import (
    Spelling,
    byte_level,
    sentence_piece,
    show,
    spelling_of,
    word_piece,
)
from attnviz.tokens import label, split_words

tokenizers = pytest.importorskip("tokenizers")
from attnviz.models.tokenizers.hugging_face import HFTokenizer  # noqa: E402

CORPUS = ["I saw a saw, didn't I? The keys to the cabinet are on the table. 地上 地下 résumé"] * 3


def byte_level_bpe():
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return HFTokenizer(backend)


def byte_fallback_bpe():
    """As Llama's: spaces are ▁, and what has no piece is bytes."""
    text = "I▁saw"
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)}
    for piece in [*sorted({*text}), "sa", "saw", "▁saw", "<s>", "地"]:
        vocabulary[piece] = len(vocabulary)
    merges = [("s", "a"), ("sa", "w"), ("▁", "saw")]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True)
    )
    backend.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    backend.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
        ]
    )
    backend.add_special_tokens(["<s>"])
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return HFTokenizer(backend)


def unigram():
    backend = tokenizers.Tokenizer(tokenizers.models.Unigram())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    backend.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    return HFTokenizer(backend)


def wordpiece():
    vocabulary = ["[UNK]", "[CLS]", "[SEP]", "un", "##believ", "##able", "saw", "地", "!", "##地"]
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({p: i for i, p in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
    backend.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return HFTokenizer(backend)


BYTES = byte_level_bpe()
FALLBACK = byte_fallback_bpe()
PART = re.compile(r"(.)·(\d)/(\d)")


def joined(labels):
    """The text that labels show: a character in parts once, a space for its mark."""
    text = PART.sub(lambda m: m[1] if m[2] == m[3] else "", "".join(labels))
    return text.replace("␣", " ")


PLAIN = st.characters(exclude_categories=["C", "M", "Z"], exclude_characters="␣·▁").filter(
    lambda char: label(char) == char
)


@pytest.mark.parametrize("tokenizer", [BYTES, FALLBACK], ids=["byte-level", "byte-fallback"])
class TestBytes:
    @settings(deadline=None)
    @given(st.text(PLAIN | st.sampled_from(" saw地")))
    def test_labels_show_every_character(self, tokenizer, text):
        tokens = tokenizer.encode(text)
        ordinary = [name for i, name in enumerate(tokens.labels) if i not in tokens.special]
        assert joined(ordinary) == text

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_characters="▁")) | st.text("saw 地\n'👩\u200d\u0301"))
    @example("\u200daw")  # what follows a joint is a word, not one letter
    def test_words_are_those_of_the_text(self, tokenizer, text):
        """No piece of these vocabularies holds two words, so merged pieces are the text's words;
        white space between words may be a word of its own."""
        tokens = tokenizer.encode(text)
        clean = text.encode("utf-8", "replace").decode()
        merged = [name for name in tokens.word_labels if name != "<s>"]
        words = [name for name in merged if name.strip("␣") and name not in WHITE]
        assert words == [label(word) for word in split_words(clean)]

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 300), max_size=12))
    def test_any_ids_can_be_shown(self, tokenizer, ids):
        """Also halves of characters, in any order."""
        tokens = tokenizer.take(ids)
        assert len(tokens.labels) == len(tokens.words) == len(ids)
        "".join(tokens.labels + tokens.word_labels).encode("utf-8")
        assert all(name and label(name) == name for name in tokens.labels + tokens.word_labels)
        assert sorted(set(tokens.words)) == list(range(len(tokens.word_labels)))


WHITE = {label(chr(code)) for code in range(0x110000) if chr(code).isspace()}


def test_byte_level_pieces():
    tokens = BYTES.encode("I saw é😀")
    assert tokens.tokens[:2] == ("I", "Ġsaw")
    assert tokens.labels == ("I", "␣saw", "␣", "é", *(f"😀·{part}/4" for part in range(1, 5)))
    assert tokens.notes == (
        "␣ is a space, part of its token",
        "😀·1/4 is the first of 4 tokens that share a character",
    )
    assert tokens.words == (0, 1, 2, 2, 3, 3, 3, 3)
    assert tokens.word_labels == ("I", "saw", "é", "😀")


def test_a_broken_character_is_its_bytes():
    tokens = show(["<0xE4>", "<0xB8>", "a", "<0xAD>"], Spelling(sentence_piece))
    assert tokens.labels == ("\\xe4", "\\xb8", "a", "\\xad")
    assert tokens.notes == ("\\xe4 is a byte that is not a character",)


def test_a_character_in_parts():
    assert show(["åľ", "°ä¸", "Ĭ"], Spelling(byte_level)).labels == (
        "地·1/2",
        "地·2/2上·1/2",
        "上·2/2",
    )


def test_byte_fallback_pieces():
    tokens = FALLBACK.encode("I saw 上")
    assert tokens.labels == ("<s>", "I", "␣saw", "␣", "上·1/3", "上·2/3", "上·3/3")
    assert tokens.words == (0, 1, 2, 3, 3, 3, 3)
    assert tokens.word_labels == ("<s>", "I", "saw", "上")
    assert tokens.special == (0,)


def test_unigram_pieces():
    tokens = unigram().encode("I saw Ω")
    assert all("▁" not in name for name in tokens.labels)
    assert tokens.labels[0] == "␣I"
    assert tokens.word_labels == ("I", "saw", "Ω")
    assert tokens.unknown == (len(tokens) - 1,)


def test_wordpiece_pieces():
    tokens = wordpiece().encode("unbelievable saw! 地地 Ω")
    assert tokens.labels == tokens.tokens
    assert tokens.words == (0, 1, 1, 1, 2, 3, 4, 5, 6, 7)
    assert tokens.word_labels[1:4] == ("unbelievable", "saw", "!")
    assert tokens.word_labels[-2:] == ("[UNK]", "[SEP]")
    assert tokens.notes == ("## continues the word before it",)
    assert wordpiece().encode("saw").notes == ()


def test_added_tokens_are_words_of_their_own():
    tokens = BYTES.encode("saw<|end|>saw")
    assert tokens.word_labels == ("saw", "<|end|>", "saw")
    assert BYTES.take([0, 400, 10**12, -1]).labels == ("<|end|>", "#400", f"#{10**12}", "#-1")


def test_a_space_alone_belongs_to_the_word_after_it():
    spelling = Spelling(sentence_piece)
    assert show(["▁", "我", "▁", "▁saw", "▁"], spelling).words == (0, 0, 1, 2, 3)


def test_literal_marks_are_no_marks():
    """`###` in a prompt continues nothing where ## is no joint."""
    assert BYTES.encode("### saw").notes == ("␣ is a space, part of its token",)
    assert word_piece("##").joint == "##"


def test_the_spelling_of_a_tokenizer():
    plain = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    assert spelling_of(plain).read("▁Ġ") == "▁Ġ".encode()


def test_joining_leaves_out_special_tokens():
    assert BYTES.join(BYTES.encode("I saw<|end|> 地").ids) == "I saw 地"
    assert BYTES.join([10**12, -1]) == ""
