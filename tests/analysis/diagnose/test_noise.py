"""What rounding explains."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.noise import DTYPES, noise, rms, rounding, row_rms, to_bfloat16


def case(n=67, d=13, seed=0):
    q, k, v = np.random.default_rng(seed).normal(size=(3, 2, 3, n, d))
    return computation(q, k, v)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # half way: to even
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-(1 + 2**-8 + 2**-20), -(1 + 2**-7)),
        (65504.0, 65536.0),
        (3.3895314e38, 3.3895314e38),
    ],
)
def test_bfloat16(value, rounded):
    assert to_bfloat16(np.float64(value)) == np.float32(rounded)


def test_bfloat16_keeps_what_is_no_number():
    x = np.array([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(to_bfloat16(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_twice_is_rounding_once(dtype):
    x = np.random.default_rng(0).normal(size=1009)
    once = rounding(dtype)(x)
    np.testing.assert_array_equal(rounding(dtype)(once), once)
    assert once.dtype == x.dtype


@pytest.mark.parametrize(("dtype", "low", "high"), [("float32", 1.0, 8), ("float16", 1.0, 8)])
def test_the_noise_is_what_another_order_of_sums_shows(dtype, low, high):
    """Against an attention of our own in that type, written down once more."""
    c = case()
    exact = compute(c)
    q, k, v = (x.astype(dtype) for x in (c.q, c.k, c.v))
    scores = (q @ k.swapaxes(-1, -2)) * np.array(13**-0.5, dtype)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    out = (powers @ v) / powers.sum(-1, keepdims=True)  # as flash attention does
    rounded = compute(computation(*(x.astype(np.float64) for x in (q, k, v))))
    real = rms(out - rounded.context)
    assert low / 4 < rms(noise(c, exact, dtype).context) / real < high


def test_the_noise_of_a_coarser_type_is_larger():
    c = case()
    sizes = [rms(noise(c, compute(c), dtype).context) for dtype in DTYPES]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1e-15 < 1e-8 < sizes[1] < 1e-6 < 1e-5 < sizes[2] < 1e-2


def test_rows_with_large_scores_are_noisier():
    c = case()
    c.q[:, :, 5] *= 40
    found = noise(c, compute(c), "float32").context
    assert found[5] == found.max()


def test_row_rms_leaves_out_what_is_no_number():
    x = np.ones((2, 3, 5, 7))
    x[0, 0, 2] = np.nan
    x[1, 2, 2, 3] = 3
    found = row_rms(x)
    np.testing.assert_allclose(found[[0, 1, 3, 4]], 1)
    np.testing.assert_allclose(found[2], np.sqrt((34 + 9) / 35))
    assert rms(np.array([np.inf, 3.0, -3.0])) == 3
    assert rms(np.array([np.nan])) == 0
