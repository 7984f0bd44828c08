"""Position schemes by name: what is added to the embeddings, how queries and keys rotate, and
what is added to the scores. One function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn import positions as numbers
from attnviz.nn.embedding import PositionVectors
from attnviz.nn.multi_head import Bias, Rotary
from attnviz.nn.types import Array, to_bfloat16
from attnviz.registry import Entry, Position, Positive, Registry, Size


class SchemeContext(NamedTuple):
    """What a scheme has to know of the stack that it serves."""

    d_model: int
    n_head: int
    causal: bool
    draw: Callable[[str, tuple[int, ...]], Array]
    """`draw(name, shape)`: the learned arrays, or seeded random ones in their place."""


class Scheme(NamedTuple):
    """The three places where positions can enter; None where they do not."""

    add: PositionVectors | None = None
    rotary: Rotary | None = None
    """x [n_head, n, d_k], positions [n] -> the same shape"""
    bias: Bias | None = None
    """q_pos [n_q], k_pos [n_k] -> [n_head, n_q, n_k]"""


@dataclass(frozen=True, eq=False, repr=False)
class SchemeEntry(Entry):
    """A position scheme, and where positions enter by it."""

    formula: str = ""


SCHEMES: Registry[SchemeEntry] = Registry("position scheme", SchemeEntry)


@SCHEMES.add(formula="x")
def none(setting: SchemeContext) -> Scheme:
    """No positions: attention alone cannot tell one order of the tokens from another."""
    return Scheme()


@SCHEMES.add(formula="x + PE(p)")
def sinusoidal(setting: SchemeContext, *, base: Positive = 10000.0) -> Scheme:
    """Sines and cosines of many wavelengths, added. Source: Vaswani et al. 2017, section 3.5."""
    return Scheme(add=partial(numbers.sinusoidal, d_model=setting.d_model, base=base))


@SCHEMES.add(formula="x + P[p]")
def learned(setting: SchemeContext, *, length: Size = 512) -> Scheme:
    """A vector for each of `length` positions, added. Source: Gehring et al. 2017."""
    table = setting.draw("positions", (length, setting.d_model))
    return Scheme(add=LearnedPositions(table))


@SCHEMES.add(formula="R(p) q · R(p) k")
def rope(
    setting: SchemeContext,
    *,
    base: Positive = 10000.0,
    style: str = "half",
    fraction: Positive = 1.0,
    offset: Position = 0,
) -> Scheme:
    """Queries and keys are rotated by their positions. Source: Su et al. 2021."""
    rotary = partial(
        numbers.rope,
        base=base,
        style=numbers.rope_style(style),
        fraction=fraction,
        offset=offset,
    )
    return Scheme(rotary=rotary)


@SCHEMES.add(formula="q · k - m |p_q - p_k|")
def alibi(setting: SchemeContext) -> Scheme:
    """A penalty on distance, with a slope for each head. Source: Press et al. 2022."""
    return Scheme(bias=Alibi(setting.n_head))


@SCHEMES.add(formula="q · k + b[bucket(p_k - p_q)]")
def t5(setting: SchemeContext, *, buckets: Size = 32, distance: Size = 128) -> Scheme:
    """A learned bias for each bucket of distances and each head. Source: Raffel et al. 2020."""
    numbers.check_t5_buckets(buckets, distance, bidirectional=not setting.causal)
    table = setting.draw("relative", (buckets, setting.n_head))
    return Scheme(bias=RelativeBias(table, distance, bidirectional=not setting.causal))


class Alibi(NamedTuple):
    """q_pos [n_q], k_pos [n_k] -> [n_head, n_q, n_k]: ALiBi's penalty on distance."""

    n_head: int

    def __call__(self, q_pos: Array, k_pos: Array) -> Array:
        return numbers.alibi(q_pos, k_pos, self.n_head)

    def of_distances(self, distances: Array) -> Array:
        """distances k_pos - q_pos [n] -> [n_head, n]."""
        return self(np.zeros(1), distances)[:, 0]


class RoundedAlibi(NamedTuple):
    """q_pos [n_q], k_pos [n_k] -> [n_head, n_q, n_k]: ALiBi as Falcon computes it in any precision.

    Slopes, positions and their products are rounded to bfloat16, so that a bias depends on more
    than the distance; and it is scaled as the scores are. Source: Almazrouei et al. 2023, and the
    code of Falcon RW.
    """

    n_head: int
    scale: float

    def __call__(self, q_pos: Array, k_pos: Array) -> Array:
        of_keys, of_queries = self._heights(k_pos), self._heights(q_pos)
        bias: Array = self.scale * (of_keys[:, None] - of_queries[..., None])
        return bias

    def _heights(self, positions: Array) -> Array:
        """m_h · p, [n_head, n]: only how they differ along a row changes its softmax."""
        slopes = to_bfloat16(numbers.alibi_slopes(self.n_head))
        heights = to_bfloat16(slopes[:, None] * to_bfloat16(positions))
        return heights.astype(np.float64)


class RelativeBias(NamedTuple):
    """q_pos [n_q], k_pos [n_k] -> [n_head, n_q, n_k]: T5's learned bias of each distance."""

    table: Array
    """[n_bucket, n_head]"""
    max_distance: int
    bidirectional: bool

    def __call__(self, q_pos: Array, k_pos: Array) -> Array:
        which = numbers.t5_buckets(
            q_pos, k_pos, len(self.table), self.max_distance, self.bidirectional
        )
        return numbers.t5_bias(self.table, which)

    def of_distances(self, distances: Array) -> Array:
        """distances k_pos - q_pos [n] -> [n_head, n]."""
        return self(np.zeros(1, np.int64), distances)[:, 0]


class LearnedPositions(NamedTuple):
    """positions [n] -> [n, d_model]: rows of a table. A position that it lacks is an error, not a
    wrap."""

    table: Array
    """[length, d_model]"""

    @property
    def n_position(self) -> int:
        """For how many positions there is a vector; what is computed by a formula has none such."""
        return len(self.table)

    def __call__(self, positions: Array) -> Array:
        last = int(np.max(positions, initial=-1))
        if last >= len(self.table):
            raise AttnvizError(
                f"{last + 1} tokens, but there are learned positions for {len(self.table)} only",
                "give a shorter text, or more positions: learned:length=…",
            )
        rows: Array = self.table[positions]
        return rows
