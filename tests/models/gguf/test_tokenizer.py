"""Tokenizers out of metadata, against llama.cpp's ids (`tests/golden/make_gguf_tokens.py`)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.gguf.splits import SPLITS
from attnviz.models.gguf.tokenizer import PREFIX, read_tokenizer
from tests.conftest import GOLDEN

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
        ({"model": "bert"}, "the tokenizer 'bert', which is not supported"),
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
