"""Hashed pieces of a word: endings, beginnings and shape, so that every word has a vector.

A model that reads words adds the vectors of a word's pieces to the vector of the word itself;
of a word it does not know, the pieces are all it has. The packaged files depend on every number
here: a change needs new training.
"""

from __future__ import annotations

import zlib

SUFFIXES = (1, 2, 3, 4)
PREFIXES = (2, 3, 4)
SHAPES = ("lower", "capital", "capitals", "digit", "hyphen", "other")
"""Shapes have the first ids, one each; the other pieces share the rest."""

N_PIECE_OF_WORD = len(SUFFIXES) + len(PREFIXES) + 1


def word_pieces(word: str, n_piece: int) -> tuple[int, ...]:
    """The ids of a word's pieces, `N_PIECE_OF_WORD` of them, each below `n_piece`.

    A word shorter than a piece gives the piece the whole word, bounded on both sides.
    Different pieces may share an id: there are more pieces than ids.
    """
    bounded = f"<{word.lower()}>"
    endings = [bounded[-size - 1 :] for size in SUFFIXES]
    beginnings = [bounded[: size + 1] for size in PREFIXES]
    n_hashed = n_piece - len(SHAPES)
    hashed = [
        len(SHAPES) + zlib.crc32(piece.encode("utf-8", "surrogatepass")) % n_hashed
        for piece in endings + beginnings
    ]
    return (SHAPES.index(_shape(word)), *hashed)


def _shape(word: str) -> str:
    if any(char.isdigit() for char in word):
        return "digit"
    if not any(char.isalpha() for char in word):
        return "other"
    if "-" in word:
        return "hyphen"
    if word[0].isupper():
        return "capitals" if len(word) > 1 and word.isupper() else "capital"
    return "lower"
