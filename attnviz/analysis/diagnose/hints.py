"""What the numbers of a dump say of mistakes that no hypothesis can guess: which weights fell out,
and by what the output is multiplied.

It is handed to the mistakes as facts, and is judged as everything else is: by what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, as_it_is, compute
from attnviz.analysis.diagnose.dropout import Dropout, dropout, refined
from attnviz.analysis.diagnose.facts import Dropped
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.noise import EPS
from attnviz.analysis.diagnose.recover import all_weights, given_weights, weights_from_outputs
from attnviz.nn.types import Array

PROPORTIONAL = 0.02
"""How far an output may be from a multiple of the reference's, relative to it."""

N_EARLY = 16
"""Queries of a causal dump from whose outputs weights are recovered."""

MOST_CELLS = 1 << 26
"""Of weights that are recovered for the whole dump."""


def hinted(judge: Judge) -> Computation:
    """The wanted computation, with what was found in the numbers among its facts."""
    c = judge.case.wanted
    if c.mixes_rows:
        return c
    facts = replace(c.facts, dropped=dropped(judge), gain=gain(judge))
    return replace(c, facts=facts)


def gain(judge: Judge) -> Array | None:
    """What the output of each head is multiplied by, [n_head], if it is a multiple of the
    reference's and not the same; one number for all heads where they agree."""
    given = judge.given.get("context")
    if given is None or not np.isfinite(given).all():
        return None
    wanted = judge.wanted.context.astype(np.float64)
    axes = (0, 2, 3)
    squares = (wanted**2).sum(axes)
    if not np.isfinite(wanted).all() or not squares.all():
        return None
    each = (wanted * given).sum(axes) / squares
    one = float((wanted * given).sum() / squares.sum())
    for factors in (np.full_like(each, one), each):
        left = given - factors[:, None, None] * wanted
        size = np.sqrt((factors**2 * squares).sum())
        if size > 0 and np.sqrt((left**2).sum()) <= PROPORTIONAL * size:
            return None if np.allclose(factors, 1, atol=EPS[judge.dtype] * 8) else factors
    return None


def dropped(judge: Judge) -> Dropped | None:
    """Which weights of the whole dump fell out, if some of the queries that are looked at say that
    dropout was on; where only some queries can say it, which of theirs."""
    case, c = judge.case, judge.case.wanted
    wanted = judge.wanted.weights
    kinds = [_kind(wanted, *each) for each in known_weights(case, judge.rows)]
    if not kinds:
        return _dropped_in(case, _early_rows(c))
    cells = c.q.shape[0] * c.n_head * c.n_q * c.n_k
    if not any(kinds) or cells > MOST_CELLS:
        return None
    wanted = compute(c).weights
    for kind, (weights, error) in zip(kinds, known_weights(case, np.arange(c.n_q)), strict=True):
        found = dropout(wanted, weights, error)
        if kind is not None and found is not None and found.kind == kind:
            return _facts(found, wanted, case, np.arange(c.n_q))
    return None


def _facts(found: Dropout, wanted: Array, case: Case, rows: Array) -> Dropped:
    """As facts of the whole dump, with small weights sorted by the outputs, if they are there."""
    c, kept = case.wanted, found.kept
    if "context" in case.given and c.finish is as_it_is:
        v = np.asarray(c.spread(c.v, c.n_head), np.float64)
        out = np.asarray(case.given["context"][:, :, rows], np.float64)
        kept = refined(kept, wanted * found.ratio, v, out)
    whole = np.ones((*wanted.shape[:2], c.n_q, c.n_k), bool)
    whole[:, :, rows] = kept
    counts = wanted > 0
    n_dropped, n = int((counts & ~kept).sum()), int(counts.sum())
    return Dropped(whole, found.rate, found.ratio, n_dropped, n - n_dropped)


def _kind(wanted: Array, weights: Array, error: float) -> str | None:
    found = dropout(wanted, weights, error)
    return None if found is None or found.kind == "rescaled" else found.kind


def _early_rows(c: Computation) -> Array:
    """Queries that see no more keys than d_v, [n_row], some of them."""
    seen = c.visible()
    if seen is None:
        return np.arange(0)
    most = np.broadcast_to(seen, (*seen.shape[:2], c.n_q, c.n_k)).sum(-1).max((0, 1))
    rows = np.flatnonzero((most > 1) & (most <= c.v.shape[-1]))
    return rows[-N_EARLY:]


def _dropped_in(case: Case, rows: Array) -> Dropped | None:
    """The same of some queries alone, from their outputs."""
    if not len(rows) or "context" not in case.given:
        return None
    weights = weights_from_outputs(case, rows)
    if weights is None:
        return None
    c = case.wanted
    wanted = compute(c.at(rows)).weights
    found = dropout(wanted, weights.values, weights.error)
    if found is None or found.kind != "left on":
        return None
    some = _facts(found, wanted, case, rows)
    return replace(some, rows=(int(rows[0]), int(rows[-1])))


def known_weights(case: Case, rows: Array) -> Iterator[tuple[Array, float]]:
    """Weights of these queries [n_batch, n_head, n_row, n_k] and their error: those of the dump,
    and those that follow from its outputs where there are no more keys than d_v."""
    given = given_weights(case, rows)
    if given is not None:
        yield given.values, given.error
    if "context" in case.given:
        found = all_weights(case, np.asarray(case.given["context"][:, :, rows], np.float64))
        if found is not None and np.isfinite(found[0]).all():
            yield found
