"""NaN and infinity: found in what a model computed, and traced to the tensor they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import TensorFile
from attnviz.nn.transformer import Output
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.trace.record import Trace

no_float_warnings = np.errstate(over="ignore", invalid="ignore")
"""A decorator of functions that report NaN and infinity themselves."""

CHUNK = 1 << 22
"""Elements that are checked, and converted where needed, at a time."""

MAY_BE_INFINITE = ("logits", "bias")
"""Stages in which -inf stands for a masked cell."""


class NonFinite(NamedTuple):
    """Where a tensor holds NaN or infinity."""

    n_bad: int
    first: tuple[int, ...]
    """The index of the first of them."""
    value: float
    """The element there."""


def is_finite(trace: Trace, output: Output) -> bool:
    """Whether what was recorded of a run, and the model's output, hold neither NaN nor infinity."""
    recorded = [
        array
        for record in trace
        for stage, array in record.kept().items()
        if stage not in MAY_BE_INFINITE and array.dtype.kind == "f"
    ]
    states = [state for stack in trace.hidden_states.values() for state in stack]
    results = [output.last] if output.logits is None else [output.last, output.logits]
    return all(np.isfinite(array).all() for array in (*recorded, *states, *results))


def check_tensors(file: TensorFile) -> None:
    """Raise AttnvizError that names the first tensor with NaN or infinity, if there is one.

    This reads the file up to that tensor.
    """
    for name in file.shapes:
        fault = first_fault(file, name)
        if fault is not None:
            size = math.prod(file.shapes[name])
            raise AttnvizError(
                f"{file.path}: the tensor {label(name)} holds NaN or infinity in {fault.n_bad} of "
                f"{size} places; the first is {list(fault.first)}: {fault.value}",
                "the weights were broken when they were written: take another copy of them",
            )


def first_fault(file: TensorFile, name: str) -> NonFinite | None:
    """NaN and infinity in a tensor, if there are any; at most `CHUNK` elements are held at once."""
    fault: NonFinite | None = None
    for row, part in _parts(file, name):
        bad = ~np.isfinite(part)
        if not bad.any():
            continue
        n_bad = int(bad.sum())
        if fault is None:
            index = [int(i) for i in np.unravel_index(int(bad.argmax()), part.shape)]
            value = float(part[tuple(index)])
            if index:
                index[0] += row
            fault = NonFinite(n_bad, tuple(index), value)
        else:
            fault = fault._replace(n_bad=fault.n_bad + n_bad)
    return fault


def _parts(file: TensorFile, name: str) -> Iterator[tuple[int, Array]]:
    """(first row, rows) of a tensor, one part after the other."""
    shape: Sequence[int] = file.shapes[name]
    if not shape:
        yield 0, file.read(name)
        return
    step = max(1, CHUNK // max(1, math.prod(shape[1:])))
    for row in range(0, shape[0], step):
        yield row, file.read(name, slice(row, row + step))
