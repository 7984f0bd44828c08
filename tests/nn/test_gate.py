"""Gates on contexts that are worked by hand."""

from __future__ import annotations

import numpy as np

from attnviz.nn.gate import Gate

N_HEAD, N_Q, D_V = 3, 5, 7


def test_open_gates_change_nothing(generator):
    context = generator.normal(size=(N_HEAD, N_Q, D_V)).astype(np.float32)
    for instead in (None, generator.normal(size=(N_HEAD, D_V))):
        passed = Gate(np.ones(N_HEAD), instead)(context)
        assert passed.dtype == context.dtype
        assert (passed == context).all()


def test_a_shut_gate_lets_nothing_through_whatever_it_holds(generator):
    context = generator.normal(size=(2, N_HEAD, N_Q, D_V))
    context[:, 1] = np.nan
    passed = Gate(np.array([1, 0, 0.5]))(context)
    assert (passed[:, 1] == 0).all()
    np.testing.assert_array_equal(passed[:, [0, 2]], context[:, [0, 2]] * [[[1]], [[0.5]]])


def test_something_instead(generator):
    context = generator.normal(size=(N_HEAD, N_Q, D_V))
    instead = generator.normal(size=(N_HEAD, D_V))
    before = context.copy()
    passed = Gate(np.array([0, 1, 0.25]), instead)(context)
    for row in range(N_Q):
        np.testing.assert_allclose(passed[0, row], instead[0])
        np.testing.assert_allclose(passed[1, row], context[1, row])
        np.testing.assert_allclose(passed[2, row], 0.25 * context[2, row] + 0.75 * instead[2])
    assert (context == before).all()
