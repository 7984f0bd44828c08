"""Where what was found is off: over the whole dump, by item, head and query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.judge import TINY, Judge
from attnviz.analysis.diagnose.noise import rms
from attnviz.nn.types import Array

BLOCK = 1 << 21
"""Cells of a matrix of scores that are computed at once."""

MOST = 1 << 26
"""Cells that are looked at; of more, some queries."""

LEAST_ROWS = 16


class Survey(NamedTuple):
    """How far a computation is from all that was found."""

    stage: str
    """The last stage that the dump holds, which the maps are of."""
    rows: Array
    """[n_row]: the queries that were looked at."""
    squares: Array
    """[n_batch, n_head, n_row]: mean squares of the differences."""
    noise: Array
    """[n_row]: the rms that rounding explains."""
    largest: float
    at: tuple[int, ...]
    """Item, head, query and dimension or key of the largest difference."""
    broken: Array
    """[n_batch, n_head, n_row]: numbers that are NaN or infinite on one side only."""
    ratios: Mapping[str, float]
    """Of each stage, the rms in units of the noise."""
    keys: Mapping[str, Array]
    """Of each stage that has one number a key: the same key by key, [n_k]."""

    @property
    def rms(self) -> float:
        return float(np.sqrt(self.squares.mean()))

    @property
    def noise_rms(self) -> float:
        return float(np.sqrt(np.mean(self.noise**2)))


def blocks(case: Case, every: int = 1) -> Iterator[Array]:
    """The queries in pieces that fit into memory, [n_row] each."""
    c = case.wanted
    cells = c.q.shape[0] * c.n_head * c.n_k
    size = max(1, BLOCK // max(cells, 1))
    rows = np.arange(c.n_q)[::every]
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def thinned(case: Case) -> int:
    """Every how many-th query is looked at: 1, unless there are very many."""
    c = case.wanted
    cells = c.q.shape[0] * c.n_head * c.n_q * c.n_k
    return int(max(1, min(cells // MOST, c.n_q // LEAST_ROWS)))


def survey(judge: Judge, c: Computation) -> Survey:
    """A computation, the wanted one or another, beside the whole dump; the noise is that of the
    judge's rows."""
    case, every = judge.case, thinned(judge.case)
    pieces = [np.arange(case.wanted.n_q)[::every]] if c.mixes_rows else list(blocks(case, every))
    parts = [_part(Judge(case, rows, judge.dtype), c) for rows in pieces]
    rows = np.concatenate(pieces)
    noise = {stage: np.interp(rows, judge.rows, each) for stage, each in judge.noise.items()}
    squares = {
        stage: np.concatenate([part.squares[stage] for part in parts], axis=-1) for stage in noise
    }
    ratios = {
        stage: float(np.sqrt(squares[stage].mean())) / max(rms(noise[stage]), TINY)
        for stage in noise
    }
    n_row = [len(piece) for piece in pieces]
    keys = {
        stage: np.sqrt(np.average([part.keys[stage] for part in parts], axis=0, weights=n_row))
        / max(rms(noise[stage]), TINY)
        for stage in parts[0].keys
    }
    stage = list(noise)[-1]
    worst = max(parts, key=lambda part: part.largest)
    broken = np.concatenate([part.broken for part in parts], axis=-1)
    return Survey(
        stage, rows, squares[stage], noise[stage], worst.largest, worst.at, broken, ratios, keys
    )


class _Part(NamedTuple):
    """Some of the rows."""

    squares: Mapping[str, Array]
    """Stage -> mean squares, [n_batch, n_head, n_row]."""
    keys: Mapping[str, Array]
    """Stage with one number a key -> mean squares, [n_k]."""
    broken: Array
    largest: float
    at: tuple[int, ...]


def _part(judge: Judge, c: Computation) -> _Part:
    squares, keys, broken = {}, {}, np.zeros(0)
    for name, left, mismatched in judge.differences(c):
        squares[name] = (left**2).mean(-1)
        if name != "context":
            keys[name] = (left**2).mean((0, 1, 2))
        broken = mismatched.sum(-1)
    item, head, row, last = map(int, np.unravel_index(int(np.abs(left).argmax()), left.shape))
    at = (item, head, int(judge.rows[row]), last)
    return _Part(squares, keys, broken, float(np.abs(left).max(initial=0)), at)
