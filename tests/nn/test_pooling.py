"""What a classifier, or an embedding of a whole text, reads of all tokens."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.nn.embedding import Input
from attnviz.nn.linear import Linear
from attnviz.nn.pooling import (
    Classifier,
    FirstOf,
    LastBut,
    LastOf,
    Mean,
    Several,
    Similarity,
    TextHead,
    against_zero,
    class_token_and_mean,
    first_token,
    largest,
    last_token,
    mean,
    rising_mean,
    root_mean,
    token,
    unit_length,
)


def test_one_token_alone(generator):
    x, weight = generator.normal(size=(5, 3)), generator.normal(size=(7, 3))
    found = Classifier(Linear(weight), partial(token, 1))(x)
    np.testing.assert_allclose(found, [weight @ x[1]], atol=1e-12)


def test_the_mean_of_two_classifiers(generator):
    x, weights = generator.normal(size=(5, 3)), generator.normal(size=(2, 7, 3))
    heads = (Classifier(Linear(w), partial(token, i)) for i, w in enumerate(weights))
    expected = (weights[0] @ x[0] + weights[1] @ x[1]) / 2
    np.testing.assert_allclose(Mean(tuple(heads))(x), [expected], atol=1e-12)


def test_the_class_token_and_the_mean_of_the_patches(generator):
    x, weight = generator.normal(size=(2, 5, 3)), generator.normal(size=(7, 6))
    found = Classifier(Linear(weight), partial(class_token_and_mean, 2))(x)
    assert found.shape == (2, 1, 7)
    expected = weight @ np.concatenate([x[1, 0], (x[1, 2] + x[1, 3] + x[1, 4]) / 3])
    np.testing.assert_allclose(found[1, 0], expected, atol=1e-12)


def test_what_is_read_of_a_text(generator):
    x, ids = generator.normal(size=(5, 3)), np.array([7, 2, 9, 2, 0])
    rows = [
        (first_token, x[0]),
        (last_token, x[4]),
        (LastBut(0), x[3]),
        (LastBut(2), x[4]),
        (LastOf(2), x[3]),
        (FirstOf(9), x[2]),
        (FirstOf(8), x[0]),  # there is none
        (FirstOf(2), x[2]),  # the largest id
        (mean, sum(x) / 5),
        (root_mean, sum(x) / 5**0.5),
        (rising_mean, sum((i + 1) * row for i, row in enumerate(x)) / 15),
        (largest, [max(column) for column in x.T]),
        (Several((first_token, mean)), [*x[0], *(sum(x) / 5)]),
    ]
    for pool, expected in rows:
        np.testing.assert_allclose(pool(x, ids), [expected], atol=1e-12, err_msg=str(pool))


def test_a_text_of_padding_alone_is_read_at_its_first_token(generator):
    x = generator.normal(size=(3, 2))
    np.testing.assert_array_equal(LastBut(5)(x, np.full(3, 5)), x[:1])


def test_without_what_ends_the_text_nothing_is_read(generator):
    x = generator.normal(size=(3, 2))
    assert LastOf(8)(x, np.array([1, 2, 3])).shape == (0, 2)
    assert LastOf(3)(x[:2], np.array([1, 2, 3])).shape == (0, 2)  # the decoder read less


def test_a_head_goes_through_its_steps(generator):
    x, weight = generator.normal(size=(5, 3)), generator.normal(size=(1, 3))
    source = Input(ids=np.array([4, 4, 4, 0, 0]))
    logits = TextHead((Linear(weight), against_zero), LastBut(0))(x, source)
    np.testing.assert_allclose(logits, [[0, weight[0] @ x[2]]], atol=1e-12)
    every = TextHead((Linear(weight),))(x)
    np.testing.assert_allclose(every[:, 0], [weight[0] @ row for row in x], atol=1e-12)


def test_unit_length(generator):
    x = generator.normal(size=(2, 3))
    x[1] = 0
    np.testing.assert_allclose(unit_length(x)[0], x[0] / sum(x[0] ** 2) ** 0.5)
    np.testing.assert_array_equal(unit_length(x)[1], 0)


def test_the_similarity_of_an_image_and_texts(generator):
    x, weight, texts = (generator.normal(size=n) for n in ((5, 3), (4, 3), (2, 4)))
    image = Classifier(Linear(weight), partial(token, 0))
    vector = weight @ x[0]
    cosines = [text @ vector / sum(vector**2) ** 0.5 for text in texts]
    np.testing.assert_allclose(Similarity(image, Linear(texts))(x), [cosines], atol=1e-12)
