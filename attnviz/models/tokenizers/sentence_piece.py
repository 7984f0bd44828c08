"""SentencePiece's model files, read without the package: `spiece.model`, `tokenizer.model`, ….

They are messages of protocol buffers; of their fields, those are read that decide how a text is
cut.
Source: github.com/google/sentencepiece, `src/sentencepiece_model.proto`; how they become a
`tokenizers` model: transformers 5.23, `SentencePieceExtractor` in `convert_slow_tokenizer.py`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_bytes
from attnviz.models.tokenizers.names import CONVERT

TIKTOKEN = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")
"""How a file of tiktoken begins, which may be called `tokenizer.model` too: base64 and an id."""

UNIGRAM = 1
"""The kind of model that chooses the likeliest pieces; the others merge pairs."""
CONTROL, USER_DEFINED = 3, 4
"""Types of pieces that are never made of text, and that are never cut."""

Pieces = Sequence[tuple[str, float]]
"""Pieces with their scores, in the order of their ids."""


class SentencePieceModel(NamedTuple):
    """What a file says."""

    pieces: Pieces
    types: Sequence[int]
    """Of the pieces, as the format numbers them."""
    charsmap: bytes = b""
    """The rules of its normaliser; empty for none."""
    is_unigram: bool = True
    byte_fallback: bool = False
    """Whether a character that it lacks is written as its bytes."""
    special: Mapping[str, tuple[int, str]] = {}
    """`unk`, `bos` and `eos`: id, which is negative for none, and text."""


def read_sentence_piece(path: Path) -> SentencePieceModel:
    """The model in a file."""
    content = read_bytes(path)
    if TIKTOKEN.match(content):
        raise AttnvizError(f"{path} is of tiktoken, not of SentencePiece", CONVERT)
    try:
        model = _model(content)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise AttnvizError(
            f"{path} is damaged or not a SentencePiece model: {error}", "download it again"
        ) from None
    if not model.pieces:
        raise AttnvizError(
            f"{path} is not a SentencePiece model: it has no pieces", "download it again"
        )
    return model


def merges_of(pieces: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs that make a piece of two others: earlier pieces first, short left halves first."""
    known = dict.fromkeys(pieces)
    return [
        (piece[:cut], piece[cut:])
        for piece in known
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]


def _model(content: bytes) -> SentencePieceModel:
    pieces: list[tuple[str, float]] = []
    types: list[int] = []
    trainer: dict[int, Any] = {}
    charsmap = b""
    for number, value in _fields(content):
        if number == 1:
            piece = dict(_fields(_message(value)))
            score = struct.unpack("<f", _message(piece.get(2, bytes(4))))[0]
            pieces.append((_message(piece.get(1, b"")).decode(), score))
            types.append(_signed(piece.get(3, 1)))
        elif number == 2:
            trainer |= dict(_fields(_message(value)))
        elif number == 3:
            charsmap = _message(dict(_fields(_message(value))).get(2, charsmap))
    names = {"unk": (40, 0, "<unk>"), "bos": (41, 1, "<s>"), "eos": (42, 2, "</s>")}
    special = {
        name: (
            _signed(trainer.get(field, id)),
            _message(trainer.get(field + 5, text.encode())).decode(),
        )
        for name, (field, id, text) in names.items()
    }
    is_unigram = trainer.get(3, UNIGRAM) == UNIGRAM
    return SentencePieceModel(
        tuple(pieces), tuple(types), charsmap, is_unigram, bool(trainer.get(35, 0)), special
    )


def _message(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"a number, {value}, where bytes are expected")
    return value


def _signed(value: Any) -> int:
    """An int32, which is written as 64 bits."""
    if not isinstance(value, int):
        raise ValueError("bytes where a number is expected")
    return value - 2**64 if value >= 2**63 else value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and an integer or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"it ends within a field, at byte {at}")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")
