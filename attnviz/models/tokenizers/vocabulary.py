"""Vocabularies older than `tokenizer.json`: `vocab.txt`, or `vocab.json` with `merges.txt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_bytes, read_object
from attnviz.models.tokenizers.names import MERGES, PIECES, WORDS
from attnviz.models.tokenizers.package import package_errors, tokenizers_package
from attnviz.models.tokenizers.settings import check_id

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space of Unicode, which the package leaves out at the end of a line."""


def read_vocabulary(folder: Path, kind: str) -> Any:
    """The `tokenizers.models.WordPiece` or `BPE` in a folder; None where its files are not there,
    or the kind is another."""
    if kind == "WordPiece" and (folder / WORDS).exists():
        return _words(folder)
    if kind == "BPE" and (folder / PIECES).exists() and (folder / MERGES).exists():
        return _pieces(folder)
    return None


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


def _pieces(folder: Path) -> Any:
    path = folder / MERGES
    tokenizers = tokenizers_package(path)
    vocabulary = read_pieces(folder / PIECES)
    lines = [line for line in _lines(path) if line and not line.startswith("#version")]
    halves = [line.partition(" ") for line in lines]
    with package_errors(f"{path} does not fit {PIECES}", "download both again"):
        return tokenizers.models.BPE(vocabulary, [(left, right) for left, _, right in halves])


def _lines(path: Path) -> list[str]:
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise AttnvizError(f"{path} cannot be read: {error}", "download it again") from error
    return text.removesuffix("\n").split("\n")  # not splitlines: pieces may be line separators
