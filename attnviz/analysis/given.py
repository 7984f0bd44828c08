"""Whether the weights, scores and outputs that a file has are those of its own q, k and v."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.heads import merge_heads
from attnviz.nn.masks import CAUSAL, NONE
from attnviz.nn.types import Array
from attnviz.trace.attended import How, attended
from attnviz.trace.projections import Projected, Reading, precision
from attnviz.trace.record import Record

STAGES = ("scores", "logits", "weights", "context")

ROUNDINGS = 8
"""How many roundings of a number of its own size a result may be off."""

NEVER = -1e4
"""A logit of at most this is as good as -inf."""


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


def matches(record: Record, layer: Projected) -> Iterator[Match]:
    """Each stage that the file has of a layer, beside the computed one."""
    for stage in STAGES:
        if stage in layer.given:
            yield _match(record, stage, layer.given[stage], layer.eps)


def remedy(path: Path, reading: Reading, found: Sequence[Match], how: How) -> str:
    """The options with which all that the file has of the first layer that is off would match;
    empty if none of the usual ones does."""
    off = next(match.record for match in found if not match.holds)
    layer = next(layer for layer in reading.layers if layer.id == off)
    for words, changed in _variants(layer, how):
        try:
            record = attended(path, layer, changed, "queries", "keys")
        except AttnvizError:
            continue
        if all(match.holds for match in matches(record, layer)):
            return words
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


def _match(record: Record, stage: str, given: Array, source: float) -> Match:
    computed = np.asarray(record.stage(stage), np.float64)
    what, paired = _paired(stage, computed, np.asarray(given, np.float64))
    allowed = _allowed(record, stage, given, source)
    if paired is None:
        return Match(record.id, stage, what, None, allowed, (), given.shape)
    ours, theirs = paired
    if stage == "logits":  # -inf, or a number as good as it
        theirs = np.where((theirs <= NEVER) & np.isneginf(ours), -np.inf, theirs)
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    apart = np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    n_off = int((apart > allowed).sum())
    largest, place = float(apart.max()), tuple(map(int, at))
    return Match(record.id, stage, what, largest, allowed, place, given.shape, n_off)


def _allowed(record: Record, stage: str, given: Array, source: float) -> float:
    """What rounding of the inputs, or of the given array, can make of it."""
    eps = max(precision(given), source)
    scores = np.abs(record.stage("scores"))
    size = max(1.0, float(scores.max(initial=0, where=np.isfinite(scores))))
    if stage == "context":
        values = np.abs(record.stage("v"))
        size *= max(1.0, float(values.max(initial=0, where=np.isfinite(values))))
    return ROUNDINGS * eps * size


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
