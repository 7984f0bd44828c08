"""A checkpoint in several safetensors files, with an index that says which tensor is where."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import Rows
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.json_object import read_object
from attnviz.nn.types import Array
from attnviz.tokens import label

INCOMPLETE = "download it again: the index and its files belong together"


class Shards:
    """The files that an index names. All are opened at once: only their headers are read."""

    def __init__(self, index: Path) -> None:
        self.path = str(index)
        places = read_index(index)
        names = sorted(set(places.values()))
        absent = [name for name in names if not (index.parent / name).exists()]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise AttnvizError(
                f"{index.parent} is incomplete: {label(absent[0])}{more} of {len(names)} files "
                "with weights is missing",
                "download the rest",
            )
        self._files = {name: SafetensorsFile(index.parent / name) for name in names}
        self._places = {tensor: self._files[name] for tensor, name in places.items()}
        self._check(places)
        self.n_byte = sum(file.n_byte for file in self._files.values())
        self.shapes = {name: file.shapes[name] for name, file in self._places.items()}

    def copies(self, name: str) -> bool:
        return self._places[name].copies(name)

    def read(self, name: str, rows: Rows | None = None) -> Array:
        return self._places[name].read(name, rows)

    def sha256(self) -> str:
        """Of the lines `HASH  NAME`, one a file in the order of names: what
        `sha256sum model-*.safetensors | sha256sum` gives."""
        lines = [f"{file.sha256()}  {name}\n" for name, file in self._files.items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _check(self, places: Mapping[str, str]) -> None:
        """Raise AttnvizError unless the index says exactly what the files hold."""
        for name, file in self._files.items():
            held = set(file.shapes)
            named = {tensor for tensor, place in places.items() if place == name}
            for tensor in sorted(named - held):
                raise AttnvizError(
                    f"{self.path}: the tensor {label(tensor)} should be in {name}, which lacks it",
                    INCOMPLETE,
                )
            for tensor in sorted(held - named):
                raise AttnvizError(
                    f"{file.path} holds the tensor {label(tensor)}, which the index does not place "
                    "there",
                    INCOMPLETE,
                )


def read_index(path: Path) -> dict[str, str]:
    """Tensor -> name of the file beside the index that holds it."""
    places = read_object(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise AttnvizError(
            f"{path}: expected weight_map, an object of file names", "download it again"
        )
    for tensor, name in places.items():
        if not isinstance(name, str) or not _is_plain(name):
            raise AttnvizError(
                f"{path}: the tensor {label(tensor)} is placed in {label(str(name)[:80])}, "
                "which is no safetensors file in this folder",
                "download it again",
            )
    return places


def _is_plain(name: str) -> bool:
    """Whether this is the name of a file, not a path that could lead anywhere."""
    return name.endswith(".safetensors") and not set(name) & set("/\\\0:")
