"""What keys and values take, and how much of the memory that is set aside for them holds any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.nn.blocks import BlockPool
from attnviz.nn.paged import PagedCache
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
    max_length: int
    """Tokens that a request may have at most."""

    def answers(self) -> Array:
        """[n]: lengths, one for each part of equal probability."""
        shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
        lengths = np.round(-self.answer * np.log1p(-shares))
        return np.clip(lengths, 1, self.max_length - self.prompt).astype(np.int64)


Reserve = Callable[[Workload, int, Array], Array]
"""A workload, an answer's length, tokens that are there [n] -> tokens that have room [n]."""


def reserve_maximum(work: Workload, answer: int, present: Array) -> Array:
    """Room for the longest request there may be, [n] -> [n]."""
    return np.full_like(present, work.max_length)


def reserve_power(work: Workload, answer: int, present: Array) -> Array:
    """Room for the prompt and for the next power of two of the answer's length, [n] -> [n]."""
    return np.full_like(present, work.prompt + (1 << (answer - 1).bit_length()))


def reserve_exactly(work: Workload, answer: int, present: Array) -> Array:
    """Room for what the request will have in the end, as if that were known; [n] -> [n]."""
    return np.full_like(present, work.prompt + answer)


def reserve_blocks(block_size: int) -> Reserve:
    """Room for what is there, in whole blocks."""

    def reserve(work: Workload, answer: int, present: Array) -> Array:
        return -(-present // block_size) * block_size

    return reserve


def policies(block_size: int) -> Mapping[str, Reserve]:
    """Ways to set memory aside, as Kwon et al. 2023, section 6.1, name them."""
    return {
        "Max": reserve_maximum,
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


SHAREGPT = Workload(prompt=161, answer=337.99, max_length=2048)
"""Kwon et al. 2023, figure 11: mean lengths of ShareGPT; OPT reads at most 2048 tokens."""
BLOCK_SIZE = 16
"""Tokens in a block of theirs (section 6.1)."""
PUBLISHED = {
    "Max": (20.4, 13.3, 57.3),
    "Pow2": (26.8, 17.9, 13.6),
    "Oracle": (38.2, 25.2, 0.0),
}
"""Their figure 2, in percent of the memory: tokens, reserved for tokens to come, reserved for
nothing. The rest to 100 lies between what is reserved, which does not depend on how much one
reserves."""
PUBLISHED_PAGED = 96.3
OPT_13B = Shape(n_layer=40, n_kv_head=40, d_head=128)
OPT_13B_KIB = 800
"""Kwon et al. 2023, section 3."""
SHAPES = {
    "OPT-13B": OPT_13B,
    "OPT-13B, GQA": OPT_13B._replace(n_kv_head=8),
    "OPT-13B, MQA": OPT_13B._replace(n_kv_head=1),
    "Llama-2-7B": Shape(32, 32, 128),
    "Llama-3-8B": Shape(32, 8, 128),
    "Falcon-7B": Shape(32, 1, 64),
}


def published_share(name: str) -> float:
    """The share of what is reserved for requests that holds tokens, of a policy in `PUBLISHED`."""
    return PUBLISHED[name][0] / sum(PUBLISHED[name])


def measured_bytes(shape: Shape) -> int:
    """The bytes of a cache with room for one token, in numbers of `itemsize` bytes."""
    pool = BlockPool(1, 1)
    cache = PagedCache(pool)
    token: Array = np.zeros((shape.n_kv_head, 1, shape.d_head), f"f{shape.itemsize}")
    for layer in range(shape.n_layer):
        cache.extend(f"decoder.{layer}.self", token, token)
    return pool.n_byte
