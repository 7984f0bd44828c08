"""NaN and infinity: noticed in what a model computed, and traced to the tensor they come from."""

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

quiet = np.errstate(over="ignore", invalid="ignore")
"""Of functions that report NaN and infinity themselves."""

CHUNK = 1 << 22
"""Elements that are looked at, and converted if need be, at a time."""

MAY_BE_INFINITE = ("logits", "bias")
"""Stages in which -inf stands for a masked cell."""


class Broken(NamedTuple):
    """Where a tensor holds NaN or infinity."""

    n_bad: int
    first: tuple[int, ...]
    """Where the first of them is."""
    value: float
    """What is there."""


def is_finite(trace: Trace, output: Output) -> bool:
    """Whether what was kept of a run, and the model's output, hold neither NaN nor infinity."""
    kept = [
        array
        for record in trace
        for stage, array in record.kept().items()
        if stage not in MAY_BE_INFINITE and array.dtype.kind == "f"
    ]
    states = [state for stack in trace.hidden_states.values() for state in stack]
    results = [output.last] if output.logits is None else [output.last, output.logits]
    return all(np.isfinite(array).all() for array in (*kept, *states, *results))


def check_tensors(file: TensorFile) -> None:
    """Raise AttnvizError that names the first tensor with NaN or infinity, if there is one.

    This reads the file, to where that tensor is.
    """
    for name in file.shapes:
        found = broken(file, name)
        if found is not None:
            size = math.prod(file.shapes[name])
            raise AttnvizError(
                f"{file.path}: the tensor {label(name)} holds NaN or infinity in {found.n_bad} of "
                f"{size} places; the first is {list(found.first)}: {found.value}",
                "the weights were broken when they were written: take another copy of them",
            )


def broken(file: TensorFile, name: str) -> Broken | None:
    """What is wrong with a tensor, if anything is; no more than `CHUNK` elements are held."""
    found: Broken | None = None
    for row, part in _parts(file, name):
        bad = ~np.isfinite(part)
        if not bad.any():
            continue
        n_bad = int(bad.sum())
        if found is None:
            place = [int(i) for i in np.unravel_index(int(bad.argmax()), part.shape)]
            value = float(part[tuple(place)])
            if place:
                place[0] += row
            found = Broken(n_bad, tuple(place), value)
        else:
            found = found._replace(n_bad=found.n_bad + n_bad)
    return found


def _parts(file: TensorFile, name: str) -> Iterator[tuple[int, Array]]:
    """(first row, some rows) of a tensor, one part after the other."""
    shape: Sequence[int] = file.shapes[name]
    if not shape:
        yield 0, file.read(name)
        return
    step = max(1, CHUNK // max(1, math.prod(shape[1:])))
    for row in range(0, shape[0], step):
        yield row, file.read(name, slice(row, row + step))
