"""Saliency of functions whose answer is known."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.saliency import gradient, occlusion


def test_the_gradient_of_a_polynomial(generator):
    x, c = generator.normal(size=(3, 5)), generator.normal(size=(3, 5))
    slopes = gradient(lambda batch: (c * batch**3).sum((1, 2)), x)
    np.testing.assert_allclose(slopes, 3 * c * x**2, atol=1e-6)


def test_what_a_linear_function_loses(generator):
    """A patch counts for its weights times its distance from the mean colour."""
    image, weights = generator.normal(size=(2, 3, 4, 10))
    told = []
    drops = occlusion(
        lambda image: (weights * image).sum(),
        image,
        (2, 5),
        lambda done, total: told.append((done, total)),
    )
    change = weights * (image - image.mean((1, 2), keepdims=True))
    expected = change.reshape(3, 2, 2, 2, 5).sum((0, 2, 4))
    np.testing.assert_allclose(drops, expected, atol=1e-12)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_image_itself_stays(generator):
    image = generator.normal(size=(1, 4, 4))
    before = image.copy()
    occlusion(lambda image: image.sum(), image, (2, 2))
    np.testing.assert_array_equal(image, before)
