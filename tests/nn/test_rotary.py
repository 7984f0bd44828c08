"""Rotary positions with frequencies of any kind, as complex numbers."""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import pytest

from attnviz.nn.positions import frequencies
from attnviz.nn.rotary import (
    GridRotary,
    RotaryEmbedding,
    llama3_frequencies,
    longrope_gain,
    yarn_frequencies,
    yarn_gain,
)

N_HEAD, N, D = 3, 5, 14


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_pairs_are_complex_numbers_that_turn(style, generator):
    x, where = generator.normal(size=(N_HEAD, N, D)), np.array([0, 1, 7, 100, 4095])
    speeds = generator.random(5)  # 10 of 14 features
    rotated = RotaryEmbedding(speeds, 1.5, style)(x, where)
    turn = 1.5 * np.exp(1j * where[:, None] * speeds)
    first, second = (
        (slice(0, 5), slice(5, 10)) if style == "half" else (slice(0, 10, 2), slice(1, 10, 2))
    )
    expected = (x[..., first] + 1j * x[..., second]) * turn
    np.testing.assert_allclose(rotated[..., first] + 1j * rotated[..., second], expected)
    np.testing.assert_array_equal(rotated[..., 10:], x[..., 10:])


def test_angles_that_are_kept_are_those_of_the_positions_and_of_the_dtype(generator):
    rotary, x = RotaryEmbedding(np.array([0.5, 0.25])), generator.normal(size=(1, 3, 4))
    for dtype in (np.float64, np.float32):
        for where in (np.arange(3), np.arange(3) + 9, np.arange(3)):
            fresh = RotaryEmbedding(np.array([0.5, 0.25]))(x.astype(dtype), where)
            np.testing.assert_array_equal(rotary(x.astype(dtype), where), fresh)
            assert fresh.dtype == dtype


def test_llama3_leaves_fast_rotations_and_slows_slow_ones():
    """One wavelength in each of its three cases, L = 1024."""
    fast, between, slow = 2 * pi / 256, 2 * pi / 512, 2 * pi / 2048
    scaled = llama3_frequencies(np.array([fast, between, slow]), 8.0, 1.0, 4.0, 1024.0)
    # 512 fits twice into 1024, a third of the way from 1 to 4
    np.testing.assert_allclose(scaled, [fast, between / 3 + 2 / 3 * between / 8, slow / 8])


@pytest.mark.parametrize("d", [16, 64, 128])
def test_yarn_has_a_ramp_between_two_numbers_of_turns(d):
    base, factor, original = 10000.0, 4.0, 2048.0
    speeds = frequencies(d, base)
    scaled = yarn_frequencies(speeds, base, factor, 32.0, 1.0, original)
    turns = original * speeds / (2 * pi)
    slowed = speeds / scaled
    assert (slowed[turns > 32 * base ** (2 / d)] == 1).all()  # a pair beyond the ramp's end
    np.testing.assert_allclose(slowed[turns < base ** (-2 / d)], factor)
    assert (np.diff(slowed) >= 0).all()
    share = (1 - scaled / speeds) / (1 - 1 / factor)
    inside = np.flatnonzero((share > 1e-9) & (share < 1 - 1e-9))
    np.testing.assert_allclose(np.diff(share[inside], 2), 0, atol=1e-12)  # it is straight


def test_gains():
    assert yarn_gain(1.0) == yarn_gain(0.5) == longrope_gain(1.0, 4096.0) == 1
    assert yarn_gain(40.0) == pytest.approx(0.1 * log(40) + 1)
    assert yarn_gain(40.0, 0.707) == pytest.approx(0.0707 * log(40) + 1)
    # Phi-3-mini-128k: 131072 of 4096
    assert longrope_gain(32.0, 4096.0) == pytest.approx(sqrt(1 + 5 / 12))


def test_patches_turn_with_row_and_column(generator):
    """As complex numbers, patch by patch; two tokens before them do not turn."""
    d, (rows, columns), base = 12, (2, 5), 31.0
    x = generator.normal(size=(N_HEAD, 2 + rows * columns, d))
    found = GridRotary(base, 2, (rows, columns))(x, np.arange(2 + rows * columns))
    np.testing.assert_array_equal(found[:, :2], x[:, :2])
    z = x[..., :6] + 1j * x[..., 6:]
    for row in range(rows):
        for column in range(columns):
            down, across = (2 * row + 1) / rows - 1, (2 * column + 1) / columns - 1
            angles = [2 * pi * place * base ** -(pair / 3)
                      for place in (down, across) for pair in range(3)]  # fmt: skip
            i = 2 + row * columns + column
            expected = z[:, i] * np.exp(1j * np.array(angles))
            np.testing.assert_allclose(found[:, i, :6] + 1j * found[:, i, 6:], expected, atol=1e-12)
    part = GridRotary(base, 2, (rows, columns))(x[:, 4:7], np.arange(4, 7))
    np.testing.assert_array_equal(part, found[:, 4:7])
