"""The spectrogram that Whisper reads. Source: Radford et al. 2023, section 2.2; Slaney 1998 for
the mel scale; the numbers are those of transformers' WhisperFeatureExtractor."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array

MAX_HERTZ = 8000.0
"""Of the highest band, whatever the rate."""

LINEAR_HERTZ, LINEAR_MEL, LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27
"""Up to 1000 Hz a mel is 200/3 Hz, from there on each is 6.4^(1/27) times the one before."""

FLOOR, RANGE = 1e-10, 8.0
"""Power below which nothing is heard; and decades below the loudest that are kept."""

BLOCK = 512
"""Frames that are transformed at a time."""


def to_mel(hertz: Array) -> Array:
    """Slaney's scale: [...] -> [...]."""
    low = np.minimum(hertz, LINEAR_HERTZ) * LINEAR_MEL / LINEAR_HERTZ
    return np.asarray(low + np.log(np.maximum(hertz, LINEAR_HERTZ) / LINEAR_HERTZ) / LOG_STEP)


def to_hertz(mel: Array) -> Array:
    """The way back: [...] -> [...]."""
    low = np.minimum(mel, LINEAR_MEL) * LINEAR_HERTZ / LINEAR_MEL
    return np.asarray(low * np.exp(np.maximum(mel - LINEAR_MEL, 0) * LOG_STEP))


def mel_filters(n_mel: int, n_fft: int, rate: int) -> Array:
    """How much each frequency counts in each band, [n_mel, n_fft // 2 + 1]: triangles that are
    evenly spaced in mel, each of the same area."""
    found = np.linspace(0, rate // 2, n_fft // 2 + 1)
    edges = to_hertz(np.linspace(0, to_mel(np.array(MAX_HERTZ)), n_mel + 2))
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (found - left) / (middle - left), (right - found) / (right - middle)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left))


def power_spectrum(samples: Array, n_fft: int, hop: int) -> Array:
    """|STFT|² with Hann's window around each frame's middle: [n] -> [n_fft // 2 + 1, n // hop].

    Beyond the ends the sound is mirrored.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    wide = np.pad(samples.astype(np.float64), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(wide, n_fft)[::hop][: len(samples) // hop]
    power = np.empty((n_fft // 2 + 1, len(frames)))
    for start in range(0, len(frames), BLOCK):
        part = slice(start, start + BLOCK)
        power[:, part] = np.abs(np.fft.rfft(frames[part] * window)).T ** 2
    return power


def log_mel(samples: Array, *, n_mel: int, n_fft: int, hop: int, rate: int) -> Array:
    """Samples from -1 to 1, [n] -> [n_mel, n // hop], float32: log10 of the power in each band,
    cut off 8 decades below the loudest, and shifted and scaled to about -1 to 1."""
    power = mel_filters(n_mel, n_fft, rate) @ power_spectrum(samples, n_fft, hop)
    log: Array = np.log10(np.maximum(power, FLOOR))
    scaled: Array = (np.maximum(log, log.max() - RANGE) + 4) / 4
    return scaled.astype(np.float32)
