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


def survey(case: Case, dtype: str, c: Computation) -> Survey:
    """A computation, the wanted one or another, beside the whole dump."""
    every = thinned(case)
    pieces = [np.arange(c.n_q)] if c.mixes_rows else list(blocks(case, every))
    parts = [_part(Judge(case, rows, dtype), c) for rows in pieces]
    squares, broken, noise = (
        np.concatenate([part[i] for part in parts], axis=-1) for i in range(3)
    )
    worst = max(parts, key=lambda part: part[3])
    n_row = [len(rows) for rows in pieces]
    ratios = {
        stage: float(np.sqrt(np.average([p[5][stage] ** 2 for p in parts], weights=n_row)))
        for stage in parts[0][5]
    }
    stage = list(ratios)[-1]
    return Survey(stage, np.concatenate(pieces), squares, noise, worst[3], worst[4], broken, ratios)


def _part(
    judge: Judge, c: Computation
) -> tuple[Array, Array, Array, float, tuple[int, ...], dict[str, float]]:
    """Mean squares, broken numbers, noise, the largest difference and where, of some rows."""
    ratios = {}
    for name, left, broken in judge.differences(c):
        squares, n_broken = (left**2).mean(-1), broken.sum(-1)
        ratios[name] = float(np.sqrt(squares.mean())) / max(rms(judge.noise[name]), TINY)
    at = np.unravel_index(int(np.abs(left).argmax()), left.shape)
    item, head, row, last = map(int, at)
    where = (item, head, int(judge.rows[row]), last)
    return squares, n_broken, judge.noise[name], float(np.abs(left).max(initial=0)), where, ratios
