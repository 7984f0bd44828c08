"""From the average over kernel regression to attention."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_size, largest_difference, prose
from attnviz.nn.attention import attend
from attnviz.nn.kernels import KERNELS, Kernel, constant, gaussian, regression_weights
from attnviz.nn.scores import gaussian as gaussian_score
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.views.kinds import Axis, Curves, Heatmap, Scale, Table, Value, View

TITLE = "Pooling: from an average to attention"
QUESTION = "How does a plain average become attention?"
INTUITION = (
    "Forty weather stations report the temperature; how warm is it where you are? The plain "
    "average of all stations is a first guess. A better one lets near stations count more. That "
    "is attention: your place is the query, the places of the stations are the keys, their "
    "reports are the values. A kernel turns distances into weights; the softmax does the same."
)
AFTER = "heads"
GROUP = "deeper"
ALSO = ("average", "kernel", "kernel-regression", "nadaraya-watson", "regression")

END, STEP = 5.0, 0.1
"""Keys lie between 0 and END, and so do queries, a STEP from one to the next."""
WIDTHS = (0.1, 0.2, 0.5, 1.0)
ROW_STEP = 5
"""One query in so many is a row of the picture."""
WIDEST = 1e6
"""A width beside which all distances are negligible."""
EXACT, TOLERANCE = 1e-9, 1e-6
APART = 1e-3

AVERAGES = (4.5, 14.5)
"""Of 0 … 9 and 10 … 19. Source: Zhang et al., Dive into Deep Learning, average pooling."""


class Points(NamedTuple):
    """Noisy values at known points, as in Dive into Deep Learning, section 11.2."""

    keys: Array
    """[n]: the points, in order."""
    values: Array
    """[n]: what was measured there."""
    queries: Array
    """[n_q]: where a value is asked for."""
    truth: Array
    """[n_q]: the value that a measurement without noise would give."""


def lesson(
    *, n: int = 40, width: float = 0.5, noise: float = 1.0, d_k: int = 4, seed: int = 0
) -> Lesson:
    """What value stands where nobody has measured?"""
    check_size("n", n, 10, 200)
    check_size("width", width, 0.1, 10)
    check_size("noise", noise, 0, 10)
    check_size("d_k", d_k, 1, 256)
    points = _draw(n, noise, seed)
    views: tuple[View, ...] = (
        _curves(points, width),
        _weights_map(points, width),
        _errors(points, width),
        prose(
            say(
                "Attention does the same with vectors in place of points. The weights of a "
                "Gaussian kernel are the softmax of -‖q - k‖² / 2σ². Multiplied out, that is "
                "q·k / σ² - ‖k‖² / 2σ², plus a number that is the same for every key and cancels. "
                "If all keys have the same norm, only q·k / σ² is left: the scaled dot product, "
                "with σ² = √d_k."
            ),
        ),
    )
    claims = (
        _softmax_claim(points, width),
        _dot_claim(n, d_k, seed),
        _average_claim(points),
    )
    return Lesson(views, claims)


def truth(x: Array) -> Array:
    return np.asarray(2 * np.sin(x) + x)


def _draw(n: int, noise: float, seed: int) -> Points:
    # the squared radius of two normal numbers is exponential, so this is uniform
    pairs = normal((n, 2), seed, "places").astype(np.float64)
    keys = np.sort(END * np.exp(-(pairs * pairs).sum(-1) / 2))
    values = truth(keys) + noise * normal((n,), seed, "noise").astype(np.float64)
    queries = np.arange(0, END, STEP)
    return Points(keys, values, queries, truth(queries))


def _answers(points: Points, kernel: Kernel, width: float) -> Array:
    """[n_q]: the weighted means; NaN where no key is in reach."""
    weights = regression_weights(kernel, points.queries, points.keys, width)
    return np.where(weights.any(-1), weights @ points.values, np.nan)


def _kernels() -> dict[str, Kernel]:
    """By the names that are shown."""
    names = {
        "boxcar": say("boxcar"), "triangle": say("triangle"), "gaussian": say("Gaussian"),
    }  # fmt: skip
    return {names.get(name, name): kernel for name, kernel in KERNELS.items()}


def _curves(points: Points, width: float) -> Curves:
    answers = [(name, _answers(points, kernel, width)) for name, kernel in _kernels().items()]
    return Curves(
        say("the answers to every query, with kernels of width {width:g}", width=width),
        points.queries,
        say("query"),
        (
            (say("truth"), points.truth),
            (say("average"), _answers(points, constant, width)),
            *answers,
        ),
        say("value"),
        notes=(
            say(
                "The values of {n} keys were measured with noise; without it they would be the "
                "truth, 2 sin x + x. The average gives every query the same answer.",
                n=len(points.keys),
            ),
            say(
                "boxcar: the mean of all keys within the width; triangle: the nearer, the more; "
                "Gaussian: all keys, the far ones hardly"
            ),
        ),
    )


def _weights_map(points: Points, width: float) -> Heatmap:
    rows = slice(None, None, ROW_STEP)
    weights = regression_weights(gaussian, points.queries, points.keys, width)[rows]
    return Heatmap(
        say(
            "Gaussian kernel: the weight of each key, for one query in {step}",
            step=ROW_STEP,
        ),
        weights,
        Axis(say("query"), tuple(f"x = {x:.1f}" for x in points.queries[rows])),
        Axis(say("key, by position"), ("",) * len(points.keys)),
        Scale(0, float(weights.max())),
        notes=(say("Read a row: the keys near the query share the weight."),),
        pooling="mass",
    )


def _errors(points: Points, width: float) -> Table:
    widths = sorted({*WIDTHS, width})
    rows: list[tuple[Value, ...]] = []
    unanswered = []
    kernels: dict[str, Kernel] = {say("average"): constant, **_kernels()}
    for name, kernel in kernels.items():
        answers = [_answers(points, kernel, each) for each in widths]
        errors = [float(np.sqrt(np.nanmean((a - points.truth) ** 2))) for a in answers]
        rows.append((name, *errors))
        unanswered += [
            say("{kernel}, width {width:g}: no key in reach of {n} of {all} queries, so no answer",
                kernel=name, width=each, n=int(np.isnan(a).sum()), all=len(a))
            for each, a in zip(widths, answers, strict=True)
            if np.isnan(a).any()
        ]  # fmt: skip
    return Table(
        say("distance from the truth: root mean squared error, by width of the kernel"),
        (say("kernel"), *(f"{each:g}" for each in widths)),
        tuple(rows),
        tuple(unanswered),
        decimals=3,
    )


def _softmax_claim(points: Points, width: float) -> Claim:
    weights = regression_weights(gaussian, points.queries, points.keys, width)
    q, k, v = (x[None, :, None] for x in (points.queries, points.keys, points.values))
    attention = attend(q, k, v, score=partial(gaussian_score, sigma=width))
    apart = largest_difference(attention.weights[0], weights)
    return Claim(
        say("The weights of a Gaussian kernel are a softmax of -(q - k)² / 2σ²: attention"),
        say("weights at most {apart:.1e} apart", apart=apart),
        apart < EXACT,
    )


def _dot_claim(n: int, d_k: int, seed: int) -> Claim:
    """σ² = √d_k makes the factor of q·k that of the scaled dot product."""
    q = normal((1, n, d_k), seed, "q").astype(np.float64)
    k = normal((1, n, d_k), seed, "k").astype(np.float64)
    even = k * np.sqrt(d_k) / np.linalg.norm(k, axis=-1, keepdims=True)
    kernel = partial(gaussian_score, sigma=d_k**0.25)

    def difference(keys: Array) -> float:
        as_kernel, as_dot = (
            attend(q, keys, keys, score=score).weights for score in (kernel, "scaled_dot")
        )
        return largest_difference(as_kernel, as_dot)

    equal, unequal = difference(even), difference(k)
    return Claim(
        say("If all keys have the same norm, the scaled dot product gives these weights; else not"),
        say(
            "same norm: at most {equal:.1e} apart; other norms: {unequal:.2g} (d_k = {d_k})",
            equal=equal, unequal=unequal, d_k=d_k,
        ),
        equal < EXACT and unequal > APART,
    )  # fmt: skip


def _average_claim(points: Points) -> Claim:
    values = np.arange(20.0).reshape(2, 10)
    ones = regression_weights(constant, np.zeros(2), np.arange(10.0), 1)
    first, second = (ones * values).sum(-1)
    wide = _answers(points, gaussian, WIDEST)
    apart = largest_difference(wide, points.values.mean())
    return Claim(
        say("Equal weights give the average, and so does a very wide kernel"),
        say(
            "of 0 to 9: {first:g}, of 10 to 19: {second:g}; with a Gaussian of width {width:g}, "
            "at most {apart:.1e} from the average",
            first=first, second=second, width=WIDEST, apart=apart,
        ),
        bool(np.allclose((first, second), AVERAGES, atol=EXACT)) and apart < TOLERANCE,
    )  # fmt: skip


TRY = (
    Try(
        "attnviz learn pooling:width=0.1",
        "Narrow kernels follow the noise; boxcar and triangle leave some queries unanswered.",
    ),
    Try(
        "attnviz learn pooling:width=10",
        "Wide kernels hardly tell near from far: their answers come close to the average.",
    ),
)
NEXT = ("scores",)
