"""What the metrics have to know of tokens."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from attnviz.analysis.metrics.copies import NOBODY
from attnviz.nn.types import Array, Bool
from attnviz.tokens import Tokens

PIECE_MARKS = "Ġ▁␣ ·"
"""What tokenizers put before or for the space."""

PATCH = re.compile(r"\d+,\d+")


def is_punctuation(token: str) -> bool:
    """Whether a token holds signs of punctuation only, besides what marks it as a piece."""
    inner = token.removeprefix("##").strip(PIECE_MARKS)
    return bool(inner) and all(unicodedata.category(char).startswith("P") for char in inner)


def punctuation_marks(tokens: Tokens) -> Bool:
    """[n_token]; what the tokenizer added is none, [SEP] for example."""
    marks = np.array([is_punctuation(label) for label in tokens.labels], bool)
    marks[list(tokens.special)] = False
    return marks


def special_tokens(tokens: Tokens) -> Bool:
    """[n_token]: the tokens that the tokenizer added."""
    special = np.zeros(len(tokens), bool)
    special[list(tokens.special)] = True
    return special


def known_ids(tokens: Tokens) -> Array:
    """[n_token]: the tokens' ids, `NOBODY` where one stands for whatever the vocabulary lacks:
    two of them need not be the same."""
    ids = np.array(tokens.ids)
    ids[list(tokens.unknown)] = NOBODY
    return ids


def same_tokens(tokens: Tokens) -> Array:
    """[n_token]: numbers that are equal where the tokens are, for tokens without ids."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(token, len(numbers)) for token in tokens.tokens])


def are_patches(tokens: Tokens) -> bool:
    """Whether these are the patches of an image, which lie in a plane and not in a row."""
    names = [name for i, name in enumerate(tokens.tokens) if i not in tokens.special]
    return bool(names) and all(PATCH.fullmatch(name) for name in names)
