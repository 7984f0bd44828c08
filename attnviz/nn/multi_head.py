"""Multi-head attention: projections, position scheme, score, mask, softmax, each a part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.cache import Cache, Pair
from attnviz.nn.gate import Gate
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.linear import Linear
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.norms import Norm
from attnviz.nn.scores import Score, scaled_dot
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import CollectStages, DiscardStages, StageKeeper
from attnviz.nn.streaming import Inputs, streamed_attention
from attnviz.nn.tiled import tiled_attention
from attnviz.nn.types import Array

Rotary = Callable[[Array, Array], Array]
"""Rotary positions: x [n_head, n, d], positions [n] -> x [n_head, n, d]."""


class Bias(Protocol):
    """Relative positions: q_pos [n_q], k_pos [n_k] -> what is added to the scores."""

    def __call__(self, q_pos: Array, k_pos: Array, /) -> Array: ...


class Recorder(Protocol):
    """Decides, attention by attention, which stages are kept."""

    def open(self, site: Site) -> StageKeeper: ...


class RecordNothing:
    def open(self, site: Site) -> StageKeeper:
        return DiscardStages()


class Stream(NamedTuple):
    """A text on its way through a stack: x [n_token, d_model] and what belongs to it."""

    name: str
    x: Array
    positions: Array
    mask: Mask = NONE
    """What the text itself hides: its padding, say."""


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


class MultiHeadAttention(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model]. Source: Vaswani et al. 2017, section 3.2.2."""

    query: Linear
    """[n_head·d_q, d_model]"""
    key: Linear
    """[n_kv_head·d_k, d_model of the keys' stream]"""
    value: Linear
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
    sinks: Array | None = None
    query_norm: Norm | None = None
    """Over the features of each head, before the rotation. Source: Henry et al. 2020 (QKNorm)."""
    key_norm: Norm | None = None
    gate: Gate | None = None
    """What an ablation makes of each head's context."""

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        keys = context.stream if self.kind == "self" else context.memory
        if keys is None:
            raise AttnvizError(
                "cross-attention needs an encoder's output to look at", "run an encoder first"
            )
        source = x if self.kind == "self" else keys.x
        q_pos, k_pos = context.stream.positions, keys.positions
        mask = self.mask + keys.mask
        site = self.site(context.block, context.layer, context.stream.name, keys.name, mask)
        keep = context.recorder.open(site)

        project = partial(self._project, keep=keep, scratch=context.scratch)

        def project_keys() -> Pair:
            return project("k", source, k_pos), project("v", source, k_pos)

        q = project("q", x, q_pos)
        if context.cache is None:
            k, v = project_keys()
        elif self.kind == "cross":
            k, v = context.cache.once(site.id, project_keys)
        else:
            k, v = context.cache.extend(site.id, *project_keys())
            k_pos = np.arange(k.shape[-2])
        attended = self._attend(q, k, v, mask, q_pos, k_pos, keep)
        if self.gate is not None:
            attended = self.gate(attended)
        return self.output(merge_heads(attended))

    def _attend(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Mask,
        q_pos: Array,
        k_pos: Array,
        keep: StageKeeper,
    ) -> Array:
        """The context [n_head, n_q, d_v]: in tiles that are read and forgotten, where somebody
        reads them, else with the stages that are kept whole."""
        reader = keep.reader(Inputs(self.n_head, q_pos, k_pos, mask, v))
        if reader is not None:
            for stage, array in (("q", q), ("k", k), ("v", v)):
                keep.keep(stage, array)
            context = streamed_attention(
                q,
                k,
                v,
                score=self.score,
                mask=mask,
                q_pos=q_pos,
                k_pos=k_pos,
                scale=self.scale,
                softcap=self.softcap,
                bias=self.bias,
                sinks=self.sinks,
                reader=reader,
            )
            keep.keep("context", context)
            return context
        if len(mask.rules) > 1 and keep.wants("mask"):
            keep.keep("masked_by", mask.reasons(q_pos, k_pos))
        return tiled_attention(
            q,
            k,
            v,
            score=self.score,
            scale=self.scale,
            softcap=self.softcap,
            bias=None if self.bias is None else self.bias(q_pos, k_pos),
            visible=mask.visible(q_pos, k_pos),
            sinks=self.sinks,
            keep=keep,
        )

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
            bias=None if self.bias is None else self.bias(q_pos[rows], k_pos),
            visible=mask.visible_part(q_pos, k_pos, rows, every),
            sinks=self.sinks,
            keep=stages,
        )
        if len(mask.rules) > 1:
            stages.keep("masked_by", mask.reasons_part(q_pos, k_pos, rows, every))
        return stages.stages

    def _project(
        self, stage: str, x: Array, positions: Array, keep: StageKeeper, scratch: Scratch
    ) -> Array:
        """q, k or v of x [n_token, d_model]: [n_head or n_kv_head, n_token, d]."""
        linear, n_head, norm = {
            "q": (self.query, self.n_head, self.query_norm),
            "k": (self.key, self.n_kv_head, self.key_norm),
            "v": (self.value, self.n_kv_head, None),
        }[stage]
        memory = None
        if not keep.wants(stage):  # else the next layer would write over what was kept
            shape = (*x.shape[:-2], len(linear.weight), x.shape[-2])
            memory = scratch.array(stage, shape, x.dtype)
        heads = split_heads(linear(x, memory), n_head)
        heads = heads if norm is None else norm(heads)
        return heads if self.rotary is None or stage == "v" else self.rotary(heads, positions)

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
        )
