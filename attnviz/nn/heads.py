"""The axes of heads: split, merged, shared; and whether q, k and v fit together."""

from __future__ import annotations

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array


def repeat_heads(x: Array, n_head: int) -> Array:
    """[n_kv_head, n, d] -> [n_head, n, d]: consecutive query heads share one key/value head."""
    if x.shape[-3] == n_head:
        return x
    return np.repeat(x, n_head // x.shape[-3], axis=-3)


def split_heads(x: Array, n_head: int) -> Array:
    """[n, n_head·d] -> [n_head, n, d]."""
    n, width = x.shape[-2:]
    if n_head < 1 or width % n_head:
        raise AttnvizError(
            f"{n_head} heads do not divide the width {width}",
            f"numbers of heads that do: {', '.join(map(str, _divisors(width)))}",
        )
    return x.reshape(*x.shape[:-2], n, n_head, width // n_head).swapaxes(-3, -2)


def merge_heads(x: Array) -> Array:
    """[n_head, n, d] -> [n, n_head·d]."""
    n_head, n, d = x.shape[-3:]
    return x.swapaxes(-3, -2).reshape(*x.shape[:-3], n, n_head * d)


def check_shapes(q: Array, k: Array, v: Array) -> None:
    """Raise AttnvizError, with axes, expected and got, unless q, k and v fit together.

    q [n_head, n_q, d_q], k [n_kv_head, n_k, d_k], v [n_kv_head, n_k, d_v], any leading axes.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.ndim < 3:
            raise AttnvizError(
                f"{name} has the shape {list(x.shape)}; expected [n_head, n, d]",
                "a single head has an axis of its own too: q[None]",
            )
    if not q.shape[:-3] == k.shape[:-3] == v.shape[:-3]:
        raise AttnvizError(
            "the leading axes of q, k and v differ: "
            f"{list(q.shape[:-3])}, {list(k.shape[:-3])} and {list(v.shape[:-3])}",
            "they are one batch: broadcast them first",
        )
    if k.shape[-2] != v.shape[-2]:
        raise AttnvizError(
            f"k has n_k = {k.shape[-2]} keys and v has {v.shape[-2]} values", "one value a key"
        )
    n_head, n_kv_head = q.shape[-3], k.shape[-3]
    if n_kv_head != v.shape[-3]:
        raise AttnvizError(
            f"k has n_kv_head = {n_kv_head} and v has {v.shape[-3]}", "one value head a key head"
        )
    if n_kv_head == 0 or n_head % n_kv_head:
        raise AttnvizError(
            f"n_head = {n_head} of q is not a multiple of n_kv_head = {n_kv_head} of k and v",
            "each key/value head serves the same number of query heads",
        )


def check_broadcast(name: str, x: Array, shape: tuple[int, ...]) -> None:
    """Raise AttnvizError unless x broadcasts to the shape [..., n_head, n_q, n_k]."""
    own = (1,) * (len(shape) - x.ndim) + x.shape
    if len(own) != len(shape) or any(n not in (1, m) for n, m in zip(own, shape, strict=True)):
        raise AttnvizError(
            f"the {name} has the shape {list(x.shape)}; "
            f"expected one that broadcasts to [..., n_head, n_q, n_k] = {list(shape)}",
            "an axis of size 1 stands for any size",
        )


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
