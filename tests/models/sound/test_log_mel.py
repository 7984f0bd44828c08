"""The spectrogram against transformers' (`tests/golden/make_sound.py`) and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models.sound.log_mel import log_mel, mel_filters, power_spectrum, to_hertz, to_mel
from tests.conftest import GOLDEN
from tests.golden.make_sound import RATE, STEP, samples

FLOAT32 = 3e-5
"""How far PyTorch's transform is from the exact one where there is little power."""


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "sound.npz") as file:
        return dict(file)


@pytest.mark.parametrize("n_mel", [80, 128])
def test_as_transformers(n_mel, golden):
    window = np.zeros(30 * RATE, np.float32)
    window[: len(samples())] = samples()
    found = log_mel(window, n_mel=n_mel, n_fft=400, hop=160, rate=RATE)
    assert found.shape == (n_mel, 3000)
    np.testing.assert_allclose(found[:, ::STEP], golden[f"mel_{n_mel}"], atol=FLOAT32)
    np.testing.assert_allclose(
        mel_filters(n_mel, 400, RATE)[:, ::7], golden[f"filters_{n_mel}"], atol=1e-12
    )


def test_the_scale():
    """Slaney's: 1000 Hz is 15 mel, 6400 Hz 42 mel."""
    np.testing.assert_allclose(to_mel(np.array([0.0, 200, 1000, 6400])), [0, 3, 15, 42], atol=1e-12)
    hertz = np.array([0.0, 70, 999, 1001, 7999])
    np.testing.assert_allclose(to_hertz(to_mel(hertz)), hertz, atol=1e-9)


def test_by_a_loop(generator):
    sound, n_fft, hop = generator.normal(size=53), 14, 5
    found = power_spectrum(sound, n_fft, hop)
    assert found.shape == (8, 10)
    wide = np.concatenate([sound[7:0:-1], sound, sound[-2:-9:-1]])
    for frame in range(10):
        for frequency in range(8):
            total = sum(
                wide[frame * hop + i]
                * (0.5 - 0.5 * np.cos(2 * np.pi * i / n_fft))
                * np.exp(-2j * np.pi * frequency * i / n_fft)
                for i in range(n_fft)
            )
            np.testing.assert_allclose(found[frequency, frame], abs(total) ** 2, atol=1e-10)
