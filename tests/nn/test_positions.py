"""Position schemes against closed forms and published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.nn import positions


def test_sinusoidal_published_values():
    """d = 4; and P[1, 6:10] of Dive into Deep Learning's figure with d = 32."""
    table = positions.sinusoidal(np.arange(4), 4)
    expected = [
        [0, 1, 0, 1],
        [0.8415, 0.5403, 0.01, 1],
        [0.9093, -0.4161, 0.02, 0.9998],
        [0.1411, -0.99, 0.03, 0.9996],
    ]
    np.testing.assert_allclose(table, expected, atol=5e-5)
    of_32 = positions.sinusoidal(np.array([1]), 32)[0, 6:10]
    np.testing.assert_allclose(of_32, [0.1769, 0.9842, 0.0998, 0.9950], atol=5e-5)


def test_sines_then_cosines():
    """fairseq's loop: both ends of the wavelengths belong to them, and an odd width ends in 0."""
    table = positions.sines_then_cosines(np.array([0, 3, 41]), 7)
    for row, p in zip(table, (0, 3, 41), strict=True):
        angles = [p * 10000 ** (-i / 2) for i in range(3)]
        np.testing.assert_allclose(row, [*np.sin(angles), *np.cos(angles), 0], atol=1e-12)


@given(st.integers(-50, 50), st.integers(0, 2000), st.sampled_from([2, 6, 64, 512]))
def test_a_shift_is_a_rotation(k, p, d):
    here, there = positions.sinusoidal(np.array([p, p + k]), d)
    rotation = positions.shift_matrix(k, d)
    np.testing.assert_allclose(rotation @ here, there, atol=1e-10)
    np.testing.assert_allclose(positions.shift(here[None], k)[0], rotation @ here, atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(d), atol=1e-12)


def test_largest_wavelength_of_512():
    """2π · 10000^(510/512), not 2π · 10000."""
    longest = 2 * np.pi / positions.frequencies(512).min()
    np.testing.assert_allclose(longest / (2 * np.pi * 10000), 0.9647, atol=5e-5)


@pytest.mark.parametrize("style", ["half", "interleaved"])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("base", [10000.0, 100.0])
def test_rope_depends_on_the_distance_only(style, fraction, base, generator):
    q, k = generator.normal(size=(2, 1, 1, 16))
    settings = {"style": style, "fraction": fraction, "base": base}

    def score(m, n):
        turned = [positions.rope(x, np.array([p]), **settings) for x, p in ((q, m), (k, n))]
        return float((turned[0] * turned[1]).sum())

    assert score(3, 7) == pytest.approx(score(103, 107), abs=1e-10)
    assert score(0, 0) == pytest.approx(float((q * k).sum()), abs=1e-12)
    assert abs(score(3, 7) - score(3, 8)) > 1e-6


def test_rope_as_complex_numbers(generator):
    """Interleaved pairs are complex numbers times e^(i m ω)."""
    x, where = generator.normal(size=(5, 8)), np.array([0, 1, 5, 9, 1000])
    rotary = np.exp(1j * where[:, None] * positions.frequencies(8))
    expected = (x[:, 0::2] + 1j * x[:, 1::2]) * rotary
    turned = positions.rope(x, where, style="interleaved")
    np.testing.assert_allclose(turned[:, 0::2] + 1j * turned[:, 1::2], expected, atol=1e-12)


def test_the_two_styles_agree_after_a_permutation(generator):
    x, where = generator.normal(size=(3, 8)), np.arange(3) * 7
    order = np.concatenate([np.arange(0, 8, 2), np.arange(1, 8, 2)])
    half = positions.rope(x[:, order], where, style="half")
    np.testing.assert_allclose(half, positions.rope(x, where, style="interleaved")[:, order])


def test_partial_rope_leaves_the_rest_and_scales_by_its_own_width(generator):
    x, where = generator.normal(size=(3, 8)), np.arange(3)
    turned = positions.rope(x, where, fraction=0.5)
    np.testing.assert_array_equal(turned[:, 4:], x[:, 4:])
    np.testing.assert_allclose(turned[:, :4], positions.rope(x[:, :4], where))


def test_rope_offset(generator):
    x = generator.normal(size=(3, 8))
    moved = positions.rope(x, np.arange(3), offset=5)
    np.testing.assert_allclose(moved, positions.rope(x, np.arange(3) + 5))


def test_alibi_slopes_published():
    np.testing.assert_allclose(positions.alibi_slopes(8), 0.5 ** np.arange(1, 9))
    sixteen = positions.alibi_slopes(16)
    np.testing.assert_allclose(sixteen[[0, 1, 15]], [0.7071, 0.5, 0.0039], atol=5e-5)
    twelve = [*(0.5 ** np.arange(1, 9)), 0.7071, 0.3536, 0.1768, 0.0884]
    np.testing.assert_allclose(positions.alibi_slopes(12), twelve, atol=5e-5)


def test_alibi_falls_with_distance():
    bias = positions.alibi(np.array([3]), np.arange(5), 8)
    np.testing.assert_allclose(bias[0, 0], [-1.5, -1, -0.5, 0, -0.5])


def test_t5_buckets_of_a_decoder():
    """Raffel et al.'s code: one bucket each up to 16, then growing ones."""
    buckets = positions.t5_buckets(np.array([200]), np.arange(201), bidirectional=False)[0][::-1]
    starts = [int(np.flatnonzero(buckets == b)[0]) for b in range(32)]
    assert starts[:17] == list(range(17))
    assert starts[17:] == [19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]


def test_t5_buckets_of_an_encoder():
    buckets = positions.t5_buckets(np.array([200]), np.arange(401))[0]
    before, after = buckets[:201][::-1], buckets[201:]
    starts = [int(np.flatnonzero(before == b)[0]) for b in range(16)]
    assert starts == [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    assert after.min() == 17
    np.testing.assert_array_equal(after - 16, before[1:])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: positions.sinusoidal(np.arange(2), 3), "an even width, got 3"),
        (lambda: positions.sines_then_cosines(np.arange(2), 3), "at least 4 features, got 3"),
        (
            lambda: positions.rope(np.ones((2, 4)), np.arange(2), style="gptj"),
            "unknown rotary style",
        ),
        (lambda: positions.rope(np.ones((2, 4)), np.arange(2), fraction=1.5), r"lies in \(0, 1\]"),
        (lambda: positions.rotate(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))), "4 rotary"),
    ],
)
def test_errors(call, message):
    with pytest.raises(AttnvizError, match=message):
        call()
