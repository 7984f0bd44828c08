"""What a classifier of images reads of all tokens."""

from __future__ import annotations

import numpy as np

from attnviz.nn.linear import Linear
from attnviz.nn.pooling import Classifier, class_token, class_token_and_mean


def test_the_class_token_alone(generator):
    x, weight = generator.normal(size=(5, 3)), generator.normal(size=(7, 3))
    found = Classifier(Linear(weight), class_token)(x)
    np.testing.assert_allclose(found, [weight @ x[0]], atol=1e-12)


def test_the_class_token_and_the_mean_of_the_patches(generator):
    x, weight = generator.normal(size=(2, 5, 3)), generator.normal(size=(7, 6))
    found = Classifier(Linear(weight), class_token_and_mean)(x)
    assert found.shape == (2, 1, 7)
    expected = weight @ np.concatenate([x[1, 0], (x[1, 1] + x[1, 2] + x[1, 3] + x[1, 4]) / 4])
    np.testing.assert_allclose(found[1, 0], expected, atol=1e-12)
