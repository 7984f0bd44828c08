"""How alike heads are, and an order in which like heads stand together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.distributions import (
    MAX_DIVERGENCE,
    are_distributions,
    entropy,
    jensen_shannon,
)
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.visibility import visible_cells
from attnviz.errors import AttnvizError
from attnviz.nn.site import Site
from attnviz.nn.tile_readers import Block
from attnviz.nn.types import Array, Bool, brief
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.trace.summary import Summary


class Group(NamedTuple):
    """Heads whose rows and columns are the same tokens."""

    members: tuple[int, ...]
    """Their positions in the list of all heads."""
    weights: Array
    """[n_head, n_q, n_k]"""
    rows: Bool
    """[n_q]: the queries that see two keys."""
    sample: tuple[int, int] | None = None
    """How many of how many queries these are, if not all."""

    def __repr__(self) -> str:
        return brief(self)


SAMPLE_CELLS = 1 << 25
"""Weights of all heads that are kept for a comparison of heads of a long text."""

MAX_DISTANCE = float(np.sqrt(MAX_DIVERGENCE))
"""The Jensen-Shannon distance of two rows that share no key."""


FAR = 2 * MAX_DISTANCE
"""What stands for NaN where heads are put in order: beside no other head."""


class Similarity(NamedTuple):
    """How far heads are apart, in the order in which they are shown."""

    heads: tuple[int, ...]
    """Their rows in the table of heads."""
    distances: Array
    """[n_head, n_head]; NaN for heads whose rows are no distributions."""
    sample: tuple[int, int] | None = None
    """Of how many of how many queries, if not all."""

    def __repr__(self) -> str:
        return brief(self)


def similarities(
    trace: Trace,
    table: HeadTable,
    *,
    like: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Similarity]:
    """Of the heads of a table, a matrix for each group that can be compared.

    Args:
        like: like heads stand side by side; otherwise heads are in the order of layers.
    """
    for group in comparable(trace, list(zip(table.ids, table.heads.tolist(), strict=True))):
        distances = head_distances(group.weights, group.rows, progress)
        layers, numbers = (of[list(group.members)] for of in (table.layers, table.heads))
        order = (
            leaf_order(np.nan_to_num(distances, nan=FAR))
            if like
            else np.lexsort((numbers, layers)).tolist()
        )
        members = tuple(group.members[i] for i in order)
        yield Similarity(members, distances[np.ix_(order, order)], group.sample)


def comparable(trace: Trace, heads: Sequence[tuple[str, int]]) -> list[Group]:
    """Heads by record id and number, in groups that can be compared."""
    by_streams: dict[tuple[str, str], list[int]] = {}
    for i, (id, _) in enumerate(heads):
        record = trace[id]
        by_streams.setdefault((record.queries, record.keys), []).append(i)
    groups = []
    for members in by_streams.values():
        chosen = [(trace[heads[i][0]], heads[i][1]) for i in members]
        weights = np.stack([_rows_of(record, head) for record, head in chosen])
        rows = np.any([_choosing(record, head) for record, head in chosen], axis=0)
        summary = chosen[0][0].summary
        n_q = len(rows) if summary is None else summary.shape[0]
        sample = None if len(rows) == n_q else (len(rows), n_q)
        groups.append(Group(tuple(members), weights, rows, sample))
    return groups


def sampled_rows(
    streams: Mapping[str, Tokens], sites: Sequence[Site], selection: Selection
) -> Callable[[Site], Block]:
    """Queries, evenly spaced, that are kept with all their keys where not all weights can be."""

    def block(site: Site) -> Block:
        # not before it is asked for: a plan is also made while a target is still to be written
        n_row = sum(
            len(selection.heads(site)) * len(streams[site.keys])
            for site in sites
            if selection.covers(site)
        )
        n = max(1, SAMPLE_CELLS // max(1, n_row))
        n_q, n_k = len(streams[site.queries]), len(streams[site.keys])
        return Block(_spaced(n_q, min(n, n_q)), np.arange(n_k))

    return block


def _spaced(n_q: int, n: int) -> Array:
    """n queries of n_q, evenly spaced, [n]."""
    return np.asarray(np.linspace(0, n_q - 1, n).round().astype(np.int64))


def _is_sample(summary: Summary) -> bool:
    """Whether what is kept as it is are evenly spaced queries with all their keys."""
    if summary.rows is None or summary.keys is None:
        return False
    spaced = _spaced(summary.shape[0], len(summary.rows))
    return len(summary.keys) == summary.shape[1] and np.array_equal(summary.rows, spaced)


def _choosing(record: Record, head: int) -> Bool:
    """The queries that see two keys, [n_q], or of a sample [n_row]."""
    summary = record.summary
    if record.weights is not None or summary is None or summary.block is None:
        return np.asarray(visible_cells(record, head).sum(-1) > 1)
    masked = summary.block_masked
    if masked is None:
        return np.full(summary.block.shape[1], summary.block.shape[2] > 1)
    own = masked[summary.heads.index(head)] if masked.ndim > 2 else masked
    return np.asarray((own == 0).sum(-1) > 1)


def _rows_of(record: Record, head: int) -> Array:
    """The weights of a head, or a sample of its rows; NaN if they are no distributions."""
    summary = record.summary
    if record.weights is None and summary is not None:
        if summary.block is None or not _is_sample(summary):
            raise AttnvizError(
                "--similarity compares weights, and there is only what was measured of them",
                "give the text: attnviz heads TEXT --similarity",
            )
        weights = summary.block[summary.heads.index(head)]
    else:
        weights = record.stage("weights")[head]
    good = are_distributions(weights, record.site.sinks)
    return weights if good else np.full_like(weights, np.nan)


def head_distances(
    weights: Array, rows: Bool, progress: Callable[[int, int], None] | None = None
) -> Array:
    """The Jensen-Shannon distance of every two heads, [n_head, n_q, n_k] -> [n_head, n_head].

    Of each row the root of the divergence, from 0 (the same) to √ln 2 = 0.833 (no key in common);
    mean over the `rows` [n_q]. Source: Endres and Schindelin 2003; Clark et al. 2019 sum the
    divergences instead.
    """
    weights = np.asarray(weights[:, rows], np.float64)
    entropies = entropy(weights)
    n_head = len(weights)
    distances = np.diag(np.where(np.isnan(entropies).any(-1), np.nan, 0.0))
    for head in range(n_head - 1):
        if progress is not None:
            progress(head, n_head - 1)
        for other in range(head + 1, n_head):
            pair = weights[head], weights[other]
            known = entropies[head], entropies[other]
            distance = np.sqrt(jensen_shannon(*pair, known)).mean()
            distances[head, other] = distances[other, head] = distance
    return distances


class _Cluster(NamedTuple):
    """Leaves in two halves, and for every two ends the shortest walk over the leaves of both."""

    leaves: Array
    """[n]: the left half's, then the right half's."""
    n_left: int
    walks: Array
    """[n, n]: the length of the shortest order with these leaves at its ends; inf where both are
    of one half."""
    halves: tuple[_Cluster, _Cluster] | None = None


def leaf_order(distances: Array) -> list[int]:
    """The heads in the order of the leaves of their tree (average linkage), turned so that
    neighbours are as near as the tree allows: [n, n] -> n numbers.

    Source: Sokal and Michener 1958; Bar-Joseph, Gifford and Jaakkola 2001.
    """
    if len(distances) < 2:
        return list(range(len(distances)))
    root = _tree(distances)
    ends = np.unravel_index(np.argmin(root.walks), root.walks.shape)
    order = _walk(root, int(ends[0]), int(ends[1]), distances)
    return order if order[0] < order[-1] else order[::-1]


def _tree(distances: Array) -> _Cluster:
    """Join the two clusters whose members are nearest on average, until there is one."""
    n = len(distances)
    clusters = {i: _Cluster(np.array([i]), 1, np.zeros((1, 1))) for i in range(n)}
    between = np.array(distances, np.float64)
    np.fill_diagonal(between, np.inf)
    for _ in range(n - 1):
        first, second = divmod(int(np.argmin(between)), n)
        one, two = clusters[first], clusters.pop(second)
        sizes = len(one.leaves), len(two.leaves)
        mean = (sizes[0] * between[first] + sizes[1] * between[second]) / sum(sizes)
        between[first], between[:, first] = mean, mean
        between[second], between[:, second] = np.inf, np.inf
        between[first, first] = np.inf
        clusters[first] = _joined(one, two, distances)
    return next(iter(clusters.values()))


def _joined(left: _Cluster, right: _Cluster, distances: Array) -> _Cluster:
    gaps = distances[np.ix_(left.leaves, right.leaves)]
    across = _shortest(_shortest(left.walks, gaps), right.walks)
    n_left, n = len(left.leaves), len(left.leaves) + len(right.leaves)
    walks = np.full((n, n), np.inf)
    walks[:n_left, n_left:] = across
    walks[n_left:, :n_left] = across.T
    return _Cluster(np.concatenate([left.leaves, right.leaves]), n_left, walks, (left, right))


def _shortest(a: Array, b: Array) -> Array:
    """min_j a_ij + b_jk: [n, m], [m, l] -> [n, l]."""
    return np.array([(row[:, None] + b).min(0) for row in a])


def _walk(root: _Cluster, start: int, end: int, distances: Array) -> list[int]:
    """The leaves on the shortest walk between two of them, by their numbers in the cluster."""
    order: list[int] = []
    waiting = [(root, start, end)]
    while waiting:
        cluster, first, last = waiting.pop()
        if cluster.halves is None:
            order.append(int(cluster.leaves[0]))
            continue
        left, right = cluster.halves
        if first >= cluster.n_left:  # the right half comes first
            left, right = right, left
            first, last = first - cluster.n_left, last
        else:
            last -= cluster.n_left
        gaps = distances[np.ix_(left.leaves, right.leaves)]
        lengths = left.walks[first][:, None] + gaps + right.walks[:, last]
        middle = np.unravel_index(np.argmin(lengths), lengths.shape)
        waiting += [(right, int(middle[1]), last), (left, first, int(middle[0]))]
    return order
