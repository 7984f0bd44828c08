"""How far the heads of two traces differ, cell by cell, where both have the tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.align import Alignment, align, by_place
from attnviz.analysis.distributions import are_distributions, jensen_shannon
from attnviz.analysis.pairing import Pair, Pairing
from attnviz.analysis.visibility import visible_cells
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool, brief
from attnviz.trace.record import Record, Trace

STAGES = ("weights", "scores", "logits")

BLOCK_CELLS = 1 << 20
"""Weights that are compared at a time."""

REASONS = (
    to_say("in both"),
    to_say("in A only"),
    to_say("in B only"),
    to_say("B lacks the token"),
)
"""Why a cell of a difference is not a number, in the order of `Matrix.reasons`, counted from 1."""
BOTH, IN_A, IN_B, LACKS = range(1, len(REASONS) + 1)


class Cell(NamedTuple):
    """One cell and what stands there; places in A and in B."""

    query: tuple[int, int]
    key: tuple[int, int]
    a: float
    b: float

    def manifest(self) -> dict[str, Any]:
        """As it stands in a file: positions and values, first of A, then of B."""
        values = [_finite(self.a), _finite(self.b)]
        return {"query": list(self.query), "key": list(self.key), "values": values}


class HeadDifference(NamedTuple):
    """B less A in one pair of heads, over the cells whose query and key both texts have."""

    pair: Pair
    n_cell: int
    """Cells that are compared as numbers: without those that are hidden or broken."""
    largest: float
    """The largest |B - A|."""
    at: Cell | None
    """Where that is; None if nothing differs."""
    rms: float
    """The root of the mean of (B - A)²."""
    variation: float | None
    """Of weights whose rows are distributions on both sides: the total variation of a row,
    ½ Σ |B - A|, mean over the rows."""
    divergence: float | None
    """Of the same: the Jensen-Shannon divergence of a row in nats, mean over the rows. Each key
    adds something that is not negative, so that keys left out can only make it smaller."""
    hidden_once: int
    """Cells that a mask hides on one side only."""
    n_broken: int
    """Cells that are NaN on a side."""
    broken: Cell | None
    """The first of them."""

    @property
    def differs(self) -> bool:
        """Whether anything is not the same on both sides: a number, a mask, or a NaN."""
        return bool(self.largest or self.n_broken or self.hidden_once)

    def manifest(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {
            "a": str(self.pair.a),
            "b": str(self.pair.b),
            "cells": self.n_cell,
            "largest": _finite(self.largest),
            "at": None if self.at is None else self.at.manifest(),
            "rms": _finite(self.rms),
            "variation": _finite(self.variation),
            "divergence": _finite(self.divergence),
            "hidden_once": self.hidden_once,
            "nan": self.n_broken,
            "first_nan": None if self.broken is None else self.broken.manifest(),
        }


class Difference(NamedTuple):
    """What `compare` found."""

    stage: str
    heads: tuple[HeadDifference, ...]
    """In the order of A."""
    alignments: Mapping[tuple[str, str], Alignment]
    """By the names of the two streams of tokens."""
    pairing: Pairing

    @property
    def ranked(self) -> list[HeadDifference]:
        """Broken ones first, then the most different."""
        return sorted(self.heads, key=lambda h: (-h.n_broken, -h.largest))

    @property
    def whole(self) -> bool:
        """Whether every token of each side has its counterpart."""
        return all(alignment.whole for alignment in self.alignments.values())

    def manifest(self, a: Trace, b: Trace) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file."""
        return {
            "format": "attnviz-difference",
            "version": 1,
            "stage": self.stage,
            "a": _side_manifest(a),
            "b": _side_manifest(b),
            "aligned": [
                {"a": names[0], "b": names[1], "places": [list(x.a), list(x.b)], "whole": x.whole}
                for names, x in self.alignments.items()
            ],
            "heads": [head.manifest() for head in self.heads],
            "only_a": list(map(str, self.pairing.only_a)),
            "only_b": list(map(str, self.pairing.only_b)),
            "reasons": ["", *REASONS],
        }

    def arrays(self, a: Trace, b: Trace) -> dict[str, Array]:
        """B less A and why cells are not numbers, over all tokens of A, [n_q, n_k] a head."""
        arrays = {}
        for head in self.heads:
            values, reasons = matrix(a, b, self, head.pair)
            arrays[f"{head.pair.name}/difference"] = values
            arrays[f"{head.pair.name}/reasons"] = reasons
        return arrays


def _side_manifest(trace: Trace) -> dict[str, Any]:
    tokens = {name: list(stream.tokens) for name, stream in trace.streams.items()}
    return {"model": trace.model.to_manifest(), "tokens": tokens}


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None


class Matrix(NamedTuple):
    """B less A over all tokens of A."""

    values: Array
    """[n_q, n_k] of A, float64; 0 where there is a reason."""
    reasons: Array
    """[n_q, n_k]: 0 = a number, i = the i-th of REASONS counted from 1."""

    def __repr__(self) -> str:
        return brief(self)


def compare(
    a: Trace,
    b: Trace,
    pairing: Pairing,
    stage: str = "weights",
    progress: Callable[[int, int], None] | None = None,
) -> Difference:
    """Every pair of heads at one stage. Neither trace is written to.

    Raises:
        AttnvizError: a stage that was not kept, or no token in common.
    """
    alignments: dict[tuple[str, str], Alignment] = {}
    heads = []
    for done, pair in enumerate(pairing.pairs):
        if progress is not None:
            progress(done, len(pairing.pairs))
        sides = _sides(a, b, pair)
        for names in _streams(sides):
            if names not in alignments:
                alignments[names] = _align(a, b, names)
        heads.append(_head(pair, sides, alignments, stage))
    return Difference(stage, tuple(heads), alignments, pairing)


def matrix(a: Trace, b: Trace, difference: Difference, pair: Pair) -> Matrix:
    """One pair of heads as a whole, to be drawn or kept."""
    sides = _sides(a, b, pair)
    rows, keys = (difference.alignments[names] for names in _streams(sides))
    values = np.zeros((rows.n_a, keys.n_a))
    reasons = np.full(values.shape, LACKS, np.uint8)
    for block in _blocks(sides, rows, keys, difference.stage):
        cells = np.ix_(block.rows[0], np.array(keys.a, int))
        values[cells] = np.where(block.hidden_a | block.hidden_b, 0, block.b_less_a)
        reasons[cells] = np.select(
            [block.hidden_a & block.hidden_b, block.hidden_a, block.hidden_b], [BOTH, IN_A, IN_B], 0
        )
    return Matrix(values, reasons)


def _align(a: Trace, b: Trace, names: tuple[str, str]) -> Alignment:
    """By what the tokens are, as they are shown; by place, where one side is a plain file of
    weights that names no tokens, and both are equally long."""
    streams = a.streams[names[0]].labels, b.streams[names[1]].labels
    nameless = any(
        trace.model.is_array and list(labels) == [f"#{i}" for i in range(len(labels))]
        for trace, labels in zip((a, b), streams, strict=True)
    )
    if nameless and len(streams[0]) == len(streams[1]):
        return by_place(len(streams[0]))
    alignment = align(*streams)
    if not alignment.a:
        raise AttnvizError(
            f"A and B have no token in common: {alignment.n_a} and {alignment.n_b} tokens "
            f"({names[0]}, {names[1]})",
            "only shared tokens can be compared; --tokens names those of a plain file",
        )
    return alignment


class _Block(NamedTuple):
    """Some of the shared rows with all shared keys, [n_row, n_key], float64."""

    rows: tuple[Array, Array]
    """Places of the queries in A and in B."""
    a: Array
    b: Array
    hidden_a: Bool
    hidden_b: Bool

    @property
    def b_less_a(self) -> Array:
        """Equal infinities do not differ."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where(self.a == self.b, 0, self.b - self.a)


class _Side(NamedTuple):
    record: Record
    head: int


_Sides = tuple[_Side, _Side]


def _sides(a: Trace, b: Trace, pair: Pair) -> _Sides:
    return _Side(a[pair.a.id], pair.a.number), _Side(b[pair.b.id], pair.b.number)


def _streams(sides: _Sides) -> tuple[tuple[str, str], tuple[str, str]]:
    """The names of the queries' streams in A and B, and of the keys'."""
    a, b = (side.record for side in sides)
    return (a.queries, b.queries), (a.keys, b.keys)


def _blocks(sides: _Sides, rows: Alignment, keys: Alignment, stage: str) -> Iterator[_Block]:
    """All shared cells, some rows at a time, so that no copy is ever large."""
    columns = np.array(keys.a, int), np.array(keys.b, int)
    every = np.array(rows.a, int), np.array(rows.b, int)
    step = max(1, BLOCK_CELLS // max(1, len(columns[0])))
    for start in range(0, len(every[0]), step):
        chosen = every[0][start : start + step], every[1][start : start + step]
        a, b = (
            np.asarray(side.record.stage(stage)[side.head][np.ix_(*cells)], np.float64)
            for side, cells in zip(sides, zip(chosen, columns, strict=True), strict=True)
        )
        hidden_a, hidden_b = _hidden(sides, stage, (a, b), chosen, columns)
        yield _Block(chosen, a, b, hidden_a, hidden_b)


def _hidden(
    sides: _Sides,
    stage: str,
    values: tuple[Array, Array],
    rows: tuple[Array, Array],
    columns: tuple[Array, Array],
) -> list[Bool]:
    """Which cells a mask hides on each side. Scores are taken before the mask; a cell that has a
    weight in spite of its mask is not hidden; a file that keeps no mask has the other's."""
    if stage == "scores":
        return [np.zeros(value.shape, bool) for value in values]
    if stage == "logits":
        return [np.isneginf(value) for value in values]
    masks = [
        None if side.record.mask is None else ~visible_cells(*side)[np.ix_(row, column)]
        for side, row, column in zip(sides, rows, columns, strict=True)
    ]
    known = [mask for mask in masks if mask is not None] or [np.zeros(values[0].shape, bool)]
    return [
        (known[0] if mask is None else mask) & (value == 0)
        for mask, value in zip(masks, values, strict=True)
    ]


class _Part(NamedTuple):
    """What one block says: counts, sums over its cells or rows, and its worst cells."""

    n_cell: int
    rms: float
    variation: float
    divergence: float
    hidden_once: int
    n_broken: int
    worst: Cell | None
    broken: Cell | None


def _head(
    pair: Pair, sides: _Sides, alignments: Mapping[tuple[str, str], Alignment], stage: str
) -> HeadDifference:
    rows, keys = (alignments[names] for names in _streams(sides))
    columns = np.array(keys.a, int), np.array(keys.b, int)
    parts = [_part(block, stage, columns) for block in _blocks(sides, rows, keys, stage)]
    n_cell = sum(part.n_cell for part in parts)
    at = max((part.worst for part in parts if part.worst), key=_size, default=None)
    with_rows = (
        stage == "weights"
        and n_cell > 0
        and all(
            are_distributions(side.record.stage(stage)[side.head], side.record.site.sinks)
            for side in sides
        )
    )
    return HeadDifference(
        pair=pair,
        n_cell=n_cell,
        largest=0.0 if at is None else _size(at),
        at=at,
        rms=math.hypot(*(part.rms * math.sqrt(part.n_cell / max(1, n_cell)) for part in parts)),
        variation=sum(part.variation for part in parts) / len(rows.a) if with_rows else None,
        divergence=sum(part.divergence for part in parts) / len(rows.a) if with_rows else None,
        hidden_once=sum(part.hidden_once for part in parts),
        n_broken=sum(part.n_broken for part in parts),
        broken=next((part.broken for part in parts if part.broken), None),
    )


def _part(block: _Block, stage: str, columns: tuple[Array, Array]) -> _Part:
    """A weight that is hidden is 0, and is compared as such; a hidden logit is not a number."""
    delta = block.b_less_a
    broken = np.isnan(delta)
    both, once = block.hidden_a & block.hidden_b, block.hidden_a ^ block.hidden_b
    counted = ~(broken | both if stage == "weights" else broken | both | once)
    numbers = np.where(counted, delta, 0)
    a, b = (np.where(broken, 0, side) for side in (block.a, block.b))
    with np.errstate(over="ignore"):  # no weights: then the variation is left out
        variation = float(np.abs(numbers).sum()) / 2

    def cell(flags: Array) -> Cell | None:
        """The first largest, if it is above 0."""
        if not flags.any():
            return None
        i, j = np.unravel_index(flags.argmax(), flags.shape)
        query, key = ((int(x[n]), int(y[n])) for (x, y), n in ((block.rows, i), (columns, j)))
        return Cell(query, key, float(block.a[i, j]), float(block.b[i, j]))

    return _Part(
        n_cell=int(counted.sum()),
        rms=_rms(numbers, int(counted.sum())),
        variation=variation,
        divergence=float(jensen_shannon(a, b).sum()) if stage == "weights" else 0.0,
        hidden_once=int((once & ~broken).sum()),
        n_broken=int(broken.sum()),
        worst=cell(np.abs(numbers)),
        broken=cell(broken),
    )


def _rms(numbers: Array, count: int) -> float:
    """√(Σx² / count) of numbers of any shape [...]; also where squares overflow or vanish."""
    with np.errstate(over="ignore", under="ignore"):
        mean = float(np.square(numbers).sum()) / max(1, count)
        largest = float(np.abs(numbers).max(initial=0))
        if np.finfo(float).tiny < mean < math.inf or not 0 < largest < math.inf:
            return math.sqrt(mean)
        return largest * math.sqrt(float(np.square(numbers / largest).sum()) / max(1, count))


def _size(cell: Cell) -> float:
    return 0.0 if cell.a == cell.b else abs(cell.b - cell.a)
