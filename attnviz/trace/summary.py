"""What is kept of an attention whose weights are too many to be kept: made exactly, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.site import Site
from attnviz.nn.streaming import Inputs, Rows, Tile, TileReader
from attnviz.nn.tile_readers import Block, ExactBlock, PooledMaps, ReadAll, StrongestLinks
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

MAP_SIZE = 64
"""Rows and columns of a pooled map, at most: about what a screen shows."""

FINER = (256, 128)
"""The same where the maps take little of the memory: pages and figures show more, and screens that
pool again fill their width better."""
MAP_SHARE = 0.1
"""Of the memory that a record may take, what finer maps may take of it."""
MAP_BYTES = 8 + 4
"""Of a cell of a head: its sum, and its largest weight."""


def map_size(n_head: int, memory: int) -> int:
    """How fine the maps of so many heads, of all records together, may be in so many bytes."""
    fits = (n for n in FINER if n_head * n * n * MAP_BYTES <= MAP_SHARE * memory)
    return next(fits, MAP_SIZE)


N_LINK = 3
"""Links of a query that are kept, its strongest."""


SHARED = ("visible", "block_masked")
"""Arrays of a summary that are one for all heads, unless heads have masks of their own."""


class StatisticsReader(TileReader, Protocol):
    """A reader of tiles that ends with numbers of each head."""

    def statistics(self) -> Mapping[str, Array]:
        """By name, [n_head, …]: one row for each head that was asked for, in that order."""
        ...


Statistics = Callable[[Site, Inputs, Sequence[int]], StatisticsReader]
"""Makes a reader for some heads of an attention."""


@dataclass(frozen=True, eq=False, repr=False)
class SummaryPlan:
    """What a summary is to hold."""

    map_size: int | None = None
    """None: as `map_size` of the memory there is, else `MAP_SIZE`."""
    n_link: int = N_LINK
    """How many of each query's strongest links."""
    block: Callable[[Site], Block] | None = None
    """Rows and keys whose weights are wanted as they are."""
    statistics: Statistics | None = None


PlanSummaries = Callable[[Mapping[str, Tokens]], SummaryPlan]
"""Of streams of tokens."""


def with_statistics(plan: SummaryPlan, more: Statistics) -> SummaryPlan:
    """The plan with more statistics."""
    own = plan.statistics

    def both(site: Site, inputs: Inputs, heads: Sequence[int]) -> StatisticsReader:
        readers = [make(site, inputs, heads) for make in (own, more) if make is not None]
        return readers[0] if len(readers) == 1 else _AllStatistics(readers)

    return replace(plan, statistics=both)


def measured_as_causal(plan: SummaryPlan) -> SummaryPlan:
    """The plan with statistics for which no query sees a later key: of weights that look so,
    though no mask of theirs is known. Maps and blocks show them as they are."""
    own = plan.statistics
    if own is None:
        return plan

    def causal(site: Site, inputs: Inputs, heads: Sequence[int]) -> StatisticsReader:
        return _CausalStatistics(own(site, inputs, heads), own(site, inputs, heads))

    return replace(plan, statistics=causal)


INFORMATION = ("entropy", "max_entropy", "mutual_information")
"""Statistics that take every key for visible where no mask is known."""


class _CausalStatistics:
    """Of tiles of whole rows, whose later keys are taken for masked, but for `INFORMATION`."""

    def __init__(self, reader: StatisticsReader, as_seen: StatisticsReader) -> None:
        self._reader, self._as_seen = reader, as_seen
        self._rows: tuple[Rows, Rows] | None = None

    def fork(self) -> _CausalStatistics:
        return _CausalStatistics(self._reader.fork(), self._as_seen.fork())

    def read(self, tile: Tile) -> None:
        if self._rows is None or self._rows[0] is not tile.rows:
            queries, keys = tile.rows.queries, tile.rows.keys
            q_pos, k_pos = (np.arange(part.start, part.stop) for part in (queries, keys))
            self._rows = tile.rows, Rows(queries, keys, k_pos <= q_pos[:, None])
        self._reader.read(Tile(tile.head, self._rows[1], tile.weights))
        self._as_seen.read(tile)

    def merge(self, other: _CausalStatistics) -> None:
        self._reader.merge(other._reader)
        self._as_seen.merge(other._as_seen)

    def statistics(self) -> Mapping[str, Array]:
        as_seen = self._as_seen.statistics()
        return {**self._reader.statistics(), **{x: as_seen[x] for x in INFORMATION if x in as_seen}}


class _AllStatistics:
    """Of several readers."""

    def __init__(self, readers: Sequence[StatisticsReader]) -> None:
        self._readers = readers

    def fork(self) -> _AllStatistics:
        return _AllStatistics([reader.fork() for reader in self._readers])

    def read(self, tile: Tile) -> None:
        for reader in self._readers:
            reader.read(tile)

    def merge(self, other: _AllStatistics) -> None:
        for own, its in zip(self._readers, other._readers, strict=True):
            own.merge(its)

    def statistics(self) -> Mapping[str, Array]:
        return {name: x for reader in self._readers for name, x in reader.statistics().items()}


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """Of the weights [n_head, n_q, n_k] of one record, of some heads or all."""

    heads: tuple[int, ...]
    """Which heads, in the order of the arrays' first axis."""
    shape: tuple[int, int]
    """n_q and n_k of the weights."""
    row_step: int
    key_step: int
    """A cell of the maps stands for row_step × key_step weights."""
    total: Array
    """[n_head, n_row_cell, n_key_cell]: the sum of each cell's weights."""
    largest: Array
    """[n_head, n_row_cell, n_key_cell]: the largest of each cell's weights."""
    visible: Array
    """[n_row_cell, n_key_cell], how many of each cell's weights are not masked; with n_head in
    front where heads have masks of their own."""
    links: Array
    """[n_head, n_q, n_link]: the largest weights of each query, from the largest on; 0 where it
    sees fewer keys."""
    link_keys: Array
    """[n_head, n_q, n_link]: the keys that these weights are of, the first of equal ones; -1 where
    the weight is 0."""
    rows: Array | None = None
    """[n_row]: the queries of `block`."""
    keys: Array | None = None
    """[n_key]: the keys of `block`."""
    block: Array | None = None
    """[n_head, n_row, n_key]: weights as they are."""
    block_masked: Array | None = None
    """[n_row, n_key] or [n_head, n_row, n_key]: why cells of `block` are masked: 0 = visible,
    i = the i-th of the site's rules counted from 1. None if nothing is masked."""
    statistics: Mapping[str, Array] = field(default_factory=dict)
    """By name, [n_head, …]."""

    def __repr__(self) -> str:
        """What it holds; never the numbers."""
        n_q, n_k = self.shape
        _, *cells = self.total.shape
        block = "" if self.block is None else f", block {list(self.block.shape)}"
        return (
            f"<Summary of {len(self.heads)} heads of {n_q} × {n_k} weights: maps of "
            f"{cells[0]} × {cells[1]} cells{block}, {len(self.statistics)} statistics>"
        )

    def head(self, number: int) -> Summary:
        """Of one head alone, as the head 0 of a record that has no other; arrays are views.

        Raises AttnvizError if the head was not asked for.
        """
        if number not in self.heads:
            known = ", ".join(f"H{head}" for head in self.heads)
            raise AttnvizError(
                f"nothing is kept of head {number}", f"there are {known}; -s selects others"
            )
        at = self.heads.index(number)

        named = ("total", "largest", "visible", "links", "link_keys", "block", "block_masked")
        parts: dict[str, Any] = {
            name: array if name in SHARED and array.ndim < 3 else array[at : at + 1]
            for name in named
            if (array := getattr(self, name)) is not None
        }
        statistics = {name: each[at : at + 1] for name, each in self.statistics.items()}
        return replace(self, heads=(0,), statistics=statistics, **parts)


class Summariser:
    """Reads the tiles of one attention and makes its summary."""

    def __init__(self, plan: SummaryPlan, site: Site, inputs: Inputs, heads: Sequence[int]) -> None:
        self._heads, self._shape = tuple(heads), (inputs.n_q, inputs.n_k)
        self._maps = PooledMaps(inputs, heads, plan.map_size or MAP_SIZE)
        self._links = StrongestLinks(inputs, heads, plan.n_link)
        self._block = None if plan.block is None else ExactBlock(inputs, heads, plan.block(site))
        self._statistics = None if plan.statistics is None else plan.statistics(site, inputs, heads)
        readers = (self._maps, self._links, self._block, self._statistics)
        self.reader = ReadAll([reader for reader in readers if reader is not None])

    def summary(self) -> Summary:
        """Once all tiles are read."""
        maps, block, statistics = self._maps, self._block, self._statistics
        return Summary(
            heads=self._heads,
            shape=self._shape,
            row_step=maps.row_step,
            key_step=maps.key_step,
            total=maps.total,
            largest=maps.largest,
            visible=maps.visible,
            links=self._links.weights,
            link_keys=self._links.keys,
            rows=None if block is None else block.block.rows,
            keys=None if block is None else block.block.keys,
            block=None if block is None else block.weights,
            block_masked=None if block is None else block.masked,
            statistics={} if statistics is None else dict(statistics.statistics()),
        )
