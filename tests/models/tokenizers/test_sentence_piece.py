"""SentencePiece's files, read field by field."""

from __future__ import annotations

import struct

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.sentence_piece import (
    CONTROL,
    USER_DEFINED,
    merges_of,
    read_sentence_piece,
)
from tests.conftest import GOLDEN

MODELS = sorted((GOLDEN / "tokenizers" / "sentencepiece").glob("*.model"))


def number(value):
    value &= 2**64 - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(key, value):
    """A field of a message: a number, a text or a message."""
    if isinstance(value, int):
        return number(key << 3) + number(value)
    if isinstance(value, float):
        return number(key << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return number(key << 3 | 2) + number(len(value)) + value


def piece(text, score=0.0, kind=1):
    return field(1, field(1, text) + field(2, score) + field(3, kind))


TRAINER = field(3, 2) + field(35, 1) + field(40, 3) + field(41, -1) + field(45, "<?>")
MODEL = b"".join(
    [
        piece("<pad>", kind=CONTROL),
        piece("▁saw", -1.5),
        piece("<user>", kind=USER_DEFINED),
        field(2, TRAINER + field(99, 300) + number(98 << 3 | 1) + bytes(8)),
        field(3, field(1, "identity") + field(2, b"\x00\xff")),
        field(4, b"whatever"),
    ]
)


def test_fields(tmp_path):
    (tmp_path / "a.model").write_bytes(MODEL)
    model = read_sentence_piece(tmp_path / "a.model")
    assert model.pieces == (("<pad>", 0.0), ("▁saw", -1.5), ("<user>", 0.0))
    assert model.types == (CONTROL, 1, USER_DEFINED)
    assert (model.charsmap, model.is_unigram, model.byte_fallback) == (b"\x00\xff", False, True)
    assert model.special == {"unk": (3, "<?>"), "bos": (-1, "<s>"), "eos": (2, "</s>")}


def test_what_is_not_said_has_its_usual_value(tmp_path):
    (tmp_path / "a.model").write_bytes(field(1, field(1, "a")))
    model = read_sentence_piece(tmp_path / "a.model")
    assert (model.pieces, model.types) == ((("a", 0.0),), (1,))
    assert (model.charsmap, model.is_unigram, model.byte_fallback) == (b"", True, False)
    assert model.special["unk"] == (0, "<unk>")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_pieces_are_those_of_the_package(path):
    package = pytest.importorskip("sentencepiece")
    theirs, ours = package.SentencePieceProcessor(model_file=str(path)), read_sentence_piece(path)
    ids = range(theirs.get_piece_size())
    assert ours.pieces == tuple((theirs.id_to_piece(i), theirs.get_score(i)) for i in ids)
    assert [kind == CONTROL for kind in ours.types] == [theirs.is_control(i) for i in ids]
    assert ours.special["unk"][0] == theirs.unk_id()
    assert (ours.special["bos"][0], ours.special["eos"][0]) == (theirs.bos_id(), theirs.eos_id())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        MODEL[:-3],
        MODEL[:9],
        b"\xff" * 11,
        field(1, field(1, b"\xff")),
        field(1, 3),
        field(1, field(2, b"ab")),
        field(1, field(3, b"a")),
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_what_is_no_model(tmp_path, content):
    (tmp_path / "a.model").write_bytes(content)
    with pytest.raises(AttnvizError, match=r"a\.model is .*not a SentencePiece model"):
        read_sentence_piece(tmp_path / "a.model")


def test_a_file_of_tiktoken_is_named(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(AttnvizError, match="is of tiktoken") as caught:
        read_sentence_piece(tmp_path / "tokenizer.model")
    assert "save_pretrained" in caught.value.hint


def test_merges():
    """Pieces in their order; of one piece, the shortest left half first."""
    assert merges_of(["saw", "s", "aw", "a", "w", "sa", "sb"]) == [
        ("s", "aw"),
        ("sa", "w"),
        ("a", "w"),
        ("s", "a"),
    ]
