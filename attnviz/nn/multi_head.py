"""Multi-head attention: projections, position scheme, score, mask, softmax, each a part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.cache import Cache, Pair
from attnviz.nn.content_positions import ContentPositions
from attnviz.nn.gate import Gate
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.linear import Linear, Projection
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.norms import Norm
from attnviz.nn.rotary import GridRotary
from attnviz.nn.scores import Score, scaled_dot
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import CollectStages, DiscardStages, StageKeeper
from attnviz.nn.streaming import Inputs, streamed_attention
from attnviz.nn.threads import ONE, Team
from attnviz.nn.tiled import Tiled, tiled_attention
from attnviz.nn.types import Array

Rotary = Callable[[Array, Array], Array]
"""Rotary positions: x [n_head, n, d], positions [n] -> x [n_head, n, d]."""


class Bias(Protocol):
    """Relative positions: q_pos [n_q], k_pos [n_k] -> what is added to the scores."""

    def __call__(self, q_pos: Array, k_pos: Array, /) -> Array: ...


ROOM_BYTES = 1 << 23
"""Queries, keys or values from which fresh memory costs little beside what is made of them."""


class Routing(NamedTuple):
    """To which experts of a mixture the tokens of a text were sent."""

    experts: Array
    """[n_token, top_k]: their numbers, the one with the largest score first."""
    weights: Array
    """[n_token, top_k]: what their results were multiplied by."""
    n_expert: int


class Recorder(Protocol):
    """Decides, attention by attention, which stages are kept; is told what routers chose."""

    def open(self, site: Site) -> StageKeeper: ...

    def routed(self, block: str, layer: int, routing: Routing) -> None: ...


class RecordNothing:
    def open(self, site: Site) -> StageKeeper:
        return DiscardStages()

    def routed(self, block: str, layer: int, routing: Routing) -> None:
        pass


class Stream(NamedTuple):
    """A text on its way through a stack: x [n_token, d_model] and what belongs to it."""

    name: str
    x: Array
    positions: Array
    mask: Mask = NONE
    """What the text itself hides: its padding, say."""
    grid: tuple[int, int] | None = None
    """Of an image: rows and columns of patches."""


class Share(NamedTuple):
    """Which rows of the stream a thread of a team carries through the layers."""

    team: Team = ONE
    number: int = 0
    rows: slice = slice(None)
    positions: Array | None = None
    """Of these rows; None for those of all."""
    common: Scratch = Scratch()
    """Memory that the threads have in common."""

    def of(self, n: int) -> slice:
        """What the thread takes of `n` other rows."""
        return self.team.part(self.number, n)


WHOLE = Share()
"""All of them, and a thread by itself."""


class SublayerContext(NamedTuple):
    """What a sublayer sees besides its input."""

    block: str
    layer: int
    stream: Stream
    memory: Stream | None
    """The encoder's output, for cross-attention."""
    recorder: Recorder
    scratch: Scratch
    cache: Cache | None = None
    """What was read before, if the tokens come bit by bit."""
    share: Share = WHOLE


class MultiHeadAttention(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model]. Source: Vaswani et al. 2017, section 3.2.2."""

    query: Projection
    """[n_head·d_q, d_model]"""
    key: Projection
    """[n_kv_head·d_k, d_model of the keys' stream]"""
    value: Projection
    """[n_kv_head·d_v, d_model of the keys' stream]"""
    output: Linear
    """[d_model, n_head·d_v]"""
    n_head: int
    n_kv_head: int
    kind: str = "self"
    score: Score = scaled_dot
    score_name: str = "scaled_dot"
    scale: float | None = None
    softcap: float | None = None
    mask: Mask = NONE
    rotary: Rotary | None = None
    bias: Bias | None = None
    relative: ContentPositions | None = None
    """Further terms of the score, of a query or a key and their distance."""
    sinks: Array | None = None
    query_norm: Norm | None = None
    """Before the rotation, over the features of each head (Henry et al. 2020, QKNorm) or of all
    of them (`AcrossHeads`)."""
    key_norm: Norm | None = None
    gate: Gate | None = None
    """What an ablation makes of each head's context."""

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        """Of a team of threads, each has some rows: when the queries, keys and values of all rows
        are there, each attends with its own."""
        team = context.share.team
        run = team.shared(lambda: _Run(self, x, context))
        run.project(x, context)
        team.alone(lambda: run.gather(context.cache))
        attended = run.attended(context.share)
        if self.gate is not None:
            attended = self.gate(attended)
        y = self.output(merge_heads(attended))
        team.last(run.finish)
        return y

    def project(
        self, stage: str, x: Array, positions: Array, scratch: Scratch, out: Array | None = None
    ) -> Array:
        """q, k or v of x [n_token, d_model]: [n_head or n_kv_head, n_token, d].

        `out` [n_token, n_head·d] is memory for the result; else that of `scratch` may be.
        """
        linear, n_head, norm = {
            "q": (self.query, self.n_head, self.query_norm),
            "k": (self.key, self.n_kv_head, self.key_norm),
            "v": (self.value, self.n_kv_head, None),
        }[stage]
        rotary = None if stage == "v" else self.rotary
        if norm is None and rotary is None:
            return split_heads(linear(x, out), n_head)
        shape = (*x.shape[:-1], len(linear.weight))
        heads = split_heads(linear(x, scratch.array("projected", shape, x.dtype)), n_head)
        heads = heads if norm is None else norm(heads)
        heads = heads if rotary is None else rotary(heads, positions)
        if out is None:
            return heads
        split_heads(out, n_head)[...] = heads
        return split_heads(out, n_head)

    def on(self, grid: tuple[int, int]) -> MultiHeadAttention:
        """The same for an image of so many rows and columns of patches."""
        if not isinstance(self.rotary, GridRotary):
            return self
        return self._replace(rotary=replace(self.rotary, grid=grid))

    def rows_in_full(
        self, q: Array, k: Array, v: Array, mask: Mask, rows: slice
    ) -> dict[str, Array]:
        """All stages of some queries of a text that was read from its first token on, by name.

        q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k], v [n_kv_head, n_k, d_v], as they enter the
        score; `mask` is all that hides keys: the attention's own and the text's.
        """
        stages = CollectStages()
        q_pos, k_pos = np.arange(q.shape[-2]), np.arange(k.shape[-2])
        every = slice(0, len(k_pos))
        tiled_attention(
            q[:, rows],
            k,
            v,
            score=self.score,
            scale=self.scale,
            softcap=self.softcap,
            bias=self.added(q[:, rows], k, q_pos[rows], k_pos, stages),
            visible=mask.visible_part(q_pos, k_pos, rows, every),
            sinks=self.sinks,
            keep=stages,
        )
        if len(mask.rules) > 1:
            stages.keep("masked_by", mask.reasons_part(q_pos, k_pos, rows, every))
        return stages.stages

    def added(
        self, q: Array, k: Array, q_pos: Array, k_pos: Array, keep: StageKeeper
    ) -> Array | None:
        """What is added to the scores, broadcast to [n_head, n_q, n_k]; None for nothing. Its
        terms that take a query or a key are kept one by one, where they are wanted."""
        bias = None if self.bias is None else self.bias(q_pos, k_pos)
        if self.relative is None:
            return bias
        terms = self.relative.of(q, k, q_pos, k_pos)
        if not any(map(keep.wants, terms.names)):
            return terms.total() if bias is None else terms.total() + bias
        for name in terms.names:
            term = terms.whole(name)
            keep.keep(name, term)
            bias = term if bias is None else bias + term
        return bias

    def site(
        self, block: str, layer: int, queries: str, keys: str, mask: Mask | None = None
    ) -> Site:
        """What there is to say about this attention at its place in a transformer."""
        return Site(
            id=RecordId(block, layer, self.kind),
            queries=queries,
            keys=keys,
            n_head=self.n_head,
            n_kv_head=self.n_kv_head,
            mask=(self.mask if mask is None else mask).names,
            score=self.score_name,
            scale=self.scale,
            softcap=self.softcap,
            sinks=self.sinks is not None,
            n_content=getattr(self.rotary, "n_content", None),
        )


class _Run:
    """One attention in one pass: what the threads of a team have in common."""

    def __init__(self, attention: MultiHeadAttention, x: Array, context: SublayerContext) -> None:
        keys = context.stream if attention.kind == "self" else context.memory
        if keys is None:
            raise AttnvizError(
                "cross-attention needs an encoder's output to look at", "run an encoder first"
            )
        self.attention = attention if keys.grid is None else attention.on(keys.grid)
        self.memory = None if attention.kind == "self" else keys.x
        """[n_k, d_model] that keys and values are made of; None for the queries' own tokens."""
        self.q_pos, self.k_pos = context.stream.positions, keys.positions
        self.mask = attention.mask + keys.mask
        self.site = attention.site(
            context.block, context.layer, context.stream.name, keys.name, self.mask
        )
        self.keep = context.recorder.open(self.site)
        self.projected: dict[str, Array] = {}
        """q, k and v, [n_head or n_kv_head, n, d]."""
        self.rooms = self._rooms(x, context) if context.share.team.n > 1 else {}
        self.streamed: Array | None = None
        self.tiled: Tiled | None = None

    def _rooms(self, x: Array, context: SublayerContext) -> dict[str, Array]:
        """Memory for the queries, keys and values of all rows, [n, n_head·d] each. Two layers may
        be at work, as some threads are ahead of others, and take turns. What is kept must not be
        written over by a later layer; what is large is not held while there is no use for it."""
        part, rooms = self.attention, {}
        for stage, linear in (("q", part.query), ("k", part.key), ("v", part.value)):
            n = len(self.q_pos if stage == "q" else self.k_pos)
            shape = (*x.shape[:-2], n, len(linear.weight))
            large = math.prod(shape) * x.itemsize > ROOM_BYTES
            if large or self.keep.wants(stage):
                rooms[stage] = np.empty(shape, x.dtype)
            else:
                name = f"{part.kind} {stage} {context.layer % 2}"
                rooms[stage] = context.share.common.array(name, shape, x.dtype)
        return rooms

    def project(self, x: Array, context: SublayerContext) -> None:
        """Queries, keys and values of a thread's rows x [n_row, d_model]."""
        share = context.share
        positions = self.q_pos if share.positions is None else share.positions
        self._project("q", x, positions, share.rows, context.scratch)
        if self.memory is None:
            keys, rows = x, share.rows
        elif context.cache is None:
            rows = share.of(len(self.k_pos))
            keys, positions = self.memory[..., rows, :], self.k_pos[rows]
        else:
            return  # they are made once for all steps
        for stage in ("k", "v"):
            self._project(stage, keys, positions, rows, context.scratch)

    def _project(
        self, stage: str, x: Array, positions: Array, rows: slice, scratch: Scratch
    ) -> None:
        room = self.rooms.get(stage)
        out = None if room is None else room[..., rows, :]
        projected = self.attention.project(stage, x, positions, scratch, out)
        n_head = projected.shape[-3]
        self.projected[stage] = projected if room is None else split_heads(room, n_head)

    def gather(self, cache: Cache | None) -> None:
        """All queries, keys and values are there: what the rows need of them."""
        if cache is not None and self.memory is None:
            k, v = cache.extend(self.site.id, self.projected["k"], self.projected["v"])
            self.k_pos = np.arange(k.shape[-2])
        elif cache is not None:
            k, v = cache.once(self.site.id, self._memorised)
        else:
            k, v = self.projected["k"], self.projected["v"]
        part, q, mask = self.attention, self.projected["q"], self.mask
        if part.sinks is not None:
            self.keep.keep("sinks", part.sinks)
        q_pos, k_pos = self.q_pos, self.k_pos
        reader = self.keep.reader(Inputs(part.n_head, q_pos, k_pos, mask, v))
        if reader is not None:
            for stage, array in (("q", q), ("k", k), ("v", v)):
                self.keep.keep(stage, array)
            self.streamed = streamed_attention(
                q,
                k,
                v,
                score=part.score,
                mask=mask,
                q_pos=q_pos,
                k_pos=k_pos,
                scale=part.scale,
                softcap=part.softcap,
                bias=part.bias,
                terms=None if part.relative is None else part.relative.of(q, k, q_pos, k_pos),
                sinks=part.sinks,
                reader=reader,
            )
            self.keep.keep("context", self.streamed)
            return
        if len(mask.rules) > 1 and self.keep.wants("mask"):
            self.keep.keep("masked_by", mask.reasons(q_pos, k_pos))
        self.tiled = Tiled(
            q,
            k,
            v,
            score=part.score,
            scale=part.scale,
            softcap=part.softcap,
            bias=part.added(q, k, q_pos, k_pos, self.keep),
            visible=mask.visible(q_pos, k_pos),
            sinks=part.sinks,
            keep=self.keep,
        )

    def _memorised(self) -> Pair:
        """Keys and values of an encoder's output, all of it."""
        assert self.memory is not None
        memory, scratch = self.memory, Scratch()
        k, v = (self.attention.project(x, memory, self.k_pos, scratch) for x in ("k", "v"))
        return k, v

    def attended(self, share: Share) -> Array:
        """The context [n_head, n_row, d_v] of a thread's queries: of tiles that were read and
        forgotten, where somebody reads them, else with the stages that are kept whole."""
        if self.streamed is not None:
            return self.streamed[..., share.rows, :]
        assert self.tiled is not None
        rows = slice(*share.rows.indices(len(self.q_pos))[:2])
        return self.tiled.rows_in_team(rows, share.team)

    def finish(self) -> None:
        """All rows are done."""
        if self.tiled is not None:
            self.tiled.finish()
