"""WAV files, those that `wave` of the standard library writes and others."""

from __future__ import annotations

import struct
import wave

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.sound.wav import read_wav

RATE = 11_025


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def file_of(path, data, *, codec=1, n_channel=1, n_byte=2, rate=RATE, extra=b"", before=b""):
    """A WAV file written by hand."""
    fmt = struct.pack(
        "<HHIIHH", codec, n_channel, rate, rate * n_channel * n_byte, n_channel * n_byte, 8 * n_byte
    )
    body = b"WAVE" + before + chunk(b"fmt ", fmt + extra) + chunk(b"data", data)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.parametrize("n_byte", [1, 2, 3, 4])
def test_whole_numbers(n_byte, tmp_path):
    top = 2 ** (8 * n_byte - 1)
    numbers = [-top, -top // 2, 0, top // 4, top - 1, 1]
    raw = b"".join(
        struct.pack("<B", number + 128) if n_byte == 1 else number.to_bytes(n_byte, "little", signed=True)
        for number in numbers
    )  # fmt: skip
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, n_byte, RATE, 3, "NONE", ""))
        file.writeframes(raw)
    found = read_wav(path, 10)
    assert (found.rate, found.samples.shape, found.samples.dtype) == (RATE, (3, 2), np.float32)
    np.testing.assert_allclose(found.samples.ravel(), np.array(numbers) / top, atol=1e-7)
    assert found.seconds == 3 / RATE
    assert not found.notes


@pytest.mark.parametrize("n_byte", [4, 8])
def test_floats(n_byte, tmp_path):
    numbers = np.array([-1, 0.25, 0.7], f"<f{n_byte}")
    path = file_of(tmp_path / "a.wav", numbers.tobytes(), codec=3, n_byte=n_byte)
    np.testing.assert_array_equal(read_wav(path, 10).samples[:, 0], numbers.astype(np.float32))


def test_an_extensible_format_and_other_chunks(tmp_path):
    extra = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + b"\0" * 14
    path = file_of(
        tmp_path / "a.wav", struct.pack("<2h", 16384, -8192), codec=0xFFFE, extra=extra,
        before=chunk(b"LIST", b"odd"),
    )  # fmt: skip
    np.testing.assert_array_equal(read_wav(path, 10).samples[:, 0], [0.5, -0.25])


def test_only_the_beginning_is_read(tmp_path):
    path = file_of(tmp_path / "a.wav", np.arange(2 * RATE, dtype="<i2").tobytes())
    found = read_wav(path, 0.1)
    assert len(found.samples) == 1103
    assert found.seconds == 2


def test_a_program_that_did_not_know_the_length(tmp_path):
    path = file_of(tmp_path / "a.wav", struct.pack("<3h", 1, 2, 3))
    raw = path.read_bytes()
    path.write_bytes(raw[:-10] + struct.pack("<I", 0x7FFFF000) + raw[-6:])
    assert len(read_wav(path, 10).samples) == 3
    assert not read_wav(path, 10).notes


def test_a_file_that_is_cut_off_says_so(tmp_path):
    path = file_of(tmp_path / "a.wav", np.ones(2 * RATE, "<i2").tobytes())
    path.write_bytes(path.read_bytes()[: -2 * RATE])
    found = read_wav(path, 10)
    assert found.notes == (f"{path} is cut off: 1.0 of its 2.0 s are there",)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"fLaC0000", "is not a WAV file but FLAC"),
        (b"ID3\x04\0\0\0\0\0\0\0\0", "is not a WAV file but MP3"),
        (b"\0\0\0\x20ftypM4A ", "is not a WAV file but MP4 or M4A"),
        (b"what is this", r"is not a WAV file\n"),
        (b"", r"is not a WAV file\n"),
        (b"RIFF\0\0\0\0WAVE", "has no sound"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"12"), "has no sound"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"12"), "has 2 bytes, expected at least 16"),
    ],
)
def test_other_files(raw, message, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(raw)
    with pytest.raises(AttnvizError, match=message):
        read_wav(path, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codec": 7, "n_byte": 1}, "µ-law of 8 bits"),
        ({"codec": 77}, "the codec 77 of 16 bits"),
        ({"n_byte": 5}, "whole numbers of 40 bits"),
        ({"n_channel": 0}, "whole numbers of 16 bits"),
        ({"rate": 5}, "5 samples a second and 1 channels"),
    ],
)
def test_other_formats(changes, message, tmp_path):
    path = file_of(tmp_path / "a.wav", b"12345678", **changes)
    with pytest.raises(AttnvizError, match=message) as error:
        read_wav(path, 10)
    assert "ffmpeg" in error.value.hint or "whole" in error.value.hint


def test_no_samples_and_no_numbers(tmp_path):
    with pytest.raises(AttnvizError, match="has no samples"):
        read_wav(file_of(tmp_path / "a.wav", b""), 10)
    bad = np.array([0, np.nan], "<f4").tobytes()
    with pytest.raises(AttnvizError, match="NaN or infinity"):
        read_wav(file_of(tmp_path / "b.wav", bad, codec=3, n_byte=4), 10)


@pytest.mark.parametrize(("name", "what"), [("no.wav", "does not exist"), ("", "is a folder")])
def test_no_file(name, what, tmp_path):
    with pytest.raises(AttnvizError, match=what):
        read_wav(tmp_path / name, 10)
