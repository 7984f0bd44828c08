"""Every way in which two traces can disagree is a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.agreement import apart, disagreements
from attnviz.analysis.difference import compare
from attnviz.analysis.pairing import pair_by_place
from attnviz.trace.selection import Selection
from tests.analysis.plain_trace import trace_of

X = np.full((2, 2, 2), 0.5)


def told(a, b, limit=0.0):
    return disagreements(a, b, compare(a, b, pair_by_place(a, b, Selection())), limit)


def test_equal():
    assert told(trace_of(X, list("ab")), trace_of(X.copy(), list("ab"))) == []


def test_a_number_and_the_limit():
    y = X.copy()
    y[1, 0, 1] += 0.25
    a, b = trace_of(X, list("ab")), trace_of(y, list("ab"))
    assert told(a, b) == [
        "encoder.0.self.H1: 0.25 apart at query 0 a, key 1 b: 0.5 in A, 0.75 in B; "
        "1 of 2 heads above 0"
    ]
    assert told(a, b, 0.25) == []
    assert told(b, a, 0.2) == [
        "encoder.0.self.H1: 0.25 apart at query 0 a, key 1 b: 0.75 in A, 0.5 in B; "
        "1 of 2 heads above 0.2"
    ]


def test_a_token():
    y = np.full((2, 3, 3), 0.5)
    (text,) = told(trace_of(X, list("ab")), trace_of(y, list("axb")))
    assert text == "source: 0 of A's 2 and 1 of B's 3 tokens have no counterpart"


def test_heads():
    (text,) = told(trace_of(X, list("ab")), trace_of(np.full((7, 2, 2), 0.5), list("ab")))
    assert text == (
        "only B has encoder.0.self.H2, encoder.0.self.H3, encoder.0.self.H4, encoder.0.self.H5 "
        "and 1 more"
    )


def test_a_mask_though_the_numbers_are_equal():
    zero = np.zeros((1, 2, 2))
    hidden, seen = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    a, b = trace_of(zero, list("ab"), hidden), trace_of(zero, list("ab"), seen)
    assert told(a, b) == ["masks: 4 cells of 1 head hidden on one side only"]


@pytest.mark.parametrize("limit", [0.0, 1e9])
def test_nan_whatever_the_limit(limit):
    y = X.copy()
    y[0, 1, 1] = np.nan
    (text,) = told(trace_of(X, list("ab")), trace_of(y, list("ab")), limit)
    assert text.startswith("encoder.0.self.H0: NaN in 1 cell, the first at query 1 b, key 1 b")


def test_numbers_have_the_digits_that_tell_them_apart():
    assert apart(0.25, 0.75) == ("0.25", "0.75")
    assert apart(0.25, 0.2500003) == ("0.25", "0.2500003")
    assert apart(1 / 3, 1 / 3 + 1e-16) == ("0.33333333333333331", "0.33333333333333343")
    assert apart(1 / 3, 1 / 3) == ("0.3333", "0.3333")
