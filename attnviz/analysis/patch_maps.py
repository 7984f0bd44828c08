"""Where a token of a vision model looks: its weights on the patches of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, brief
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection

FAR = 2.5
"""Times the median length of a patch's vector; in models without outliers hardly any is longer."""


class PatchMaps(NamedTuple):
    """The weights of one query in several heads of a layer."""

    layer: int
    kind: str
    """As of a record: `cross` where a query of its own pools the patches."""
    heads: tuple[int, ...]
    patches: Array
    """[n_head, n_row, n_column]: on each patch."""
    first: Array
    """[n_head, n_first]: on the tokens before the patches, which are no part of the image: a class
    token, registers."""

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
            first=self.first.mean(0, keepdims=True),
        )

    @property
    def name(self) -> str:
        return f"L{self.layer}" if self.kind == "self" else self.kind

    @property
    def largest(self) -> float:
        return float(self.patches.max())


def pools(trace: Trace) -> bool:
    """Whether a query of its own pools the patches."""
    return any(record.kind == "cross" for record in trace)


def patch_maps(
    trace: Trace, selection: Selection, query: int | None, grid: tuple[int, int]
) -> list[PatchMaps]:
    """The selected heads' weights of one query, layer by layer.

    Args:
        query: a token of the stream of patches; None for the query that pools them.
        grid: rows and columns.
    """
    maps = []
    for record in trace:
        if selection.covers(record) and (record.kind == "cross") == (query is None):
            heads = tuple(selection.heads(record))
            weights = _of_query(record, heads, query or 0)
            n_first = weights.shape[1] - math.prod(grid)
            patches = weights[:, n_first:].reshape(len(heads), *grid)
            first = weights[:, :n_first]
            maps.append(PatchMaps(record.layer, record.kind, heads, patches, first))
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


def first_shares(maps: Sequence[PatchMaps]) -> Array:
    """[n_first]: the mean over all heads of the weight on each token before the patches."""
    shares: Array = np.concatenate([each.first for each in maps]).mean(0)
    return shares


class Outliers(NamedTuple):
    """Patches whose vectors are far longer than the others': models without registers keep there
    what concerns the whole image, so that attention on them says little of their place.

    Source: Darcet et al. 2024, section 2.1; there a length of 150 is the limit, for one model.
    """

    patches: tuple[int, ...]
    """Their numbers, row by row; the longest first."""
    ratios: tuple[float, ...]
    """How many times as long as the median each is."""


def outlier_patches(states: Array, n_patch: int, limit: float = FAR) -> Outliers:
    """Those longer than `limit` times the median, of the output of a stack [n_token, d_model] whose
    last `n_patch` rows are those of the patches."""
    lengths = np.linalg.norm(states[-n_patch:].astype(np.float64), axis=-1)
    ratios = lengths / max(float(np.median(lengths)), np.finfo(np.float64).tiny)
    order = [int(i) for i in np.argsort(-ratios, kind="stable") if ratios[i] > limit]
    return Outliers(tuple(order), tuple(float(ratios[i]) for i in order))


def most_probable(probabilities: Array, count: int) -> list[tuple[int, float]]:
    """The classes of [n_class] probabilities that are the most probable, with these."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(int(number), float(probabilities[number])) for number in order]
