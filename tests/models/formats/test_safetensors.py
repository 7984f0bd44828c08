"""safetensors files: what the reference library reads, and one error for everything else."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from attnviz.archive.safetensors import DTYPES, UNSUPPORTED
from attnviz.errors import AttnvizError
from attnviz.models.formats.safetensors import SafetensorsFile

TENSORS = {
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((3, 0, 5), np.float32),
    "half": np.arange(7, dtype=np.float16),
    "wide": np.linspace(-1, 1, 33).reshape(3, 11),
    "whole": np.arange(-6, 7, dtype=np.int64),
    "flags": np.array([[True, False, True]]),
    "matrix": np.arange(35, dtype=np.float32).reshape(5, 7),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "model.safetensors"
    save_file(TENSORS, path, {"format": "pt"})
    return path.read_bytes()


def as_file(folder: Path, content: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return path


def built(header: object, data: bytes = b"") -> bytes:
    """A file with this header: an object, or the bytes of one."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(**changes: object) -> dict:
    """A header with one tensor of 8 bytes, with some fields changed; ... takes a field out."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
    return {"a": {key: value for key, value in entry.items() if value is not ...}}


def refused(folder: Path, content: bytes, message: str) -> AttnvizError:
    path = as_file(folder, content)
    with pytest.raises(AttnvizError, match=message) as error:
        SafetensorsFile(path)
    assert str(path) in error.value.message
    assert error.value.hint
    return error.value


def test_every_tensor(tmp_path, sound):
    file = SafetensorsFile(as_file(tmp_path, sound))
    assert dict(file.shapes) == {name: array.shape for name, array in TENSORS.items()}
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(file.read(name), array, strict=True)
        assert file.copies(name) is (array.dtype != np.float32)
    assert file.sha256() == hashlib.sha256(sound).hexdigest()


def test_some_rows(tmp_path, sound):
    file = SafetensorsFile(as_file(tmp_path, sound))
    np.testing.assert_array_equal(file.read("matrix", slice(1, 3)), TENSORS["matrix"][1:3])
    np.testing.assert_array_equal(file.read("matrix", np.array([4, 0])), TENSORS["matrix"][[4, 0]])


def test_the_data_stay_in_the_file(tmp_path, sound):
    array = SafetensorsFile(as_file(tmp_path, sound)).read("matrix")
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    numbers = np.array([1.0, -2.5, 3.140625, np.inf, 1e-30], np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype("<u2")
    header = {
        "v": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 10]},
        "s": {"dtype": "BF16", "shape": [], "data_offsets": [10, 12]},
    }
    file = SafetensorsFile(as_file(tmp_path, built(header, upper.tobytes() + upper[:1].tobytes())))
    expected = (numbers.view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(file.read("v"), expected, strict=True)
    np.testing.assert_array_equal(file.read("v", slice(1, 3)), expected[1:3])
    assert file.read("s").shape == ()
    assert file.read("s") == 1


def test_no_tensors_at_all(tmp_path):
    assert SafetensorsFile(as_file(tmp_path, built({}))).shapes == {}


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_of_the_types(tmp_path, dtype):
    """The library refuses a size that does not fit the type."""
    size = 3 * DTYPES[dtype].itemsize
    content = built(one(dtype=dtype, shape=[3], data_offsets=[0, size]), bytes(size))
    path = as_file(tmp_path, content)
    assert SafetensorsFile(path).read("a").shape == (3,)
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        assert file.get_slice("a").get_shape() == [3]


HEADERS = {
    "no JSON": (b"{]", "its header: Expecting"),
    "not UTF-8": (b'{"\xff": 1}', "its header: 'utf-8' codec"),
    "a list": (b"[]", "does not begin with {"),
    "spaces before it": (b" {}", "does not begin with {"),
    "nothing": (b"", "does not begin with {"),
    "two objects": (b"{}{}", "its header: Extra data"),
    "too deep": (b'{"a":' * 60_000, "its header: it is nested too deeply"),
    "a tensor twice": (b'{"a": 1, "a": 2}', "the key 'a' appears twice"),
    "a field twice": (b'{"a": {"dtype": "F32", "dtype": "F16"}}', "the key 'dtype' appears"),
    "metadata that are none": ({"__metadata__": [1]}, "expected strings in __metadata__"),
    "metadata with numbers": ({"__metadata__": {"a": 1}}, "expected strings in __metadata__"),
    "no dtype": (one(dtype=...), "the tensor a: expected dtype, shape and data_offsets"),
    "no shape": (one(shape=...), "the tensor a: expected dtype, shape and data_offsets"),
    "no offsets": (one(data_offsets=...), "the tensor a: expected dtype, shape and data_offsets"),
    "a field more": (one(strides=[1]), "the tensor a: expected dtype, shape and data_offsets"),
    "an entry that is none": ({"a": 3}, "the tensor a: expected dtype, shape and data_offsets"),
    "a shape of texts": (one(shape=["2"]), "the tensor a: shape: expected"),
    "a shape that is a number": (one(shape=2), "the tensor a: shape: expected"),
    "a shape of truths": (one(shape=[True, 2]), "the tensor a: shape: expected"),
    "a shape of fractions": (one(shape=[2.0]), "the tensor a: shape: expected"),
    "a negative shape": (one(shape=[-2]), "the tensor a: shape: expected"),
    "an absurd size": (one(shape=[1 << 63]), "the tensor a: shape: expected"),
    "a number without end": (b'{"a": ' + b"9" * 5000 + b"}", "its header: it has a whole number of 5000 digits"),
    "an absurd product": (one(shape=[1 << 40, 1 << 40]), "no file can hold the shape"),
    "an absurd product times nothing": (
        one(shape=[0, 1 << 62, 1 << 62], data_offsets=[0, 0]),
        "no file can hold the shape",
    ),
    "a hundred axes": (one(shape=[1] * 100), "the tensor a: shape: expected at most 32"),
    "one offset": (one(data_offsets=[8]), r"data_offsets: expected \[first, last\], got \[8\]"),
    "offsets that are texts": (one(data_offsets=["0", "8"]), "the tensor a: data_offsets: expected"),
    "offsets backwards": (one(data_offsets=[8, 0]), r"expected \[first, last\], got \[8, 0\]"),
    "too few bytes": (one(shape=[3]), r"the shape \[3\] of F32 takes 12 bytes, but it has 8"),
    "too many bytes": (one(dtype="F16"), r"the shape \[2\] of F16 takes 4 bytes, but it has 8"),
    "behind the end": (
        one(shape=[20], data_offsets=[0, 80]),
        "the tensor a ends 72 bytes after the end of the file",
    ),
    "a hole before it": (
        one(shape=[1], data_offsets=[4, 8]),
        "4 bytes between the header and the tensor a belong to no tensor",
    ),
    "a rest behind it": (
        one(shape=[1], data_offsets=[0, 4]),
        "4 bytes at its end belong to no tensor",
    ),
    "an overlap": (
        one() | {"b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        "the tensor b overlaps the tensor a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_are_wrong(tmp_path, case):
    header, message = HEADERS[case]
    refused(tmp_path, built(header, bytes(8)), f"is damaged: .*{message}")


@pytest.mark.parametrize("dtype", ["F8_E8M0", "C64", "float32", "", 3, None, ["F32"]])
def test_types_that_are_unknown(tmp_path, dtype):
    reason = "its type .* is not supported" if dtype in UNSUPPORTED else "unknown type"
    error = refused(tmp_path, built(one(dtype=dtype), bytes(8)), f"the tensor a: {reason}")
    assert "BF16" in error.hint


LENGTHS = {
    "negative, to whoever reads it signed": (
        1 << 63,
        "9223372036854775808 bytes, but at most 100000000 are",
    ),
    "longer than the file": (1 << 20, "1048576 bytes, but only 100 are there"),
    "one byte too long": (101, "101 bytes, but only 100 are there"),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_lengths_that_are_wrong(tmp_path, case):
    length, message = LENGTHS[case]
    refused(tmp_path, struct.pack("<Q", length) + b"{" + b" " * 99, message)


def test_a_header_that_is_too_long(tmp_path):
    """The file has holes: it takes no room on the disk."""
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001) + b"{")
        file.truncate(100_000_100)
    with pytest.raises(AttnvizError, match="100000001 bytes, but at most 100000000 are allowed"):
        SafetensorsFile(path)


def test_a_hostile_name_styles_nothing(tmp_path):
    error = refused(tmp_path, built({"\x1b[31m\ud800": 3}), "the tensor ")
    assert "\x1b" not in error.message
    error.message.encode()


OTHER_FILES = {
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer", "git lfs pull"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x08", "a zip archive", "save_pretrained"),
    "pickle": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a pickle", "save_pretrained"),
    "web page": (b"\n<!DOCTYPE html><html>", "a web page", "the file itself"),
    "GGUF": (b"GGUF\x03\x00\x00\x00\x01\x02", "a GGUF file", ".gguf"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\x00\x00", "an HDF5 file", "safetensors"),
    "a message": (b'{"error": "Repository not found"}', "a JSON file", "message"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER_FILES)
def test_what_it_is_instead(tmp_path, case):
    content, what, hint = OTHER_FILES[case]
    error = refused(tmp_path, content, f"is not a safetensors file, but {what}")
    assert hint in error.hint


@pytest.mark.parametrize("length", [0x3C, 0x4B50, 0x280, 0x7B])
def test_lengths_that_look_like_other_files(tmp_path, length):
    """Of headers whose length begins with the bytes of `<`, `PK`, a pickle or `{`."""
    text = json.dumps(one(), separators=(",", ":")).encode().ljust(length)
    content = struct.pack("<Q", length) + text + bytes(8)
    assert dict(SafetensorsFile(as_file(tmp_path, content)).shapes) == {"a": (2,)}


def test_an_empty_file(tmp_path):
    refused(tmp_path, b"", "is damaged: it is empty")


def test_a_folder_and_a_pipe(tmp_path):
    import os

    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    reasons = {"folder": "a folder", "pipe": "a pipe", "nothing": "cannot read .*: No such file"}
    for name, reason in reasons.items():
        with pytest.raises(AttnvizError, match=reason):
            SafetensorsFile(tmp_path / name)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_cut_off_anywhere(tmp_path_factory, sound, data):
    keep = data.draw(st.integers(0, len(sound) - 1))
    refused(tmp_path_factory.mktemp("cut"), sound[:keep], "is damaged")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_too_many_anywhere(tmp_path_factory, sound, data):
    place = data.draw(st.integers(0, len(sound)))
    more = data.draw(st.binary(min_size=1, max_size=9))
    path = as_file(tmp_path_factory.mktemp("more"), sound[:place] + more + sound[place:])
    with pytest.raises(AttnvizError):
        SafetensorsFile(path)


def is_as_the_library_reads_it(path: Path) -> bool:
    """Whether the file is refused by us, or read by both, and the numbers are the same."""
    try:
        file = SafetensorsFile(path)
    except AttnvizError:
        return True
    try:
        expected = load_file(path)
    except SafetensorError:
        return False
    return set(file.shapes) == set(expected) and all(
        np.array_equal(file.read(name).view(np.uint8), array.view(np.uint8))
        if array.ndim and array.shape[-1]
        else file.read(name).shape == array.shape
        for name, array in expected.items()
    )


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_bytes_changed_anywhere(tmp_path_factory, sound, data):
    """Most changes lie in the header, where they may turn one sound header into another."""
    content = bytearray(sound)
    n_header = 8 + int.from_bytes(sound[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        last = data.draw(st.sampled_from([n_header, len(sound)])) - 1
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    assert is_as_the_library_reads_it(as_file(tmp_path_factory.mktemp("flip"), bytes(content)))


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_changed_numbers_are_read_as_they_are(tmp_path_factory, sound, data):
    """A file has no checksum of its own: whatever the data hold is what is read."""
    n_header = 8 + int.from_bytes(sound[:8], "little")
    place = data.draw(st.integers(n_header, len(sound) - 1))
    content = bytearray(sound)
    content[place] ^= data.draw(st.integers(1, 255))
    file = SafetensorsFile(as_file(tmp_path_factory.mktemp("number"), bytes(content)))
    differing = [n for n, a in TENSORS.items() if file.read(n).tobytes() != a.tobytes()]
    assert len(differing) == 1
