"""The recurrent layer against a loop over single numbers."""

from __future__ import annotations

import math

import numpy as np

from attnviz.nn.recurrent import Recurrent


def test_by_a_loop(generator):
    layer = Recurrent(*(generator.normal(size=s) for s in ((3, 2), (3, 3), (3,))))
    x = generator.normal(size=(5, 2))
    state = [0.0] * 3
    for t, row in enumerate(layer(x)):
        state = [
            math.tanh(
                layer.bias[i]
                + sum(layer.read[i, j] * x[t, j] for j in range(2))
                + sum(layer.recur[i, j] * state[j] for j in range(3))
            )
            for i in range(3)
        ]
        np.testing.assert_allclose(row, state, atol=1e-14)


def test_a_batch_is_its_texts(generator):
    layer = Recurrent(*(generator.normal(size=s) for s in ((3, 2), (3, 3), (3,))))
    x = generator.normal(size=(7, 5, 2))
    for text, states in zip(x, layer(x), strict=True):
        np.testing.assert_allclose(layer(text), states, atol=1e-14)


def test_no_state_knows_what_comes_later(generator):
    layer = Recurrent(*(generator.normal(size=s) for s in ((3, 2), (3, 3), (3,))))
    x = generator.normal(size=(5, 2))
    np.testing.assert_allclose(layer(x)[:3], layer(x[:3]), atol=1e-15)
