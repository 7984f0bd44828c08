"""Texts of one block of characters, said over and over: what the `induction` model is taught.

    h3Kq h3Kq h3Kq h3Kq …     (without the spaces)

The length of the block differs from text to text. With one length for all, looking a fixed
number of places back would do, and no head would have to compare characters.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHARACTERS = ["[UNK]", "[BOS]", *string.ascii_letters, *string.digits, ".", ","]
"""What the model knows; the id of a character is its index."""

BEGIN = 1
SYMBOLS = np.array([i for i in range(len(CHARACTERS)) if i != BEGIN])
"""What blocks are made of. [UNK] is one of them, so that it is copied like any other."""

UNSEEN_PERIODS = (7, 13, 20, 27)
"""Lengths of blocks that are kept for the test."""
TRAINING_PERIODS = tuple(p for p in range(3, 33) if p not in UNSEEN_PERIODS)
N_TOKEN = 65
"""Of a text in training, with [BOS]."""


class Texts(NamedTuple):
    ids: NDArray[np.int64]
    """[n_text, n_token + 1]; starts with [BOS]. The last id is only ever a target."""
    period: NDArray[np.int64]
    """Length of each text's block, [n_text]."""

    @property
    def told(self) -> NDArray[np.bool_]:
        """Which next tokens follow from what came before, [n_text, n_token].

        From the first character of the second copy on; before, nobody could know.
        """
        positions = np.arange(self.ids.shape[1] - 1)
        return positions > self.period[:, None]


def repeated_blocks(
    generator: np.random.Generator,
    n_text: int,
    periods: Sequence[int],
    n_token: int = N_TOKEN,
    repeats: float = 0.0,
) -> Texts:
    """Texts of [BOS] and a random block, repeated up to the end and cut there.

    The characters of a block are all different, except in a share `repeats` of the texts: there
    a block is drawn from an alphabet of half to all its length, as the letters of a word are.
    """
    ids = np.full((n_text, n_token + 1), BEGIN)
    period = generator.choice(np.asarray(periods), n_text)
    for text, p in zip(ids, period, strict=True):
        block = generator.permutation(SYMBOLS)[:p]
        if generator.random() < repeats:
            block = generator.choice(block[: generator.integers((p + 1) // 2, p + 1)], p)
        text[1:] = np.resize(block, n_token)
    return Texts(ids, period)


def unseen_texts(period: int, n_text: int = 100, repeats: float = 0.0) -> Texts:
    """The test texts of one period: always the same."""
    generator = np.random.default_rng([20171206, period])
    return repeated_blocks(generator, n_text, [period], max(N_TOKEN, 2 * period + 1), repeats)


def followers(ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where an induction head should look: right behind every earlier copy of the query's token.

    ids [n_text, n] -> [n_text, n_q, n_k]
    """
    same = ids[:, :, None] == ids[:, None, :]
    earlier = np.tril(same, -1)
    behind = np.zeros_like(earlier)
    behind[:, :, 1:] = earlier[:, :, :-1]
    return behind
