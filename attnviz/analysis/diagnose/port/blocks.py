"""A port's dump beside our forward pass, block by block: each reads what the dump has before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.noise import DTYPES, rounding
from attnviz.analysis.diagnose.port.dump import (
    Given,
    givens,
)
from attnviz.analysis.diagnose.port.rounded import in_float64, in_half
from attnviz.analysis.diagnose.port.rows import (
    Fitted,
    Floor,
    Row,
    dtype_of,
    fitted,
    floor_of,
    row,
)
from attnviz.analysis.diagnose.port.stages import (
    IN_ATTENTION,
    OF_BLOCKS,
    At,
    Place,
    Stages,
    embedded,
    places,
)
from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import Stream
from attnviz.nn.stages import MATRICES
from attnviz.nn.transformer import Stack
from attnviz.nn.types import Array

HALVES = ("float16", "bfloat16")


SAVE = "attnviz probe transformers prints the lines that dump them"


class Reader(NamedTuple):
    """The dump, and which part of it is compared."""

    by_stage: Mapping[At, Sequence[Given]]
    item: int
    kept: Array
    """[n], True where a token is no padding."""
    dtype: str
    """The coarsest type of its arrays."""

    def of(self, stages: Stages) -> Iterator[tuple[Given, Fitted | None]]:
        """What the dump has of these stages."""
        seen: set[str] = set()
        for at in stages:
            for given in self.by_stage.get(at, ()):
                if given.name not in seen:
                    seen.add(given.name)
                    yield given, fitted(given, stages, self.item, self.kept)

    def hidden(self, at: At, ours: Stages) -> Array | None:
        """A hidden state of the dump, where it has it and it fits."""
        for given in self.by_stage.get(at, ()):
            fit = fitted(given, ours, self.item, self.kept)
            if fit is not None and fit.at == at and np.isfinite(fit.array).all():
                return fit.array
        return None


class Block(NamedTuple):
    """A block that was compared: where it is, what it read, and what the dump has of it."""

    place: Place
    x: Array
    by_itself: bool
    """Whether what it read is right, or the dump's own: what deviates in it began in it."""
    ours: Stages
    floors: Mapping[At, Floor]
    found: tuple[tuple[Given, Fitted | None], ...]
    rows: tuple[Row, ...]


def reader_of(
    arrays: Mapping[str, Array], n_layer: Mapping[str, int], item: int, kept: Array
) -> Reader:
    """The stages among the arrays of a dump, by their names; kept [n]: True where a token is no
    padding."""
    by_stage: dict[At, list[Given]] = {}
    coarsest = "float32"
    for given in givens(arrays, n_layer):
        for at in given.ats:
            by_stage.setdefault(at, []).append(given)
        kind = dtype_of(given.array)
        coarsest = max(coarsest, kind, key=DTYPES.index)
    if not by_stage:
        listed = ", ".join([*arrays][:8]) or "nothing"
        raise AttnvizError(f"the dump holds no stages of a model: {listed}", SAVE)
    return Reader(by_stage, item, kept, coarsest)


# what is compared


class Start(NamedTuple):
    """Where a stack begins."""

    stream: Stream
    embed: Any
    inputs: Input
    x: Array
    """What its first block reads: the dump's where it has it."""
    rows: tuple[Row, ...]
    theirs: Array | None
    floor: Floor


def started(model: Model, stack: Stack, inputs: Mapping[str, Input], reader: Reader) -> Start:
    stream = embedded(model, stack, inputs)
    at = At(stack.name, 0, "hidden")
    transformer = model.transformer
    embed = transformer.target if stream.name == "target" else transformer.source
    assert embed is not None
    exact = np.asarray(in_float64(embed)(inputs[stream.name]), np.float64)
    half = None
    if reader.dtype in HALVES:
        half = in_half(embed, rounding(reader.dtype))(inputs[stream.name])
    floor = floor_of(stream.x, exact, half, reader.dtype)
    found = tuple(reader.of({at: stream.x}))
    rows = tuple(row(given, fit, floor) for given, fit in found)
    theirs = reader.hidden(at, {at: stream.x})
    x = stream.x if theirs is None else theirs.astype(stream.x.dtype)
    return Start(stream, embed, inputs[stream.name], x, rows, theirs, floor)


def compared_blocks(
    stack: Stack, stream: Stream, memory: Stream | None, x: Array, reader: Reader
) -> Iterator[Block]:
    """Every block of a stack beside what the dump has of it; x [n, d_model] enters the first."""
    x64 = np.asarray(x, np.float64)
    xhalf = x
    by_itself = True

    def matrices(layer: int) -> frozenset[str]:
        kept = (at.stage for at in reader.by_stage if at[:2] == (stack.name, layer))
        return frozenset(kept).intersection(MATRICES)

    for place in places(stack, stream, memory, matrices):
        ours = place.run(x)
        exact = _exact(place).run(x64)
        half = None
        if reader.dtype in HALVES:
            rounds = rounding(reader.dtype)
            half = replace(place, block=in_half(place.block, rounds)).run(rounds(xhalf))
        floors = {
            at: floor_of(array, exact[at], None if half is None else half[at], reader.dtype)
            for at, array in ours.items()
            if array.dtype.kind == "f"
        }
        found = tuple(reader.of({at: x for at, x in ours.items() if at in floors}))
        rows = _rows(found, floors)
        after = [each.holds for each in rows if each.at.stage in OUTCOMES]
        if after and not any(after):
            # then queries that are ours before their rotation were to be those behind it
            found = tuple((given, _behind(given, fit, ours, reader)) for given, fit in found)
            rows = _rows(found, floors)
        rows = _elsewhere(rows)
        yield Block(place, x, by_itself, ours, floors, found, rows)
        out = At(place.stack, place.layer + 1, "hidden")
        theirs = reader.hidden(out, ours)
        right = by_itself and all(each.holds or each.elsewhere for each in rows)
        by_itself = right or theirs is not None
        if theirs is None:
            x, x64, xhalf = ours[out], exact[out], ours[out] if half is None else half[out]
        else:
            x = theirs.astype(ours[out].dtype)
            x64, xhalf = x.astype(np.float64), x


def _rows(
    found: Sequence[tuple[Given, Fitted | None]], floors: Mapping[At, Floor]
) -> tuple[Row, ...]:
    return tuple(
        row(given, fit, floors[given.ats[0] if fit is None else fit.at]) for given, fit in found
    )


def _behind(given: Given, fit: Fitted | None, ours: Stages, reader: Reader) -> Fitted | None:
    """The array as the first stage that its name says."""
    if fit is None or not fit.at.stage.endswith("_proj") or given.ats[0] == fit.at:
        return fit
    return fitted(given._replace(ats=given.ats[:1]), ours, reader.item, reader.kept)


def _exact(place: Place) -> Place:
    """The same block in float64."""
    memory = place.memory
    if memory is not None:
        memory = memory._replace(x=memory.x.astype(np.float64))
    return replace(
        place, block=in_float64(place.block), after=in_float64(place.after), memory=memory
    )


def _elsewhere(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, of which those are marked that differ although what is computed from them in this
    block does not."""
    right = [each.at.order for each in rows if each.holds and each.at.stage in OUTCOMES]

    def moved(each: Row) -> bool:
        stage = each.at.stage
        if each.holds or stage in OF_BLOCKS or not np.isfinite(each.rms):
            return False
        later = [order for order in right if order > each.at.order]
        if stage == "v":
            later = [order for order in later if order[3] < 0 or order[3] > _WEIGHTS]
        return bool(later)

    return tuple(each._replace(elsewhere=moved(each)) for each in rows)


OUTCOMES = ("weights", "context", "attended", *OF_BLOCKS)
"""Stages that are right only if all before them are."""


_WEIGHTS = IN_ATTENTION.index("weights")
