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

SURE = 5.0
"""A weight counts if it is so many times as large as its error may be."""

TINY = 1e-300

LEAST_WEIGHTS = 16

SCATTER = 0.02
"""How far the ratios may scatter around their mean, relative to it, beyond the error of weights."""

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
    sure = np.isfinite(given) & (wanted > max(SURE * error, TINY))
    gone = sure & (np.abs(given) < wanted / 2)
    left = sure & ~gone
    n_dropped, n_kept = int(gone.sum()), int(left.sum())
    if n_dropped + n_kept < LEAST_WEIGHTS or n_kept < LEAST_WEIGHTS / 2:
        return None
    x, y = wanted[left].astype(np.float64), given[left].astype(np.float64)
    ratio = float((x * y).sum() / (x * x).sum())
    size = _rms(x) * ratio
    scatter, leak = _rms(y - ratio * x), _rms(given[gone])
    if max(scatter, leak) > SCATTER * size + error:
        return None
    found = _kind(ratio, UNCHANGED + 3 * error / (_rms(x) * math.sqrt(n_kept)), gone, sure)
    if found is None:
        return None
    kind, rate, ratio = found
    kept = ~(np.isfinite(given) & (wanted > 0) & (np.abs(given) < wanted / 2))
    return Dropout(kind, rate, ratio, n_dropped, n_kept, max(scatter, leak) / size, kept)


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.asarray(x, np.float64) ** 2))) if x.size else 0.0


def _kind(ratio: float, error: float, gone: Bool, sure: Bool) -> tuple[Kind, float, float] | None:
    """The kind, the rate p and the factor, if the ratio, which is known up to an error, and the
    zeros agree. A rate of whole percents is taken for that where it may be."""
    n_dropped, n = int(gone.sum()), int(sure.sum())
    share = n_dropped / n
    if n_dropped and abs(ratio - 1) < error:
        return ("not rescaled", share, 1.0) if _is_random(gone, sure) else None
    if ratio <= 1 + error:
        return None
    rate = 1 - 1 / ratio
    percents = round(rate, 2)
    if 0 < percents < 1 and abs(1 / (1 - percents) - ratio) < error:
        rate, ratio = percents, 1 / (1 - percents)
    if not n_dropped:
        return "rescaled", rate, ratio
    spread = math.sqrt(rate * (1 - rate) / n)
    return ("left on", rate, ratio) if abs(share - rate) <= SIGMAS * spread + 1 / n else None


def _is_random(gone: Bool, sure: Bool) -> bool:
    """Whether the zeros do not follow a rule: no key and no query has lost all of its weights, and
    heads have lost different ones. A mask would."""
    whole = [(gone.sum(axis), sure.sum(axis)) for axis in (-1, -2)]
    if any(((lost == of) & (of > 1)).any() for lost, of in whole):
        return False
    heads = gone.reshape(-1, *gone.shape[-2:])
    return len(heads) == 1 or bool((heads != heads[:1]).any())


def refined(kept: Bool, weights: Array, v: Array, out: Array) -> Bool:
    """Which weights were kept, where single weights cannot be told from outputs, but their sum can:
    those change sides that bring the outputs nearer, one in each row at a time.

    Args:
        kept: a first guess, [n_batch, n_head, n_row, n_k].
        weights: as they are where they are kept, in the same shape.
        v: of each query head, [n_batch, n_head, n_k, d_v].
        out: [n_batch, n_head, n_row, d_v].
    """
    kept = kept.copy()
    squares = (v**2).sum(-1)[:, :, None, :]
    for _ in range(kept.shape[-1]):
        left = out - np.where(kept, weights, 0) @ v
        change = np.where(kept, -weights, weights)
        gain = 2 * change * (left @ v.swapaxes(-1, -2)) - change**2 * squares
        best = gain.argmax(-1)[..., None]
        better = np.take_along_axis(gain, best, -1) > 0
        if not better.any():
            break
        flipped = np.take_along_axis(kept, best, -1) ^ better
        np.put_along_axis(kept, best, flipped, -1)
    return kept
