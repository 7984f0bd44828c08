"""The base of a rotation, searched for where no known one explains a dump."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Stages, computation, compute
from attnviz.analysis.diagnose.facts import Facts, Rotary
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.masking import Masking, in_rows
from attnviz.analysis.diagnose.minimum import minimum
from attnviz.analysis.diagnose.noise import rms
from attnviz.analysis.diagnose.rotary import with_base
from attnviz.nn.types import Array

BASES = (10.0, 1e9)

STEPS = 600
"""Of the base, evenly in its logarithm: far keys turn visibly between two of them."""

REFINED = 50

N_ROW = 4
"""Queries with which the search is made, of one head of one item."""

DIGITS = (1, 2, 3, 4, 5, 6, 9)

STAGES = ("weights", "context", "scores")
"""What is compared, the first that was given."""


def searched_base(judge: Judge) -> float | None:
    """The base with which the wanted computation gives what was found, with no more digits than
    it needs; None where none does, or nothing is known of q and k before they were rotated."""
    c = judge.case.wanted
    rotary = c.facts.rotary
    stage = next((stage for stage in STAGES if stage in judge.given), None)
    if rotary is None or rotary.frequencies is not None or stage is None:
        return None
    if np.size(c.scale) > 1 or stage in judge.case.averaged or c.q.shape[3] < 4:
        return None
    rows = np.unique(np.linspace(0, len(judge.rows) - 1, N_ROW).astype(int))
    small = one_head(c, rotary, judge.rows[rows])
    given = judge.given[stage][:1, :1, rows]

    def off(log_base: float) -> float:
        made: Stages = compute(with_base(small, math.exp(log_base)))
        return rms(getattr(made, stage) - given)

    base = math.exp(minimum(off, *map(math.log, BASES), steps=STEPS, sections=REFINED))
    for digits in DIGITS:
        short = float(f"{base:.{digits}g}")
        if judge.fit(with_base(c, short)).holds:
            return short
    return None


def one_head(c: Computation, rotary: Rotary, rows: Array) -> Computation:
    """Some queries of the first head of the first item, [1, 1, n_row, d_k]."""
    seen = c.at(rows).visible()
    if seen is not None:
        seen = np.broadcast_to(seen, (*c.q.shape[:2], len(rows), c.n_k))[:1, :1]
    bias = c.bias
    if bias is not None:
        whole = np.broadcast_to(in_rows(bias, rows), (*c.q.shape[:2], len(rows), c.n_k))
        bias = whole[:1, :1]
    q_at, k_at = (
        np.asarray(at)[..., each] if np.ndim(at) == 1 else np.asarray(at)[0, each]
        for at, each in ((rotary.q_positions, rows), (rotary.k_positions, slice(None)))
    )
    first = replace(
        rotary,
        q=rotary.q[:1, :1, rows],
        k=rotary.k[:1, :1],
        q_positions=q_at,
        k_positions=k_at,
    )
    small = computation(
        first.q,
        first.k,
        c.v[:1, :1],
        scale=c.scale,
        softcap=c.softcap,
        bias=bias,
        sinks=None if c.sinks is None else c.sinks[:1],
        masking=Masking(custom=seen),
        steps=c.steps,
    )
    return replace(small, facts=Facts(rotary=first))
