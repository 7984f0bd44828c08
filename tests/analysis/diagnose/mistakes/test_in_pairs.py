"""A mistake is made of what another one has left."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.analysis.diagnose.search import double
from tests.analysis.diagnose.mistakes.planted import random, wanted
from tests.analysis.diagnose.mistakes.test_norms import norm_case
from tests.analysis.diagnose.mistakes.test_positions import alibi_case, rotary_case

SQUARE = {
    "rotary": lambda: rotary_case(n_q=7, n_k=7)[0],
    "norm": lambda: norm_case()[0],
    "alibi": lambda: alibi_case(4, n_q=7),
    "bias": lambda: wanted(n_q=7, bias=random(3, 7, 7)),
}
"""Dumps on which axes can be taken for each other."""


@pytest.mark.parametrize("case", SQUARE)
def test_every_pair_can_be_computed(case):
    c = SQUARE[case]()
    pairs = list(double(c))
    assert len(pairs) > 100
    for each in pairs:
        assert compute(each.computation).context.ndim == 4, each.ids


FACTS = ("rotary", "norm", "alibi", "bias")


@pytest.mark.parametrize("case", FACTS)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none(case, number):
    """Warnings are errors here."""
    c = SQUARE[case]()
    for x in (c.q, c.k, *(c.facts.normed_from or ())):
        x[0, 0, 1, 0] = number
    if c.facts.rotary is not None:
        c.facts.rotary.q[0, 0, 1, 0] = number
    for name in MISTAKES:
        if MISTAKES[name].family in ("position", "norm", "layout", "heads", "cache"):
            for each in MISTAKES[name].variants(c):
                compute(each.computation)
