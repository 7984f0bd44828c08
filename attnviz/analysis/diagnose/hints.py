"""What the numbers of a dump say of mistakes that no hypothesis can guess: which weights fell out,
and by what the output is multiplied.

It is handed to the mistakes as facts, and is judged as everything else is: by what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.dropout import dropout
from attnviz.analysis.diagnose.facts import Dropped
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.noise import EPS
from attnviz.nn.types import Array

PROPORTIONAL = 0.02
"""How far an output may be from a multiple of the reference's, relative to it."""

MOST_CONDITION = 1e4
"""Of v: beyond it weights cannot be told from outputs."""

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
    wanted = compute(judge.case.wanted.at(judge.rows)).context.astype(np.float64)
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
    dropout was on."""
    wanted = compute(judge.case.wanted.at(judge.rows)).weights
    for weights, error in known_weights(judge.case, judge.rows):
        found = dropout(wanted, weights, error)
        if found is not None and found.kind != "rescaled":
            break
    else:
        return None
    c = judge.case.wanted
    cells = c.q.shape[0] * c.n_head * c.n_q * c.n_k
    if cells > MOST_CELLS or np.isnan(weights).any():
        return None
    rows = np.arange(c.n_q)
    wanted = compute(c).weights
    for weights, error in known_weights(judge.case, rows):
        whole = dropout(wanted, weights, error)
        if whole is not None and whole.kind == found.kind:
            return Dropped(whole.kept, whole.rate, whole.ratio, whole.n_dropped, whole.n_kept)
    return None


def known_weights(case: Case, rows: Array) -> Iterator[tuple[Array, float]]:
    """Weights of these queries [n_batch, n_head, n_row, n_k] and their error: those of the dump,
    and those that follow from its outputs where there are no more keys than d_v."""
    eps = EPS[case.dtype]
    if "weights" in case.given and "weights" not in case.averaged:
        yield np.asarray(case.given["weights"][:, :, rows], np.float64), 2 * eps
    c = case.wanted
    if "context" not in case.given or c.n_k > c.v.shape[-1]:
        return
    out = np.asarray(case.given["context"][:, :, rows], np.float64)
    v = np.asarray(c.spread(c.v, c.n_head), np.float64)
    if not np.isfinite(out).all() or not np.isfinite(v).all():
        return
    singular = np.linalg.svd(v, compute_uv=False)
    smallest = float(singular[..., -1].min())
    if smallest * MOST_CONDITION < singular.max():
        return
    yield out @ np.linalg.pinv(v), eps * float(np.abs(out).max()) / smallest
