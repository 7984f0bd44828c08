"""Another rate against the closed form of sines."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models.sound.resample import resample

RATES = [8000, 11025, 22050, 44100, 48000]


def sine(hertz, rate, n):
    return np.sin(2 * np.pi * hertz * np.arange(n) / rate)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_what_it_is(rate):
    found = resample(sine(440, rate, rate // 2), rate, 16_000)
    assert found.dtype == np.float32
    assert abs(len(found) - 8000) <= 1
    inside = slice(400, -400)  # at its ends a sound begins and stops
    np.testing.assert_allclose(found[inside], sine(440, 16_000, len(found))[inside], atol=1e-6)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_the_new_rate_cannot_hold_is_gone(rate):
    """9 kHz would come back as 7 kHz."""
    found = resample(sine(9000, rate, rate // 2), rate, 16_000)
    assert np.abs(found[400:-400]).max() < 1e-6


@pytest.mark.parametrize("rate", RATES)
def test_a_constant_stays(rate):
    found = resample(np.full(rate // 2, 0.7), rate, 16_000)
    np.testing.assert_allclose(found[400:-400], 0.7, atol=1e-6)


def test_the_same_rate(generator):
    sound = generator.normal(size=29).astype(np.float32)
    np.testing.assert_array_equal(resample(sound, 16_000, 16_000), sound)


def test_a_sound_of_one_sample():
    assert resample(np.ones(1), 8000, 16_000).shape == (2,)
