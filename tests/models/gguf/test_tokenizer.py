"""Tokenizers out of metadata, against llama.cpp's ids (`tests/golden/make_gguf_tokens.py`)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.gguf.splits import SPLITS
from attnviz.models.gguf.tokenizer import PREFIX, read_tokenizer
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.tokenizers.sentence_piece import read_sentence_piece
from tests.conftest import GOLDEN
from tests.golden.tokenizers.texts import random_texts

pytest.importorskip("tokenizers")

with np.load(GOLDEN / "gguf-tokens.npz") as file:
    GIVEN = json.loads(file["json"].tobytes())


def metadata(case, **changes):
    model, fields = GIVEN["cases"][case]
    every = {"model": model, **GIVEN["vocabularies"][model], **fields, **changes}
    return {f"{PREFIX}{key}": value for key, value in every.items() if value is not ...}


def reader(case, **changes):
    return read_tokenizer(metadata(case, **changes), Path("x.gguf"))


@pytest.mark.parametrize("case", GIVEN["cases"])
def test_the_same_ids_as_llama_cpp(case):
    tokenizer = reader(case)
    for text, expected in zip(GIVEN["texts"], GIVEN["ids"][case], strict=True):
        assert list(tokenizer.encode(text).ids) == expected, text


def test_every_way_to_cut_is_held_against_llama_cpp():
    """And each gives other ids than the others, or the test above could not tell them apart."""
    assert set(SPLITS) <= set(GIVEN["cases"])
    given = {split: str(GIVEN["ids"][pre]) for pre, split in SPLITS.items()}
    assert len(set(given.values())) == len(given)


@pytest.mark.parametrize("case", ["gpt-2", "sentences", "sentences without space"])
def test_joined_again(case):
    tokenizer = reader(case)
    for text in ("I saw a saw.", " 我看見了😀", "a  b\n\tc", "Ω𝔸 한"):
        assert tokenizer.join(tokenizer.encode(text).ids) == text


def test_what_is_special_is_marked():
    tokens = reader("gpt-2, marked").encode("a <|user|> b")
    assert tokens.special == (0, len(tokens) - 1)
    assert "<|user|>" in tokens.labels
    assert reader("sentences").encode("x").tokens[0] == "<s>"


def test_a_pair_begins_twice():
    tokens = reader("sentences").encode("a", "b")
    assert (tokens.ids.count(1), tokens.segments[0], tokens.segments[-1]) == (2, 0, 1)


def test_ends():
    tokenizer = reader("gpt-2, marked")
    assert (tokenizer.begin, tokenizer.end) == (3, 5)
    assert (reader("sentences").begin, reader("sentences").end) == (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": ...}, "has no 'tokens'"),
        ({"tokens": [1, 2]}, "tokens is not a list of str"),
        ({"merges": ["ab"]}, "its tokenizer is damaged"),
        ({"merges": ["a zzz"]}, "its tokenizer is damaged"),
        ({"token_type": [1]}, "token_type has 1 entries for 902 tokens"),
        ({"bos_token_id": 902}, "bos_token_id is 902, but there are 902 tokens"),
        ({"bos_token_id": -1}, "bos_token_id: expected a whole number"),
        ({"add_bos_token": 1}, "add_bos_token: expected true or false"),
    ],
    ids=str,
)
def test_damaged_byte_level(changes, message):
    with pytest.raises(AttnvizError, match=message) as error:
        reader("gpt-2", **changes)
    assert error.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.0]}, "scores has 1 entries"),
        ({"scores": ...}, "has no 'scores'"),
        ({"unknown_token_id": 10**6}, "unknown_token_id is 1000000"),
    ],
    ids=str,
)
def test_damaged_sentence_piece(changes, message):
    with pytest.raises(AttnvizError, match=message) as error:
        reader("sentences", **changes)
    assert error.value.hint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "holds no tokenizer"),
        ({"model": "no_vocab"}, "holds no tokenizer"),
        ({"model": "rwkv"}, "the tokenizer 'rwkv', which is not supported"),
        ({"model": "gpt2", "pre": "klingon"}, "the rule 'klingon', which is not known here"),
    ],
    ids=str,
)
def test_it_can_still_be_given_ids(fields, message):
    named = {f"{PREFIX}{key}": value for key, value in fields.items()}
    tokenizer = read_tokenizer(named, Path("x.gguf"))
    assert tokenizer.take([3, 4]).ids == (3, 4)
    with pytest.raises(AttnvizError, match=message) as error:
        tokenizer.encode("a")
    assert "--ids" in error.value.hint


def test_without_a_tokenizer_decoding_still_ends():
    tokenizer = reader("sentences", model="none", bos_token_id=1, eos_token_id=2, eot_token_id=7)
    assert (tokenizer.begin, tokenizer.end, tokenizer.stops_at(7)) == (1, 2, True)


def test_a_token_of_megabytes_is_refused_at_once():
    tokens = [*metadata("sentences")[f"{PREFIX}tokens"]]
    tokens[-1] = "a" * 2_000_000
    with pytest.raises(AttnvizError, match="a token has 2000000 characters, more than 4096"):
        reader("sentences", tokens=tokens)


def ids_of(tokenizer, texts):
    return [list(tokenizer.encode(*text).ids) for text in texts]


@pytest.mark.parametrize("folder", ["bert", "bert-cased"])
def test_pieces_of_words_as_from_the_folder(folder):
    """The converter writes ▁ where a word begins, instead of ## where it goes on."""
    path = GOLDEN / "tokenizers" / folder
    words = (path / "vocab.txt").read_text().splitlines()
    special = [word.startswith("[") and word.endswith("]") for word in words]
    spelled = [
        word if marked else word.removeprefix("##") if word.startswith("##") else f"▁{word}"
        for word, marked in zip(words, special, strict=True)
    ]
    fields = {"model": "bert", "tokens": spelled, "token_type": [3 if s else 1 for s in special]}
    named = {"cls": "[CLS]", "seperator": "[SEP]", "unknown": "[UNK]", "mask": "[MASK]"}
    fields |= {f"{key}_token_id": words.index(word) for key, word in named.items()}
    found = read_tokenizer({f"{PREFIX}{k}": v for k, v in fields.items()}, Path("x.gguf"))
    expected = read_tokenizers(path, {"model_type": "bert"})[0]
    texts = [(text,) for text in random_texts(5, 300)] + [("I saw", "the table")]
    assert ids_of(found, texts) == ids_of(expected, texts)
    assert found.mask == expected.mask
    assert found.encode("I saw", "it").segments == expected.encode("I saw", "it").segments


def test_likeliest_pieces_as_from_the_folder(tmp_path):
    """Of texts in which no special token is spelled, and no two spaces follow each other."""
    path = GOLDEN / "tokenizers" / "sentencepiece" / "t5.model"
    shutil.copy(path, tmp_path / "spiece.model")
    model = read_sentence_piece(path)
    fields = {
        "model": "t5",
        "tokens": [piece for piece, _ in model.pieces],
        "scores": [score for _, score in model.pieces],
        "token_type": list(model.types),
        "precompiled_charsmap": list(model.charsmap),
        "remove_extra_whitespaces": True,
    }
    found = read_tokenizer({f"{PREFIX}{k}": v for k, v in fields.items()}, Path("x.gguf"))
    expected = read_tokenizers(tmp_path, {"model_type": "t5"})[0]
    texts = [" ".join(text.split()) for text in random_texts(7, 300)]
    plain = [(text,) for text in texts if "<" not in text and "▁" not in text]
    assert len(plain) > 90
    assert ids_of(found, plain) == ids_of(expected, plain)
    spaces = found.encode("  the   keys ").ids
    assert spaces == found.encode("the keys").ids
    assert found.join(spaces) == "the keys"


def sentence_piece(*tokens):
    """Metadata of a vocabulary of SentencePiece's."""
    all_tokens = ["<unk>", "<s>", "</s>", *tokens]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": all_tokens,
        "tokenizer.ggml.scores": [-float(i) for i in range(len(all_tokens))],
    }


def test_long_tokens_take_no_time():
    """Ten megabytes of them: only cuts into lengths that other tokens have are tried."""
    tokens = [f"{i:04d}" + "a" * 4000 for i in range(2500)]
    start = time.monotonic()
    read_tokenizer(sentence_piece(*tokens), Path("x.gguf"))
    assert time.monotonic() - start < 2


def test_tokens_that_are_each_others_beginnings_take_no_memory():
    """A megabyte of them can be cut into two in a million ways, of a thousand letters each."""
    tokens = ["a" * n for n in range(1, 1400)]
    with pytest.raises(AttnvizError, match="can be cut in too many ways"):
        read_tokenizer(sentence_piece(*tokens), Path("x.gguf"))


def test_long_tokens_are_merged_as_short_ones():
    halves = "ab" * 40, "cd" * 30
    pieces = [half[:n] for half in halves for n in range(1, len(half) + 1)]
    tokens = [*pieces, *"bd", "".join(halves)]
    metadata = sentence_piece("▁", *dict.fromkeys(tokens)) | {
        "tokenizer.ggml.add_space_prefix": False
    }
    tokenizer = read_tokenizer(metadata, Path("x.gguf"))
    assert tokenizer.encode("".join(halves)).tokens[-1] == "".join(halves)
