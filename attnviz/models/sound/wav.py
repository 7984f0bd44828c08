"""WAV files. Source: IBM and Microsoft, Multimedia Programming Interface 1.0, 1991; Microsoft,
Multiple Channel Audio Data and WAVE Files, 2007."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.files import shortened, why_unreachable
from attnviz.language import to_say
from attnviz.nn.types import Array

OTHERS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg (Vorbis or Opus)",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"\xff\xf3": "MP3",
    b"\xff\xf1": "AAC",
    b"FORM": "AIFF",
    b".snd": "AU",
    b"caff": "CAF",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
    b"RF64": "WAV of 64 bits",
    b"#!AMR": "AMR",
}
"""What other sound files begin with."""

CODECS = {2: "ADPCM", 6: "A-law", 7: "µ-law", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE

NO_LENGTH = 0x7FFF0000
"""Lengths from here on are of programs that did not know it yet: the data go to the end."""

RATES = 1_000, 768_000
"""Samples a second that are read."""

MAX_CHANNELS = 64


class Wave(NamedTuple):
    """A sound file, or its beginning."""

    samples: Array
    """[n, n_channel], float32, -1 to 1"""
    rate: int
    """Samples a second."""
    seconds: float
    """Of the whole file."""
    notes: tuple[str, ...] = ()


class Format(NamedTuple):
    """What a `fmt ` chunk says."""

    codec: int
    n_channel: int
    rate: int
    n_byte: int
    """Of a sample."""


def convert(path: Path) -> str:
    """How to make a file that can be read."""
    return f"ffmpeg -i {path} -ar 16000 -ac 1 {path.with_suffix('.16k.wav').name}"


def read_wav(path: Path, max_seconds: float) -> Wave:
    """The first `max_seconds` of a WAV file of whole numbers (8, 16, 24, 32 bits) or of floats.

    Raises:
        AttnvizError: another file, or a damaged one.
    """
    if (reason := why_unreachable(path)) is not None:
        raise AttnvizError(f"cannot read {shortened(path)}: {reason}", "name a WAV file")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not a file"
        raise AttnvizError(
            f"{path} {what if path.exists() else 'does not exist'}", "name a WAV file"
        )
    try:
        with path.open("rb") as file:
            return _read(file, path, max_seconds)
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check its permissions"
        ) from error


def _read(file: IO[bytes], path: Path, max_seconds: float) -> Wave:
    start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        kind = next((name for magic, name in OTHERS.items() if start.startswith(magic)), "")
        kind = "MP4 or M4A" if start[4:8] == b"ftyp" else kind
        what = f"{path} is not a WAV file" + (f" but {kind}" if kind else "")
        raise AttnvizError(what, f"convert it: {convert(path)}")
    n_left, found = path.stat().st_size, None
    for name, length in _chunks(file):
        if name == b"fmt ":
            found = _format(file.read(min(length, 40)), path)
        elif name == b"data":
            if found is None:
                break
            return _data(file, path, found, length, n_left - file.tell(), max_seconds)
    raise AttnvizError(f"{path} has no sound: a chunk of data or its format is missing",
                       "is the file whole?")  # fmt: skip


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """The name and the length of each chunk, with the file at its first byte."""
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        start = file.tell()
        yield name, length
        file.seek(start + length + length % 2)


def _format(chunk: bytes, path: Path) -> Format:
    if len(chunk) < 16:
        raise AttnvizError(f"{path}: its format has {len(chunk)} bytes, expected at least 16",
                           "is the file whole?")  # fmt: skip
    codec, n_channel, rate, _, frame, bits = struct.unpack("<HHIIHH", chunk[:16])
    if codec == EXTENSIBLE and len(chunk) >= 26:
        codec = struct.unpack("<H", chunk[24:26])[0]
    sizes = {PCM: (1, 2, 3, 4), FLOAT: (4, 8)}
    n_byte = frame // n_channel if n_channel else 0
    if codec not in sizes or n_byte not in sizes[codec]:
        kind = {PCM: "whole numbers", FLOAT: "floats"}.get(codec, CODECS.get(codec, ""))
        kind = f"{kind or f'the codec {codec}'} of {bits} bits"
        raise AttnvizError(
            f"{path} holds {kind}; read are whole numbers of 8, 16, 24 and 32 bits, and floats",
            f"convert it: {convert(path)}",
        )
    if not (RATES[0] <= rate <= RATES[1] and n_channel <= MAX_CHANNELS):
        raise AttnvizError(
            f"{path}: {rate} samples a second and {n_channel} channels; read are {RATES[0]} to "
            f"{RATES[1]}, and up to {MAX_CHANNELS}",
            "is the file whole?",
        )
    return Format(codec, n_channel, rate, n_byte)


def _data(
    file: IO[bytes], path: Path, kind: Format, length: int, n_left: int, max_seconds: float
) -> Wave:
    frame = kind.n_channel * kind.n_byte
    is_known = 0 < length < NO_LENGTH
    n_frame = (min(length, n_left) if is_known else n_left) // frame
    n_wanted = min(n_frame, int(np.ceil(max_seconds * kind.rate)))
    if not n_wanted:
        raise AttnvizError(f"{path} has no samples", "is the file whole?")
    notes: tuple[str, ...] = ()
    if is_known and length > n_left + 1:
        notes = (
            to_say(
                "{name} is cut off: {n:.1f} of its {all:.1f} s are there",
                name=str(path),
                n=n_frame / kind.rate,
                all=length / frame / kind.rate,
            ),
        )
    samples = _numbers(file.read(n_wanted * frame), kind).reshape(-1, kind.n_channel)
    if not np.isfinite(samples).all():
        raise AttnvizError(f"{path} has NaN or infinity among its samples", "write it again")
    return Wave(samples, kind.rate, n_frame / kind.rate, notes)


def _numbers(raw: bytes, kind: Format) -> Array:
    """[n], float32: whole numbers are scaled so that the lowest is -1."""
    if kind.codec == FLOAT:
        return np.frombuffer(raw, f"<f{kind.n_byte}").astype(np.float32)
    if kind.n_byte == 1:  # these alone have no sign
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    if kind.n_byte == 3:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        raw, kind = wide.tobytes(), kind._replace(n_byte=4)
    numbers = np.frombuffer(raw, f"<i{kind.n_byte}").astype(np.float64)
    return (numbers / 2.0 ** (8 * kind.n_byte - 1)).astype(np.float32)
