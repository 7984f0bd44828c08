"""The numbers of `heads`, and what the sentences about heads need, of attention that is computed
tile by tile and never kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Self

import numpy as np

from attnviz.analysis.checks import RECEIVED, received
from attnviz.analysis.informative import INFORMATION, information_of
from attnviz.analysis.metrics.measure import KeyFacts, key_facts
from attnviz.analysis.metrics.pattern import MetricContext, Pattern
from attnviz.analysis.metrics.registry import METRICS, MetricEntry
from attnviz.analysis.metrics.sums import MetricSums
from attnviz.analysis.metrics.values import value_norms
from attnviz.nn.site import Site
from attnviz.nn.streaming import Inputs, Rows, Tile
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight
from attnviz.tokens import Tokens
from attnviz.trace.summary import Statistics


def head_statistics(
    streams: Mapping[str, Tokens],
    outputs: Mapping[str, Weight] | None = None,
    metrics: Collection[str] | None = None,
    *,
    information: bool = True,
    findings: bool = True,
) -> Statistics:
    """Makes the readers that measure heads while their attention is streamed, for
    `SummaryPlan(statistics=head_statistics(streams))`.

    The statistics, [n_head] each: `value/METRIC`, `null/METRIC`, `rows/METRIC` and `positions/NAME`
    as in a table of heads; `entropy`, `max_entropy`, `mutual_information`; `received` and
    `even_received` [n_head, n_k], the share of all weights that each key gets, and that it gets of
    an even spread; `distributions`, whether rows are; `broken` and `empty`, how many hold NaN or
    see no key, and `broken_rows`, `empty_rows` [n_head, 8], the first of them (-1: no more).

    Args:
        outputs: W_O of the attentions by record id, see `output_weights`; with it, what the heads
            move is measured too.
        metrics: which; by default all.
        information, findings: whether also what these need.
    """
    also = (*(INFORMATION if information else ()), *((RECEIVED,) if findings else ()))
    facts: dict[str, KeyFacts] = {}
    names = METRICS if metrics is None else metrics

    def reader(site: Site, inputs: Inputs, heads: Sequence[int]) -> HeadStatistics:
        if site.keys not in facts:
            facts[site.keys] = key_facts(streams[site.keys])
        output = (outputs or {}).get(site.id)
        norms = None
        if output is not None:
            norms = value_norms(inputs.v, np.asarray(output))[list(heads)]
        wanted = (*(METRICS[name] for name in names), *also)
        return HeadStatistics(site, inputs, heads, facts[site.keys], wanted, norms)

    return reader


class HeadStatistics:
    """Reads the tiles of one attention and measures some of its heads."""

    def __init__(
        self,
        site: Site,
        inputs: Inputs,
        heads: Sequence[int],
        facts: KeyFacts,
        metrics: Sequence[MetricEntry],
        norms: Array | None = None,
    ) -> None:
        """norms: [n_head, n_k] of these heads."""
        n_q, n_k = inputs.n_q, inputs.n_k
        in_row = site.queries == site.keys and facts.ids is not None
        every = np.broadcast_to(np.True_, (n_q, n_k))
        self._context = MetricContext(
            every, n_k - n_q if in_row else None, *facts, partial=site.sinks
        )
        self._norms = norms
        self._index = {head: i for i, head in enumerate(heads)}
        self._metrics = {metric.name: metric for metric in metrics}
        self._sums = MetricSums(self._metrics.values(), len(heads), site.sinks)
        self._rows: Rows | None = None
        self._block = self._context

    def fork(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _sums=self._sums.fork(), _rows=None)
        return other

    def read(self, tile: Tile) -> None:
        index, rows = self._index.get(tile.head), tile.rows
        if index is None:
            return
        some = slice(index, index + 1)
        own_masks = rows.visible is not None and rows.visible.ndim > 2
        if own_masks or rows is not self._rows:
            if self._block is not self._context:
                self._block.forget()
            self._block, self._rows = self._block_of(tile), rows
            self._sums.add_null(self._block, some if own_masks else slice(None))
        norms = None if self._norms is None else self._norms[some, rows.keys]
        pattern = TilePattern(self._block, tile, norms)
        self._sums.add(pattern, some, softmax=True)

    def merge(self, other: Self) -> None:
        self._sums.merge(other._sums)
        other._block.forget()

    def statistics(self) -> dict[str, Array]:
        """By name, [n_head] each."""
        measured = self._sums.finish(self._context)
        named: dict[str, Array] = {}
        if INFORMATION[1].name in measured.value:
            named |= information_of(measured)
        if RECEIVED.name in measured.value:
            named["received"], named["even_received"] = (
                share.astype(np.float32) for share in received(measured, self._context.shape[0])
            )
        sums = measured.sums
        named["distributions"] = sums.good.astype(np.int8)
        for name, rows in (("broken", sums.broken), ("empty", sums.empty)):
            named[name], named[f"{name}_rows"] = rows.count, rows.rows
        for kind in ("value", "null", "rows"):
            columns = getattr(measured, kind)
            named |= {f"{kind}/{name}": columns[name] for name in columns if name in METRICS}
        return named | {f"positions/{name}": at for name, at in measured.positions.items()}

    def _block_of(self, tile: Tile) -> MetricContext:
        visible = tile.rows.visible_to(tile.head)
        if visible is None:
            visible = np.broadcast_to(np.True_, tile.weights.shape)
        return self._context.block(tile.rows.queries, tile.rows.keys, visible)


class TilePattern(Pattern):
    """What one head did in the rows of a tile, of which entropies come cheap."""

    def __init__(self, context: MetricContext, tile: Tile, norms: Array | None) -> None:
        super().__init__(context, tile.weights[None], norms)
        self._tile = tile

    @cached_property
    def row_entropies(self) -> Array:
        return self._tile.entropies[None]
