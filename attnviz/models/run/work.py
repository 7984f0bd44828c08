"""How much a forward pass has to compute, counted while it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import cache

import numpy as np

from attnviz.models.model import Model
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import Recorder, Routing
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import StageKeeper
from attnviz.nn.streaming import TILE, Inputs, Tile, TileReader
from attnviz.nn.transformer import attentions
from attnviz.nn.types import Array
from attnviz.nn.weights import LazyWeight

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is; more of it with every call."""

PRODUCTS = 64
"""Multiplications in linear maps that take about as long as one weight: its products with a key
and a value, its exponential, and what is made of it."""


def count_work(model: Model, streams: Mapping[str, Sized]) -> list[int]:
    """Of each attention, in the order in which they compute: the weights between the keys that some
    query sees and those queries, and the linear maps of its block, in weights."""
    transformer = model.transformer

    @cache
    def cells(mask: Mask, n_q: int, n_k: int) -> int:
        keys_of = mask.reach(np.arange(n_q), np.arange(n_k))
        parts = (slice(first, first + TILE.high) for first in range(0, n_q, TILE.high))
        reached = ((len(range(n_q)[part]), keys_of(part)) for part in parts)
        return sum(n * (keys.stop - keys.start) for n, keys in reached)

    work = []
    sites = iter(transformer.sites())
    for stack in (transformer.encoder, transformer.decoder):
        for block in () if stack is None else stack.blocks:
            found = list(attentions(block))
            linear = _n_parameter(block) // max(1, len(found)) // PRODUCTS
            for attention, site in zip(found, sites, strict=False):
                n_q, n_k = len(streams[site.queries]), len(streams[site.keys])
                work.append(site.n_head * cells(attention.mask, n_q, n_k) + n_q * linear)
    return work


def _n_parameter(part: object) -> int:
    """The numbers in all matrices of a part."""
    if isinstance(part, tuple):
        return sum(map(_n_parameter, part))
    if isinstance(part, np.ndarray | LazyWeight):
        return part.size if len(part.shape) > 1 else 0
    return 0


class Counted:
    """Passes attentions on to a recorder, and counts what is done of them; of those whose weights
    are read tile by tile, with every tile."""

    def __init__(self, recorder: Recorder, work: Sequence[int], progress: Progress | None) -> None:
        """`work` as of `count_work`; without `progress` it may be empty."""
        self._recorder, self._progress = recorder, progress
        self._ends = [int(end) for end in np.cumsum(work)]
        self._n_opened = self._done = 0
        self._lock = threading.Lock()
        self.finished: set[RecordId] = set()
        """The attentions of which all is computed."""

    @property
    def is_shown(self) -> bool:
        return self._progress is not None

    def open(self, site: Site) -> StageKeeper:
        keeper = self._recorder.open(site)
        self._n_opened += 1
        self.add(0, at_least=self._n_opened - 1)
        return _CountedStages(site.id, keeper, self)

    def routed(self, block: str, layer: int, routing: Routing) -> None:
        self._recorder.routed(block, layer, routing)

    def add(self, n: int, at_least: int = 0) -> None:
        """So many more weights of the attention that computes; so many attentions are done."""
        if self._progress is None:
            return
        with self._lock:
            least = self._ends[at_least - 1] if at_least else 0
            self._done = max(least, min(self._done + n, self._ends[self._n_opened - 1]))
            self._progress(self._done, self._ends[-1])


class _CountedStages:
    """A keeper whose tiles are counted."""

    def __init__(self, id: RecordId, keeper: StageKeeper, count: Counted) -> None:
        self._id, self._keeper, self._count = id, keeper, count

    def wants(self, stage: str) -> bool:
        return self._keeper.wants(stage)

    def keep(self, stage: str, array: Array) -> None:
        self._keeper.keep(stage, array)
        if stage == "context":  # the last one, which every attention has
            self._count.finished.add(self._id)

    def reader(self, inputs: Inputs) -> TileReader | None:
        reader = self._keeper.reader(inputs)
        if reader is None or not self._count.is_shown:
            return reader
        return _CountedTiles(reader, self._count)


class _CountedTiles:
    def __init__(self, reader: TileReader, count: Counted) -> None:
        self._reader, self._count = reader, count

    def fork(self) -> _CountedTiles:
        return _CountedTiles(self._reader.fork(), self._count)

    def read(self, tile: Tile) -> None:
        self._reader.read(tile)
        self._count.add(tile.weights.size)

    def merge(self, other: _CountedTiles) -> None:
        self._reader.merge(other._reader)
