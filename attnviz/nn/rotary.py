"""Rotary positions with frequencies of any kind: what long contexts do to them."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from attnviz.nn.positions import RopeStyle, frequencies, rotate
from attnviz.nn.types import Array


class RotaryEmbedding:
    """x [n_head, n, d], positions [n] -> x with its pairs of features rotated.

    Source: Su et al. 2021, section 3.2.2.
    """

    def __init__(self, frequencies: Array, gain: float = 1.0, style: RopeStyle = "half") -> None:
        """`frequencies` [d_rotary/2] are radians a position; `gain` multiplies the result."""
        self.frequencies, self.gain, self.style = frequencies, gain, style
        self._last: dict[int, tuple[Array, Array, Array]] = {}
        """By thread: positions, and the cosines and sines of their angles."""

    def __call__(self, x: Array, positions: Array) -> Array:
        cos, sin = self._angles(positions, x.dtype)
        return rotate(x, cos, sin, self.style)

    def _angles(self, positions: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """Cosine and sine of each angle, [n, d_rotary/2]; all layers ask for the same ones."""
        thread = threading.get_ident()
        last = self._last.get(thread)
        if last is None or last[0] is not positions or last[1].dtype != dtype:
            angles = np.asarray(positions)[:, None] * self.frequencies
            cos, sin = self.gain * np.cos(angles), self.gain * np.sin(angles)
            last = self._last[thread] = positions, cos.astype(dtype), sin.astype(dtype)
        return last[1:]


@dataclass(frozen=True)
class GridRotary:
    """Rotation by the place of a patch on the image: x [n_head, n, d] -> the same. What stands
    before the patches stays as it is.

    Half of the pairs turn with the row, half with the column, both from -1 to 1 at the edges.
    Source: Siméoni et al. 2025 (DINOv3), section 3.2.
    """

    base: float
    n_first: int
    """How many tokens stand before the patches."""
    grid: tuple[int, int] = (0, 0)
    """Rows and columns of patches."""

    def __call__(self, x: Array, positions: Array) -> Array:
        angles = np.concatenate(
            [
                np.zeros((self.n_first, x.shape[-1] // 2)),
                grid_angles(*self.grid, x.shape[-1], self.base),
            ]
        )[positions]
        return rotate(x, np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype))


@lru_cache(maxsize=2)
def grid_angles(rows: int, columns: int, d: int, base: float) -> Array:
    """The angle of each pair of features of each patch, row by row: [rows·columns, d/2]."""
    pairs = 2 * math.pi * base ** -(4 * np.arange(d // 4) / d)
    down, across = (2 * (np.arange(n) + 0.5) / n - 1 for n in (rows, columns))
    places = np.stack(np.meshgrid(down, across, indexing="ij"), -1).reshape(-1, 2, 1)
    angles: Array = (places * pairs).reshape(rows * columns, d // 4 * 2)
    return angles


@dataclass(frozen=True, eq=False)
class ByLength:
    """One rotation for texts of up to `length` tokens, another for longer ones.

    Source: Ding et al. 2024 (LongRoPE), as Phi-3 uses it.
    """

    short: RotaryEmbedding
    long: RotaryEmbedding
    length: int

    def __call__(self, x: Array, positions: Array) -> Array:
        fits = int(np.max(positions, initial=0)) < self.length
        return (self.short if fits else self.long)(x, positions)

    def changes_between(self, n_before: int, n_after: int) -> bool:
        """Whether the tokens of a text are rotated anew when it grows from `n_before` tokens to
        `n_after`: all keys and values that were kept of them are then those of another text."""
        return n_before <= self.length < n_after


class ByGrowth:
    """Rotations that slow down with each token of a text beyond `length`, so that the longest
    wavelength always spans the text.

    Source: bloc97 2023 (dynamic NTK-aware scaling), as transformers has it.
    """

    def __init__(
        self,
        frequencies: Array,
        base: float,
        factor: float,
        length: int,
        style: RopeStyle = "half",
    ) -> None:
        """`frequencies` [d_rotary/2] of `base` hold up to `length`."""
        self._frequencies, self._base, self._factor = frequencies, base, factor
        self._length, self._style = length, style
        self._last = length, RotaryEmbedding(frequencies, style=style)

    def __call__(self, x: Array, positions: Array) -> Array:
        n_token = max(int(np.max(positions, initial=0)) + 1, self._length)
        if self._last[0] != n_token:
            self._last = n_token, RotaryEmbedding(self.frequencies(n_token), style=self._style)
        return self._last[1](x, positions)

    def frequencies(self, n_token: int) -> Array:
        """[d_rotary/2], for texts of so many tokens."""
        d = 2 * len(self._frequencies)
        if n_token <= self._length or d <= 2:  # a single pair turns once a position, whatever
            return self._frequencies
        growth = self._factor * n_token / self._length - (self._factor - 1)
        return frequencies(d, self._base * growth ** (d / (d - 2)))

    def changes_between(self, n_before: int, n_after: int) -> bool:
        """As of `ByLength`."""
        return self._length < n_after


def llama3_frequencies(
    frequencies: Array, factor: float, low: float, high: float, original: float
) -> Array:
    """Slow rotations are divided by `factor`, fast ones stay, those between are blended.

    frequencies [d_rotary/2] -> [d_rotary/2].
    Slow and fast: fewer than `low`, more than `high` turns in `original` positions.
    Source: Llama 3.1's reference code.
    """
    turns = original * frequencies / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    blended: Array = (1 - share) * frequencies / factor + share * frequencies
    return blended


def yarn_frequencies(
    frequencies: Array,
    base: float,
    factor: float,
    fast: float,
    slow: float,
    original: float,
    whole: bool = True,
) -> Array:
    """Pairs that turn fewer than `slow` times in `original` positions are divided by `factor`,
    those that turn more than `fast` times stay, with a ramp between, over the pair's number.

    frequencies [d_rotary/2] -> [d_rotary/2].
    Source: Peng et al. 2023 (YaRN), section 3.2; `whole` rounds the ramp's ends outwards.
    """
    d = 2 * len(frequencies)

    def pair(turns: float) -> float:
        return d * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    first, last = pair(fast), pair(slow)
    if whole:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, d - 1)
    ramp = np.clip((np.arange(d // 2) - first) / ((last - first) or 0.001), 0, 1)
    blended: Array = ramp * frequencies / factor + (1 - ramp) * frequencies
    return blended


def yarn_gain(factor: float, scale: float = 1.0) -> float:
    """The factor on queries and keys, 0.1·scale·ln(factor) + 1. Source: Peng et al. 2023, 3.4."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1


def longrope_gain(factor: float, original: float) -> float:
    """√(1 + ln(factor) / ln(original)). Source: Ding et al. 2024, as Phi-3's code has it."""
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
