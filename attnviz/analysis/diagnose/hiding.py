"""What a mask does to the scores, rightly and wrongly: steps in the place of `hide`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, hide
from attnviz.analysis.diagnose.masking import Masking
from attnviz.language import to_say
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array, Bool

RIGHT = "softmax(where(visible, S, −∞)) V, S = QKᵀ/√d_k"
"""What a mask is for, in short."""


def hiding(step: Step) -> Step:
    """Marks a step as one in which the mask is applied, so that a second mistake finds it."""
    step.hides = True  # type: ignore[attr-defined]
    return step


def step_that_hides(c: Computation) -> Step | None:
    """The step that applies the mask, if there is a mask and such a step."""
    if c.masking.is_empty:
        return None
    return next((step for step in c.steps if step is hide or hasattr(step, "hides")), None)


def instead_of_hiding(c: Computation, *steps: Step) -> Computation:
    """With other steps where the mask is applied."""
    step = step_that_hides(c)
    return c if step is None else c.instead_of(step, *steps)


def apart(c: Computation, parts: tuple[str, ...]) -> tuple[Computation, Masking]:
    """The computation without these parts of its masking, and the parts: to apply them
    otherwise."""
    return replace(c, masking=c.masking.without(*parts)), c.masking.only(*parts)


def seen_by(part: Masking, c: Computation) -> Bool:
    """What a part of the masking shows to the queries of a computation.

    -> [n_batch or 1, n_head or 1, n_row, n_k].
    """
    seen = part.visible(c.rows, c.n_k)
    return np.ones((1, 1, 1, 1), bool) if seen is None else seen


def applied_otherwise(
    c: Computation, parts: tuple[str, ...], step: Callable[[Masking], Step]
) -> Computation:
    """With some parts of the masking applied by another step, before the rest is applied as it
    should be; the same computation where no step applies a mask."""
    hides = step_that_hides(c)
    rest, part = apart(c, parts)
    return c if hides is None else rest.instead_of(hides, step(part), hides)


PART_WORDS = {
    "causal": to_say("only the causal mask"),
    "window": to_say("only the window"),
    "padding": to_say("only the padding"),
    "queries": to_say("only the padded queries"),
    "segments": to_say("only the packed texts"),
    "custom": to_say("only the rest of the mask"),
}


def whole_or_part(c: Computation) -> Iterator[tuple[tuple[str, ...], dict[str, Any], str]]:
    """What may have been applied wrongly: the mask as a whole, or only one of its parts; with
    parameter and words."""
    parts = c.masking.parts if step_that_hides(c) else ()
    if parts:
        yield parts, {}, ""
    if len(parts) > 1:
        for part in parts:
            yield (part,), {"part": part}, PART_WORDS[part]


FINITE_WORDS = {
    "causal": to_say("only the causal mask is finite"),
    "window": to_say("only the window is finite"),
    "padding": to_say("only the padding is finite"),
}


def finite_parts(masking: Masking) -> Iterator[tuple[str | None, dict[str, Any], str]]:
    """What may be finite of a mask: all of it, or one of its parts; with parameter and words."""
    yield None, {}, ""
    if len(masking.parts) > 1:
        for part in masking.parts:
            if part in FINITE_WORDS:
                yield part, {"finite": part}, FINITE_WORDS[part]


def misread(c: Computation, read: Callable[[Bool], Bool]) -> Computation:
    """With the mask as a whole read wrongly."""
    before = c.masking.misread
    return c.with_masking(misread=read if before is None else lambda seen: read(before(seen)))


# what softmax makes of a query that sees no key


@hiding
def nan_where_empty(x: Array, c: Computation) -> Array:
    """exp(-inf - -inf): NaN in the whole row."""
    seen = seen_by(c.masking, c)
    x = np.where(seen, x, x.dtype.type(-np.inf))
    return np.where(seen.any(-1, keepdims=True), x, x.dtype.type(np.nan))


def where_empty(finite: str | None = None, *, alike: bool = False, last: bool = False) -> Step:
    """A finite number in the place of -inf: for the whole mask, or only for one part of it, when
    the others still hide. In a row in which no key is visible the number cancels if it is added,
    and the keys are weighted as without a mask; if it replaces the scores, or is so large that
    nothing of them is left, all keys weigh alike. A part that is filled in last replaces the -inf
    of the others."""

    @hiding
    def step(x: Array, c: Computation) -> Array:
        seen = seen_by(c.masking, c)
        empty = ~seen.any(-1, keepdims=True)
        instead = _finite(c.masking, finite, c.rows, c.n_k, last)
        x = np.where(empty, x.dtype.type(0), x) if alike else x
        return np.where(seen | (empty & instead), x, x.dtype.type(-np.inf))

    return step


def _finite(masking: Masking, part: str | None, rows: Array, n_k: int, last: bool = False) -> Bool:
    """The keys of a row without a visible one that have a finite number."""
    if part is None:
        return np.ones((1, 1, 1, 1), bool)
    others = masking.only(part) if last else masking.without(part)
    seen = others.visible(rows, n_k)
    if seen is None:
        return np.ones((1, 1, 1, 1), bool)
    return np.asarray(~seen if last else seen)


def weights_where_empty(masking: Masking, scores: Array, rows: Array) -> Iterator[Array]:
    """What finite numbers in the place of -inf may make of queries that see no key: scores
    [n_batch, n_head, n_row, n_k] -> weights."""
    parts = [part for part, *_ in finite_parts(masking) if part]
    for part, last in ((None, False), *((part, last) for part in parts for last in (False, True))):
        hidden = np.where(_finite(masking, part, rows, scores.shape[-1], last), 0, -np.inf)
        hidden = hidden.astype(scores.dtype)
        yield softmax(hidden + np.zeros_like(scores))
        if not last:
            yield softmax(scores + hidden)


ROUGH = -1e4
"""A usual finite number; float32 keeps about three decimals of a score to which it is added."""


@hiding
def rounded_where_empty(x: Array, c: Computation) -> Array:
    """This number added to the scores of such a row, with what float32 loses of them meanwhile."""
    rough = (x.astype(np.float32) + np.float32(ROUGH)).astype(x.dtype) - x.dtype.type(ROUGH)
    seen = seen_by(c.masking, c)
    return where_empty()(np.where(seen.any(-1, keepdims=True), x, rough), c)


def empty_rows(c: Computation) -> bool:
    """Whether it matters what becomes of a query that sees no key."""
    if c.sinks is not None or step_that_hides(c) is None:
        return False
    return c.masking.leaves_rows_empty(c.n_q, c.n_k)
