"""Arrays in NumPy's files. What a header asks for is compared with the file before it is made.

Source of the format: numpy.lib.format. Nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import math
import mmap
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.files import file_size
from attnviz.memory import check_available, in_bytes
from attnviz.nn.types import Array

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 10_000
"""At most in a header, as NumPy has it."""

CHUNK = 1 << 24
"""Bytes that are unpacked at once."""

LARGE, MAX_RATIO = 1 << 30, 200
"""An archive may unpack to so many bytes, or to so many times its own; measured numbers, other
than empty ones, shrink little."""


class PickledError(ValueError):
    """An array of Python objects."""


def read_npy(path: Path) -> Array:
    """The array in a `.npy`."""
    size = file_size(path)
    with path.open("rb") as file:
        dtype, order, shape = _header(file, size)
        check_available(math.prod(shape) * dtype.itemsize, str(path), "save fewer arrays in a file")
        array = np.fromfile(file, dtype, math.prod(shape))
    return array.reshape(shape, order=order)


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays in a `.npz` by name."""
    size = file_size(path)
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
        _check_sizes(path, size, members)
        arrays = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            try:
                with file.open(member) as content:
                    arrays[name] = _unpacked(content, member.file_size)
            except ValueError as error:
                raise type(error)(f"{name[:200]}: {error}") from error
    return arrays


def map_npy(path: Path) -> Array:
    """The array in a `.npy`, in a map of the file."""
    size = file_size(path)
    with path.open("rb") as file:
        dtype, order, shape = _header(file, size)
        return _mapped(path, dtype, order, shape, file.tell())


def map_npz(path: Path) -> dict[str, Array]:
    """The arrays in a `.npz`, those that are not compressed in a map of the file."""
    size = file_size(path)
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        members = archive.infolist()
        _check_sizes(
            path, size, [each for each in members if each.compress_type != zipfile.ZIP_STORED]
        )
        for member in members:
            name = member.filename.removesuffix(".npy")
            try:
                if member.compress_type != zipfile.ZIP_STORED or member.file_size < CHUNK:
                    with archive.open(member) as content:
                        arrays[name] = _unpacked(content, member.file_size)
                    continue
                file.seek(member.header_offset + 26)
                n_name, n_extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
                file.seek(member.header_offset + 30 + n_name + n_extra)
                dtype, order, shape = _header(file, member.file_size)
                if file.tell() + math.prod(shape) * dtype.itemsize > size:
                    raise ValueError("it ends within its numbers")
                arrays[name] = _mapped(path, dtype, order, shape, file.tell())
            except ValueError as error:
                raise type(error)(f"{name[:200]}: {error}") from error
    return arrays


def forget(array: Array) -> None:
    """Give back the memory that a mapped array takes for what was looked at, which the file still
    has; of other arrays, or where the system cannot, nothing."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _mapped(
    path: Path, dtype: np.dtype[Any], order: Any, shape: tuple[int, ...], offset: int
) -> Array:
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, order)


def _check_sizes(path: Path, size: int, members: Sequence[zipfile.ZipInfo]) -> None:
    total = sum(member.file_size for member in members)
    if total > max(LARGE, size * MAX_RATIO):
        raise AttnvizError(
            f"{path} has {size:,} bytes, but unpacks to {in_bytes(total)}",
            "if these are the numbers that you mean, write them with np.savez, not compressed",
        )
    check_available(total, str(path), "save fewer arrays in a file")


def _unpacked(file: IO[bytes], n_byte: int) -> Array:
    """The array in a member of an archive, of `n_byte` bytes."""
    dtype, order, shape = _header(file, n_byte)
    array = np.empty(math.prod(shape), dtype)
    view, at = array.view(np.uint8), 0
    while at < len(view):
        content = file.read(min(CHUNK, len(view) - at))
        if not content:
            raise ValueError("it ends within its numbers")
        view[at : at + len(content)] = np.frombuffer(content, np.uint8)
        at += len(content)
    file.read(1)  # at its end the checksum is compared
    return array.reshape(shape, order=order)


def _header(file: IO[bytes], n_byte: int) -> tuple[np.dtype[Any], Any, tuple[int, ...]]:
    """(type, order of the axes, shape) of the array in a file of `n_byte` bytes; the file then is
    at its numbers."""
    start = file.read(8)
    if start[:6] != MAGIC:
        raise ValueError(f"it does not begin with {MAGIC!r}")
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(file.read(width), "little")
    if length > HEADER_BYTES:
        raise ValueError(f"its header should have {length} bytes, but at most {HEADER_BYTES} are")
    dtype, order, shape = _fields(file.read(length))
    needed, there = math.prod(shape) * dtype.itemsize, n_byte - 8 - width - length
    if needed > there:
        raise ValueError(
            f"the shape {list(shape)} of {dtype} takes {needed} bytes, but it has {max(there, 0)}"
        )
    return dtype, order, shape


def _fields(header: bytes) -> tuple[np.dtype[Any], Any, tuple[int, ...]]:
    """What a header says, if it describes plain numbers or texts."""
    text = re.sub(r"(?<=\d)L\b", "", header.decode("latin-1"))  # Python 2 wrote so
    try:
        with warnings.catch_warnings():  # Python's and NumPy's, of what stands in a file
            warnings.simplefilter("ignore")
            fields = ast.literal_eval(text.strip())
            descr, shape = fields["descr"], fields["shape"]
            dtype = np.dtype(descr) if isinstance(descr, str) else None
    except (SyntaxError, TypeError, LookupError, RecursionError, MemoryError, ValueError) as error:
        raise ValueError("its header cannot be read") from error
    if dtype is not None and dtype.hasobject:
        raise PickledError("it holds Python objects")
    if dtype is None or dtype.names is not None or dtype.subdtype is not None or not dtype.itemsize:
        raise ValueError(f"it holds {str(descr)[:80]}; expected numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"its shape is {str(shape)[:80]}")
    return dtype, "F" if fields.get("fortran_order") is True else "C", shape
