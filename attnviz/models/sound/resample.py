"""A sound at another rate, without what that rate cannot hold."""

from __future__ import annotations

import math

import numpy as np

from attnviz.nn.types import Array

N_ZERO, BETA, ROLLOFF = 64, 14.769656459379492, 0.9475937167399596
"""Zero crossings on each side of the sinc, Kaiser's parameter, and the share of the band that is
kept: resampy's `kaiser_best`."""


def resample(samples: Array, old: int, new: int) -> Array:
    """By a windowed sinc, from the rate `old` to `new`: [n] -> [ceil(n · new / old)], float32.

    Source: Smith, Digital Audio Resampling, 2002.
    """
    if old == new:
        return samples.astype(np.float32)
    shared = math.gcd(old, new)
    n_phase, step = new // shared, old // shared  # output i lies at i · step / n_phase
    cutoff = min(1.0, new / old) * ROLLOFF
    reach = math.ceil(N_ZERO / cutoff)
    result = np.empty(-(-len(samples) * new // old), np.float32)
    wide = np.pad(samples.astype(np.float64), (reach, reach + step))
    around = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1)
    for phase in range(min(n_phase, len(result))):
        before, rest = divmod(phase * step, n_phase)
        places = result[phase::n_phase]
        taps = _taps(np.arange(-reach, reach + 1) - rest / n_phase, cutoff, reach)
        places[:] = around[before::step][: len(places)] @ taps
    return result


def _taps(distances: Array, cutoff: float, reach: int) -> Array:
    """The weights of samples at these distances, [n]; they sum to 1, so that a constant stays."""
    inside = np.clip(1 - (distances / (reach + 1)) ** 2, 0, None)
    taps = np.sinc(distances * cutoff) * np.i0(BETA * np.sqrt(inside))
    return np.asarray(taps / taps.sum())
