"""Vocabularies as files hold them: ids by line or by number, and merges in their order."""

from __future__ import annotations

import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.settings import Settings
from attnviz.models.tokenizers.vocabulary import read_pieces, read_vocabulary

pytest.importorskip("tokenizers")

SETTINGS = Settings({}, "settings")

WORDS = ["[UNK]", "saw", "##s", "a", "\u2028x"]


@pytest.fixture
def folder(tmp_path):
    """A folder of these files."""

    def make(**files):
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_bytes(content.encode())
        return tmp_path

    return make


@pytest.mark.parametrize("end", ["", "\n"])
def test_words_are_numbered_by_their_lines(folder, end):
    """A separator of lines within a piece is part of it; white space behind it is not."""
    words = folder(vocab_txt="\n".join(WORDS).replace("saw", "saw \t") + end)
    model = read_vocabulary(words, "BertTokenizer", SETTINGS).model
    assert {word: model.token_to_id(word) for word in WORDS} == {
        word: i for i, word in enumerate(WORDS)
    }
    assert [token.value for token in model.tokenize("saws")] == ["saw", "##s"]


def test_merges_hold_in_their_order(folder):
    pieces = {piece: i for i, piece in enumerate(["s", "a", "w", "sa", "aw", "saw", "#"])}
    files = {"vocab_json": json.dumps(pieces)}
    merges = folder(**files, merges_txt="#version: 0.2\ns a\na w\nsa w\n")
    model = read_vocabulary(merges, "GPT2Tokenizer", SETTINGS).model
    assert [token.value for token in model.tokenize("saw")] == ["saw"]
    merges = folder(**files, merges_txt="a w\ns a\nsa w\n")
    model = read_vocabulary(merges, "GPT2Tokenizer", SETTINGS).model
    assert [token.value for token in model.tokenize("saw")] == ["s", "aw"]


def test_only_the_files_of_its_kind_are_read(folder):
    words = folder(vocab_txt="a\n")
    for name in ("GPT2Tokenizer", "T5Tokenizer", "TokenizersBackend", "NotAClass"):
        assert read_vocabulary(words, name, SETTINGS) is None
    no_merges = folder(vocab_json='{"a": 0}')
    assert read_vocabulary(no_merges, "GPT2Tokenizer", SETTINGS) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"a": "1"}',
        '{"a": 1.5}',
        '{"a": true}',
        '{"a": -1}',
        '{"a": null}',
        "[]",
        "{",
        '{"\\ud800": 1}',
    ],
)
def test_pieces_that_are_none(folder, content):
    path = folder(vocab_json=content) / "vocab.json"
    with pytest.raises(AttnvizError, match=r"vocab\.json"):
        read_pieces(path)


def test_merges_of_another_vocabulary(folder):
    files = folder(vocab_json='{"a": 0, "b": 1}', merges_txt="a b\n")
    with pytest.raises(AttnvizError, match=r"merges\.txt does not fit vocab\.json"):
        read_vocabulary(files, "GPT2Tokenizer", SETTINGS)


def test_words_that_are_not_utf_8(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"a\n\xff\n")
    with pytest.raises(AttnvizError, match=r"vocab\.txt cannot be read"):
        read_vocabulary(tmp_path, "BertTokenizer", SETTINGS)
