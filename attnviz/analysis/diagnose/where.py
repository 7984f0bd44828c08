"""Where a dump is off: which items, heads and queries, and the first step that is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.judge import LIMIT, ROW_LIMIT, at_least_half
from attnviz.analysis.diagnose.survey import Survey
from attnviz.nn.types import Array


class Where(NamedTuple):
    """The parts that are off by more than rounding explains."""

    off: Array
    """[n_batch, n_head, n_row]: True where they are."""
    items: tuple[int, ...]
    heads: tuple[int, ...]
    queries: tuple[int, ...]
    keys: tuple[int, ...] | None
    """Of the first stage that is off; None where it has no number a key."""
    n_broken: int
    """Numbers that are NaN or infinite where a number was expected, or the other way round."""
    first_stage: str
    """The first of the stages in the dump that is off; empty if none is."""

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        return {name: value for name, value in self._asdict().items() if name != "off"}


def where(found: Survey) -> Where:
    """The items, heads and queries of a survey that are off."""
    least = at_least_half(found.noise)
    off = (np.sqrt(found.squares) > ROW_LIMIT * least) | (found.broken > 0)
    items, heads, rows = (
        tuple(map(int, np.flatnonzero(off.any(axes)))) for axes in ((1, 2), (0, 2), (0, 1))
    )
    stages = [stage for stage, ratio in found.ratios.items() if ratio > LIMIT]
    by_key = found.keys.get(stages[0]) if stages else None
    keys = None if by_key is None else tuple(map(int, np.flatnonzero(by_key > ROW_LIMIT)))
    queries = tuple(int(found.rows[row]) for row in rows)
    return Where(
        off, items, heads, queries, keys, int(found.broken.sum()), stages[0] if stages else ""
    )


def orders(found: Survey) -> Array:
    """How many powers of ten above rounding each query of each head is, at least 0; NaN where
    numbers are broken. [n_batch, n_head, n_row]."""
    least = at_least_half(found.noise)
    ratios = np.maximum(np.sqrt(found.squares) / least, 1)
    return np.where(found.broken > 0, np.nan, np.log10(ratios))


def ranges(numbers: tuple[int, ...]) -> str:
    """`0-3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][-1:] = [number] if len(runs[-1]) > 1 else [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
