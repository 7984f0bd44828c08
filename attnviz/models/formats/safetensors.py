"""safetensors files, memory-mapped: a tensor is read when it is used."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.tensors import Rows
from attnviz.nn.types import Array

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,  # NumPy has no bfloat16: widened on reading
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


class SafetensorsFile:
    """One file. The library checks the header; the data stay where they are."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = str(path)
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError as error:
            raise AttnvizError(
                f"{path} is damaged or no safetensors file: {error}",
                "download it again; a few hundred bytes are a Git LFS pointer: git lfs pull",
            ) from error
        except OSError as error:
            raise AttnvizError(
                f"cannot read {path}: {error.strerror or error}", "check who may read it"
            ) from error
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(self._map[:8], "little")
        header: dict[str, Any] = json.loads(self._map[8:start])
        header.pop("__metadata__", None)
        self._start = start
        self._entries = header

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(entry["shape"]) for name, entry in self._entries.items()}

    def copies(self, name: str) -> bool:
        return str(self._entries[name]["dtype"]) != "F32"

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor, or some of its rows, in the file's memory; bfloat16 comes as float32."""
        entry = self._entries[name]
        if entry["dtype"] not in DTYPES:
            raise AttnvizError(
                f"{self.path}: the tensor {name} is of type {entry['dtype']}",
                f"known: {', '.join(DTYPES)}",
            )
        first, last = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]]).newbyteorder("<")
        array = np.frombuffer(
            self._map, dtype, (last - first) // dtype.itemsize, self._start + first
        )
        array = array.reshape(entry["shape"])
        if rows is not None:
            array = array[rows]
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return array

    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self._map).hexdigest()
