"""Position schemes in numbers; their claims are measured, and can fail."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis import encoding
from attnviz.analysis.encoding import embedded, encode_positions
from attnviz.nn import positions
from attnviz.nn.schemes import SCHEMES


def encode(spec, **given):
    return encode_positions(spec, **({"n": 12, "d_model": 16, "n_head": 4, "seed": 0} | given))


@pytest.mark.parametrize(
    "spec", [*SCHEMES, "rope:style=interleaved,fraction=0.5", "sinusoidal:base=100"]
)
@pytest.mark.parametrize("offset", [0, 100])
def test_all_claims_hold(spec, offset):
    found = encode(spec, offset=offset)
    assert all(check.holds for check in found.checks), found.checks
    assert found.positions.tolist() == list(range(offset, offset + 12))


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        ("none", set()),
        ("sinusoidal", {"added", "similarity", "wavelengths"}),
        ("learned", {"added", "similarity"}),
        ("rope", {"similarity", "angles", "wavelengths"}),
        ("alibi", {"bias", "slopes"}),
        ("t5", {"bias", "buckets"}),
    ],
)
def test_what_a_scheme_has(spec, has):
    found = encode(spec)
    arrays = ("added", "similarity", "wavelengths", "angles", "bias", "slopes", "buckets")
    assert {name for name in arrays if getattr(found, name) is not None} == has
    assert found.seeded == (spec in ("learned", "t5"))


def test_a_broken_rotation_is_caught(monkeypatch):
    original = positions.shift
    monkeypatch.setattr(positions, "shift", lambda x, k, *base: original(x, k + (k == 3), *base))
    assert not encode("sinusoidal").checks[0].holds


def test_broken_encodings_are_caught(monkeypatch):
    original = positions.sinusoidal
    monkeypatch.setattr(positions, "sinusoidal", lambda p, **given: original(p, **given) * 1.001)
    assert not encode("sinusoidal").checks[1].holds


def test_a_bias_that_depends_on_more_than_distance_is_caught():
    matrix = np.arange(9.0).reshape(1, 3, 3)
    assert not encoding._depends_on_distance("it", matrix).holds


def test_one_position():
    found = encode("sinusoidal", n=1)
    assert all(check.holds for check in found.checks)


def test_embedded(generator):
    vectors = generator.normal(size=(3, 5))
    vectors[1] = 0
    found = embedded(vectors)
    np.testing.assert_allclose(found.norms, np.linalg.norm(vectors, axis=-1))
    cosine = vectors[0] @ vectors[2] / found.norms[0] / found.norms[2]
    assert found.similarity[0, 2] == pytest.approx(cosine)
    assert found.similarity[1].tolist() == [0, 0, 0]


def test_cosines_and_the_bias_of_the_middle_query():
    rope = encode("rope")
    np.testing.assert_array_equal(rope.cosines, np.cos(rope.angles))
    alibi = encode("alibi")
    assert alibi.cosines is None
    distances, biases = alibi.bias_by_distance()
    assert distances[6] == 0
    np.testing.assert_array_equal(biases, alibi.bias[:, 6])
