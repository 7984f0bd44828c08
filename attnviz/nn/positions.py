"""Positions: encodings that are added, rotations of queries and keys, biases of the scores.

Positions are whole numbers [n], counted from 0; they need not start there, nor be consecutive.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array

RopeStyle = Literal["half", "interleaved"]


def frequencies(d: int, base: float = 10000.0) -> Array:
    """ω_i = base^(-2i/d) for i < d/2, [d/2], float64.

    Source: Vaswani et al. 2017, section 3.5; Su et al. 2021, section 3.2.2.
    """
    if d < 2 or d % 2:
        raise AttnvizError(
            f"sines and cosines come in pairs: expected an even width, got {d}", "use an even width"
        )
    if not 0 < base < math.inf:
        raise AttnvizError(
            f"the base of the wavelengths is a number above 0, got {base}", "10000 is usual"
        )
    return base ** (-np.arange(0, d, 2) / d)


def sinusoidal(positions: Array, d_model: int, base: float = 10000.0) -> Array:
    """PE(p, 2i) = sin(p ω_i), PE(p, 2i+1) = cos(p ω_i): [n] -> [n, d_model], float64.

    Source: Vaswani et al. 2017, section 3.5.
    """
    angles = np.asarray(positions)[:, None] * frequencies(d_model, base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(angles), d_model)


def sines_then_cosines(positions: Array, d_model: int, base: float = 10000.0) -> Array:
    """All sin(p ω_i), then all cos(p ω_i), with ω from 1 down to 1 / base; the last of an odd
    number of features is 0: [n] -> [n, d_model], float64.

    ω_i = base^(-i/(n - 1)) for i < n = d_model // 2, so that both ends belong to it.
    Source: tensor2tensor and fairseq, which differ in this from Vaswani et al. 2017.
    """
    n = d_model // 2
    if n < 2:
        raise AttnvizError(
            f"wavelengths between two ends need at least 4 features, got {d_model}", "take 4"
        )
    angles = np.asarray(positions)[:, None] * base ** (-np.arange(n) / (n - 1))
    return np.concatenate(
        [np.sin(angles), np.cos(angles), np.zeros((len(angles), d_model % 2))], axis=-1
    )


def shift_matrix(k: int, d_model: int, base: float = 10000.0) -> Array:
    """The rotation R [d_model, d_model] with R PE(p) = PE(p + k) for every position p.

    Blocks [[cos kω, sin kω], [-sin kω, cos kω]] along the diagonal.
    Source: Vaswani et al. 2017, section 3.5; Zhang et al., Dive into Deep Learning, 11.6.
    """
    angles = k * frequencies(d_model, base)
    even = np.arange(0, d_model, 2)
    matrix = np.zeros((d_model, d_model))
    matrix[even, even] = matrix[even + 1, even + 1] = np.cos(angles)
    matrix[even, even + 1] = np.sin(angles)
    matrix[even + 1, even] = -np.sin(angles)
    return matrix


def shift(encodings: Array, k: int, base: float = 10000.0) -> Array:
    """R(k) PE(p) for each PE(p), [n, d_model] -> the same shape; R as in `shift_matrix`."""
    pairs = encodings.reshape(len(encodings), -1, 2)
    sines, cosines = pairs[..., 0], pairs[..., 1]
    angles = k * frequencies(encodings.shape[-1], base)
    cos, sin = np.cos(angles), np.sin(angles)
    shifted = np.stack([cos * sines + sin * cosines, cos * cosines - sin * sines], axis=-1)
    return shifted.reshape(encodings.shape)


def rope_angles(positions: Array, d_rotary: int, base: float = 10000.0) -> Array:
    """The angle p ω_i of each pair: [n] -> [n, d_rotary/2], float64 (bfloat16 would round p)."""
    return np.asarray(positions)[:, None] * frequencies(d_rotary, base)


def rotate(x: Array, cos: Array, sin: Array, style: RopeStyle = "half") -> Array:
    """Rotate pairs of features by angles: x [n, d], cos and sin [n, d_rotary/2] -> [n, d].

    `interleaved` pairs (2i, 2i+1), as Su et al. and GPT-J do; `half` pairs (i, i + d_rotary/2),
    as GPT-NeoX and Hugging Face do. Features from d_rotary on pass through.
    """
    d_rotary = 2 * cos.shape[-1]
    if d_rotary > x.shape[-1]:
        raise AttnvizError(
            f"{d_rotary} rotary features, but the vectors have {x.shape[-1]}",
            "fewer rotary features",
        )
    half = d_rotary // 2
    one, other = slice(0, half), slice(half, d_rotary)
    if rope_style(style) == "interleaved":
        one, other = slice(0, d_rotary, 2), slice(1, d_rotary, 2)
    first, second = x[..., one], x[..., other]
    rotated = np.empty_like(x)
    rotated[..., one] = first * cos - second * sin
    rotated[..., other] = second * cos + first * sin
    rotated[..., d_rotary:] = x[..., d_rotary:]
    return rotated


def rope(
    x: Array,
    positions: Array,
    *,
    base: float = 10000.0,
    style: RopeStyle = "half",
    fraction: float = 1.0,
    offset: int = 0,
) -> Array:
    """Rotary position embedding of queries or keys: x [n_head, n, d] -> [n_head, n, d].

    Only the first `fraction` of the features rotates; `offset` is added to the positions.
    The dot product of two results depends on the difference of their positions only.
    Source: Su et al. 2021, section 3.2.2.
    """
    angles = rope_angles(np.asarray(positions) + offset, rotary_width(x.shape[-1], fraction), base)
    return rotate(x, np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype), style)


def rope_style(name: str) -> RopeStyle:
    """`name` itself, if it is one of the two styles."""
    if name == "half":
        return "half"
    if name == "interleaved":
        return "interleaved"
    raise AttnvizError(f"unknown rotary style: {name!r}", "known: half, interleaved")


def rotary_width(d: int, fraction: float) -> int:
    """How many of d features rotate: an even number."""
    if not 0 < fraction <= 1:
        raise AttnvizError(
            f"the rotary fraction lies in (0, 1]; got {fraction}", "1 rotates all features"
        )
    return 2 * (int(d * fraction) // 2)


def alibi_slopes(n_head: int) -> Array:
    """One slope m_h for each head, [n_head]: 2^(-8(h+1)/n) for n a power of two.

    Otherwise those of the next lower power of two, then every second one of the next higher.
    Source: Press et al. 2022, section 3, and its reference code.
    """
    power = 2 ** int(math.log2(n_head))
    slopes = _geometric(power)
    if power < n_head:
        slopes = np.concatenate([slopes, _geometric(2 * power)[::2][: n_head - power]])
    return slopes


def _geometric(n: int) -> Array:
    return np.asarray(2.0 ** (-8 * np.arange(1, n + 1) / n))


def alibi(q_pos: Array, k_pos: Array, n_head: int) -> Array:
    """The bias -m_h · |q_pos - k_pos|, [n_head, n_q, n_k], float64."""
    distance: Array = np.abs(q_pos[:, None] - k_pos)
    return -alibi_slopes(n_head)[:, None, None] * distance


def check_t5_buckets(n_bucket: int, max_distance: int, bidirectional: bool) -> None:
    """Raise AttnvizError unless each direction has a bucket for distance 0, one for larger ones,
    and a maximum beyond the distances that have a bucket each."""
    minimum = 4 if bidirectional else 2
    if n_bucket < minimum:
        both = " in each direction" if bidirectional else ""
        raise AttnvizError(
            f"T5's positions need at least 2 buckets{both}, got {n_bucket} in all",
            f"at least {minimum} buckets",
        )
    exact = n_bucket // minimum
    if max_distance <= exact:
        raise AttnvizError(
            f"T5's maximum distance must be above {exact}, up to which each distance has a bucket "
            f"of its own; got {max_distance}",
            "a larger distance, or fewer buckets",
        )


def t5_buckets(
    q_pos: Array,
    k_pos: Array,
    n_bucket: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Array:
    """The bucket of each relative position, whole numbers [n_q, n_k] below n_bucket.

    Near distances have a bucket each, far ones share buckets of growing width; with
    `bidirectional`, keys after the query use the upper half. Source: Raffel et al. 2020,
    section 2.1, and its code (float32, which decides the edges 16, 32, 64).
    """
    check_t5_buckets(n_bucket, max_distance, bidirectional)
    relative = k_pos - q_pos[:, None]
    first = np.zeros(relative.shape, np.int64)
    if bidirectional:
        n_bucket //= 2
        first += np.where(relative > 0, n_bucket, 0)
        distance = np.abs(relative)
    else:
        distance = np.maximum(-relative, 0)
    exact = n_bucket // 2
    ratio = np.maximum(distance, 1).astype(np.float32) / np.float32(exact)
    growth = np.log(ratio) / np.float32(math.log(max_distance / exact))
    far = exact + (growth * np.float32(n_bucket - exact)).astype(np.int64)
    bucket: Array = np.where(distance < exact, distance, np.minimum(far, n_bucket - 1))
    return first + bucket


def t5_bias(table: Array, buckets: Array) -> Array:
    """Learned biases by bucket: table [n_bucket, n_head], buckets [n_q, n_k] -> [n_head, …]."""
    return np.moveaxis(table[buckets], -1, 0)


def log_buckets(distances: Array, n_bucket: int, max_distance: int) -> Array:
    """The bucket of each distance q_pos - k_pos, whole numbers [n] of the distances' sign: those up
    to n_bucket/2 have a bucket each, farther ones share buckets that grow with their logarithm, up
    to n_bucket - 1 at max_distance - 1 and on from there.

    Source: He et al. 2021 (DeBERTaV3's code; float32, which decides the edges).
    """
    middle = n_bucket // 2
    far = np.maximum(np.abs(distances), max(middle, 1)).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log(far / np.float32(middle))
        growth /= np.log(np.float32((max_distance - 1) / middle))
        shared = np.ceil(growth * np.float32(middle - 1)) + np.float32(middle)
    bucket = np.where(np.abs(distances) <= middle, distances, shared * np.sign(distances))
    return np.asarray(bucket.astype(np.int64))
