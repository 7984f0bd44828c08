"""Vocabularies older than `tokenizer.json`: `vocab.txt`, `vocab.json` with `merges.txt`, or a file
of SentencePiece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_bytes, read_object
from attnviz.models.tokenizers.classes import AS_IT_IS, CLASSES
from attnviz.models.tokenizers.classes.parts import Class, Source
from attnviz.models.tokenizers.names import MERGES, PIECES, SENTENCE_PIECE, WORDS
from attnviz.models.tokenizers.package import package_errors, tokenizers_package
from attnviz.models.tokenizers.sentence_piece import merges_of, read_sentence_piece
from attnviz.models.tokenizers.settings import Settings, check_id

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space of Unicode, which the package leaves out at the end of a line."""


def read_vocabulary(folder: Path, name: str, settings: Settings) -> Source | None:
    """What a class is made of in a folder; None where the files that it reads are not there."""
    cls = CLASSES.get(name)
    older = SENTENCE_PIECE[:1] if name == AS_IT_IS else cls.older if cls else ()
    if older and older[0] in SENTENCE_PIECE:
        paths = [folder / file for file in (SENTENCE_PIECE[0], *older)]
        path = next((path for path in paths if path.exists()), None)
        return None if path is None else _sentence_piece(path, cls, settings)
    if not older or not all((folder / file).exists() for file in older):
        return None
    if older != (WORDS,):
        return Source(_pieces(folder), path=folder / PIECES)
    is_word_piece = cls is not None and cls.kind == "WordPiece"
    return Source(_words(folder) if is_word_piece else _entries(folder), path=folder / WORDS)


def read_pieces(path: Path) -> dict[str, int]:
    """The pieces in a `vocab.json`, with their ids."""
    vocabulary = read_object(path)
    for piece, id in vocabulary.items():
        check_id(path, piece, id)
    try:
        "".join(vocabulary).encode()
    except UnicodeEncodeError as error:
        raise AttnvizError(
            f"{path} has a piece with half a character: {error.reason}", "download it again"
        ) from None
    return vocabulary


def _words(folder: Path) -> Any:
    path = folder / WORDS
    tokenizers = tokenizers_package(path)
    vocabulary = {piece.rstrip(SPACES): id for id, piece in enumerate(_lines(path))}
    with package_errors(f"{path} is damaged", "download it again"):
        return tokenizers.models.WordPiece(vocabulary)


def _entries(folder: Path) -> Any:
    """Whole words, or letters, of a list."""
    path = folder / WORDS
    tokenizers = tokenizers_package(path)
    lines = read_text(path).splitlines()
    with package_errors(f"{path} is damaged", "download it again"):
        return tokenizers.models.WordLevel({line.strip(): id for id, line in enumerate(lines)})


def _sentence_piece(path: Path, cls: Class | None, settings: Settings) -> Source:
    """The pieces of a file, in the order of the class.

    Args:
        cls: None for one that takes the file as it is.
    """
    tokenizers, own = tokenizers_package(path), read_sentence_piece(path)
    pieces = cls.pieces(own.pieces, settings) if cls and cls.pieces else own.pieces
    id, unknown = own.special["unk"]
    with package_errors(f"{path} is damaged", "download it again"):
        if cls.kind == "Unigram" if cls else own.is_unigram:
            model = tokenizers.models.Unigram(
                list(pieces), max(id, 0), not cls and own.byte_fallback
            )
            return Source(model, own=own, path=path)
        vocabulary = {text: id for id, (text, _) in enumerate(pieces)}
        model = tokenizers.models.BPE(vocabulary, merges_of(text for text, _ in own.pieces))
        if not cls:
            model.unk_token, model.fuse_unk = unknown, True
            model.byte_fallback = own.byte_fallback
        return Source(model, own=own, path=path)


def _pieces(folder: Path) -> Any:
    path = folder / MERGES
    tokenizers = tokenizers_package(path)
    vocabulary = read_pieces(folder / PIECES)
    lines = [line for line in _lines(path) if line and not line.startswith("#version")]
    halves = [line.partition(" ") for line in lines]
    with package_errors(f"{path} does not fit {PIECES}", "download both again"):
        return tokenizers.models.BPE(vocabulary, [(left, right) for left, _, right in halves])


def read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise AttnvizError(f"{path} cannot be read: {error}", "download it again") from error


def _lines(path: Path) -> list[str]:
    return (
        read_text(path).removesuffix("\n").split("\n")
    )  # not splitlines: pieces may be line separators
