"""Exact attention of which no matrix is ever whole in memory: tile after tile is computed, handed
to whoever reads it, and forgotten; on all cores, and always with the same result.

The same numbers as `attention.attention`, and held equal to it by a test. The rows of a tile are
whole, so its weights are final. Source of the idea, without the weights: Rabe and Staats 2021.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from attnviz.nn.content_positions import Terms
from attnviz.nn.heads import repeat_heads
from attnviz.nn.masks import Mask
from attnviz.nn.scores import Score, dot, entry_of, scaled, scaled_dot
from attnviz.nn.threads import in_parallel, leave_if_over
from attnviz.nn.tiled import check_scores, mix
from attnviz.nn.types import Array, Bool

N_STRIP = 32
"""Strips of about equal work, each with a reader of its own. Their number does not depend on the
machine, so that sums are rounded alike everywhere."""

SAFE = 16.0
"""exp(±16) and sums of such numbers are exact enough without a shift by the largest logit."""

MANY_EDGES = 16
"""Edges between columns that are masked in part and others, from which they are taken as one."""

SUM_BLOCK = 256
"""Numbers that are summed in float32; the sums of such blocks are summed in float64."""

Bias = Callable[[Array, Array], Array]


@runtime_checkable
class ByDistance(Protocol):
    """A bias that depends on nothing but how far a key is after its query."""

    def of_distances(self, distances: Array, /) -> Array:
        """distances k_pos - q_pos [n] -> [n_head, n]."""
        ...


class TileSize(NamedTuple):
    """How large a tile may be."""

    n_cell: int = 1 << 20
    """Its weights; four times as many where it would be less than `low` rows high."""
    low: int = 32
    """Rows; matrix products of fewer are slow."""
    high: int = 256
    """Rows at most: the more, the more masked cells there are beside a diagonal."""

    def most(self, n_q: int, n_k: int) -> int:
        """The weights that a tile may have."""
        most = max(self.n_cell, n_k, min(self.low * n_k, 4 * self.n_cell))
        return min(min(n_q, self.high) * n_k, most)


TILE = TileSize()


class Inputs(NamedTuple):
    """What an attention is about to compute, for those who will read its tiles."""

    n_head: int
    q_pos: Array
    """[n_q]"""
    k_pos: Array
    """[n_k]"""
    mask: Mask
    v: Array
    """[n_kv_head, n_k, d_v]"""

    @property
    def n_q(self) -> int:
        return len(self.q_pos)

    @property
    def n_k(self) -> int:
        return len(self.k_pos)


@dataclass(eq=False)
class Rows:
    """Some queries, and the keys that they may see. The tiles of all heads over the same rows
    share one such object, so a reader may keep what it makes of it until the next one comes."""

    queries: slice
    """Of n_q."""
    keys: slice
    """Of n_k, never empty: no query of the tile sees a key outside."""
    visible: Bool | None
    """[n_row, n_key], [n_head, n_row, n_key] where heads have masks of their own; None: all."""

    @cached_property
    def n_visible(self) -> Array:
        """How many keys each query sees: [n_row], or [n_head, n_row]; whole numbers."""
        if self.visible is None:
            n_row = self.queries.stop - self.queries.start
            return np.full(n_row, self.keys.stop - self.keys.start)
        return np.asarray(np.count_nonzero(self.visible, axis=-1))

    def visible_to(self, head: int) -> Bool | None:
        """[n_row, n_key] of one head; None: all."""
        by_head = self.visible is not None and self.visible.ndim > 2
        return self.visible[head] if by_head else self.visible  # type: ignore[index]

    @cached_property
    def _hidden(self) -> list[tuple[slice, Bool]]:
        return [] if self.visible is None else list(_hidden_parts(self.visible))

    def hidden(self, head: int) -> list[tuple[slice, Bool]]:
        """Some columns of the tile, and which of their cells are masked [n_row, n_column]; all
        cells of the other columns are visible."""
        by_head = self.visible is not None and self.visible.ndim > 2
        return [(c, h[head]) for c, h in self._hidden] if by_head else self._hidden


@dataclass(eq=False)
class Tile:
    """The weights of one head over some rows. Its memory is used again for the next tile."""

    head: int
    rows: Rows
    weights: Array
    """[n_row, n_key], as they come out of the softmax."""
    logits: Array | None = None
    """[n_row, n_key]: ln weights + `log_total`; 0 in masked cells."""
    log_total: Array | None = None
    """[n_row]"""
    mass: Array | None = None
    """[n_row]: the sum of the weights, as exactly as they are rounded."""

    @cached_property
    def entropies(self) -> Array:
        """-Σ w ln w of each row, [n_row], nats, float64: 0 where a query sees no key, NaN where
        weights are NaN."""
        if self.logits is None or self.log_total is None or self.mass is None:
            return _entropies(self.weights)
        found = self.log_total * self.mass - _sums(self.weights, self.logits)
        strange = ~np.isfinite(found)  # a visible logit of -inf has no part in it
        if strange.any():
            found[strange] = _entropies(self.weights[strange])
        return found


class TileReader(Protocol):
    """Reads tiles and keeps what it wants of them; `fork` gives one for each strip of rows, read
    by one thread from the first tile to the last and then merged, strip after strip."""

    def fork(self) -> Self: ...

    def read(self, tile: Tile) -> None: ...

    def merge(self, other: Self) -> None: ...


class ReadNothing:
    """Of attention that only has to feed the next layer."""

    def fork(self) -> ReadNothing:
        return self

    def read(self, tile: Tile) -> None:
        pass

    def merge(self, other: ReadNothing) -> None:
        pass


@np.errstate(invalid="ignore", over="ignore")  # NaN and infinity show in the result
def streamed_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    score: Score,
    mask: Mask,
    q_pos: Array,
    k_pos: Array,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Bias | None = None,
    terms: Terms | None = None,
    sinks: Array | None = None,
    reader: TileReader | None = None,
    tile: TileSize = TILE,
) -> Array:
    """The context [n_head, n_q, d_v] of `attention`; every tile of weights goes to `reader`.

    q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k], v [n_kv_head, n_k, d_v]; sinks [n_head]; the mask
    and the bias are functions of positions q_pos [n_q] and k_pos [n_k]; `terms` are added to the
    scores as well. The result does not depend
    on the number of threads.
    """
    n_head, n_q = q.shape[:2]
    # heads side by side, as they are merged afterwards: that is no copy then
    context = np.zeros((n_q, n_head, v.shape[-1]), np.result_type(q, k, v)).swapaxes(0, 1)
    if not (q.shape[1] and k.shape[1]):
        return context
    scores = _Scores(q, k, score, scale, softcap)
    biases = _Biases(bias, q_pos, k_pos, scores.dtype)
    if scores.of_all_heads or biases.of_all_heads:
        tile = TileSize(max(1, tile.n_cell // len(q)), 1, tile.high)
    tiles = list(_tiles(mask.reach(q_pos, k_pos), q.shape[1], tile))
    room = max(_n_cell(each) for each in tiles)
    places = partial(mask.visible_part, q_pos, k_pos)
    stream = _Stream(scores, biases, terms, places, v, sinks, context, room, deque())
    merged = _InOrder(reader or ReadNothing())
    in_parallel(
        partial(stream.read, strip, partial(merged.put, number), merged.reader.fork)
        for number, strip in enumerate(_strips(tiles))
    )
    return context


def read_weights(
    part: Callable[[int, slice], Array],
    heads: Sequence[int],
    inputs: Inputs,
    reader: TileReader,
    done: Callable[[], None] | None = None,
    tile: TileSize = TILE,
) -> None:
    """Hand weights that are there already, in a file perhaps, to `reader`, a few rows at a time.

    Args:
        part: the weights of a head and some queries, [n_row, n_k].
        done: called whenever some rows of all heads have been read.
    """
    every = slice(0, inputs.n_k)  # a key that is masked may have a weight nonetheless
    tiles = list(_tiles(lambda _: every, inputs.n_q, tile))
    merged = _InOrder(reader)

    def read(number: int, strip: list[Place]) -> None:
        own = merged.reader.fork()
        for queries, keys in strip:
            visible = inputs.mask.visible_part(inputs.q_pos, inputs.k_pos, queries, keys)
            rows = Rows(queries, keys, visible)
            for head in heads:
                own.read(Tile(head, rows, np.array(part(head, queries))))  # readers may write
            if done is not None:
                done()
        merged.put(number, own)

    in_parallel(partial(read, number, strip) for number, strip in enumerate(_strips(tiles)))


Place = tuple[slice, slice]
"""Queries, and the keys that they may see."""


def _tiles(keys_of: Callable[[slice], slice], n_q: int, size: TileSize) -> Iterator[Place]:
    """All rows, as many at a time as a tile may have with the keys that they see."""
    start = 0
    while start < n_q:
        n_row = size.high
        while True:
            queries = slice(start, min(start + n_row, n_q))
            keys = keys_of(queries)
            most = size.n_cell * (1 if n_row > size.low else 4)
            if n_row == 1 or n_row * (keys.stop - keys.start) <= most:
                break
            n_row = max(1, n_row // 2)
        yield queries, keys if keys.stop > keys.start else slice(0, 1)
        start = queries.stop


def _n_cell(place: Place) -> int:
    queries, keys = place
    return int((queries.stop - queries.start) * (keys.stop - keys.start))


def _strips(tiles: list[Place]) -> list[list[Place]]:
    """The tiles in their order, in at most N_STRIP parts of about as many cells each."""
    cells = np.array([_n_cell(tile) for tile in tiles])
    middle = np.cumsum(cells) - cells / 2
    number = (middle * N_STRIP / cells.sum()).astype(int)
    strips: dict[int, list[Place]] = {}
    for n, tile in zip(number, tiles, strict=True):
        strips.setdefault(int(n), []).append(tile)
    return list(strips.values())


class _InOrder:
    """Merges the readers of strips in the order of the strips, whichever is done first."""

    def __init__(self, reader: TileReader) -> None:
        self.reader = reader
        self._lock = threading.Lock()
        self._next = 0
        self._waiting: dict[int, TileReader] = {}

    def put(self, number: int, reader: TileReader) -> None:
        with self._lock:
            self._waiting[number] = reader
            while self._next in self._waiting:
                self.reader.merge(self._waiting.pop(self._next))
                self._next += 1


class _Scores:
    """Scores, capped, of one head and a few rows after another."""

    def __init__(
        self, q: Array, k: Array, score: Score, scale: float | None, softcap: float | None
    ) -> None:
        entry = entry_of(score)
        self.of_all_heads = entry is None
        """A function of somebody else's may have parameters for each head, so it gets all."""
        self._takes_out = entry is not None and entry.takes("out")
        self._q, self._k = q, repeat_heads(k, len(q)) if self.of_all_heads else k
        self._group = len(q) // len(self._k)
        self._score, self._softcap = scaled(score, scale), softcap
        self.dtype = np.result_type(q, k)
        self._bounds = _bounds(q, k, score, scale)

    def over(self, queries: slice, keys: slice) -> Callable[[int, Array], None]:
        """A function that writes the scores of a head to memory [n_row, n_key]."""
        q, k = self._q[:, queries], self._k[:, keys]
        if self.of_all_heads:
            shape = (len(q), q.shape[1], k.shape[1])
            whole = np.asarray(self._score(q, k))
            check_scores(whole, shape)
            whole = np.broadcast_to(whole, shape)

        def fill(head: int, room: Array) -> None:
            if self.of_all_heads:
                room[...] = whole[head]
            elif self._takes_out:
                self._score(q[head], k[head // self._group], out=room)
            else:
                room[...] = self._score(q[head], k[head // self._group])
            if self._softcap:
                room /= self._softcap
                np.tanh(room, out=room)
                room *= self._softcap

        return fill

    def bound(self, head: int, queries: slice) -> float:
        """No score of these rows is further from 0; inf or NaN where nobody knows."""
        bound = np.inf if self._bounds is None else float(self._bounds[head, queries].max())
        return min(bound, abs(self._softcap)) if self._softcap and bound == bound else bound


def _bounds(q: Array, k: Array, score: Score, scale: float | None) -> Array | None:
    """[n_head, n_q]: |q · k| is at most ‖q‖ ‖k‖. None for other scores."""
    if score not in (dot, scaled_dot):
        return None
    if scale is None:
        scale = 1.0 if score is dot else max(1, q.shape[-1]) ** -0.5
    longest = _lengths(k).max(-1, keepdims=True) * abs(scale)
    bounds: Array = np.repeat(longest, len(q) // len(k), 0) * _lengths(q)
    return bounds


def _lengths(x: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("hid,hid->hi", x, x)))


class _Biases:
    """What is added to the scores of all heads, a few rows after another."""

    def __init__(self, bias: Bias | None, q_pos: Array, k_pos: Array, dtype: np.dtype[Any]) -> None:
        self._bias, self._q_pos, self._k_pos = bias, q_pos, k_pos
        self._by_distance: Array | None = None
        if isinstance(bias, ByDistance) and _consecutive(q_pos) and _consecutive(k_pos):
            distances = np.arange(k_pos[0] - q_pos[-1], k_pos[-1] - q_pos[0] + 1)
            by_distance = bias.of_distances(distances).astype(dtype)
            if not np.isneginf(by_distance).any():
                self._by_distance = by_distance
        self.of_all_heads = bias is not None and self._by_distance is None

    def over(self, queries: slice, keys: slice) -> Array | None:
        """[n_head or 1, n_row, n_key]; None for no bias."""
        if self._by_distance is None:
            if self._bias is None:
                return None
            added = self._bias(self._q_pos[queries], self._k_pos[keys])
            return added.reshape(-1, *added.shape[-2:])
        # row after row the same numbers, one place further
        n_row, n_key = queries.stop - queries.start, keys.stop - keys.start
        first = len(self._q_pos) - queries.stop + keys.start
        span = self._by_distance[:, first : first + n_row + n_key - 1]
        return sliding_window_view(span, n_key, axis=-1)[:, ::-1]

    def bound(self, head: int, queries: slice, keys: slice) -> float:
        """No bias of these rows is further from 0; inf where nobody knows."""
        if self._by_distance is None:
            return 0.0 if self._bias is None else np.inf
        first, stop = len(self._q_pos) - queries.stop + keys.start, keys.stop
        stop += len(self._q_pos) - queries.start
        span = self._by_distance[head % len(self._by_distance), first : stop - 1]
        return float(np.abs(span).max())


def _consecutive(positions: Array) -> bool:
    return bool((np.diff(positions) == 1).all())


class _Stream(NamedTuple):
    """All that the tiles of an attention are made from."""

    scores: _Scores
    biases: _Biases
    terms: Terms | None
    places: Callable[[slice, slice], Bool | None]
    v: Array
    sinks: Array | None
    context: Array
    n_cell: int
    """Of the largest tile."""
    rooms: deque[Array]
    """Memory that no thread uses now."""

    def read(
        self,
        strip: list[Place],
        done: Callable[[TileReader], None],
        reader_of_strip: Callable[[], TileReader],
    ) -> None:
        """Make all tiles of a strip and hand them to a reader of its own."""
        reader = reader_of_strip()
        try:
            room = self.rooms.pop()
        except IndexError:
            room = np.empty((2, self.n_cell), self.scores.dtype)
        for place in strip:
            leave_if_over()
            self._read_rows(*place, room[:, : _n_cell(place)], reader)
        self.rooms.append(room)
        done(reader)

    def _read_rows(self, queries: slice, keys: slice, room: Array, reader: TileReader) -> None:
        n_row, n_key = queries.stop - queries.start, keys.stop - keys.start
        x, weights = room.reshape(2, n_row, n_key)
        fill, added = self.scores.over(queries, keys), self.biases.over(queries, keys)
        term = None if self.terms is None else self.terms.over(queries, keys)
        visible = self.places(queries, keys)
        if added is not None and self.biases.of_all_heads:
            barred = np.isneginf(added)
            if barred.any():
                visible = ~barred if visible is None else visible & ~barred
        rows = Rows(queries, keys, _without_need(visible, (len(self.context), n_row, n_key)))
        v = self.v[:, keys]
        finite = [bool(np.isfinite(each).all()) for each in v]
        for head in range(len(self.context)):
            fill(head, x)
            if added is not None:
                x += added[head % len(added)]
            if term is not None:
                x += term(head)
            bound = self.scores.bound(head, queries) + self.biases.bound(head, queries, keys)
            bound = bound if term is None else np.inf
            sink = None if self.sinks is None else self.sinks[head]
            log_total, mass = _softmax(x, weights, rows, head, sink, bounded=bound < SAFE)
            kv = head * len(v) // len(self.context)
            into = self.context[head, queries]
            if finite[kv]:
                np.matmul(weights, v[kv], out=into)
            else:
                mix(weights, v[kv], rows.visible_to(head), out=into)
            reader.read(Tile(head, rows, weights, x, log_total, mass))


def _without_need(visible: Bool | None, shape: tuple[int, int, int]) -> Bool | None:
    """The mask as [n_row, n_key] where all heads have the same, else [n_head, n_row, n_key]; None
    where it masks nothing."""
    if visible is None or visible.all():
        return None
    visible = visible.reshape(-1, *visible.shape[-2:])
    return (
        np.broadcast_to(visible[0], shape[1:])
        if len(visible) == 1
        else (np.broadcast_to(visible, shape))
    )


def _softmax(
    x: Array, weights: Array, rows: Rows, head: int, sink: float | None, *, bounded: bool
) -> tuple[Array, Array]:
    """From logits x [n_row, n_key] to weights, as `softmax_in_place` has them; the logits stay,
    shifted, and 0 where they are masked. Returns the logarithm of each row's divisor
    and the sum of its weights, [n_row] each."""
    hidden = rows.hidden(head)
    peak = np.zeros(1, x.dtype)
    if not bounded or sink is not None:
        for columns, masked in hidden:
            np.copyto(x[:, columns], -np.inf, where=masked)
        peak = x.max(-1)
        if sink is not None:
            peak = np.maximum(peak, x.dtype.type(sink))
        peak[np.isneginf(peak)] = 0
        x -= peak[:, None]
    for columns, masked in hidden:
        np.copyto(x[:, columns], 0, where=masked)
    np.exp(x, out=weights)
    for columns, masked in hidden:
        np.copyto(weights[:, columns], 0, where=masked)
    of_keys = _sums(weights)
    total = of_keys if sink is None else of_keys + np.exp(sink - peak)
    empty = total == 0
    if empty.any():
        total = total.copy()
        n_visible = rows.n_visible if rows.n_visible.ndim == 1 else rows.n_visible[head]
        # visible keys of which none has a share have overflowed: nobody knows their shares
        total[empty] = np.where(n_visible[empty] > 0, np.nan, 1)
    factor = (1 / total).astype(weights.dtype)
    weights *= factor[:, None]
    if np.isnan(total).any():
        for columns, masked in hidden:
            np.copyto(weights[:, columns], 0, where=masked)
    return np.log(total), of_keys * factor


def _hidden_parts(visible: Bool) -> Iterator[tuple[slice, Bool]]:
    """Runs of columns in which cells are masked, and which."""
    partly = ~visible.all(tuple(range(visible.ndim - 1)))
    edges = np.flatnonzero(np.diff(partly, prepend=False, append=False))
    if len(edges) > MANY_EDGES:
        edges = edges[[0, -1]]
    for start, stop in edges.reshape(-1, 2):
        yield slice(start, stop), ~visible[..., start:stop]


def _sums(x: Array, y: Array | None = None) -> Array:
    """The sum of each row of x, or of x · y: [n_row, n] -> [n_row], float64."""
    n = x.shape[-1] // SUM_BLOCK * SUM_BLOCK
    blocks = x[:, :n].reshape(len(x), -1, SUM_BLOCK)
    if y is None:
        ones = np.ones(SUM_BLOCK, x.dtype)
        sums, rest = np.vecdot(blocks, ones), x[:, n:].sum(-1)
    else:
        sums = np.vecdot(blocks, y[:, :n].reshape(blocks.shape))
        rest = np.vecdot(x[:, n:], y[:, n:])
    return np.asarray(sums.sum(-1, dtype=np.float64) + rest)


def _entropies(weights: Array) -> Array:
    """-Σ w ln w of each row, [n_row, n_key] -> [n_row], cell by cell."""
    w = weights.astype(np.float64)
    return np.asarray(-(w * np.log(np.where(w == 0, 1, w))).sum(-1))
