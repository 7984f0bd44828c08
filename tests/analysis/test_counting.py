"""Multiplications are counted as they happen, by hand-made sums."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.counting import count_products
from attnviz.nn.attention import attention
from attnviz.nn.convolution import Convolution, SeparableConvolution
from attnviz.nn.linear import Linear
from attnviz.nn.recurrent import Recurrent
from attnviz.nn.scores import scaled_dot

X = np.ones((23, 5))
KEYS = np.ones((2, 19, 3))


@pytest.mark.parametrize(
    ("function", "arrays", "count"),
    [
        (lambda x: x @ np.ones((5, 7)), (X,), 23 * 5 * 7),
        (lambda x: np.ones((7, 23)) @ x, (X,), 7 * 23 * 5),
        (lambda x: x[2:4] * np.ones(5), (X,), 10),
        (lambda x: 3 * x + x, (X,), 0),
        (lambda x: np.tanh(x @ np.ones((5, 7))) @ np.ones((7, 2)), (X,), 23 * 35 + 23 * 14),
        (lambda x: np.matmul(x, np.ones((5, 7)), out=np.empty((23, 7))), (X,), 23 * 35),
        (Linear(np.ones((7, 5))), (X,), 23 * 35),
        (lambda x, *parts: Recurrent(*parts)(x),
         (X, np.ones((7, 5)), np.ones((7, 7)), np.ones(7)), 23 * (35 + 49)),
        (lambda x, *parts: Convolution(*parts)(x),
         (X, np.ones((3, 7, 5)), np.ones(7)), 3 * 23 * 35),
        (lambda x, *parts: SeparableConvolution(*parts)(x),
         (X, np.ones((3, 5)), np.ones((7, 5)), np.ones(7)), 3 * 23 * 5 + 23 * 35),
        (lambda q, k, v: attention(q, k, v, score=scaled_dot), (np.ones((2, 17, 3)), KEYS, KEYS),
         2 * 2 * 17 * 19 * 3),
    ],
)  # fmt: skip
def test_known_counts(function, arrays, count):
    assert count_products(function, *arrays) == count


def test_the_result_is_what_it_would_be():
    kept = []
    count_products(lambda x: kept.append(np.asarray(x @ x.T)), X)
    np.testing.assert_array_equal(kept[0], X @ X.T)
