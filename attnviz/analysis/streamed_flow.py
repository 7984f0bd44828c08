"""Which inputs reach which outputs, of attentions whose matrices are never whole in memory.

A rollout pooled to a picture is P_rows A_L ⋯ A_1 P_columns. From the right, each product is of an
attention with a matrix that has one column for each group of inputs: [n_q, n_k] @ [n_k, n_group].
That is done tile by tile while the transformer runs, and equals the whole matrices multiplied and
then pooled. From the left, with the rows of chosen outputs, it is done as exactly, layer by layer
from the last to the first, of attentions that are computed once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import NamedTuple, Self

import numpy as np

from attnviz.analysis.flow import (
    NOT_RELATIVE,
    RELATIVE_GROUPS,
    RESIDUAL,
    ROLLOUT,
    Flow,
    TraceFlow,
    blocks_of,
    relative,
)
from attnviz.errors import AttnvizError
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import RecordNothing, Routing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import Site
from attnviz.nn.stages import DiscardStages, StageKeeper
from attnviz.nn.streaming import Inputs, ReadNothing, Rows, Tile, TileReader
from attnviz.nn.transformer import Stack, Transformer, attentions
from attnviz.nn.types import Array, Bool
from attnviz.trace.record import Record
from attnviz.trace.summary import MAP_SIZE


class TileMix(NamedTuple):
    """What some rows of an attention make of the states that they read: see `flow.Mix`."""

    keys: Array
    """[n_row, n_key]"""
    own: Array
    """[n_row]"""


class MixReader:
    """Makes of the weights of all heads over some rows one `TileMix`, and hands it on."""

    def __init__(self, site: Site, n_head: int) -> None:
        self._site, self._n_head = site, n_head
        self._rows: Rows | None = None
        self._sum = np.empty((0, 0))

    def fork(self) -> Self:
        return copy(self)  # before it has read anything: no rows, and threads have different ones

    def read(self, tile: Tile) -> None:
        if tile.rows is self._rows:
            self._sum += tile.weights
            return
        self._hand_on()
        self._rows, self._sum = tile.rows, tile.weights.copy()

    def merge(self, other: Self) -> None:
        other._hand_on()

    def take(self, rows: Rows, mix: TileMix) -> None:
        """What all heads together make of these rows."""
        raise NotImplementedError

    def _hand_on(self) -> None:
        if self._rows is None:
            return
        rows, self._rows = self._rows, None
        sums = self._sum.sum(-1, dtype=np.float64) / self._n_head
        wrong = ~np.isfinite(sums) | (self._sum.min(-1, initial=0) < 0)
        if wrong.any():
            row = rows.queries.start + int(np.flatnonzero(wrong)[0])
            raise AttnvizError(
                f"{self._site.id}: weights are shares from 0 on; those of row {row} are not",
                "attnviz run says what else is wrong with them",
            )
        totals = (1 - RESIDUAL) * sums + RESIDUAL
        self._sum *= ((1 - RESIDUAL) / self._n_head / totals)[:, None].astype(self._sum.dtype)
        self.take(rows, TileMix(self._sum, RESIDUAL / totals))


def even_tile(rows: Rows) -> tuple[Bool, Array]:
    """The keys that each row sees with any head, [n_row, n_key], and how many, [n_row]."""
    shape = (rows.queries.stop - rows.queries.start, rows.keys.stop - rows.keys.start)
    seen = np.asarray(True if rows.visible is None else rows.visible)
    visible = np.broadcast_to(seen.any(0) if seen.ndim > 2 else seen, shape)
    return visible, visible.sum(-1)


class Carried(NamedTuple):
    """What has flowed into the tokens of a stream; a column for each group of inputs."""

    heads: Array
    """[n_token, n_column]"""
    even: Array
    """[n_token, n_column]: if the heads spread evenly."""
    first: Array
    """[n_token, n_stream]: the first input of each stream that can reach a token."""
    end: Array
    """[n_token, n_stream]: the place behind the last one; `first` is above it if there is none."""


class CarryReader(MixReader):
    """Carries shares through one attention: what its queries have, and what they read."""

    def __init__(self, site: Site, inputs: Inputs, queries: Carried, keys: Carried) -> None:
        super().__init__(site, inputs.n_head)
        self._queries, self._keys = queries, keys
        self._states = keys.heads.astype(inputs.v.dtype)
        self._even_sums = np.concatenate([np.zeros((1, keys.even.shape[1])), keys.even.cumsum(0)])
        self.carried = Carried(*(array.copy() for array in queries))
        self.sees_later = np.zeros(inputs.n_q, bool)
        """Of each query, whether it sees a later key."""
        self.has_gaps = np.zeros(inputs.n_q, bool)
        """Of each query, whether the inputs that reach it are not a range."""

    def take(self, rows: Rows, mix: TileMix) -> None:
        queries, keys = rows.queries, rows.keys
        own, made = self._queries, self.carried
        made.heads[queries] = mix.own[:, None] * own.heads[queries]
        made.heads[queries] += mix.keys @ self._states[keys]
        visible, count = even_tile(rows)
        keeps = np.where(count > 0, RESIDUAL, 1)[:, None]
        spread = self._seen(keys, visible) / np.maximum(count, 1)[:, None]
        made.even[queries] = keeps * own.even[queries] + (1 - keeps) * spread
        later = np.arange(keys.start, keys.stop) > np.arange(queries.start, queries.stop)[:, None]
        self.sees_later[queries] = (visible & later).any(-1)
        self._reach(rows, visible, count)

    def _seen(self, keys: slice, visible: Bool) -> Array:
        """The even shares of all visible keys together, [n_row, n_column]."""
        hidden = np.flatnonzero(~visible.all(0))
        known = 0 if keys.start else int(hidden[0]) if hidden.size else visible.shape[1]
        rest = visible[:, known:].astype(float) @ self._keys.even[keys][known:]
        return np.asarray(self._even_sums[known] + rest)

    def _reach(self, rows: Rows, visible: Bool, count: Array) -> None:
        """Widen the range of inputs that can reach each row by those of the keys that it sees,
        themselves a range; keys further on are reached by inputs further on."""
        seen = np.flatnonzero(count)
        if not seen.size:
            return
        start = visible[seen].argmax(-1)
        stop = visible.shape[1] - visible[seen, ::-1].argmax(-1)
        places = seen + rows.queries.start
        first, end = self.carried.first[places], self.carried.end[places]
        new_first = self._keys.first[rows.keys.start + start]
        new_end = self._keys.end[rows.keys.start + stop - 1]
        apart = (first < end) & (new_first < new_end) & ((new_first > end) | (new_end < first))
        self.has_gaps[places] = (stop - start != count[seen]) | apart.any(-1)
        self.carried.first[places] = np.minimum(first, new_first)
        self.carried.end[places] = np.maximum(end, new_end)


def _are_ranges(carried: Carried) -> bool:
    """Whether neighbouring keys together are reached by ranges, which move one way."""
    first, end = carried.first, carried.end
    empty = first >= end
    touch = (first[1:] <= end[:-1]) & (np.diff(first, axis=0) >= 0) & (np.diff(end, axis=0) >= 0)
    return bool((touch | (empty[1:] & empty[:-1])).all())


class FlowRecorder(RecordNothing):
    """Follows the groups of inputs through all attentions while a transformer runs.

    Args:
        lengths: how many tokens each stream has.
        last: block and layer behind which nothing is followed.
        size: into how many groups a stream is divided, at most.
    """

    def __init__(
        self, lengths: Mapping[str, int], last: tuple[str, int], size: int = MAP_SIZE
    ) -> None:
        self.steps = {name: max(1, -(-n // size)) for name, n in lengths.items()}
        """How many tokens of each stream are a group; the last one has those that are left."""
        self._lengths, self._last = dict(lengths), last
        counts = [-(-lengths[name] // step) for name, step in self.steps.items()]
        ends = np.cumsum(counts)
        self._columns = {
            name: slice(int(end) - count, int(end))
            for name, end, count in zip(lengths, ends, counts, strict=True)
        }
        self._carried = {name: self._inputs(name) for name in lengths}
        self._reading: tuple[str, CarryReader] | None = None
        self._is_done = False
        self._outputs = ""
        self.is_causal = False
        """Whether any self-attention lets no query see a later key."""
        self.has_gaps = False
        """Whether the inputs that reach a token are not always a range."""

    def open(self, site: Site) -> StageKeeper:
        self._finish()
        if self._is_done or (site.id.block == self._last[0] and site.layer > self._last[1]):
            self._is_done = True
            return Streaming(lambda inputs: ReadNothing())
        return Streaming(lambda inputs: self._reader(site, inputs))

    def flows(self) -> tuple[Flow, Flow]:
        """Once all attentions are done, of heads and of heads that spread evenly: shares of groups
        of inputs, as means over groups of outputs."""
        carried = self._end()
        return self._pooled(carried.heads), self._pooled(carried.even)

    def relative(self) -> Flow | None:
        """As `flow.relative`, but group by group: the share of a group over that of even heads,
        times the number of its inputs within reach; None where these cannot be counted."""
        if self.has_gaps:
            return None
        carried = self._end()
        ratios = np.divide(carried.heads, carried.even, out=np.zeros_like(carried.heads),
                           where=carried.even > 0)  # fmt: skip
        for number, (name, columns) in enumerate(self._columns.items()):
            starts = np.arange(columns.stop - columns.start) * self.steps[name]
            ends = np.minimum(starts + self.steps[name], self._lengths[name])
            first, end = carried.first[:, number, None], carried.end[:, number, None]
            reached = np.minimum(end, ends) - np.maximum(first, starts)
            ratios[:, columns] *= np.maximum(reached, 0)
        return self._pooled(ratios / ratios.sum(-1, keepdims=True))

    def _inputs(self, name: str) -> Carried:
        """Every token is an input of its own stream, and nothing has reached it yet."""
        n, names = self._lengths[name], list(self._lengths)
        heads = np.zeros((n, sum(c.stop - c.start for c in self._columns.values())))
        places = np.arange(n)
        heads[places, self._columns[name].start + places // self.steps[name]] = 1
        first = np.tile([self._lengths[each] for each in names], (n, 1))
        end = np.zeros((n, len(names)), int)
        first[:, names.index(name)], end[:, names.index(name)] = places, places + 1
        return Carried(heads, heads, first, end)

    def _reader(self, site: Site, inputs: Inputs) -> TileReader:
        keys = self._carried[site.keys]
        self.has_gaps |= not _are_ranges(keys)
        reader = CarryReader(site, inputs, self._carried[site.queries], keys)
        self._reading, self._outputs = (site.queries, reader), site.queries
        self._kind = site.kind
        return reader

    def _finish(self) -> None:
        """Take what the last attention made."""
        if self._reading is None:
            return
        (name, reader), self._reading = self._reading, None
        self._carried[name] = reader.carried
        self.has_gaps |= bool(reader.has_gaps.any())
        is_self = self._kind == "self"
        self.is_causal |= is_self and len(reader.sees_later) > 1 and not reader.sees_later.any()

    def _end(self) -> Carried:
        self._finish()
        return self._carried[self._outputs]

    def _pooled(self, shares: Array) -> Flow:
        step, n = self.steps[self._outputs], self._lengths[self._outputs]
        starts = np.arange(0, n, step)
        means = np.add.reduceat(shares, starts) / np.diff(starts, append=n)[:, None]
        streams = [name for name in self._lengths if self._has(name)]
        return Flow(self._outputs, {name: means[:, self._columns[name]] for name in streams},
                    self.steps)  # fmt: skip

    def _has(self, name: str) -> bool:
        """Whether inputs of a stream could have reached the outputs at all."""
        place = list(self._lengths).index(name)
        return bool((self._carried[self._outputs].end[:, place] > 0).any())


class Streaming(DiscardStages):
    """Of an attention whose tiles go to a reader."""

    def __init__(self, reader: Callable[[Inputs], TileReader]) -> None:
        self._make = reader

    def reader(self, inputs: Inputs) -> TileReader:
        return self._make(inputs)


def last_place(sites: Sequence[Site], last_layer: int | None = None) -> tuple[str, int]:
    """The block and layer that the outputs come from.

    Raises:
        AttnvizError: an attention is missing that something would have to flow through, or there
            is no such layer.
    """
    last = blocks_of([Record(site) for site in sites], last_layer)[-1]
    return last[0].id.block, max(record.layer for record in last)


class GatherReader(MixReader):
    """Carries what outputs take from the queries of one attention on to its keys."""

    def __init__(self, site: Site, inputs: Inputs, heads: Array, even: Array) -> None:
        super().__init__(site, inputs.n_head)
        self._heads, self._even = heads.astype(inputs.v.dtype), even
        self.heads = np.zeros((len(heads), inputs.n_k))
        """[n_output, n_k]"""
        self.even = np.zeros((len(heads), inputs.n_k))
        """[n_output, n_k]: if the heads spread evenly."""
        self.own = np.ones(inputs.n_q)
        self.own_even = np.ones(inputs.n_q)

    def fork(self) -> Self:
        other = super().fork()
        other.heads, other.even = np.zeros_like(self.heads), np.zeros_like(self.even)
        return other

    def merge(self, other: Self) -> None:
        super().merge(other)
        self.heads += other.heads
        self.even += other.even

    def take(self, rows: Rows, mix: TileMix) -> None:
        queries, keys = rows.queries, rows.keys
        self.heads[:, keys] += self._heads[:, queries] @ mix.keys
        self.own[queries] = mix.own
        visible, count = even_tile(rows)
        self.own_even[queries] = keeps = np.where(count > 0, RESIDUAL, 1)
        self.even[:, keys] += (self._even[:, queries] * ((1 - keeps) / np.maximum(count, 1))) @ (
            visible.astype(float)
        )


class Pass(NamedTuple):
    """A forward pass that was made, of which attentions can be computed once more."""

    transformer: Transformer
    inputs: Mapping[str, Input]
    hidden_states: Mapping[str, Sequence[Array]]
    """By stack: the embeddings, then each block's output, [n_token, d_model]."""

    def attend(
        self, stack: Stack, layer: int, kind: str, reader: Callable[[Site, Inputs], TileReader]
    ) -> None:
        """Compute one attention, whose tiles go to the reader; what comes behind it is left out."""
        x = self.hidden_states[stack.name][layer]
        context = SublayerContext(
            stack.name, layer, self._stream(stack), self._memory(stack), _Only(kind, reader),
            Scratch(),
        )  # fmt: skip
        for sublayer in stack.blocks[layer]:
            x = sublayer(x, context)
            if any(attention.kind == kind for attention in attentions((sublayer,))):
                return

    def stream_of(self, stack: Stack) -> str:
        both = self.transformer.encoder is not None and stack is self.transformer.decoder
        return "target" if both else "source"

    def _stream(self, stack: Stack) -> Stream:
        name, x = self.stream_of(stack), self.hidden_states[stack.name][0]
        return Stream(name, x, np.arange(len(x)), self.inputs[name].mask)

    def _memory(self, stack: Stack) -> Stream | None:
        encoder = self.transformer.encoder
        if encoder is None or stack is encoder:
            return None
        return self._stream(encoder)._replace(x=self.hidden_states[encoder.name][-1])


class _Only(NamedTuple):
    """Lets a reader see the attentions of one kind."""

    kind: str
    make: Callable[[Site, Inputs], TileReader]

    def open(self, site: Site) -> StageKeeper:
        wanted = site.kind == self.kind
        return Streaming(lambda inputs: self.make(site, inputs) if wanted else ReadNothing())

    def routed(self, block: str, layer: int, routing: Routing) -> None:
        pass


def output_flows(
    done: Pass,
    outputs: Sequence[int],
    last: tuple[str, int],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Flow, Flow]:
    """Of each chosen output the share of every input, [n_output, n_input]: of heads, and of heads
    that spread evenly. `last` as in `FlowRecorder`."""
    stacks = [s for s in (done.transformer.encoder, done.transformer.decoder) if s is not None]
    stacks = stacks[: 1 + [stack.name for stack in stacks].index(last[0])]
    wanted: dict[str, tuple[Array, Array]] = {}
    for stack in stacks:
        n = len(done.hidden_states[stack.name][0])
        wanted[done.stream_of(stack)] = (np.zeros((len(outputs), n)),) * 2
    stream = done.stream_of(stacks[-1])
    start = np.zeros_like(wanted[stream][0])
    start[np.arange(len(outputs)), list(outputs)] = 1
    wanted[stream] = (start, start)
    steps = list(_backwards(stacks, last))
    for number, (stack, layer, kind) in enumerate(steps):
        if progress is not None:
            progress(number, len(steps))
        _pass_on(done, stack, layer, kind, wanted)
    flows = ({name: both[which] for name, both in wanted.items()} for which in (0, 1))
    heads, even = (Flow(stream, shares) for shares in flows)
    return heads, even


def _backwards(stacks: Sequence[Stack], last: tuple[str, int]) -> Iterator[tuple[Stack, int, str]]:
    """Every attention from the last to the first."""
    for stack in reversed(stacks):
        stop = last[1] + 1 if stack.name == last[0] else len(stack.blocks)
        for layer in reversed(range(stop)):
            for attention in reversed(list(attentions(stack.blocks[layer]))):
                yield stack, layer, attention.kind


def _pass_on(
    done: Pass, stack: Stack, layer: int, kind: str, wanted: dict[str, tuple[Array, Array]]
) -> None:
    """What the outputs take from one attention's queries, they take from its keys."""
    queries = done.stream_of(stack)
    keys = queries if kind == "self" else "source"
    made: list[GatherReader] = []

    def reader(site: Site, inputs: Inputs) -> TileReader:
        made.append(GatherReader(site, inputs, *wanted[queries]))
        return made[-1]

    done.attend(stack, layer, kind, reader)
    (read,) = made
    heads, even = wanted[queries]
    wanted[queries] = (heads * read.own, even * read.own_even)
    heads, even = wanted[keys]
    wanted[keys] = (heads + read.heads, even + read.even)


def streamed_flow(
    recorder: FlowRecorder,
    output: tuple[int, tuple[Flow, Flow]] | None = None,
    *,
    last_layer: int | None = None,
    absolute: bool = False,
) -> TraceFlow:
    """As `flow.flow_of`, of what a recorder followed.

    Args:
        output: one output, with its `output_flows`.
        last_layer, absolute: as there.
    """
    heads, even = recorder.flows()
    notes, by_group = [ROLLOUT], None
    if recorder.is_causal and not absolute:
        by_group = recorder.relative()
        notes.append(NOT_RELATIVE if by_group is None else RELATIVE_GROUPS)
    shown = heads if by_group is None else by_group
    exact = None
    if output is not None:
        token, (one, one_even) = output
        exact = token, one if by_group is None else relative(one, one_even), one_even
    return TraceFlow(shown, even, "rollout", last_layer, tuple(notes), exact)
