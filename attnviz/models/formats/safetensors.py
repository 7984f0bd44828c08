"""safetensors, memory-mapped: a tensor is read when it is used."""

from __future__ import annotations

from pathlib import Path

from attnviz.archive.safetensors import (
    DTYPES,
    NoHeader,
    UnknownDtype,
    read_header,
    tensor,
    widened,
)
from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import Rows
from attnviz.models.formats.content import N_BYTE, kind_of, map_file
from attnviz.nn.types import Array

SUFFIX = ".safetensors"


class SafetensorsFile:
    """One file. The header is checked on opening; the data stay where they are."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._map = map_file(path)
        head, n_byte = self._map[:N_BYTE], len(self._map)
        try:
            header = read_header(self._map, n_byte)
        except UnknownDtype as error:
            raise AttnvizError(
                f"{path}: {error}", f"take a file in one of {', '.join(DTYPES)}"
            ) from None
        except ValueError as error:
            raise _refusal(path, head, error) from None
        self._start, self._entries = header.start, header.entries
        self.n_byte = n_byte
        self.shapes = {name: entry.shape for name, entry in self._entries.items()}

    def copies(self, name: str) -> bool:
        return self._entries[name].dtype != "F32"

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor, or some of its rows, in the file's memory; bfloat16 and float8 as float32."""
        entry = self._entries[name]
        array = tensor(self._map, self._start, entry)
        if rows is not None:
            array = array[rows]
        return widened(array, entry.dtype)

    def sha256(self) -> str:
        """The hash of the file."""
        import hashlib  # loads OpenSSL, which most runs do not need

        return hashlib.sha256(self._map).hexdigest()


def open_weights(path: Path) -> SafetensorsFile:
    return SafetensorsFile(path)


def _refusal(path: Path, head: bytes, error: ValueError) -> AttnvizError:
    """An error that says what is wrong with the file, or what it is instead."""
    kind = kind_of(head) if isinstance(error, NoHeader) else None
    if kind is None:
        return AttnvizError(f"{path} is damaged: {error}", "download it again")
    description, hint = kind
    return AttnvizError(f"{path} is not a safetensors file, but {description}", hint)
