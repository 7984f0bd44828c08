"""Where a token of a vision model looks: its weights on the patches of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, brief
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection


class PatchMaps(NamedTuple):
    """The weights of one query in several heads of a layer."""

    layer: int
    heads: tuple[int, ...]
    patches: Array
    """[n_head, n_row, n_column]: on each patch."""
    class_token: Array
    """[n_head]: on the class token, which is not part of the image."""

    def __repr__(self) -> str:
        return brief(self)

    def head(self, head: int) -> Array | None:
        """[n_row, n_column] of one head; None if it is not among these."""
        return self.patches[self.heads.index(head)] if head in self.heads else None

    def mean(self) -> PatchMaps:
        """The mean of the heads, as if of one."""
        return self._replace(
            heads=(0,),
            patches=self.patches.mean(0, keepdims=True),
            class_token=self.class_token.mean(keepdims=True),
        )

    @property
    def largest(self) -> float:
        return float(self.patches.max())


def patch_maps(
    trace: Trace, selection: Selection, query: int, grid: tuple[int, int]
) -> list[PatchMaps]:
    """The selected heads' weights of one query, layer by layer.

    Args:
        query: a token; 0 is the class token, and the patches follow. grid: rows and columns.
    """
    maps = []
    for record in trace:
        if selection.covers(record):
            heads = tuple(selection.heads(record))
            weights = _of_query(record, heads, query)
            patches = weights[:, 1:].reshape(len(heads), *grid)
            maps.append(PatchMaps(record.layer, heads, patches, weights[:, 0]))
    return maps


def _of_query(record: Record, heads: Sequence[int], query: int) -> Array:
    """[n_head, n_k]: the weights of one query, from the rows that a summary kept as they are where
    there is no matrix."""
    summary = record.summary
    if record.weights is not None or summary is None or summary.block is None:
        return record.stage("weights")[list(heads), query]
    rows = [] if summary.rows is None else list(summary.rows)
    if query not in rows:
        return record.stage("weights")  # says why there are none
    places = [summary.heads.index(head) for head in heads]
    return summary.block[places, rows.index(query)]


def class_token_share(maps: Sequence[PatchMaps]) -> float:
    """The mean over all heads of the weight on the class token."""
    return float(np.mean(np.concatenate([each.class_token for each in maps])))


def most_probable(probabilities: Array, count: int) -> list[tuple[int, float]]:
    """The classes of [n_class] probabilities that are the most probable, with these."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(int(number), float(probabilities[number])) for number in order]
