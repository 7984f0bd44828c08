"""GGUF files: every type of numbers as gguf itself undoes it, and what happens with damaged ones."""

from __future__ import annotations

import hashlib
import struct
import time
import tracemalloc

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.models.gguf.file import GGUFFile
from attnviz.models.gguf.header import read_architecture

KINDS = (Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0,
         Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, Kind.IQ4_NL, Kind.IQ2_XXS,
         Kind.TQ1_0)  # fmt: skip
N_ROW, N_COLUMN = 307, 512


def packed(kind: Kind, *shape: int) -> np.ndarray:
    """Bytes of blocks whose scales are sane halves, and whose other bits are anything."""
    n_number, n_byte = gguf.GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(kind.value)
    if kind == Kind.F32:
        return generator.normal(size=shape).astype(np.float32)
    if kind == Kind.F16:
        return generator.normal(size=shape).astype(np.float16)
    width = shape[-1] // n_number * n_byte
    return generator.integers(0, 0x78, (*shape[:-1], width), np.uint8)  # no NaN: high bytes < 0x7c


def write(path, tensors, alignment=None, **metadata):
    """tensors: {name: (kind, array of its bytes or numbers)}"""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in metadata.items():
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    if alignment:
        writer.add_custom_alignment(alignment)
    for name, (kind, array) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def matrix(request, tmp_path):
    """A file with one matrix, and the numbers in it by gguf's own reader."""
    array = packed(request.param, N_ROW, N_COLUMN)
    path = write(tmp_path / "x.gguf", {"x.weight": (request.param, array)})
    return GGUFFile(path), gguf.dequantize(array, request.param)


class TestNumbers:
    def test_whole(self, matrix):
        file, expected = matrix
        found = file.read("x.weight")
        assert found.dtype == np.float32
        assert file.shapes == {"x.weight": (N_ROW, N_COLUMN)}
        np.testing.assert_array_equal(found, expected)

    def test_some_rows(self, matrix):
        file, expected = matrix
        for rows in (slice(3, 11), slice(None, None, -7), np.array([5, 2, 2, 306]), slice(0, 0)):
            np.testing.assert_array_equal(file.read("x.weight", rows), expected[rows])

    @pytest.mark.parametrize("kind", [Kind.F64, Kind.I8, Kind.I16, Kind.I32, Kind.I64], ids=str)
    def test_numbers_without_blocks(self, kind, tmp_path):
        dtype = {"F": "f", "I": "i"}[kind.name[0]] + str(int(kind.name[1:]) // 8)
        array = (np.random.default_rng(3).normal(size=(5, 7)) * 40).astype(dtype)
        file = GGUFFile(write(tmp_path / "x.gguf", {"x": (kind, array)}))
        for rows in (None, slice(1, 4), np.array([4, 0])):
            found = file.read("x", rows)
            assert found.dtype == (np.float64 if kind == Kind.F64 else np.float32)
            np.testing.assert_array_equal(found, array if rows is None else array[rows])
        assert file.copies("x")

    def test_float32_stays_in_the_file(self, tmp_path):
        array = packed(Kind.F32, 5, 7)
        half = packed(Kind.F16, 5, 7)
        tensors = {"a": (Kind.F32, array), "b": (Kind.F16, half)}
        file = GGUFFile(write(tmp_path / "x.gguf", tensors))
        assert (file.copies("a"), file.copies("b")) == (False, True)
        assert not file.read("a").flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            file.read("a")[0, 0] = 1

    def test_only_the_rows_that_are_asked_for_are_converted(self, tmp_path):
        array = packed(Kind.Q4_K, 4096, 1024)
        file = GGUFFile(write(tmp_path / "x.gguf", {"x": (Kind.Q4_K, array)}))
        file.read("x", slice(0, 1))
        tracemalloc.start()
        try:
            file.read("x", np.array([7, 4000]))
            few = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            file.read("x")
            all_of_them = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert few < 2**18
        assert all_of_them < 4096 * 1024 * 4 * 1.2  # the result, and little besides

    @pytest.mark.parametrize("shape", [(64,), (3, 5, 64)])
    def test_other_numbers_of_axes(self, tmp_path, shape):
        array = packed(Kind.Q8_0, *shape)
        file = GGUFFile(write(tmp_path / "x.gguf", {"x": (Kind.Q8_0, array)}))
        expected = gguf.dequantize(array, Kind.Q8_0)
        np.testing.assert_array_equal(file.read("x"), expected)
        np.testing.assert_array_equal(file.read("x", slice(1, 3)), expected[1:3])


METADATA = {"a.text": "naïve 我", "a.number": 7, "a.float": 0.5, "a.switch": True,
            "a.list": ["x", "", "yy"], "a.numbers": [1, 2, 3]}  # fmt: skip


class TestHeader:
    def test_metadata(self, tmp_path):
        file = GGUFFile(write(tmp_path / "x.gguf", {}, **METADATA))
        assert {key: file.metadata[key] for key in METADATA} == METADATA

    def test_the_architecture_without_what_comes_after_it(self, tmp_path):
        path = write(tmp_path / "x.gguf", {}, **METADATA)
        content = path.read_bytes()
        cut = content[: content.index(b"llama") + 5]  # the counts promise more
        padded = cut + b"\xff" * (len(content) - len(cut))
        assert read_architecture(padded, "x.gguf") == "llama"

    @pytest.mark.parametrize("alignment", [8, 32, 64])
    def test_alignment(self, tmp_path, alignment):
        arrays = {name: packed(Kind.F32, n) for name, n in (("a", 3), ("b", 5))}
        tensors = {name: (Kind.F32, array) for name, array in arrays.items()}
        file = GGUFFile(write(tmp_path / "x.gguf", tensors, alignment))
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.read(name), array)

    def test_version_2(self, tmp_path):
        path = write(tmp_path / "x.gguf", {"a": (Kind.F32, packed(Kind.F32, 3))})
        path.write_bytes(b"GGUF\2" + path.read_bytes()[5:])
        assert GGUFFile(path).shapes == {"a": (3,)}

    def test_sha256(self, tmp_path):
        path = write(tmp_path / "x.gguf", {})
        assert GGUFFile(path).sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(n_tensor: int, n_field: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensor, n_field) + rest


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
    return text(name) + axes + struct.pack("<IQ", kind, offset)


FIELD = text(b"k") + struct.pack("<I", 4) + struct.pack("<I", 1)
ROOM = bytes(256)
DAMAGED = {
    "nothing": (b"", "is not a GGUF file"),
    "three bytes": (b"GGU", "is not a GGUF file"),
    "wrong magic": (b"GGML" + ROOM, "begins with b'GGML'"),
    "a pickle": (b"PK\x03\x04" + ROOM, "a zip archive"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "a page": (b"<!DOCTYPE html>", "a web page"),
    "version 1": (header(0, 0, version=1), "is GGUF version 1; known: 2, 3"),
    "version 4": (header(0, 0, version=4), "is GGUF version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "half a header": (header(1, 1)[:20], "ends in its header"),
    "many tensors": (header(2**63, 0, ROOM), "9223372036854775808 tensors follow"),
    "many fields": (header(0, 2**40, ROOM), "1099511627776 fields"),
    "a long name": (header(0, 1, struct.pack("<Q", 2**62) + ROOM), "a text ends at byte"),
    "no UTF-8": (header(0, 1, text(b"\xff\xfe") + ROOM), "not UTF-8"),
    "an unknown type of metadata": (
        header(0, 1, text(b"k") + struct.pack("<I", 99) + ROOM),
        "unknown type 99",
    ),
    "lists of lists": (
        header(0, 1, text(b"k") + struct.pack("<IIQ", 9, 9, 5) + ROOM),
        "unknown type 9",
    ),
    "a long list": (
        header(0, 1, text(b"k") + struct.pack("<IIQ", 9, 4, 2**61) + ROOM),
        "2305843009213693952 numbers follow",
    ),
    "a long list of texts": (
        header(0, 1, text(b"k") + struct.pack("<IIQ", 9, 8, 2**61) + ROOM),
        "2305843009213693952 texts",
    ),
    "a field twice": (header(0, 2, FIELD + FIELD + ROOM), "metadata k appears twice"),
    "alignment": (
        header(0, 1, text(b"general.alignment") + struct.pack("<II", 4, 24) + ROOM),
        "general.alignment is 24; expected a power of two",
    ),
    "a tensor twice": (
        header(2, 0, tensor(b"x", (3,), 0, 0) * 2 + ROOM),
        "tensor x appears twice",
    ),
    "five axes": (header(1, 0, tensor(b"x", (1,) * 5, 0, 0) + ROOM), "has 5 axes"),
    "an empty axis": (header(1, 0, tensor(b"x", (3, 0), 0, 0) + ROOM), r"the shape \[3, 0\]"),
    "many axes": (header(1, 0, text(b"x") + struct.pack("<I", 2**32 - 1) + ROOM), "has 4294967295"),
    "behind the end": (header(1, 0, tensor(b"x", (3,), 0, 2**40) + ROOM), "is incomplete: .* x"),
    "a huge tensor": (header(1, 0, tensor(b"x", (2**60,) * 4, 0, 0) + ROOM), "is incomplete"),
    "overlap": (
        header(2, 0, tensor(b"x", (9,), 0, 0) + tensor(b"y", (3,), 0, 32) + ROOM),
        "the tensors x and y overlap",
    ),
    "half a block": (header(1, 0, tensor(b"x", (33,), 2, 0) + ROOM), "Q4_0 packs 32 in a block"),
    "Q8_1": (header(1, 0, tensor(b"x", (32,), 9, 0) + ROOM), "x is of the type Q8_1"),
    "Q8_K": (header(1, 0, tensor(b"x", (256,), 15, 0) + ROOM), "x is of the type Q8_K"),
    "an unknown type": (header(1, 0, tensor(b"x", (3,), 4, 0) + ROOM), "of the unknown type 4"),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGED)
    def test_one_error_at_once(self, tmp_path, name):
        content, message = DAMAGED[name]
        path = tmp_path / "x.gguf"
        path.write_bytes(content)
        start = time.perf_counter()
        with pytest.raises(AttnvizError, match=message) as error:
            GGUFFile(path)
        assert time.perf_counter() - start < 1
        assert error.value.hint
        assert str(path) in error.value.message

    def test_a_half_written_file(self, tmp_path):
        path = write(tmp_path / "x.gguf", {"a": (Kind.F32, packed(Kind.F32, 999))})
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(AttnvizError, match=r"is incomplete: the tensor a ends at byte \d+"):
            GGUFFile(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(AttnvizError, match="is not a file"):
            GGUFFile(tmp_path)

    def test_without_the_package(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "gguf", None)
        with pytest.raises(AttnvizError, match="needs the package `gguf`") as error:
            GGUFFile(tmp_path / "x.gguf")
        assert error.value.hint == "pip install 'attnviz[models]'"


SMALL = {
    "a": (Kind.F32, packed(Kind.F32, 3, 5)),
    "b": (Kind.F16, packed(Kind.F16, 7)),
    "c": (Kind.Q4_0, packed(Kind.Q4_0, 3, 32)),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    return write(path, SMALL, **METADATA).read_bytes()


@settings(
    deadline=1000, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_give_an_error_or_what_gguf_reads(small, tmp_path, data):
    """Bytes set at random, and the end cut off: one error, or the numbers that gguf's own reader
    finds, without more memory than a small multiple of the file."""
    bad = bytearray(small)
    places = st.integers(0, len(small) - 1)
    for place, value in data.draw(st.dictionaries(places, st.integers(0, 255), max_size=4)).items():
        bad[place] = value
    keep = data.draw(st.one_of(st.just(len(small)), places))
    path = tmp_path / "bad.gguf"
    path.write_bytes(bad[:keep])
    tracemalloc.start()
    try:
        file = GGUFFile(path)
        found = {name: file.read(name) for name in file.shapes}
    except AttnvizError:
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, KeyError, IndexError, UnicodeDecodeError):
        return  # it refuses more: an alignment of 0, say
    for tensor in reader.tensors:
        with np.errstate(all="ignore"):
            expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(
            found[tensor.name], expected.reshape(found[tensor.name].shape)
        )
