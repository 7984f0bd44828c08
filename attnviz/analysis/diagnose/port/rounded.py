"""The parts of a model in another precision: how far rounding takes its stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from attnviz.nn.linear import Linear, linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm, RMSNorm
from attnviz.nn.transformer import Sublayer
from attnviz.nn.types import Array
from attnviz.nn.weights import LazyWeight, Weight

Round = Callable[[Array], Array]
"""What writing numbers in a narrow type does to them."""

P = TypeVar("P")


def in_float64(part: P) -> P:
    """The same part with all its arrays in float64."""

    def change(x: Any) -> Any:
        if isinstance(x, LazyWeight):
            x = np.asarray(x)
        return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

    changed: P = _rebuilt(part, change)
    return changed


def in_half(part: P, rounds: Round) -> P:
    """The same part as half precision computes it: every map, norm, score and residual sum is
    rounded."""

    def change(x: Any) -> Any:
        if isinstance(x, Linear):
            return _RoundedLinear(x.weight, x.bias, rounds)
        if isinstance(x, LayerNorm | RMSNorm):
            return _Rounded(x, rounds)
        if isinstance(x, MultiHeadAttention):
            inner = x._replace(score=_RoundedScore(x.score, rounds))
            return type(x)(*(_rebuilt(each, change) for each in inner))
        if isinstance(x, Sublayer):
            after = _Rounded(_rebuilt(x.after, change) if x.after else _same, rounds)
            f, before, within, _ = (_rebuilt(each, change) for each in x)
            return type(x)(f, before, within, after)
        return x

    changed: P = _rebuilt(part, change)
    return changed


def _rebuilt(part: Any, change: Callable[[Any], Any]) -> Any:
    """A part and all parts within it, changed from the outside in."""
    changed = change(part)
    if changed is not part or not isinstance(part, tuple):
        return changed
    items = [_rebuilt(each, change) for each in part]
    return type(part)(*items) if hasattr(part, "_fields") else tuple(items)


def _same(x: Array) -> Array:
    return x


class _Rounded(NamedTuple):
    """A norm, or a sum, whose result is rounded."""

    f: Any
    rounds: Round

    def __call__(self, x: Array) -> Array:
        return self.rounds(self.f(x))


class _RoundedScore:
    """Scores that are rounded before they are scaled, as a product of matrices is."""

    def __init__(self, score: Callable[..., Array], rounds: Round) -> None:
        self._score, self._rounds = score, rounds

    def __call__(self, q: Array, k: Array, **options: Any) -> Array:
        return self._rounds(self._score(q, k, **options))


class _RoundedLinear(NamedTuple):
    weight: Weight
    bias: Array | None
    rounds: Round

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        bias = None if self.bias is None else self.rounds(self.bias)
        return self.rounds(linear(x, self.rounds(np.asarray(self.weight)), bias, out))
