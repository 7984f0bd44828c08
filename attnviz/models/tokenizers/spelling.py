"""What the pieces of a vocabulary stand for: characters, parts of characters, spaces, words.

A piece stands for bytes of UTF-8. A character whose bytes lie in several pieces is shown in each
of them with its part, `地·1/2` and `地·2/2`; bytes that are not a character as escapes, `\\xe4`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from attnviz.language import to_say
from attnviz.tokens import word_numbers

SPACE = "▁"
"""What SentencePiece writes for a space."""


class Spelling(NamedTuple):
    """How a vocabulary writes text."""

    read: Callable[[str], bytes]
    """The text that a piece stands for, with the spaces around it."""
    joint: str = ""
    """The mark of a piece that continues a word. Where there is one, pieces are shown as they are,
    without spaces."""


class Shown(NamedTuple):
    """Pieces as a reader is to see them; the fields are those of `Tokens`."""

    labels: tuple[str, ...]
    words: tuple[int, ...]
    word_labels: tuple[str, ...]
    notes: tuple[str, ...]


class Character(NamedTuple):
    """A character, or one byte that belongs to none, and the pieces that hold it."""

    text: str
    first: int
    last: int

    @property
    def n_part(self) -> int:
        return self.last - self.first + 1


def show(pieces: Sequence[str], spelling: Spelling, whole_tokens: Collection[int] = ()) -> Shown:
    """Labels and words of a text's pieces.

    Args:
        whole_tokens: positions of tokens that are not pieces of text: special ones.
    """
    chunks = [
        _utf8(piece) if position in whole_tokens else spelling.read(piece)
        for position, piece in enumerate(pieces)
    ]
    characters = _characters(chunks)
    words = _words(characters, len(pieces), whole_tokens)
    texts = [""] * (max(words, default=-1) + 1)
    for character in characters:
        texts[words[character.first]] += character.text
    labels = list(pieces) if spelling.joint else _labels(characters, len(pieces))
    return Shown(
        labels=tuple(labels),
        words=tuple(words),
        word_labels=tuple(text.strip(" ") or text for text in texts),
        notes=tuple(_notes(labels, characters, spelling, whole_tokens)),
    )


def plain(piece: str) -> bytes:
    """Pieces that are text."""
    return _utf8(piece)


def byte_level(piece: str) -> bytes:
    """Pieces in GPT-2's alphabet, a printable character a byte: `Ġ` for a space."""
    return b"".join(BYTES[char] if char in BYTES else _utf8(char) for char in piece)


def sentence_piece(piece: str) -> bytes:
    """Pieces with `▁` for a space, and `<0xE4>` for a byte."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        try:
            return bytes.fromhex(piece[3:5])
        except ValueError:
            pass
    return _utf8(piece.replace(SPACE, " "))


def word_piece(joint: str) -> Spelling:
    """Pieces that begin a word, or with a joint (`##`) continue one."""

    def read(piece: str) -> bytes:
        return _utf8(piece[len(joint) :] if piece.startswith(joint) else f" {piece}")

    return Spelling(read, joint)


def closed_words(suffix: str) -> Spelling:
    """Pieces in GPT-2's alphabet, of which the last of a word ends with a suffix: `</w>`."""

    def read(piece: str) -> bytes:
        if not piece.endswith(suffix):
            return byte_level(piece)
        return byte_level(piece[: -len(suffix)]) + b" "

    return Spelling(read)


def spelling_of(backend: Any) -> Spelling:
    """How a `tokenizers.Tokenizer` writes text."""
    steps = [*_steps(backend.decoder), *_steps(backend.pre_tokenizer)]
    kinds = {step["type"] for step in steps}
    if "ByteLevel" in kinds:
        suffix = getattr(backend.model, "end_of_word_suffix", None)
        return closed_words(suffix) if suffix else Spelling(byte_level)
    if type(backend.model).__name__ == "WordPiece":
        return word_piece(backend.model.continuing_subword_prefix)
    if kinds & {"Metaspace", "ByteFallback"} or any(
        step["type"] == "Replace" and step["pattern"] == {"String": SPACE} for step in steps
    ):
        return Spelling(sentence_piece)
    return Spelling(plain)


def _steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a part of a tokenizer, by their `type`."""
    if part is None:
        return []
    state = json.loads(part.__getstate__())
    return state.get("decoders") or state.get("pretokenizers") or [state]


def _byte_alphabet() -> dict[str, bytes]:
    """GPT-2's: printable bytes of Latin-1 stand for themselves, the others for 256 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    codes = [*printable, *range(256, 256 + len(others))]
    return {chr(code): bytes([byte]) for code, byte in zip(codes, printable + others, strict=True)}


BYTES = _byte_alphabet()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8


def _characters(chunks: Sequence[bytes]) -> list[Character]:
    """The characters of bytes that lie in pieces."""
    data = b"".join(chunks)
    piece_of = [number for number, chunk in enumerate(chunks) for _ in chunk]
    characters = []
    start = 0
    while start < len(data):
        length = _length(data[start])
        try:
            text = data[start : start + length].decode("utf-8")
        except UnicodeDecodeError:
            text, length = f"\\x{data[start]:02x}", 1
        characters.append(Character(text, piece_of[start], piece_of[start + length - 1]))
        start += length
    return characters


def _length(byte: int) -> int:
    """How many bytes the character has that begins with this one."""
    return 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4


def _labels(characters: Sequence[Character], n_token: int) -> list[str]:
    labels = [""] * n_token
    for character in characters:
        for part in range(character.n_part):
            named = f"{character.text}·{part + 1}/{character.n_part}"
            labels[character.first + part] += character.text if character.n_part == 1 else named
    return labels


def _words(
    characters: Sequence[Character], n_token: int, whole_tokens: Collection[int]
) -> list[int]:
    """The number of each token's word. Tokens are one word where the text between them is, or
    where they share a character, or where the first is just the space before the other."""
    joined = [False] * n_token
    for character in characters:
        for position in range(character.first + 1, character.last + 1):
            joined[position] = True
    n_character = Counter(character.first for character in characters)
    letters = "".join(c.text if len(c.text) == 1 else "\ufffd" for c in characters)
    numbered = list(zip(characters, word_numbers(letters), strict=True))
    for (left, word), (right, next_word) in pairwise(numbered):
        space = left.text == " " and n_character[left.first] == 1
        if right.first == left.last + 1 and next_word is not None:
            joined[right.first] = space or word == next_word
    for position in whole_tokens:
        joined[position : position + 2] = [False] * len(joined[position : position + 2])
    number = -1
    return [number := number + (not join) for join in joined]


def _notes(
    labels: Sequence[str],
    characters: Sequence[Character],
    spelling: Spelling,
    whole_tokens: Collection[int],
) -> list[str]:
    """What the marks in these labels mean."""
    notes = []
    pieces = [label for position, label in enumerate(labels) if position not in whole_tokens]
    if spelling.joint and any(piece.startswith(spelling.joint) for piece in pieces):
        notes.append(to_say("{mark} continues the word before it", mark=spelling.joint))
    if any(piece.startswith(" ") or piece.endswith(" ") for piece in pieces):
        notes.append(to_say("␣ is a space, part of its token"))
    split = next((character for character in characters if character.n_part > 1), None)
    if split is not None and not spelling.joint:
        first = f"{split.text}·1/{split.n_part}"
        notes.append(
            to_say(
                "{mark} is the first of {n} tokens that share a character",
                mark=first,
                n=split.n_part,
            )
        )
    broken = next((character for character in characters if len(character.text) > 1), None)
    if broken is not None and not spelling.joint:
        notes.append(to_say("{mark} is a byte that is not a character", mark=broken.text))
    return notes
