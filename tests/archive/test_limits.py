"""Files of arrays that ask for more than they hold, and files that are something else."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz import archive
from attnviz.archive.npy import read_npy, read_npz
from attnviz.errors import AttnvizError

GIB = 1 << 30
WEIGHTS = np.full((2, 3, 3), 1 / 3, np.float32)


def npy(header: object, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header if isinstance(header, bytes) else repr(header).encode()
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data


def fields(shape, descr="<f4", order=False):
    return {"descr": descr, "fortran_order": order, "shape": shape}


def npz(path, name="weights.npy", content=b"", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(name, content)
    return path


def within(n_byte, read):
    """What `read` returns or raises, in a child that may take so much more memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + n_byte, used + n_byte))
            read()
            code = 0
        except AttnvizError as error:
            os.write(writing, error.message.encode("utf-8", "replace")[:4000])
            code = 2
        except BaseException as error:
            os.write(writing, repr(error).encode("utf-8", "replace")[:4000])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 2, text
    return text


ASKING = {
    "many numbers": (npy(fields((5_000_000_000,)), bytes(16)), "takes 20000000000 bytes, but it has 16"),
    "long texts": (npy(fields((1,), "S1000000000"), bytes(16)), "takes 1000000000 bytes"),
    "very long texts": (npy(fields((4, 4), "<U99999999")), "takes 6399999936 bytes"),
    "structures": (npy(fields((1,), "500000000f4")), "expected numbers"),
    "named fields": (npy(fields((1,), [("a", "<f4")])), "expected numbers"),
    "texts of no letters": (npy(fields((10**12,), "S0")), "expected numbers"),
    "a negative size": (npy(fields((-1,))), "its shape is"),
    "a size that is true": (npy(fields((True,))), "its shape is"),
    "a long header": (npy(b"", version=b"\x02\x00")[:8] + b"\xff" * 4, "its header should have 4294967295"),
    "a deep header": (npy(b"(" * 9000), "its header cannot be read"),
    "a header that is code": (npy(b"__import__('os')"), "its header cannot be read"),
    "no fields": (npy({}), "its header cannot be read"),
    "an odd literal": (npy(b"{'descr': '\\d', 'shape': (0x,)}"), "its header cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKING)
@pytest.mark.filterwarnings("error")
def test_headers_that_ask_for_much(tmp_path, case):
    content, reason = ASKING[case]
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    for each in (path, npz(tmp_path / "w.npz", content=content)):
        assert reason in within(GIB, lambda each=each: archive.read(each))


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
def test_every_header_that_numpy_reads(tmp_path, version):
    content = npy(fields((2, 3), order=True), WEIGHTS.tobytes()[:24], version)
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    expected = np.load(path)
    np.testing.assert_array_equal(archive.read(path)[1]["w"], expected, strict=True)
    _, arrays = archive.read(npz(tmp_path / "w.npz", "a.npy", content))
    np.testing.assert_array_equal(arrays["a"], expected, strict=True)


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f4", "g", "i1", "<i8", ">u2", "?", "c8", "U3", "S2", "M8[s]"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 5)])
def test_as_numpy_reads_it(tmp_path, dtype, shape):
    array = np.arange(30)[: int(np.prod(shape))].reshape(shape).astype(dtype)
    np.save(tmp_path / "w.npy", array)
    np.savez_compressed(tmp_path / "w.npz", a=array, b=array.copy(order="F"))
    np.testing.assert_array_equal(read_npy(tmp_path / "w.npy"), array, strict=True)
    for found in read_npz(tmp_path / "w.npz").values():
        np.testing.assert_array_equal(found, array, strict=True)


def bomb(path, n_byte):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("weights.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy(fields((n_byte // 4,))))
        for _ in range(n_byte >> 24):
            member.write(bytes(1 << 24))
    return path


def test_an_archive_that_unpacks_to_much(tmp_path):
    path = bomb(tmp_path / "w.npz", 3 * GIB // 2)
    start = time.monotonic()
    assert "but unpacks to 1.6 GB" in within(GIB, lambda: archive.read(path))
    assert time.monotonic() - start < 2


def test_what_is_not_free_is_not_taken(tmp_path, monkeypatch):
    """The sizes are those of the headers."""
    np.savez(tmp_path / "w.npz", w=WEIGHTS)
    np.save(tmp_path / "w.npy", WEIGHTS)
    (tmp_path / "w.json").write_text(json.dumps(WEIGHTS.tolist()))
    attnviz.run("I saw").save(tmp_path / "w.safetensors")
    monkeypatch.setattr("attnviz.memory.available_memory", lambda: 10)
    for suffix in ("npz", "npy", "json", "safetensors"):
        with pytest.raises(AttnvizError, match=f"w.{suffix} needs about .* of memory"):
            archive.read(tmp_path / f"w.{suffix}")


def changed(tmp_path, change):
    attnviz.run("I saw").save(tmp_path / "t.json")
    values = json.loads((tmp_path / "t.json").read_text())
    change(values)
    (tmp_path / "t.json").write_text(json.dumps(values))
    return tmp_path / "t.json"


@pytest.mark.parametrize(
    "dtype",
    ["S1000000000", "U1000000000", "V99", "O", "500000000f4", "", 3, "f4,f4", "M8[s]"],
)
def test_types_in_json_are_those_of_numbers(tmp_path, dtype):
    path = changed(tmp_path, lambda v: v["dtypes"].update({next(iter(v["dtypes"])): dtype}))
    assert "expected numbers" in within(GIB, lambda: archive.read(path))


@pytest.mark.filterwarnings("error")
def test_numbers_in_json_beyond_their_type(tmp_path):
    name = "encoder.0.self/weights"
    path = changed(tmp_path, lambda v: v["arrays"][name][0][0].__setitem__(0, 1e300))
    with pytest.raises(AttnvizError, match=f"{name} holds numbers beyond the range of float32"):
        archive.read(path)


@pytest.mark.parametrize("key", ["dtypes", "non_finite"])
def test_parts_of_json_that_are_lists(tmp_path, key):
    path = changed(tmp_path, lambda values: values.update({key: [1]}))
    with pytest.raises(AttnvizError, match=f"expected `{key}` to be an object"):
        archive.read(path)


def safetensors(path, dtype, data):
    header = {"weights": {"dtype": dtype, "shape": [2, 3, 3], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_weights_in_bfloat16(tmp_path):
    """As PyTorch saves them."""
    bits = (WEIGHTS.view(np.uint32) >> 16).astype("<u2")
    trace = attnviz.load(safetensors(tmp_path / "w.safetensors", "BF16", bits.tobytes()))
    found = trace.records[0].weights
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), bits.astype(np.uint32) << 16)


@pytest.mark.parametrize("dtype", ["F8_E8M0", "F8_E4M3FNUZ"])
def test_a_type_that_numpy_does_not_have_is_named(tmp_path, dtype):
    path = safetensors(tmp_path / "w.safetensors", dtype, bytes(18))
    with pytest.raises(AttnvizError, match=f"the tensor weights: its type {dtype} is not") as error:
        archive.read(path)
    assert "damaged" not in error.value.message
    assert error.value.hint.startswith("save it in one of")


def content_of(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


OTHERS = {
    "npz as npy": (".npy", content_of(lambda f: np.savez(f, WEIGHTS)), "a zip archive"),
    "npy as npz": (".npz", content_of(lambda f: np.save(f, WEIGHTS)), "one array, as np.save"),
    "a pickle": (".npz", pickle.dumps([1.0]), "a pickle, which is never loaded"),
    "Git LFS": (".safetensors", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "a web page": (".json", b"<!DOCTYPE html>", "a web page"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_what_a_file_is_instead(tmp_path, case):
    suffix, content, kind = OTHERS[case]
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(AttnvizError, match=f"is not a {suffix} file, but {kind}"):
        archive.read(tmp_path / f"w{suffix}")


def test_json_of_powershell_is_named(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps(WEIGHTS.tolist()), "utf-16")
    with pytest.raises(AttnvizError, match="it is UTF-16, as PowerShell's > writes it"):
        archive.read(tmp_path / "t.json")


@pytest.mark.parametrize("suffix", ["npz", "npy", "json", "safetensors"])
def test_what_is_no_file_is_not_read(tmp_path, suffix):
    os.mkfifo(tmp_path / f"w.{suffix}")
    with pytest.raises(AttnvizError, match="is not a file, but a pipe"):
        archive.read(tmp_path / f"w.{suffix}")
    (tmp_path / f"zero.{suffix}").symlink_to("/dev/zero")
    with pytest.raises(AttnvizError, match="is not a file, but a device"):
        archive.read(tmp_path / f"zero.{suffix}")


def test_a_name_that_no_file_can_have():
    with pytest.raises(AttnvizError, match=r"no such file: x{60}… \(5000 characters\)"):
        attnviz.load("x" * 5000)


def test_a_changed_number_in_a_compressed_archive_is_found(tmp_path):
    """By the archive's own checksum, which is read to the end."""
    np.savez(tmp_path / "w.npz", w=WEIGHTS)
    content = bytearray((tmp_path / "w.npz").read_bytes())
    at = content.rindex(WEIGHTS.tobytes())
    content[at] ^= 1
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(AttnvizError, match=r"is damaged .*CRC"):
        archive.read(tmp_path / "w.npz")
