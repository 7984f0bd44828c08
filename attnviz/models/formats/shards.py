"""Several safetensors files, with an index that says which tensor is in which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import Rows
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.json_object import read_object
from attnviz.nn.types import Array
from attnviz.tokens import label

SUFFIX = "model.safetensors.index.json"

INCOMPLETE = "download it again: the index and its files belong together"


class Shards:
    """The files that an index names. Opening them reads only their headers."""

    def __init__(self, index: Path) -> None:
        self.path = str(index)
        file_of = read_index(index)
        names = sorted(set(file_of.values()))
        absent = [name for name in names if not (index.parent / name).exists()]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise AttnvizError(
                f"{index.parent} is incomplete: {label(absent[0])}{more} of {len(names)} files "
                f"with weights {'are' if more else 'is'} missing",
                "download the rest",
            )
        self._files = {name: SafetensorsFile(index.parent / name) for name in names}
        self._file_of = {tensor: self._files[name] for tensor, name in file_of.items()}
        self._check(file_of)
        self.n_byte = sum(file.n_byte for file in self._files.values())
        self.shapes = {name: file.shapes[name] for name, file in self._file_of.items()}

    def copies(self, name: str) -> bool:
        return self._file_of[name].copies(name)

    def read(self, name: str, rows: Rows | None = None) -> Array:
        return self._file_of[name].read(name, rows)

    def sha256(self) -> str:
        """The hash of the lines `HASH  NAME`, one a file in the order of names: what
        `sha256sum model-*.safetensors | sha256sum` gives."""
        lines = [f"{file.sha256()}  {name}\n" for name, file in self._files.items()]
        import hashlib  # loads OpenSSL, which most runs do not need

        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _check(self, file_of: Mapping[str, str]) -> None:
        """Raise AttnvizError unless the index says exactly what the files hold."""
        for name, file in self._files.items():
            held = set(file.shapes)
            listed = {tensor for tensor, file_name in file_of.items() if file_name == name}
            for tensor in sorted(listed - held):
                raise AttnvizError(
                    f"{self.path}: the tensor {label(tensor)} should be in {name}, but is not",
                    INCOMPLETE,
                )
            for tensor in sorted(held - listed):
                raise AttnvizError(
                    f"{file.path} holds the tensor {label(tensor)}, which the index does not list "
                    "there",
                    INCOMPLETE,
                )


def open_weights(path: Path) -> Shards:
    return Shards(path)


def read_index(path: Path) -> dict[str, str]:
    """Tensor -> the file that holds it, beside the index."""
    file_of = read_object(path).get("weight_map")
    if not isinstance(file_of, dict) or not file_of:
        raise AttnvizError(
            f"{path}: expected weight_map, an object of file names", "download it again"
        )
    for tensor, name in file_of.items():
        if not isinstance(name, str) or not _is_plain(name):
            raise AttnvizError(
                f"{path}: the tensor {label(tensor)} is listed in {label(str(name)[:80])}, "
                "which is not a safetensors file in this folder",
                "download it again",
            )
    return file_of


def _is_plain(name: str) -> bool:
    """Whether this is the name of a file, not a path that could lead anywhere."""
    return name.endswith(".safetensors") and not set(name) & set("/\\\0:")
