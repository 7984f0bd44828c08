"""What a model hears of files and arrays."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.sound.log_mel import log_mel
from attnviz.models.sound.reader import SoundInput, SoundReader, read_reader
from attnviz.models.sound.resample import resample
from tests.models.sound.test_wav import file_of

INPUT = SoundInput(n_mel=7, n_position=11)
READER = SoundReader(INPUT, rate=16_000, n_fft=100, hop=80)
WINDOW = 22 * 80
PUBLISHED = {"chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor",
             "feature_size": 80, "hop_length": 160, "mel_filters": [[0.0]], "n_fft": 400,
             "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right",
             "padding_value": 0.0, "processor_class": "WhisperProcessor",
             "return_attention_mask": False, "sampling_rate": 16000}  # fmt: skip
"""As preprocessor_config.json of openai/whisper-tiny has it."""


def heard(samples):
    window = np.zeros(WINDOW, np.float32)
    window[: len(samples)] = samples[:WINDOW]
    return log_mel(window, n_mel=7, n_fft=100, hop=80, rate=16_000)


@pytest.fixture
def samples(generator):
    return (0.3 * generator.standard_normal(640)).astype(np.float32)


def test_samples_are_filled_up_with_silence(samples):
    sound = READER.read(samples)
    np.testing.assert_array_equal(sound.values, heard(samples))
    assert sound.tokens.roles == ("sound",) * 4 + ("silence",) * 7
    assert sound.tokens.labels[:3] == ("0.00s", "0.01s", "0.02s")
    assert sound.notes == (
        "the array was taken for samples at 16000 Hz",
        "the array takes 0.04 s; silence fills the window of 0.11 s",
    )


def test_a_longer_sound_is_cut(generator):
    samples = 0.3 * generator.standard_normal(3000)
    sound = READER.read(samples)
    np.testing.assert_array_equal(sound.values, heard(samples.astype(np.float32)))
    assert "the first 0.11 s of its 0.2 s" in sound.notes[-1]
    assert set(sound.tokens.roles) == {"sound"}


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32])
def test_whole_numbers_are_scaled(dtype):
    limits = np.iinfo(dtype)
    sound = READER.read(np.array([limits.min, limits.max] * 100, dtype))
    expected = heard(np.array([-1, 1 - 2 / (int(limits.max) - int(limits.min) + 1)] * 100))
    np.testing.assert_allclose(sound.values, expected, atol=1e-6)


def test_a_spectrogram_is_taken_as_it_is(generator, tmp_path):
    mel = generator.standard_normal((7, 22))
    np.save(tmp_path / "mel.npy", mel)
    for given in (mel, mel[None], tmp_path / "mel.npy", str(tmp_path / "mel.npy")):
        sound = READER.read(given)
        np.testing.assert_array_equal(sound.values, mel.astype(np.float32))
        assert not sound.notes


def test_a_file_of_two_channels_at_another_rate(samples, tmp_path):
    both = np.stack([samples, samples[::-1]], 1).astype("<f4")
    path = file_of(tmp_path / "a.wav", both.tobytes(), codec=3, n_channel=2, n_byte=4, rate=8000)
    sound = READER.read(path)
    mixed = resample((both[:, 0] + both[:, 1]) / 2, 8000, 16_000)
    np.testing.assert_allclose(sound.values, heard(mixed), atol=1e-6)
    assert sound.notes[:2] == (
        f"{path}: the mean of its 2 channels",
        f"{path} was resampled from 8000 to 16000 Hz",
    )


def test_silence_says_so(tmp_path):
    path = file_of(tmp_path / "a.wav", struct.pack("<400h", *[0] * 400), rate=16_000)
    assert READER.read(path).notes[-1] == f"{path} is silent"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((7, 21)), r"shape \[7, 21\]; the model reads a spectrogram .* of \[7, 22\]"),
        (np.zeros((2, 7, 22)), r"got \[2, 7, 22\]"),
        (np.zeros(0), r"got \[0\]"),
        (np.array([1.0, np.nan]), "NaN or infinity"),
        (np.full((7, 22), np.inf), "NaN or infinity"),
        (np.array([100.0, 3.0]), "go to 100"),
        (np.array(["a"]), "a sound of <U1"),
    ],
)
def test_other_arrays(array, message):
    with pytest.raises(AttnvizError, match=message):
        READER.read(array)


def config(**changes):
    return Config({**PUBLISHED, **changes}, "preprocessor_config.json")


def test_a_published_config():
    reader = read_reader(SoundInput(80, 1500), config())
    assert reader == SoundReader(SoundInput(80, 1500), 16_000, 400, 160)
    assert reader.seconds == 30


def test_without_a_config_it_is_whispers_and_said():
    reader = read_reader(SoundInput(80, 1500), None)
    assert "there is no preprocessor_config.json" in reader.notes[0]
    assert reader._replace(notes=()) == SoundReader(SoundInput(80, 1500))
    assert reader.notes[0] in reader.read(np.ones(9) / 2).notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_size": 128}, "feature_size = 128"),
        ({"dither": 0.1}, r"dither = 0\.1"),
        ({"padding_value": 1.0}, r"padding_value = 1\.0"),
        ({"chunk_length": 20}, "20 s are 2000 frames, and the model reads 3000"),
        ({"feature_extractor_type": "SeamlessM4TFeatureExtractor"}, "SeamlessM4T"),
        ({"preemphasis": 0.97}, "preemphasis"),
    ],
)
def test_other_configs(changes, message):
    with pytest.raises(AttnvizError, match=message):
        read_reader(SoundInput(80, 1500), config(**changes))
