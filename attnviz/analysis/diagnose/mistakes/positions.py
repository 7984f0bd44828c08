"""Queries and keys rotated wrongly, or a bias by distance that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
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


def turned(x: Array, positions: Array, rotary: Rotary) -> Array:
    """x [n_batch, n_head, n, d_k] rotated at positions [n] or [n_batch, n]."""
    at = np.asarray(positions)
    angles = at[..., None] * angular(rotary, x.shape[-1])
    if at.ndim > 1:
        angles = angles[:, None]
    cos, sin = rotary.gain * np.cos(angles), rotary.gain * np.sin(angles)
    return rotate(x, cos.astype(x.dtype), sin.astype(x.dtype), rotary.style)


def projections(c: Computation) -> dict[str, Array]:
    """q, k and v as they come out of their projections: before they are rotated, if that is
    known."""
    rotary = c.facts.rotary
    q, k = (c.q, c.k) if rotary is None else (rotary.q, rotary.k)
    return {"q": q, "k": k, "v": c.v}


def with_projections(c: Computation, new: Mapping[str, Array]) -> Computation:
    """With other arrays in the place of these, rotated if those that are wanted are."""
    rotary = c.facts.rotary
    made: dict[str, Any] = dict(new)
    if rotary is not None:
        for role, positions in (("q", rotary.q_positions), ("k", rotary.k_positions)):
            if role in made:
                made[role] = turned(made[role], positions, rotary)
    return replace(c, **made)
