"""A GGUF file's tensors as Hugging Face's checkpoints name them and lay them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.models.build.tensors import Rows, TensorFile
from attnviz.nn.types import Array

BLOCK = re.compile(r"((?:enc|dec)\.)?blk\.(\d+)\.(.+)")


class Change(NamedTuple):
    """How llama.cpp's converter changes a tensor before it stores it."""

    order: Callable[[int], Array] | None = None
    """n_row -> [n_row]: Hugging Face's row i is the file's row order[i]."""
    offset: float = 0.0
    """What was added to every number."""
    transposed: bool = False
    """Whether a matrix was transposed."""
    is_row: bool = False
    """Whether a matrix of one row was stored as a vector."""


UNCHANGED = Change()


class Place(NamedTuple):
    """Where a tensor lies."""

    stored: str
    """The file's name."""
    change: Change
    number: int | None = None
    """Which entry of the stored tensor's first axis it is; None for all of it."""


class Renamed:
    """A file under other names; a tensor whose name is not in the table keeps its name."""

    def __init__(
        self,
        file: TensorFile,
        names: Mapping[str, str],
        changes: Mapping[str, Change],
        hidden: frozenset[str],
    ) -> None:
        """
        Args:
            names: file's name -> new name, without `.weight`, `.bias` and the block: `attn_q`, or
                `enc.attn_q` where there are two stacks. In the new one {0} stands for the block,
                and {1}, if it is there, for the first axis, which becomes as many tensors. One
                that ends in a dot is that of the tensor itself, without `.weight`.
            changes: by the file's names, spelled likewise.
            hidden: tensors that are read elsewhere.
        """
        self.path = file.path
        self.n_byte = file.n_byte
        self.sha256 = file.sha256
        self._file = file
        self._places: dict[str, Place] = {}
        for stored in file.shapes.keys() - hidden:
            stem, dot, ending = stored.rpartition(".")
            block = BLOCK.fullmatch(stem)
            part = (block[1] or "") + block[3] if block else stem
            name, change = names.get(part, ""), changes.get(part, UNCHANGED)
            layer = block[2] if block else ""
            if name.endswith("."):
                name, dot, ending = name[:-1], "", ""
            if "{1}" in name:
                for number in range(file.shapes[stored][0]):
                    place = Place(stored, change, number)
                    self._places[name.format(layer, number) + dot + ending] = place
            else:
                full = name.format(layer) + dot + ending if name else stored
                self._places[full] = Place(stored, change)
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: self._shape(place) for name, place in self._places.items()
        }

    def _shape(self, place: Place) -> tuple[int, ...]:
        shape = self._file.shapes[place.stored]
        if place.number is not None:
            return shape[1:]
        if place.change.is_row and len(shape) == 1:
            return (1, *shape)
        return shape[::-1] if place.change.transposed else shape

    def copies(self, name: str) -> bool:
        stored, change, _ = self._places[name]
        return change is not UNCHANGED or self._file.copies(stored)

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor or some of its rows, as float32."""
        stored, change, number = self._places[name]
        if number is not None:
            entry: Array = self._file.read(stored, slice(number, number + 1))[0]
            return entry if rows is None else entry[rows]
        if change.is_row and len(self._file.shapes[stored]) == 1:
            row = self._file.read(stored)[None]
            return row if rows is None else row[rows]
        if change.order is not None:
            order = change.order(self.shapes[name][0])
            rows = order if rows is None else order[rows]
        if change.transposed and len(self.shapes[name]) > 1:
            matrix = self._file.read(stored).T
            return matrix if rows is None else matrix[rows]
        array = self._file.read(stored, rows)
        return array - np.float32(change.offset) if change.offset else array


def halves(n_head: int, n_row: int) -> Array:
    """[n_row]: undoes the order of Meta's files, which pair features 0, 2, 4, … of a head with
    1, 3, 5, … for rotation; here its first half is paired with its second."""
    return np.arange(n_row).reshape(n_head, -1, 2).swapaxes(1, 2).reshape(-1)


def side_by_side(n_head: int, n_kv_head: int, n_row: int) -> Array:
    """[n_row]: undoes query | key | value of all heads. GPT-NeoX keeps those of a head together,
    Falcon those of each group of heads: its queries, their key and their value."""
    heads = np.arange(n_head + 2 * n_kv_head)
    queries, keys, values = np.split(heads, [n_head, n_head + n_kv_head])
    groups = [queries.reshape(n_kv_head, -1), keys[:, None], values[:, None]]
    order = np.concatenate(groups, axis=1).reshape(-1)
    return np.arange(n_row).reshape(len(heads), -1)[order].reshape(-1)
