"""Headers of GGUF files, byte by byte as the specification lays them out."""

from __future__ import annotations

import struct

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.gguf.header import TensorInfo, read_architecture, read_header

U8, I8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 1, 4, 6, 7, 8, 9, 10


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def field(key: str, kind: int, content: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + content


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    """The fastest axis stands first."""
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
    return text(name) + axes + struct.pack("<IQ", kind, offset)


def header(fields=(), tensors=(), version=3) -> bytes:
    start = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(fields))
    return start + b"".join((*fields, *tensors))


NAME = field("general.architecture", STRING, text("llama"))


@pytest.mark.parametrize("version", [2, 3])
def test_every_type_of_metadata(version):
    fields = [
        NAME,
        field("u8", U8, b"\xff"),
        field("i8", I8, b"\xff"),
        field("f32", F32, struct.pack("<f", 0.25)),
        field("bool", BOOL, b"\x01"),
        field("u64", U64, struct.pack("<Q", 2**40)),
        field("numbers", ARRAY, struct.pack("<IQ3I", U32, 3, 5, 7, 11)),
        field("texts", ARRAY, struct.pack("<IQ", STRING, 2) + text("è") + text("")),
    ]
    data = header(fields, version=version)
    assert read_header(data, "x.gguf").metadata == {
        "general.architecture": "llama", "u8": 255, "i8": -1, "f32": 0.25, "bool": True,
        "u64": 2**40, "numbers": [5, 7, 11], "texts": ["è", ""],
    }  # fmt: skip
    assert read_architecture(data, "x.gguf") == "llama"


def test_tensors_have_their_slowest_axis_first():
    tensors = [tensor("a", (3, 5, 7), 12, 64), tensor("b", (11,))]
    assert read_header(header([NAME], tensors), "x.gguf").tensors == {
        "a": TensorInfo((3, 5, 7), 12, 64),
        "b": TensorInfo((11,), 0, 0),
    }


@pytest.mark.parametrize(("alignment", "used"), [(None, 32), (8, 8), (128, 128)])
def test_data_begin_at_the_next_multiple_of_the_alignment(alignment, used):
    fields = [NAME]
    if alignment:
        fields.append(field("general.alignment", U32, struct.pack("<I", alignment)))
    data = header(fields)
    start = read_header(data, "x.gguf").start
    assert start % used == 0
    assert 0 <= start - len(data) < used


def test_the_architecture_is_found_without_what_stands_behind_it():
    torn = header([NAME, field("more", STRING, text("x" * 99))])[:-50]
    assert read_architecture(torn, "x") == "llama"
    assert read_architecture(header([field("a", U8, b"\x01")]), "x") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header([NAME, NAME]), "general.architecture appears twice"),
        (header([NAME], [tensor("a", (3,)), tensor("a", (3,))]), "the tensor a appears twice"),
        (header([NAME], [tensor("a", (3, 0))]), r"the shape \[3, 0\]"),
        (header([NAME], [tensor("a", (1,) * 5)]), "has 5 axes"),
        (header([field("a", 77, b"\x00")]), "of the unknown type 77"),
        (header([field("general.alignment", U32, struct.pack("<I", 24))]), "a power of two"),
        (header([field("a", STRING, struct.pack("<Q", 2**60))]), "ends at byte"),
        (header([field("a", STRING, struct.pack("<Q", 1) + b"\xff")]), "not UTF-8"),
        (header([field("a", ARRAY, struct.pack("<IQ", U64, 2**50))]), "1125899906842624 numbers"),
        (header(version=9), "GGUF version 9; known: 2, 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "a big-endian GGUF file"),
        (header()[:20], "ends in its header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "tensors follow"),
        (b"PK\x03\x04" + bytes(40), "zip archive"),
    ],
)
def test_what_cannot_be_a_header_is_refused(data, message):
    with pytest.raises(AttnvizError, match=message):
        read_header(data, "x.gguf")
