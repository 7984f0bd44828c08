"""What transformers' feature extractor makes of a sound: sound.npz.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/make_sound.py

Every 37th frame of the spectrogram by its PyTorch code, of 80 and of 128 bands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEP, RATE, SECONDS = 37, 16_000, 4.3


def samples() -> np.ndarray:
    """A rising tone that comes and goes, and noise; then nothing."""
    t = np.arange(int(RATE * SECONDS)) / RATE
    tone = 0.4 * np.sin(2 * np.pi * (150 * t + 700 * t**2)) * np.sin(np.pi * 1.5 * t) ** 2
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (tone + 0.01 * noise).astype(np.float32)


def main() -> None:
    from transformers import WhisperFeatureExtractor

    found = {}
    for n_mel in (80, 128):
        extract = WhisperFeatureExtractor(feature_size=n_mel)
        whole = extract(samples(), sampling_rate=RATE, return_tensors="np").input_features[0]
        found[f"mel_{n_mel}"] = whole[:, ::STEP]
        found[f"filters_{n_mel}"] = extract.mel_filters.T[:, ::7]
    np.savez_compressed(Path(__file__).parent / "sound.npz", **found)


if __name__ == "__main__":
    main()
