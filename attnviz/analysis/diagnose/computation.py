"""One way to compute attention, step by step.

What is wanted is such a way, and every mistake is another: it replaces a step, moves it, leaves it
out, or changes what it works on. So two mistakes at once are one after the other.

The axes are always [n_batch, n_head, n_q, n_k or d].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import Masking, in_rows
from attnviz.nn.heads import repeat_heads
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array, Bool

Step = Callable[[Array, "Computation"], Array]
"""x [n_batch, n_head, n_row, n_k] and the computation that it is part of -> the same axes."""


def scale(x: Array, c: Computation) -> Array:
    """What q · k is multiplied by."""
    return np.asarray(x * in_rows(np.asarray(c.scale, x.dtype), c.rows))


def cap(x: Array, c: Computation) -> Array:
    """c · tanh(x / c)."""
    return c.softcap * np.tanh(x / c.softcap) if c.softcap else x


def add_bias(x: Array, c: Computation) -> Array:
    return x if c.bias is None else x + in_rows(c.bias, c.rows).astype(x.dtype)


def hide(x: Array, c: Computation) -> Array:
    """-inf where a key is masked."""
    seen = c.visible()
    return x if seen is None else np.where(seen, x, x.dtype.type(-np.inf))


def to_weights(x: Array, c: Computation) -> Array:
    """The softmax over the keys; a query that sees no key has only zeros."""
    return softmax(x, sinks=c.sinks)


def dot(q: Array, k: Array) -> Array:
    """[…, n_head, n_row, d_k], [… , n_head, n_k, d_k] -> […, n_head, n_row, n_k]"""
    return np.asarray(q @ k.swapaxes(-1, -2))


def weighted_sum(weights: Array, v: Array) -> Array:
    """[…, n_head, n_row, n_k], [… , n_head, n_k, d_v] -> […, n_head, n_row, d_v]"""
    return np.asarray(weights @ v)


def as_it_is(x: Array) -> Array:
    """x [...] -> x."""
    return x


STEPS: tuple[Step, ...] = (scale, cap, add_bias, hide, to_weights)
"""From q · k to the weights, in the usual order."""


NOTHING_HIDDEN = Masking()
NO_FACTS = Facts()


@dataclass(frozen=True, eq=False)
class Computation:
    """One way to compute attention. The defaults are those of the paper, without a mask."""

    q: Array
    """[n_batch, n_head, n_q, d_k], as they enter q · k; after `at` only some of the queries."""
    k: Array
    """[n_batch, n_kv_head, n_k, d_k]"""
    v: Array
    """[n_batch, n_kv_head, n_k, d_v]"""
    scale: float | Array = 1.0
    """A factor on q · k; an array broadcasts to [n_batch, n_head, n_q, n_k]."""
    softcap: float = 0.0
    """0: no cap."""
    bias: Array | None = None
    """Added to the scores; broadcasts to [n_batch, n_head, n_q, n_k]."""
    sinks: Array | None = None
    """[n_head]: logits that only enter the denominator."""
    masking: Masking = NOTHING_HIDDEN
    steps: tuple[Step, ...] = STEPS
    spread: Callable[[Array, int], Array] = repeat_heads
    """Keys or values of the n_kv_head heads, and n_head -> those that each query head uses."""
    similarity: Callable[[Array, Array], Array] = dot
    combine: Callable[[Array, Array], Array] = weighted_sum
    finish: Callable[[Array], Array] = as_it_is
    """What still happens to the context, [n_batch, n_head, n_q, d_v]."""
    mixes_rows: bool = False
    """Whether a row of the result depends on other queries, heads or items of the batch than its
    own, so that it cannot be computed for some rows only."""
    rows: Array = field(default_factory=lambda: np.arange(0))
    """[n_row]: the numbers of the queries that `q` holds; `computation` and `at` set them."""
    n_q: int = 0
    """How many queries there are in all."""
    facts: Facts = NO_FACTS
    """What else is known, of what a mistake might have used instead."""

    @property
    def n_head(self) -> int:
        return int(self.q.shape[1])

    @property
    def n_kv_head(self) -> int:
        return int(self.k.shape[1])

    @property
    def n_k(self) -> int:
        return int(self.k.shape[2])

    @property
    def d_k(self) -> int:
        return int(self.q.shape[3])

    def visible(self) -> Bool | None:
        """True = visible, of the rows; broadcasts to [n_batch, n_head, n_row, n_k]."""
        return self.masking.visible(self.rows, self.n_k)

    def at(self, rows: Array) -> Computation:
        """The same for some of the queries, by their numbers [n_row]."""
        assert not self.mixes_rows
        assert len(self.rows) == self.n_q
        return replace(self, q=self.q[:, :, rows], rows=rows)

    def as_type(self, dtype: Any) -> Computation:
        """The same with q, k and v of this type, which all steps then keep."""
        return replace(self, **{name: getattr(self, name).astype(dtype) for name in "qkv"})

    # what a mistake does to it

    def with_masking(self, **parts: Any) -> Computation:
        """With these parts of the masking changed."""
        return replace(self, masking=replace(self.masking, **parts))

    def instead_of(self, step: Step, *others: Step) -> Computation:
        """With other steps in the place of one; with none, without it."""
        at = self.steps.index(step)
        return replace(self, steps=(*self.steps[:at], *others, *self.steps[at + 1 :]))

    def moved(self, step: Step, *, after: Step) -> Computation:
        """With a step behind another one."""
        rest = [each for each in self.steps if each is not step]
        at = rest.index(after) + 1
        return replace(self, steps=(*rest[:at], step, *rest[at:]))


def computation(q: Array, k: Array, v: Array, **fields: Any) -> Computation:
    """A computation of all queries, scaled by 1/√d_k unless `scale` says otherwise.

    q [n_batch, n_head, n_q, d_k], k and v [n_batch, n_kv_head, n_k, d].
    """
    n_q = q.shape[-2]
    fields = {"scale": q.shape[-1] ** -0.5, **fields}
    return Computation(q, k, v, rows=np.arange(n_q), n_q=n_q, **fields)


class Stages(NamedTuple):
    """What a computation gives on its way; see `attnviz.nn.attention.Attention`."""

    raw: Array
    """q · k, [n_batch, n_head, n_row, n_k]"""
    scores: Array
    """After the scale."""
    capped: Array
    """After the softcap."""
    logits: Array
    """What enters the softmax."""
    weights: Array
    context: Array
    """[n_batch, n_head, n_row, d_v]"""


def compute(
    c: Computation, rounded: Callable[[Array], Array] = as_it_is, raw: Array | None = None
) -> Stages:
    """All stages of a computation, in the type of its q. `rounded` is applied to what each step
    gives: how half precision computes, where every operation writes its result. `raw` is q · k
    where it is known already."""
    with np.errstate(all="ignore"):
        if raw is None:
            raw = rounded(c.similarity(c.q, c.spread(c.k, c.n_head)))
        x = scores = capped = logits = raw
        for step in c.steps:
            if step is to_weights or getattr(step, "gives_weights", False):
                logits = x
            x = rounded(step(x, c))
            if step is scale:
                scores = capped = x
            if step is cap:
                capped = x
        context = rounded(c.finish(c.combine(x, c.spread(c.v, c.n_head))))
    return Stages(raw, scores, capped, logits, x, context)
