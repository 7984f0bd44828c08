"""The tensors of a checkpoint, taken by name; none may be left over."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.mxfp4 import PER_BLOCK, unpacked
from attnviz.models.build.wrapped import MOST, unwrap
from attnviz.nn.types import Array
from attnviz.nn.weights import LazyWeight, Weight

Rows = slice | Array
"""Rows of a tensor, along its first axis: a slice, or whole numbers in any order."""

MAX_EAGER_SIZE = 1 << 16
"""A tensor of at most so many elements is converted when it is taken, not when it is used."""

COMPARED_SIZE = 1 << 18
"""So many elements of two tables are compared at a time."""


QUANTISED = re.compile(
    r".+\.(scales|qweight|qzeros|weight_packed|weight_scale|weight_scale_inv|SCB|"
    r"weight\.absmax|weight\.quant_map|weight_scb)"
)
"""What lies beside the numbers of quantised weights: MLX, GPTQ and AWQ, compressed-tensors, FP8,
bitsandbytes."""

UNQUANTISED = "take the original checkpoint, or a GGUF file of the model"


class TensorFile(Protocol):
    """What a file format provides: names, shapes, and arrays when they are asked for."""

    @property
    def path(self) -> str: ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def copies(self, name: str) -> bool:
        """Whether its numbers must be converted to become float32 (half precision, quantised)."""
        ...

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor or some of its rows; only these are converted."""
        ...

    @property
    def n_byte(self) -> int:
        """The size of the file or files."""
        ...

    def sha256(self) -> str:
        """The hash of the file or files."""
        ...


class Tensors:
    """A file's tensors by name, in the dtype of the run; knows which were never taken."""

    def __init__(self, file: TensorFile, prefixes: tuple[str, ...], dtype: np.dtype[Any]) -> None:
        file, self.wrapper = unwrap(file, prefixes)
        """`wrapper`: what training put before the model's own names, empty for nothing."""
        self._file = file
        self.dtype = dtype
        self._taken: set[str] = set()
        self._copies: set[str] = set()
        self._tables: dict[str, Weight] = {}
        self._packed: dict[str, int] = {}
        """How many numbers a tensor stands for, where each is less than an element of it."""
        self._lazy: list[LazyWeight] = []
        self._prefix = next(
            (p for p in prefixes if any(name.startswith(p) for name in file.shapes)), ""
        )

    @property
    def outside(self) -> Tensors:
        """The same tensors by names without the model's prefix: those of its output."""
        tensors = copy(self)
        tensors._prefix = ""
        return tensors

    @property
    def n_parameter(self) -> int:
        """The numbers in all tensors that were taken, those of copies once."""
        names = self._taken - self._copies
        shapes = self._file.shapes
        return sum(self._packed.get(name, math.prod(shapes[name])) for name in names)

    def take(self, name: str, *shape: int, spellings: Mapping[str, str] | None = None) -> Array:
        """The tensor `name` of exactly this shape, in the dtype of the run.

        `spellings` maps an ending to an older one under which the tensor may stand.
        Memory-mapped float32 stays so: nothing is copied. NaN and infinity are not looked for
        here, but where the numbers that come of them are shown.
        """
        return self._read(self._checked(name, shape, spellings or {}), None)

    def weight(
        self,
        name: str,
        *shape: int,
        rows: Rows | None = None,
        spellings: Mapping[str, str] | None = None,
        transposed: bool = False,
        table: bool = False,
    ) -> Weight:
        """The matrix `name` of exactly this shape, or some rows of it.

        A large one that the file holds in another type is converted each time it is used; and
        `keep` lays large ones out as products need them, but for one of which a `table` is asked.
        `transposed` gives its transpose, and `rows` are then the file's columns.
        """
        full = self._checked(name, shape, spellings or {})
        n_all, n_column = shape[::-1] if transposed else shape
        n_row = n_all if rows is None else len(np.arange(n_all)[rows])

        def make(ids: Array | None) -> Array:
            if transposed:
                columns = self._read(full, None)[:, slice(None) if rows is None else rows]
                return columns.T if ids is None else columns[:, ids].T
            if ids is None or rows is None:
                return self._read(full, rows if ids is None else ids)
            return self._read(full, np.arange(n_all)[rows][ids])

        is_view = self.dtype == np.float32 and not self._file.copies(full)
        is_view = is_view and not isinstance(rows, np.ndarray)
        if n_row * n_column <= MAX_EAGER_SIZE or (is_view and table):
            return make(None)
        weight = LazyWeight((n_row, n_column), make, converts=not is_view)
        self._lazy.append(weight)
        return weight

    def matrices(
        self, name: str, *shape: int, rows: slice = slice(None), transposed: bool = False
    ) -> list[Weight]:
        """The matrices of a tensor [n, d_out, d_in], or some `rows` of each: those of the experts
        of a mixture. Each is read by itself; one that is `transposed` has its rows as columns.
        """
        full = self._checked(name, shape, {})
        is_view = self.dtype == np.float32 and not self._file.copies(full)

        def read(one: slice) -> Array:
            whole = self._read(full, one)[0]
            return np.asarray(whole.T if transposed else whole)

        plain = (shape[0], *shape[:0:-1]) if transposed else shape
        return self._matrices(read, plain, rows, is_view)

    def packed_matrices(self, name: str, *shape: int, rows: slice = slice(None)) -> list[Weight]:
        """The same of a tensor that is stored as NAME_blocks and NAME_scales, in MXFP4."""
        n, d_out, d_in = shape
        n_block = d_in // PER_BLOCK
        blocks = self._checked(f"{name}_blocks", (n, d_out, n_block, PER_BLOCK // 2), {})
        scales = self._checked(f"{name}_scales", (n, d_out, n_block), {})
        self._packed[blocks], self._packed[scales] = n * d_out * d_in, 0

        def read(one: slice) -> Array:
            parts = (self._file.read(full, one)[0] for full in (blocks, scales))
            return unpacked(*parts).astype(self.dtype, copy=False)

        return self._matrices(read, shape, rows, is_view=False)

    def _matrices(
        self, read: Callable[[slice], Array], shape: tuple[int, ...], rows: slice, is_view: bool
    ) -> list[Weight]:
        """Some rows of each of the matrices of a tensor; `read` gives that of a number."""
        n, d_out, d_in = shape
        n_row = len(range(d_out)[rows])

        def matrix(number: int) -> Weight:
            def make(ids: Array | None) -> Array:
                mine: Array = read(slice(number, number + 1))[rows]
                return mine if ids is None else mine[ids]

            if n_row * d_in <= MAX_EAGER_SIZE:
                return make(None)
            weight = LazyWeight((n_row, d_in), make, converts=not is_view)
            self._lazy.append(weight)
            return weight

        return [matrix(number) for number in range(n)]

    def table(self, name: str, *shape: int, shared: Sequence[str] = ()) -> Weight:
        """The matrix `name` of exactly this shape, or where the file lacks it the one that its
        user shares with others: the first of `shared` that is there.

        Copies are compared, not assumed: only one with the same numbers as a table taken before
        is that table.
        """
        name = next(filter(self.has, (name, *shared)), shared[0] if shared else name)
        full = self._checked(name, shape, {})
        for other, table in self._tables.items():
            if other == full or self._are_equal(other, full):
                self._copies |= {full} - {other}
                return table
        self._tables[full] = self.weight(name, *shape, table=True)
        return self._tables[full]

    def has(self, name: str) -> bool:
        """Whether the file holds the tensor, with or without the model's prefix."""
        return self.shape(name) is not None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of the tensor, with or without the model's prefix; None if it is not there."""
        shapes = self._file.shapes
        return shapes.get(self._prefix + name, shapes.get(name))

    def keep(self, n_byte: int) -> None:
        """Convert and lay out matrices once for all passes, as many as fit into `n_byte` of
        memory."""
        for weight in self._lazy:
            n_byte -= weight.size * self.dtype.itemsize
            if n_byte < 0:
                return
            weight.stay()

    @property
    def unread(self) -> list[str]:
        """The names of the tensors that nothing took."""
        return sorted(self._file.shapes.keys() - self._taken)

    def finish(self, ignorable: str) -> None:
        """Raise AttnvizError for a tensor that nothing took, unless `ignorable` matches it."""
        left = [name for name in self.unread if not re.fullmatch(ignorable, name)]
        if left:
            self._check_plain()
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise AttnvizError(
                f"{self._file.path}: the model has no place for the tensor {left[0]}{more}",
                "the weights belong to a different architecture than the config",
            )

    def _checked(self, name: str, shape: tuple[int, ...], spellings: Mapping[str, str]) -> str:
        full = self._full_name(name, spellings)
        stored = self._file.shapes[full]
        if stored != shape:
            self._check_plain()
            raise AttnvizError(
                f"{self._file.path}: the tensor {full} has the shape {list(stored)}; "
                f"the config asks for {list(shape)}",
                "the config and the weights belong to different models",
            )
        self._taken.add(full)
        return full

    def _are_equal(self, first: str, second: str) -> bool:
        """Whether two matrices hold the same numbers; tells as soon as some differ."""
        shape = self._file.shapes[first]
        if shape != self._file.shapes[second]:
            return False
        n_row = max(1, COMPARED_SIZE // shape[1])
        parts = (slice(start, start + n_row) for start in range(0, shape[0], n_row))
        return all(
            np.array_equal(self._file.read(first, part), self._file.read(second, part))
            for part in parts
        )

    def _read(self, full: str, rows: Rows | None) -> Array:
        array = self._file.read(full, rows)
        if array.dtype.kind != "f":
            raise AttnvizError(
                f"{self._file.path}: the tensor {full} holds whole numbers ({array.dtype}): "
                "quantised weights are not supported",
                UNQUANTISED,
            )
        return array if array.dtype == self.dtype else array.astype(self.dtype)

    def _full_name(self, name: str, spellings: Mapping[str, str]) -> str:
        for prefix in (self._prefix, ""):
            if prefix + name in self._file.shapes:
                return prefix + name
            for new, old in spellings.items():
                if name.endswith(new):
                    older = prefix + name.removesuffix(new) + old
                    if older in self._file.shapes:
                        return older
        self._check_plain()
        if not self._prefix and (before := self._unknown_prefix(name)) is not None:
            self._prefix = before
            self.wrapper = ", ".join(filter(None, (self.wrapper, before)))
            return before + name
        raise AttnvizError(
            f"{self._file.path}: the tensor {self._prefix}{name} is missing",
            "the file is incomplete, or belongs to a different architecture than the config",
        )

    def _check_plain(self) -> None:
        """Raise AttnvizError if the weights are quantised: that explains whatever does not fit."""
        example = next(filter(QUANTISED.fullmatch, self._file.shapes), None)
        if example is not None:
            raise AttnvizError(
                f"{self._file.path}: the weights are quantised, as the tensor {example} shows, "
                "which is not supported",
                UNQUANTISED,
            )

    def _unknown_prefix(self, name: str) -> str | None:
        """What the names of most tensors begin with, if the one that is asked for is among them."""
        for stored in self._file.shapes:
            before = stored.removesuffix(name)
            if before != stored and before.endswith("."):
                n_inside = sum(each.startswith(before) for each in self._file.shapes)
                if n_inside >= MOST * len(self._file.shapes):
                    return before
        return None
