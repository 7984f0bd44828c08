"""What it costs to give every token its context, by attention, recurrence and convolution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnviz.analysis.cost import LAYERS, Sizes
from attnviz.errors import AttnvizError
from attnviz.lessons import Claim, Lesson
from attnviz.lessons.cost_layers import Growth, count_attention, measure, seen
from attnviz.lessons.language import Say
from attnviz.lessons.sizes import check_size
from attnviz.lessons.words import prose
from attnviz.views.kinds import Curves, Table, Value

TITLE = "Cost: what it takes to look at every token"

NEAR_COUNT = 0.1
"""Of a counted exponent: restricted attention has fewer neighbours at the ends of a text."""
NEAR_TIME = 0.35
"""Of a timed exponent: far enough for a clock, too near for another whole number."""

WIDTH = 32
"""At which projections and scores are counted."""
LOOKED_THROUGH = ("restricted", "contiguous", "dilated")
FEW_LAYERS = 4
MIDDLE = 101
"""Tokens of the text whose middle is looked at."""


def lesson(say: Say, *, n: int = 512, d: int = 512, k: int = 3, r: int = 64) -> Lesson:
    """What do the layers cost that let a token see others, and how far does it see?"""
    sizes = Sizes(n, d, k, r)
    _check(sizes)
    grown = {name: measure(name) for name in LAYERS}
    reach = _reach(sizes)
    shares = {n: count_attention(n, WIDTH) for n in (WIDTH, 2 * WIDTH, 4 * WIDTH)}
    views = (
        prose(
            say(
                "A text of n tokens, each with d features. Attention compares all pairs of tokens; "
                "restricted attention compares each with r neighbours; a recurrent layer goes from "
                "token to token; a convolution sees k tokens at fixed places: side by side, or "
                "apart (dilated), or feature by feature first (separable)."
            )
        ),
        _sizes_table(say, sizes),
        _cost_curves(say, sizes),
        prose(
            say(
                "The same layers, run in NumPy: their multiplications are counted as they happen, "
                "and the time is taken for longer and longer texts. The exponent e says that the "
                "cost grows as n^e: 1 means that twice the length costs twice as much, and 2 that "
                "it costs four times as much."
            )
        ),
        _growth_table(say, grown),
        _reach_curves(say, reach),
        _shares_table(say, shares),
    )
    return Lesson(views, _claims(say, sizes, grown, reach, shares))


def _check(sizes: Sizes) -> None:
    check_size("n", sizes.n, 2, 1_000_000)
    check_size("d", sizes.d, 1, 100_000)
    check_size("k", sizes.k, 3, 99)
    check_size("r", sizes.r, 2, 10_000)
    if sizes.k % 2 == 0:
        raise AttnvizError(f"k: expected an odd number, got {sizes.k}", f"k={sizes.k + 1}")
    if sizes.r % 2:
        raise AttnvizError(
            f"r: expected an even number, half on either side, got {sizes.r}", f"r={sizes.r + 1}"
        )


def _reach(sizes: Sizes) -> Mapping[str, list[int]]:
    """How many tokens the middle one depends on behind 1, 2, … layers, as measured."""
    text = sizes._replace(n=MIDDLE, d=2)
    return {
        name: [seen(name, text, layers) for layers in range(1, FEW_LAYERS + 1)]
        for name in LOOKED_THROUGH
    }


def _names(say: Say) -> Mapping[str, str]:
    return {
        "self-attention": say("self-attention"),
        "restricted": say("restricted self-attention"),
        "recurrent": say("recurrent"),
        "contiguous": say("convolution"),
        "dilated": say("dilated convolution"),
        "separable": say("separable convolution"),
    }


def _sizes_table(say: Say, sizes: Sizes) -> Table:
    names = _names(say)
    rows: list[tuple[Value, ...]] = [
        (names[name], layer.order, layer.operations(sizes), layer.steps(sizes), layer.path(sizes))
        for name, layer in LAYERS.items()
    ]
    return Table(
        say("n = {n} tokens, d = {d} features, k = {k}, r = {r}", **sizes._asdict()),
        (say("layer"), say("grows as"), say("operations"), say("steps"), say("path")),
        tuple(rows),
        (
            say("steps: operations that must wait for one another"),
            say(
                "path: the longest between two tokens: layers until one output depends on {n}, or "
                "tokens that hand on to the next",
                n=sizes.n,
            ),
            say("Source: Vaswani et al. 2017, table 1"),
        ),
    )


def _cost_curves(say: Say, sizes: Sizes) -> Curves:
    """Where the lines cross, one layer becomes the cheaper one."""
    lengths = np.linspace(1, max(2 * sizes.k * sizes.d, 2), 65).astype(np.int64)
    names = _names(say)
    return Curves(
        say("operations for each token, in d² = {square}", square=sizes.d**2),
        lengths,
        say("n"),
        tuple(
            (
                names[name],
                np.array(
                    [layer.operations(sizes._replace(n=int(n))) / (n * sizes.d**2) for n in lengths]
                ),
            )
            for name, layer in LAYERS.items()
            if name != "dilated"
        ),
        say("operations / (n·d²)"),
        notes=(
            say("self-attention is the cheaper one up to n = d, and n = k·d with convolutions"),
        ),
    )


def _growth_table(say: Say, grown: Mapping[str, Growth]) -> Table:
    names = _names(say)
    rows: list[tuple[Value, ...]] = [
        (names[name], _pair(each.said), _pair(each.counted), round(each.factor, 2), _timed(each))
        for name, each in grown.items()
    ]
    return Table(
        say("how cost grows: exponents with n, and with d"),
        (say("layer"), say("table 1"), say("counted"), say("factor"), say("time, with n")),
        tuple(rows),
        (
            say(
                "factor: multiplications that were counted for each of table 1; attention has two "
                "products, scores and sums, and the restricted one goes in blocks"
            ),
            say(
                "time: rounded to whole numbers if it is within {near:g} of one, as a clock says "
                "something else each time",
                near=NEAR_TIME,
            ),
        ),
    )


def _reach_curves(say: Say, reach: Mapping[str, list[int]]) -> Curves:
    names = _names(say)
    series = tuple((names[name], np.array(seen)) for name, seen in reach.items())
    return Curves(
        say("tokens that one output depends on, of {n}", n=MIDDLE),
        np.arange(1, FEW_LAYERS + 1),
        say("layers"),
        (*series, (names["self-attention"], np.full(FEW_LAYERS, MIDDLE))),
        say("tokens"),
        notes=(say("measured: each token was changed, and the output in the middle compared"),),
    )


def _shares_table(say: Say, shares: Mapping[int, tuple[int, int]]) -> Table:
    rows = tuple((n, *counts, counts[1] / counts[0]) for n, counts in shares.items())
    return Table(
        say("what table 1 leaves out: four projections, d = {d}", d=WIDTH),
        (say("n"), say("projections"), say("scores and sums"), say("ratio")),
        rows,
        (say("4·n·d² multiplications against 2·n²·d, as counted"),),
    )


def _claims(
    say: Say,
    sizes: Sizes,
    grown: Mapping[str, Growth],
    reach: Mapping[str, list[int]],
    shares: Mapping[int, tuple[int, int]],
) -> tuple[Claim, ...]:
    counted = max(float(np.abs(np.subtract(g.said, g.counted)).max()) for g in grown.values())
    timed = [abs(each.time - each.said[0]) for each in grown.values()]
    text = sizes._replace(n=MIDDLE)
    errors = [
        abs(seen - expected)
        for name, each in reach.items()
        if (reaches := LAYERS[name].reach) is not None
        for layers, seen in enumerate(each, 1)
        if (expected := reaches(text, layers)) <= MIDDLE
    ]
    projections, scores = shares[2 * WIDTH]
    return (
        Claim(
            say("Counted multiplications grow with n and d as table 1 says"),
            say("largest difference of an exponent {error:.2f}", error=counted),
            counted <= NEAR_COUNT,
        ),
        Claim(
            say("Time grows as n² for self-attention, and as n for the others"),
            say(
                "exponents {times}, each within {near:g}",
                times=", ".join(_timed(each) for each in grown.values()),
                near=NEAR_TIME,
            )
            if max(timed) <= NEAR_TIME
            else say("exponents {times}", times=", ".join(_timed(each) for each in grown.values())),
            max(timed) <= NEAR_TIME,
        ),
        Claim(
            say(
                "L layers reach L·(k - 1) + 1 tokens, dilated k^L, restricted L·r + 1, where the "
                "text has as many"
            ),
            say(
                "{count} counts, largest difference {error}",
                count=len(errors),
                error=max(errors, default=0),
            ),
            bool(errors) and max(errors) == 0,
        ),
        Claim(
            say("Scores and sums cost as much as the projections at n = 2·d"),
            say(
                "{scores} and {projections} at n = {n}",
                scores=scores,
                projections=projections,
                n=2 * WIDTH,
            ),
            scores == projections,
        ),
    )


def _pair(exponents: tuple[float, float]) -> str:
    return ", ".join(f"{exponent:.1f}" for exponent in exponents)


def _timed(growth: Growth) -> str:
    """A whole number if it is near one: the same command shall print the same twice."""
    near = abs(growth.time - round(growth.time)) <= NEAR_TIME
    return f"{growth.time:.0f}" if near else f"{growth.time:.2f}"
