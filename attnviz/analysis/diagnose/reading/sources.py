"""Where the q, k and v of a dump come from: its own, one fused array, a projection, a cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.case import GIVEN, Request
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.trace.dump import SAVE, Dump

USUAL_WIDTHS = (64, 128, 32, 96, 80, 256, 16, 48, 8)
"""Widths of a head, the commonest first, where heads lie side by side and nothing says how many."""
MAX_HEADS = 5

TOKENS_FIRST = ("b n h d", "n b h d")


@dataclass(frozen=True, eq=False)
class Source:
    """q, k and v as they stand, with axes that are still to be found out."""

    q: Array
    k: Array
    v: Array
    patterns: tuple[str, ...] = ()
    """The only ones that the axes of q may have; empty: what its number of axes allows."""
    reading: tuple[str, ...] = ()
    rank: int = 0
    fused: Array | None = None
    """What a fused projection gave, with its heads side by side, [..., width]."""
    is_rotated: bool = True
    """Whether q and k are as they enter q · k; else they are still to be rotated."""


def scalar(dump: Dump, role: str) -> Any:
    """A single number of the dump; None if it has none."""
    x = dump.arrays.get(role)
    return None if x is None or x.size != 1 else x.reshape(-1)[0].item()


def squeezed(x: Array) -> Array:
    """Without axes of size 1 in front of four.

    x [1, ..., a, b, c, d] -> [a, b, c, d].
    """
    while x.ndim > 4 and len(x) == 1:
        x = x[0]
    return x


def sources(dump: Dump, request: Request) -> list[Source]:
    """Every way to q, k and v that the dump has, likeliest first.

    Raises:
        AttnvizError: there is none, or nothing to compare with.
    """
    arrays = dump.arrays
    k, v = arrays.get("k"), arrays.get("v")
    found: list[Source] = []
    if "kv" in arrays:
        k, v = _pair(dump)
    if "q_pre" in arrays and "k_pre" in arrays:
        found.append(_unrotated(dump, v))
    elif "q" in arrays and k is not None:
        found.append(_plain(arrays["q"], k, v))
    elif "qkv" in arrays:
        found += _fused(dump, request, arrays["qkv"], dump.described("qkv"))
    elif "x" in arrays and "w_qkv" in arrays:
        found += _fused(dump, request, projected(dump), dump.described("x", "w_qkv"))
    _check_roles(dump, bool(found))
    return found


def _check_roles(dump: Dump, has_source: bool) -> None:
    """Raise AttnvizError where what attention needs is not there."""
    given = [stage for stage in GIVEN if stage in dump.arrays]
    if not has_source:
        missing = [role for role in ("q", "k") if role not in dump.arrays]
        raise AttnvizError(
            f"{dump.where}: there is no {' and no '.join(missing)}: it holds {dump.described()}",
            f"what attention was computed from is needed, too: {SAVE}",
        )
    check_given(dump)
    holds_v = {"v", "kv", "qkv", "w_qkv"} & dump.arrays.keys()
    if not holds_v and given == ["context"]:
        raise AttnvizError(
            f"{dump.where}: there is no v, which the output is made of: {dump.described()}",
            f"save it, too: {SAVE}",
        )


def check_given(dump: Dump) -> None:
    """Raise AttnvizError where there is nothing to compare."""
    if not any(stage in dump.arrays for stage in GIVEN):
        raise AttnvizError(
            f"{dump.where}: beside {dump.described()} there is no output and no weights to compare",
            f"save what your attention gave: {SAVE}",
        )


def _plain(q: Array, k: Array, v: Array | None) -> Source:
    """Without v only weights are looked at."""
    if v is None:
        said = (say("there is no v: only what comes before the output is compared"),)
        return Source(squeezed(q), squeezed(k), squeezed(np.zeros_like(k)), reading=said)
    return Source(squeezed(q), squeezed(k), squeezed(v))


def _unrotated(dump: Dump, v: Array | None) -> Source:
    found = _plain(dump.arrays["q_pre"], dump.arrays["k_pre"], v)
    return replace(found, is_rotated=False)


def _pair(dump: Dump) -> tuple[Array, Array]:
    """k and v of one array that has an axis of 2 for them."""
    x = dump.arrays["kv"]
    places = [axis for axis in (2, 0, 1, 3) if axis < x.ndim - 1 and x.shape[axis] == 2]
    if not places:
        raise AttnvizError(
            f"{dump.where}: {dump.described('kv')}; expected one axis of 2, for k and v", SAVE
        )
    k, v = np.moveaxis(x, places[0], 0)
    return k, v


def projected(dump: Dump) -> Array:
    """x times the weight of the fused projection, [..., width], in float64."""
    x, weight = dump.arrays["x"], dump.arrays["w_qkv"]
    matrix = weight_of(x, weight)
    if matrix is None:
        raise AttnvizError(
            f"{dump.where}: {dump.described('x', 'w_qkv')}: the weight takes no width of "
            f"{x.shape[-1]}",
            "it is [d_model, width], or [width, d_model] as of torch.nn.Linear",
        )
    return np.asarray(x, np.float64) @ matrix


def weight_of(x: Array, weight: Array) -> Array | None:
    """A weight as [d_model, width], whichever way round it is stored; None if neither fits."""
    if weight.ndim == 2 and weight.shape[0] == x.shape[-1]:
        return np.asarray(weight, np.float64)
    if weight.ndim == 2 and weight.shape[1] == x.shape[-1]:
        return np.asarray(weight.T, np.float64)
    return None


def head_counts(dump: Dump, request: Request, width: int, k_width: int) -> list[int]:
    """How many heads may lie side by side in a width of q, beside that of k."""
    said = request.n_head or scalar(dump, "n_head")
    if said:
        return [int(said)]
    for stage in ("weights", "scores", "logits", "context"):
        x = dump.arrays.get(stage)
        if x is not None and x.ndim == 4:
            axes = (1,) if stage != "context" else (1, 2)
            found = [x.shape[axis] for axis in axes if width % x.shape[axis] == 0]
            if found:
                return found
    common = math.gcd(width, k_width)
    divisors = [d for d in range(common, 1, -1) if common % d == 0]
    widths = [d for d in USUAL_WIDTHS if d in divisors and d < width]
    one = [1] if width == k_width else []
    rest = [d for d in divisors if d not in widths and d < width]
    return [*one, *(width // d for d in (*widths, *rest)[:MAX_HEADS])] or [1]


# one array for q, k and v


def _fused(dump: Dump, request: Request, x: Array, name: str) -> Iterator[Source]:
    """The parts of an array that holds q, k and v, in every order that its shape allows."""
    stacked = list(_stacked(x))
    if stacked:
        yield from stacked
        return
    made = list(_side_by_side(dump, request, x))
    if not made:
        raise AttnvizError(
            f"{dump.where}: {name}: its last axis is not divided into q, k and v",
            "say how many heads there are: --heads N; or save n_head and n_kv_head",
        )
    yield from made


def _stacked(x: Array) -> Iterator[Source]:
    """Of [3, b, h, n, d], [b, n, 3, h, d] and their like."""
    x = x[0] if x.ndim > 5 and len(x) == 1 else x
    for rank, axis in enumerate(axis for axis in (0, 2, 3, 1) if axis < x.ndim - 1):
        if x.shape[axis] != 3 or x.ndim < 3:
            continue
        q, k, v = np.moveaxis(x, axis, 0)
        patterns = TOKENS_FIRST if axis in (2, 3) and x.ndim == 5 else ()
        said = say("axis {axis} of {shape} counts q, k and v", axis=axis, shape=str(list(x.shape)))
        yield Source(q, k, v, patterns, (said,), rank)


def _side_by_side(dump: Dump, request: Request, x: Array) -> Iterator[Source]:
    """Of [b, n, width]: [Q|K|V], or q, k and v of one head (or group of heads) after another."""
    if x.ndim not in (2, 3):
        return
    width = x.shape[-1]
    patterns = TOKENS_FIRST if x.ndim == 3 else ("n h d",)
    known = request.n_head or scalar(dump, "n_head")
    if width % 3 and not known:
        return
    for number, n_head in enumerate(head_counts(dump, request, width // 3, width // 3)):
        for n_kv_head in _groups(dump, n_head, width):
            d = width // (n_head + 2 * n_kv_head)
            for rank, (words, parts) in enumerate(_orders(x, n_head, n_kv_head, d)):
                q, k, v = (part.reshape(*x.shape[:-1], -1, d) for part in parts)
                yield Source(q, k, v, patterns, (words,), rank + min(number, 3), x)


def _groups(dump: Dump, n_head: int, width: int) -> list[int]:
    """How many key/value heads a fused width may have beside so many heads."""
    said = scalar(dump, "n_kv_head")
    all_ = [int(said)] if said else [n_head, *(g for g in range(1, n_head) if n_head % g == 0)]
    fitting = [g for g in all_ if g > 0 == n_head % g and width % (n_head + 2 * g) == 0]
    if said or n_head not in fitting:
        return fitting
    return [n_head]


def _orders(
    x: Array, n_head: int, n_kv_head: int, d: int
) -> Iterator[tuple[str, tuple[Array, Array, Array]]]:
    ends = (n_head * d, (n_head + n_kv_head) * d)
    thirds = x[..., : ends[0]], x[..., ends[0] : ends[1]], x[..., ends[1] :]
    yield say("the width of {width} is [Q | K | V]", width=x.shape[-1]), thirds
    if n_head == 1:
        return
    per_group = n_head // n_kv_head
    grouped = x.reshape(*x.shape[:-1], n_kv_head, per_group + 2, d)
    words = (
        say("the width of {width} is [q k v] of one head after another", width=x.shape[-1])
        if per_group == 1
        else say(
            "the width of {width} is [q … q k v] of one group of heads after another",
            width=x.shape[-1],
        )
    )
    yield words, (grouped[..., :-2, :], grouped[..., -2, :], grouped[..., -1, :])
