"""Whether the weights, scores and outputs that a file has are those of its own q, k and v."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.heads import merge_heads
from attnviz.nn.masks import CAUSAL, NONE
from attnviz.nn.threads import in_parallel
from attnviz.nn.types import Array
from attnviz.trace.attended import How, attended, scores_at
from attnviz.trace.projections import Projected, Reading, precision
from attnviz.trace.record import Record

STAGES = ("scores", "logits", "weights", "context")

ROUNDINGS = 8
"""How many roundings of a number of its own size a result may be off."""

NEVER = -1e4
"""A logit of at most this is as good as -inf."""

BLOCK_CELLS = 1 << 20
"""Weights of all heads that are computed at a time."""

WHOLE_CELLS = 1 << 24
"""As many are computed at once: on one core of a text of some hundred tokens."""

N_TELLING = 16
"""Queries of a long text on which options are tried."""


class Match(NamedTuple):
    """One array of the file beside what its q, k and v give."""

    record: str
    stage: str
    what: str
    """How it was compared, where it is not plain: `mean over heads`; empty else."""
    largest: float | None
    """The largest |computed - given|; None where the shapes cannot be compared."""
    allowed: float
    """What rounding explains, for the coarser of the two types."""
    at: tuple[int, ...]
    """Where the largest is: head, query, and key or dimension."""
    shape: tuple[int, ...]
    """Of the given array."""
    n_off: int = 0
    """How many of its numbers are off by more than that."""

    @property
    def holds(self) -> bool:
        return self.largest is not None and self.largest <= self.allowed

    def manifest(self) -> dict[str, Any]:
        """As it stands in a file."""
        largest = self.largest
        finite = largest is not None and np.isfinite(largest)
        return {
            "id": self.record,
            "stage": self.stage,
            "compared": self.what,
            "largest": largest if finite else None,
            "allowed": self.allowed,
            "at": list(self.at),
            "matches": self.holds,
        }


def matches(path: Path, layer: Projected, how: How, record: Record | None = None) -> list[Match]:
    """Each stage that the file has of a layer, beside what its q, k and v give: taken from
    `record`, or computed; of long texts some rows at a time, so that no matrix is whole.

    Raises:
        AttnvizError: arrays that do not fit one another.
    """
    stages = [stage for stage in STAGES if stage in layer.given]
    blocks = list(_row_blocks(layer))
    if not stages:
        return []
    if len(blocks) == 1:
        whole = record if record is not None and record.summary is None else None
        whole = whole or attended(path, layer, how, "queries", "keys")
        return _matches(layer, whole, _largest(whole.stage("scores")))
    sizes = in_parallel([partial(_largest_score, path, layer, how, rows) for rows in blocks])
    context = None if record is None else record.context
    if context is not None and stages == ["context"]:
        return [_match(layer, "context", context, layer.given["context"], max(sizes))]
    of_rows = partial(_of_rows, path, layer, how, max(sizes))
    found = [*zip(*in_parallel([partial(of_rows, rows) for rows in blocks]), strict=True)]
    return [_merged(each) for each in found]


def remedy(path: Path, reading: Reading, found: Sequence[Match], how: How) -> str:
    """The options with which all that the file has of the first layer that is off would match;
    empty if none of the usual ones does. Of a long text they are sought on some rows, and held
    against all of it when they are found."""
    off = next(match for match in found if not match.holds)
    layer = next(layer for layer in reading.layers if layer.id == off.record)
    rows = _telling_rows(layer, off)
    for words, changed in _variants(layer, how):
        try:
            if rows is not None and not _all_hold(_of_rows(path, layer, changed, None, rows)):
                continue
            if _all_hold(matches(path, layer, changed)):
                return words
        except AttnvizError:
            continue
    return ""


def _variants(layer: Projected, how: How) -> Iterator[tuple[str, How]]:
    """The usual ways to compute attention otherwise, one at a time, then two."""
    d_k = layer.k.shape[-1]
    scales = {
        "": how,
        "--scale 1": replace(how, scale=1.0),
        f"--scale 1/{d_k}": replace(how, scale=1 / d_k),
        "the default scale": replace(how, scale=None),
    }
    masked: dict[str, dict[str, Any]] = {
        "": {},
        "--causal": {"mask": CAUSAL},
        "--causal --align upper_left": {"mask": CAUSAL, "alignment": "upper_left"},
        "--mask none": {"mask": NONE, "own_mask": False},
    }
    options = [
        (f"{scale} {mask}".strip(), replace(changed, **fields))
        for scale, changed in scales.items()
        for mask, fields in masked.items()
    ]
    yield from sorted(options[1:], key=lambda option: option[0].count("--"))


def _all_hold(found: Sequence[Match]) -> bool:
    return all(match.holds for match in found)


def _row_blocks(layer: Projected) -> Iterator[Array]:
    """The queries, as many at a time as have BLOCK_CELLS weights."""
    n_head, n_q, _ = layer.q.shape
    step = n_q
    if n_head * n_q * layer.k.shape[-2] > WHOLE_CELLS:
        step = max(1, BLOCK_CELLS // (n_head * layer.k.shape[-2]))
    for start in range(0, n_q, step):
        yield np.arange(start, min(start + step, n_q))


def _telling_rows(layer: Projected, off: Match) -> Array | None:
    """Some queries of a long text, the worst one among them; None of a short one: all."""
    first = next(_row_blocks(layer))
    n_q = layer.q.shape[-2]
    if len(first) == n_q:
        return None
    spread = np.linspace(0, n_q - 1, max(2, min(N_TELLING, len(first)))).astype(int)
    worst = off.at[{"[n, head, d]": -2, "": -2}.get(off.what, 0)] if off.at else 0
    return np.unique([*spread, worst])


def _of_rows(
    path: Path, layer: Projected, how: How, largest: float | None, rows: Array
) -> list[Match]:
    """The stages at some queries; `largest` is that of all scores, by default of theirs."""
    record = attended(path, layer, how, "queries", "keys", rows)
    given = {
        stage: _at_rows(stage, layer.given[stage], rows, layer.q.shape[-2])
        for stage in STAGES
        if stage in layer.given
    }
    largest = _largest(record.stage("scores")) if largest is None else largest
    found = _matches(layer._replace(given=given), record, largest)
    return [
        match._replace(at=_moved(match, rows), shape=layer.given[match.stage].shape)
        for match in found
    ]


def _at_rows(stage: str, given: Array, rows: Array, n_q: int) -> Array:
    """Some queries of what a file has of all: along the axis that is n_q long, of matrices the last
    but one; of outputs [n, head, d] and [n, head · d] another."""
    axes = (-2,) if stage != "context" else (-2, -3)
    axis = next((a for a in axes if given.ndim >= -a and given.shape[a] == n_q), None)
    return given if axis is None else given.take(rows, axis)


def _moved(match: Match, rows: Array) -> tuple[int, ...]:
    """The place of the largest difference among all queries."""
    if not match.at:
        return ()
    axis = {"[n, head, d]": 0, "heads merged": 0, "mean over heads": 0}.get(match.what, 1)
    return (*match.at[:axis], int(rows[match.at[axis]]), *match.at[axis + 1 :])


def _merged(parts: Sequence[Match]) -> Match:
    """One stage of all queries, of what was found of some at a time."""
    if any(part.largest is None for part in parts):
        return parts[0]._replace(largest=None, at=())
    worst = max(parts, key=lambda part: part.largest or 0.0)
    return worst._replace(n_off=sum(part.n_off for part in parts))


def _largest(scores: Array) -> float:
    return float(np.abs(scores).max(initial=0, where=np.isfinite(scores)))


def _largest_score(path: Path, layer: Projected, how: How, rows: Array) -> float:
    return _largest(scores_at(path, layer, how, rows))


def _matches(layer: Projected, record: Record, largest: float) -> list[Match]:
    return [
        _match(layer, stage, record.stage(stage), layer.given[stage], largest)
        for stage in STAGES
        if stage in layer.given
    ]


def _match(layer: Projected, stage: str, ours: Array, given: Array, largest: float) -> Match:
    """One array of the file; `largest` is the largest of the scores."""
    what, paired = _paired(stage, np.asarray(ours, np.float64), np.asarray(given, np.float64))
    allowed = _allowed(stage, layer, given, largest)
    if paired is None:
        return Match(layer.id, stage, what, None, allowed, (), given.shape)
    ours, theirs = paired
    if stage == "logits":  # -inf, or a number as good as it
        theirs = np.where((theirs <= NEVER) & np.isneginf(ours), -np.inf, theirs)
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    apart = np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    n_off = int((apart > allowed).sum())
    return Match(
        layer.id, stage, what, float(apart.max()), allowed, tuple(map(int, at)), given.shape, n_off
    )


def _allowed(stage: str, layer: Projected, given: Array, largest: float) -> float:
    """What rounding of the inputs, or of the given array, can make of it."""
    size = max(1.0, largest)
    if stage == "context":
        size *= max(1.0, _largest(layer.v))
    return ROUNDINGS * max(precision(given), layer.eps) * size


def _paired(stage: str, computed: Array, given: Array) -> tuple[str, tuple[Array, Array] | None]:
    """How the two are compared, and both in one shape; None where none fits."""
    readings: list[tuple[str, Callable[[Array], Array]]] = [("", lambda x: x)]
    if stage == "context":
        readings.append(("[n, head, d]", lambda x: x.swapaxes(0, 1)))
        readings.append(("heads merged", merge_heads))
    else:
        readings.append(("mean over heads", lambda x: x.mean(0)))
    fitting = []
    for what, reading in readings:
        ours = reading(computed)
        theirs = given[0] if given.ndim == ours.ndim + 1 and len(given) == 1 else given
        if theirs.shape == ours.shape:
            fitting.append((what, (ours, theirs)))
    if len(fitting) < 2:
        return fitting[0] if fitting else ("", None)
    return min(fitting, key=lambda each: _apart(*each[1]))


def _apart(ours: Array, theirs: Array) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(ours - theirs)).max())
