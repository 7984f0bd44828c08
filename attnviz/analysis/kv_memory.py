"""What keys and values take, and how much of the memory that is set aside for them holds any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array

QUANTILES = 500
"""Lengths that stand for a distribution."""


class Shape(NamedTuple):
    """What of a model decides the size of its cache."""

    n_layer: int
    n_kv_head: int
    d_head: int
    itemsize: int = 2
    """Bytes of a number: 2 in half precision."""

    @property
    def n_byte(self) -> int:
        """Of one token: a key and a value for each layer and key/value head."""
        return 2 * self.n_layer * self.n_kv_head * self.d_head * self.itemsize


class Workload(NamedTuple):
    """Requests: a prompt, and an answer that comes token by token."""

    prompt: int
    """Tokens of every prompt."""
    answer: float
    """Tokens of an answer on average. Their lengths are spread exponentially: an answer of any
    length is as likely to go on as one that has just begun."""
    longest: int
    """Tokens that a request may have at most."""

    def answers(self) -> Array:
        """[n]: lengths, one for each part of equal probability."""
        places = (np.arange(QUANTILES) + 0.5) / QUANTILES
        lengths = np.round(-self.answer * np.log1p(-places))
        return np.clip(lengths, 1, self.longest - self.prompt).astype(np.int64)


Reserve = Callable[[Workload, int, Array], Array]
"""A workload, an answer's length, tokens that are there [n] -> tokens that have room [n]."""


def reserve_most(work: Workload, answer: int, present: Array) -> Array:
    """Room for the longest request there may be."""
    return np.full_like(present, work.longest)


def reserve_power(work: Workload, answer: int, present: Array) -> Array:
    """Room for the prompt and for the next power of two of the answer's length."""
    return np.full_like(present, work.prompt + (1 << (answer - 1).bit_length()))


def reserve_exactly(work: Workload, answer: int, present: Array) -> Array:
    """Room for what the request will have in the end, as if that were known."""
    return np.full_like(present, work.prompt + answer)


def reserve_blocks(block_size: int) -> Reserve:
    """Room for what is there, in whole blocks."""

    def reserve(work: Workload, answer: int, present: Array) -> Array:
        return -(-present // block_size) * block_size

    return reserve


def policies(block_size: int) -> Mapping[str, Reserve]:
    """Ways to set memory aside, as Kwon et al. 2023, section 6.1, name them."""
    return {
        "Max": reserve_most,
        "Pow2": reserve_power,
        "Oracle": reserve_exactly,
        "paged": reserve_blocks(block_size),
    }


def used_share(work: Workload, reserve: Reserve) -> float:
    """The share of the reserved memory that holds tokens, over all requests and all the time that
    they take, a step for each token of an answer."""
    held = room = 0
    for answer in work.answers().tolist():
        present = work.prompt + np.arange(1, answer + 1)
        held += int(present.sum())
        room += int(reserve(work, answer, present).sum())
    return held / room
