"""Dropout that was left on: weights of which some are 0 and all others too large by one factor.

No hypothesis can know which weights fell out, but the weights themselves show it: every weight is
either 0 or 1/(1-p) times the reference's, so that p can be read off (pytorch#27968).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attnviz.nn.types import Array, Bool

SURE = 20.0
"""A weight counts if it is so many times as large as its error."""

LEAST_WEIGHTS = 16

SCATTER = 0.02
"""How far the ratios may scatter around their mean, relative to it; half precision needs that."""

SIGMAS = 5.0
"""How far the share of zeros may be from p, in standard deviations."""

UNCHANGED = 1e-3
"""A ratio nearer to 1 is 1."""

Kind = Literal["left on", "not rescaled", "rescaled"]
"""`left on`: zeros, and the others divided by 1 - p. `not rescaled`: zeros, and the others as they
are. `rescaled`: no zeros, but everything divided by 1 - p, as if there were."""


@dataclass(frozen=True, eq=False)
class Dropout:
    """What the ratios of weights to the reference's say."""

    kind: Kind
    rate: float
    """p, from the ratio; of `not rescaled` the share of zeros."""
    ratio: float
    """What the weights that are left are multiplied by."""
    n_dropped: int
    n_kept: int
    scatter: float
    """The rms of what is left, relative to the weights: 0 if every ratio is exactly the same."""
    kept: Bool
    """In the shape of the weights: False where one fell out. True where that cannot be told, as
    of a weight that is 0 anyway."""


def dropout(wanted: Array, given: Array, error: float = 0.0) -> Dropout | None:
    """What dropout has made of weights, if that is what has happened; None if not.

    Args:
        wanted: the reference's weights, [..., n_q, n_k].
        given: the weights that were found, in the same shape; NaN where they are not known.
        error: how far `given` may be off in each cell.
    """
    sure = np.isfinite(given) & (wanted > max(SURE * error, np.finfo(np.float64).tiny))
    gone = sure & (np.abs(given) < wanted / 2)
    left = sure & ~gone
    n_dropped, n_kept = int(gone.sum()), int(left.sum())
    if n_dropped + n_kept < LEAST_WEIGHTS or n_kept < LEAST_WEIGHTS / 2:
        return None
    x, y = wanted[left].astype(np.float64), given[left].astype(np.float64)
    ratio = float((x * y).sum() / (x * x).sum())
    size = float(np.sqrt((x * x).sum())) * ratio
    scatter = float(np.sqrt(((y - ratio * x) ** 2).sum())) / size
    leak = float(np.sqrt((given[gone].astype(np.float64) ** 2).sum())) / size
    if max(scatter, leak) > SCATTER:
        return None
    found = _kind(ratio, gone, sure)
    if found is None:
        return None
    kept = ~(np.isfinite(given) & (wanted > 0) & (np.abs(given) < wanted / 2))
    return Dropout(*found, ratio, n_dropped, n_kept, max(scatter, leak), kept)


def _kind(ratio: float, gone: Bool, sure: Bool) -> tuple[Kind, float] | None:
    """The kind and the rate p, if the ratio and the zeros agree."""
    n_dropped, n = int(gone.sum()), int(sure.sum())
    share = n_dropped / n
    if not n_dropped:
        return ("rescaled", 1 - 1 / ratio) if ratio > 1 + UNCHANGED else None
    if abs(ratio - 1) < UNCHANGED:
        return ("not rescaled", share) if _is_random(gone, sure) else None
    rate = 1 - 1 / ratio
    if not 0 < rate < 1:
        return None
    spread = math.sqrt(rate * (1 - rate) / n)
    return ("left on", rate) if abs(share - rate) <= SIGMAS * spread + 1 / n else None


def _is_random(gone: Bool, sure: Bool) -> bool:
    """Whether the zeros do not follow a rule: no key and no query has lost all of its weights, and
    heads have lost different ones. A mask would."""
    whole = [(gone.sum(axis), sure.sum(axis)) for axis in (-1, -2)]
    if any(((lost == of) & (of > 1)).any() for lost, of in whole):
        return False
    heads = gone.reshape(-1, *gone.shape[-2:])
    return len(heads) == 1 or bool((heads != heads[:1]).any())
