"""A sound as a checkpoint was trained on it: mono, at its rate, a window of fixed length."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

PROCESSOR = "WhisperFeatureExtractor"
INERT = ("mel_filters", "n_samples", "nb_max_frames", "padding_side", "return_attention_mask",
         "processor_class", "feature_size", "image_processor_type")  # fmt: skip
"""What follows from the other fields, or pads several sounds."""

MARGIN = 0.5
"""Seconds beyond the window that are read, so that a filter ends in sound, not in silence."""

ARRAY = ".npy"


class SoundInput(NamedTuple):
    """What the encoder of a model of speech reads."""

    n_mel: int
    """Bands."""
    n_position: int
    """Frames that it attends to, two of the spectrogram each: always as many."""


class Sound(NamedTuple):
    """A sound as the model hears it."""

    values: Array
    """[n_mel, n_frame], float32"""
    tokens: Tokens
    """A frame each: its label is when it begins, its role `sound`, or `silence` where that fills
    the window."""
    notes: tuple[str, ...] = ()
    """What was done to the user's sound, a sentence each."""


class SoundReader(NamedTuple):
    """Reads sounds as a checkpoint's feature extractor does."""

    model_input: SoundInput
    rate: int = 16_000
    """Samples a second."""
    n_fft: int = 400
    hop: int = 160
    """Samples from one frame of the spectrogram to the next."""
    notes: tuple[str, ...] = ()

    @property
    def n_frame(self) -> int:
        """Of the spectrogram."""
        return 2 * self.model_input.n_position

    @property
    def seconds(self) -> float:
        """The window's length."""
        return self.n_frame * self.hop / self.rate

    def read(self, sound: str | Path | Array) -> Sound:
        """A WAV file; or of a `.npy` or an array [n]: samples at the model's rate, -1 to 1; or
        [n_mel, n_frame]: the spectrogram itself.

        Raises:
            AttnvizError: another file, or an array of another shape.
        """
        if isinstance(sound, np.ndarray):
            return self._of_array(sound, "the array")
        path = Path(sound)
        if path.suffix.lower() == ARRAY:
            return self._of_array(_load(path), str(path))
        from attnviz.models.sound.wav import read_wav

        wave = read_wav(path, self.seconds + MARGIN)
        notes, n_channel = list(wave.notes), wave.samples.shape[1]
        if n_channel > 1:
            notes.append(
                to_say("{name}: the mean of its {n} channels", name=str(path), n=n_channel)
            )
        samples = wave.samples.mean(1)
        if wave.rate != self.rate:
            from attnviz.models.sound.resample import resample

            samples = resample(samples, wave.rate, self.rate)
            notes.append(
                to_say("{name} was resampled from {old} to {new} Hz",
                       name=str(path), old=wave.rate, new=self.rate)
            )  # fmt: skip
        return self._of_samples(samples, wave.seconds, str(path), notes)

    def _of_array(self, array: Array, name: str) -> Sound:
        if array.dtype.kind not in "iuf":
            raise AttnvizError(f"{name}: a sound of {array.dtype}", "give numbers from -1 to 1")
        if array.ndim == 3 and len(array) == 1:
            array = array[0]
        if array.ndim == 2:
            return self._of_mel(array, name)
        if array.ndim != 1 or not array.size:
            raise AttnvizError(
                f"{name}: a sound has the axes [n], its samples, or [n_mel, n_frame]; got "
                f"{list(array.shape)}",
                "give one sound, without a batch axis",
            )
        if array.dtype.kind != "f":
            limits = np.iinfo(array.dtype)
            middle = (limits.max + limits.min + 1) // 2
            array = (array.astype(np.float64) - middle) / (limits.max - middle + 1)
        _check_finite(array, name)
        if np.abs(array).max() > MAX_SAMPLE:
            raise AttnvizError(
                f"{name}: its samples go to {np.abs(array).max():g}", "scale them to -1 to 1"
            )
        note = to_say("{name} was taken for samples at {rate} Hz", name=name, rate=self.rate)
        return self._of_samples(array, len(array) / self.rate, name, [note])

    def _of_mel(self, array: Array, name: str) -> Sound:
        n_mel, n_frame = self.model_input.n_mel, self.n_frame
        if array.shape != (n_mel, n_frame):
            raise AttnvizError(
                f"{name} has the shape {list(array.shape)}; the model reads a spectrogram "
                f"[n_mel, n_frame] of [{n_mel}, {n_frame}], {self.seconds:g} s",
                "pad the sound, not the spectrogram; or give the WAV file",
            )
        _check_finite(array, name)
        n = self.model_input.n_position
        return Sound(array.astype(np.float32), self._tokens(n), self.notes)

    def _of_samples(self, samples: Array, seconds: float, name: str, notes: list[str]) -> Sound:
        """Of so many seconds of sound in all, which are cut or filled up with silence."""
        from attnviz.models.sound.log_mel import log_mel

        n = self.n_frame * self.hop
        lengths = {"name": name, "window": self.seconds}
        if seconds > self.seconds:
            notes.append(
                to_say("{name}: the first {window:g} s of its {n:.1f} s", n=seconds, **lengths)
            )
        elif seconds < self.seconds:
            notes.append(
                to_say("{name} takes {n:.2f} s; silence fills the window of {window:g} s",
                       n=seconds, **lengths)
            )  # fmt: skip
        if not samples.any():
            notes.append(to_say("{name} is silent", name=name))
        window = np.zeros(n, np.float32)
        window[: len(samples)] = samples[:n]
        size = {"n_mel": self.model_input.n_mel, "n_fft": self.n_fft, "hop": self.hop}
        values = log_mel(window, rate=self.rate, **size)
        n_heard = min(self.model_input.n_position, -(-len(samples) // (2 * self.hop)))
        return Sound(values, self._tokens(n_heard), (*self.notes, *notes))

    def _tokens(self, n_heard: int) -> Tokens:
        """Of these the first `n_heard` have sound."""
        step, n = 2 * self.hop / self.rate, self.model_input.n_position
        digits = max(0, int(np.ceil(-np.log10(step))))
        roles = ["sound"] * n_heard + ["silence"] * (n - n_heard)
        return Tokens.of([f"{number * step:.{digits}f}s" for number in range(n)], roles=roles)


MAX_SAMPLE = 4.0
"""Samples a little above 1 are of a clipped sound; much larger ones were never scaled."""


def read_reader(model_input: SoundInput, config: Config | None) -> SoundReader:
    """What the file asks for; without one, what Whisper's feature extractor does."""
    if config is None:
        note = to_say(
            "there is no preprocessor_config.json: the sound is prepared as is the default for its "
            "architecture, which may not be how the model was trained"
        )
        return SoundReader(model_input, notes=(note,))
    config.require("feature_extractor_type", PROCESSOR)
    config.require("feature_size", model_input.n_mel)
    config.require("dither", 0.0, 0)
    config.require("padding_value", 0.0, 0)
    reader = SoundReader(
        model_input,
        config.count("sampling_rate", 16_000, maximum=1 << 20),
        config.count("n_fft", 400, maximum=1 << 16),
        config.count("hop_length", 160, maximum=1 << 16),
    )
    length = config.count("chunk_length", 30)
    config.inert(*INERT)
    config.finish("")
    if length * reader.rate // reader.hop != reader.n_frame:
        raise config.error(
            f"{length} s are {length * reader.rate // reader.hop} frames, and the model reads "
            f"{reader.n_frame}"
        )
    return reader


def _check_finite(array: Array, name: str) -> None:
    if not np.isfinite(array).all():
        raise AttnvizError(f"{name} has NaN or infinity", "write it again")


def _load(path: Path) -> Array:
    from attnviz import archive

    arrays: dict[str, Array] = archive.read(path)[1]
    return next(iter(arrays.values()))
