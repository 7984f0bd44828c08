"""Rotated queries and keys made anew: in another way, or from other projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.facts import Rotary
from attnviz.nn.positions import frequencies, rotate
from attnviz.nn.types import Array


def angular(rotary: Rotary, d_k: int) -> Array:
    """Radians a position of each pair of features, [d_rotary / 2], float64."""
    if rotary.frequencies is not None:
        return np.asarray(rotary.frequencies, np.float64)
    return frequencies(rotary.width or d_k, rotary.base)


def angles_at(positions: Array, rotary: Rotary, d_k: int) -> Array:
    """[n, d_rotary / 2], or [n_batch, 1, n, d_rotary / 2] where items have their own positions."""
    at = np.asarray(positions)
    angles = at[..., None] * angular(rotary, d_k)
    return np.asarray(angles[:, None] if at.ndim > 1 else angles)


QUIET = np.errstate(invalid="ignore", over="ignore", divide="ignore")
"""A dump may hold NaN and infinity."""


@QUIET
def rotated(x: Array, positions: Array, rotary: Rotary) -> Array:
    """x [n_batch, n_head, n, d_k] rotated at positions [n] or [n_batch, n]."""
    angles = angles_at(positions, rotary, x.shape[-1])
    cos, sin = rotary.gain * np.cos(angles), rotary.gain * np.sin(angles)
    return rotate(x, cos.astype(x.dtype), sin.astype(x.dtype), rotary.style)


def projections(c: Computation) -> dict[str, Array]:
    """q, k and v as they come out of their projections: before they are rotated, if that is
    known.

    -> [n_batch, heads, n, d] each.
    """
    rotary = c.facts.rotary
    q, k = (c.q, c.k) if rotary is None else (rotary.q, rotary.k)
    return {"q": q, "k": k, "v": c.v}


def with_projections(c: Computation, new: Mapping[str, Array]) -> Computation:
    """With other arrays in the place of these, rotated if those that are wanted are.

    new: [n_batch, heads, n, d] each.
    """
    rotary = c.facts.rotary
    if rotary is None:
        return replace(c, **_fields(new))
    rotary = replace(rotary, **_fields({role: new[role] for role in "qk" if role in new}))
    made = {role: x for role, x in new.items() if role == "v"}
    for role, at in (("q", rotary.q_positions), ("k", rotary.k_positions)):
        if role in new:
            made[role] = rotated(new[role], at, rotary)
    return replace(c, **_fields(made), facts=replace(c.facts, rotary=rotary))


def _fields(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return dict(arrays)


Rotate = Callable[[Array, Array, Rotary], Array]


def again(
    c: Computation,
    q: Mapping[str, Any] | Rotate | None = None,
    k: Mapping[str, Any] | Rotate | None = None,
) -> Computation:
    """With q or k rotated in another way: fields of `Rotary` (`positions` for either's own), or a
    function in the place of `rotated`. None: as it is wanted."""
    rotary = c.facts.rotary
    assert rotary is not None
    made = {}
    for role, how in (("q", q), ("k", k)):
        if how is None:
            continue
        x, at = getattr(rotary, role), getattr(rotary, f"{role}_positions")
        if callable(how):
            made[role] = how(x, at, rotary)
        else:
            fields = dict(how)
            at = fields.pop("positions", at)
            made[role] = rotated(x, at, replace(rotary, **fields))
    return replace(c, **_fields(made))


def with_base(c: Computation, base: float) -> Computation:
    """Rotated with another base, without any scaling."""
    how = {"base": base, "frequencies": None}
    return again(c, how, how)
