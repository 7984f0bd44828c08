"""What it costs to give every token its context, by attention, recurrence and convolution."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from attnviz.analysis.cost import (
    LAYERS,
    Products,
    Sizes,
    count_products,
    growth,
    layer_weights,
    run_layer,
    seen_inputs,
)
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_even, check_size, prose
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.views.kinds import Curves, Table, Text, Value

TITLE = "Cost: what it takes to look at every token"
QUESTION = "Attention, RNN or CNN: what does each cost?"
AFTER = "three"
GROUP = "models"
ALSO = (
    "cnn",
    "rnn",
    "lstm",
    "gru",
    "convolution",
    "recurrence",
    "complexity",
    "quadratic",
    "flops",
)
INTUITION = (
    "Think of news that has to reach everybody in a room. With self-attention, everybody talks "
    "to everybody at once: n² conversations, but a single round. A recurrent layer whispers "
    "along a line: only n conversations, but one after another, so the last in line waits for "
    "all the others. In a convolution, everybody talks to the nearest k: that is cheap, but the "
    "news takes many rounds to cross the room."
)

COUNTED = Sizes(n=96, d=16, k=3, r=8)
"""Sizes at which products are counted; then n or d is doubled, twice."""
TOLERANCE = 0.1
"""Of a counted exponent: restricted attention has fewer neighbours at the ends of a text."""

WIDTH = 32
"""At which projections and scores are counted."""
LOOKED_THROUGH = ("restricted", "contiguous", "dilated")
MAX_LAYERS = 4
MIDDLE = 101
"""Tokens of the text whose middle is looked at."""

TIMED = COUNTED._replace(d=8)
TIMED_LENGTHS = (128, 256, 512)
N_CALL = 5
SLOW = np.longdouble
"""What is timed: arithmetic that no library shares out among processors, and so slow that calls
count for little."""


class Growth(NamedTuple):
    """Exponents with n and with d: how a layer's cost grows."""

    formula: tuple[float, float]
    """By table 1."""
    counted: tuple[float, float]
    factor: float
    """Counted products for each of table 1."""


def lesson(*, n: int = 512, d: int = 512, k: int = 3, r: int = 64, times: bool = False) -> Lesson:
    """What do the layers cost that let a token see others, and how far does it see?"""
    sizes = Sizes(n, d, k, r)
    _check(sizes)
    grown = {name: _measure_growth(name) for name in LAYERS}
    reach = _reach(sizes)
    shares = {n: _count_attention(n) for n in (WIDTH, 2 * WIDTH, 4 * WIDTH)}
    views = (
        prose(
            say(
                "A text has n tokens with d features each. Self-attention compares every pair of "
                "tokens; restricted self-attention compares each token with r neighbours; a "
                "recurrent layer hands a state from token to token; a convolution combines k "
                "tokens at fixed offsets: adjacent, spaced out (dilated), or first within each "
                "feature and then across features (separable)."
            )
        ),
        _cost_curves(sizes),
        _sizes_table(sizes),
        _growth_text(),
        _growth_table(grown),
        *((_times_table(),) if times else ()),
        _reach_curves(reach),
        _shares_table(shares),
    )
    claims = (
        _growth_claim(grown),
        _reach_claim(sizes, reach),
        _shares_claim(shares),
    )
    return Lesson(views, claims)


def _check(sizes: Sizes) -> None:
    check_size("n", sizes.n, 2, 1_000_000)
    check_size("d", sizes.d, 1, 100_000)
    check_size("k", sizes.k, 3, 99)
    check_size("r", sizes.r, 2, 10_000)
    if sizes.k % 2 == 0:
        raise AttnvizError(f"k: expected an odd number, got {sizes.k}", f"k={sizes.k + 1}")
    check_even("r", sizes.r)


def _measure_growth(name: str) -> Growth:
    longer = [COUNTED._replace(n=COUNTED.n * factor) for factor in (1, 2, 4)]
    wider = [COUNTED._replace(d=COUNTED.d * factor) for factor in (1, 2, 4)]

    def exponents(cost: Callable[[Sizes], int]) -> tuple[float, float]:
        return (
            growth([sizes.n for sizes in longer], [cost(sizes) for sizes in longer]),
            growth([sizes.d for sizes in wider], [cost(sizes) for sizes in wider]),
        )

    operations, counted = LAYERS[name].operations, partial(count_products, name)
    factor = counted(longer[-1]) / operations(longer[-1])
    return Growth(exponents(operations), exponents(counted), factor)


def _count_attention(n: int) -> tuple[int, int]:
    """The products of four projections, and of scores and weighted sums."""
    products = Products()
    for i in range(4):
        products.matmul(normal((n, WIDTH), "x"), normal((WIDTH, WIDTH), "weight", i))
    return products.count, count_products("self-attention", COUNTED._replace(n=n, d=WIDTH))


def _reach(sizes: Sizes) -> Mapping[str, list[int]]:
    """How many tokens the middle one depends on after 1, 2, … layers, as measured."""
    text = sizes._replace(n=MIDDLE, d=2)
    return {
        name: [_count_inputs(name, text, layers) for layers in range(1, MAX_LAYERS + 1)]
        for name in LOOKED_THROUGH
    }


def _count_inputs(name: str, sizes: Sizes, layers: int) -> int:
    """How many of n inputs the middle output of so many layers depends on."""

    def stack(x: Array) -> Array:
        for depth in range(layers):
            weights = (np.asarray(w, np.float64) for w in layer_weights(name, sizes, depth))
            x = run_layer(name, sizes, x, tuple(weights), depth)
        return x

    return seen_inputs(stack, sizes.n, sizes.d)


def _names() -> Mapping[str, str]:
    return {
        "self-attention": say("self-attention"),
        "restricted": say("restricted self-attention"),
        "recurrent": say("recurrent"),
        "contiguous": say("convolution"),
        "dilated": say("dilated convolution"),
        "separable": say("separable convolution"),
    }


def _sizes_table(sizes: Sizes) -> Table:
    names = _names()
    rows: list[tuple[Value, ...]] = [
        (names[name], layer.order, layer.operations(sizes), layer.steps(sizes), layer.path(sizes))
        for name, layer in LAYERS.items()
    ]
    return Table(
        say("n = {n} tokens, d = {d} features, k = {k}, r = {r}", **sizes._asdict()),
        (say("layer"), say("grows as"), say("operations"), say("steps"), say("path")),
        tuple(rows),
        (
            say("steps: how many operations must run one after another"),
            say(
                "path: the longest path between two tokens, in layers until one output depends on "
                "all {n} tokens; for the recurrent layer, in tokens",
                n=sizes.n,
            ),
            say("Source: Vaswani et al. 2017, table 1"),
        ),
    )


def _cost_curves(sizes: Sizes) -> Curves:
    """Where the lines cross, one layer becomes the cheaper one."""
    lengths = np.linspace(1, max(2 * sizes.k * sizes.d, 2), 65).astype(np.int64)
    names = _names()
    return Curves(
        say("operations per token, in units of d² = {square}", square=sizes.d**2),
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
            say(
                "self-attention is cheaper than a recurrent layer up to n = d, and than a "
                "convolution up to n = k·d"
            ),
            say(
                "the separable convolution lies k/d = {gap:.2g} above the recurrent layer",
                gap=sizes.k / sizes.d,
            ),
        ),
    )


def _growth_text() -> Text:
    return prose(
        say(
            "Now the same layers run in NumPy, and every multiplication is counted. An exponent e "
            "means that the cost grows as n^e (or d^e): with e = 1, twice the length costs twice "
            "as much; with e = 2, four times as much."
        )
    )


def _growth_table(grown: Mapping[str, Growth]) -> Table:
    names = _names()
    rows: list[tuple[Value, ...]] = [
        (names[name], _pair(each.formula), _pair(each.counted), round(each.factor, 2))
        for name, each in grown.items()
    ]
    return Table(
        say("how the cost grows: exponents of n and d"),
        (say("layer"), say("table 1"), say("counted"), say("factor")),
        tuple(rows),
        (
            say(
                "factor: multiplications counted per operation in table 1; attention takes two "
                "products (scores and weighted sums), and restricted attention computes whole "
                "blocks"
            ),
        ),
    )


def _times_table() -> Table:
    names = _names()
    rows: list[tuple[Value, ...]] = []
    for name in LAYERS:
        seconds = [_shortest_time(name, n) for n in TIMED_LENGTHS]
        exponent = growth(TIMED_LENGTHS, seconds)
        rows.append((names[name], *(1000 * each for each in seconds), exponent))
    return Table(
        say("time on this machine in milliseconds, d = {d}", d=TIMED.d),
        (say("layer"), *(f"n = {n}" for n in TIMED_LENGTHS), say("exponent")),
        tuple(rows),
        (
            say(
                "the shortest of {n} calls; times differ between runs and machines, so nothing is "
                "claimed about them",
                n=N_CALL,
            ),
        ),
        decimals=2,
    )


def _shortest_time(name: str, n: int) -> float:
    x = normal((n, TIMED.d), "x").astype(SLOW)
    weights = tuple(each.astype(SLOW) for each in layer_weights(name, TIMED))
    return min(timeit.repeat(lambda: run_layer(name, TIMED, x, weights), repeat=N_CALL, number=1))


def _reach_curves(reach: Mapping[str, list[int]]) -> Curves:
    names = _names()
    series = tuple((names[name], np.array(counts)) for name, counts in reach.items())
    return Curves(
        say("how many of {n} tokens one output depends on", n=MIDDLE),
        np.arange(1, MAX_LAYERS + 1),
        say("layers"),
        (*series, (names["self-attention"], np.full(MAX_LAYERS, MIDDLE))),
        say("tokens"),
        notes=(say("measured: each token is changed in turn, and the middle output is compared"),),
    )


def _shares_table(shares: Mapping[int, tuple[int, int]]) -> Table:
    rows = tuple((n, *counts, counts[1] / counts[0]) for n, counts in shares.items())
    return Table(
        say("what table 1 leaves out: the four projections (d = {d})", d=WIDTH),
        (say("n"), say("projections"), say("scores and sums"), say("ratio")),
        rows,
        (
            say(
                "multiplications, as counted: 4·n·d² for the projections, 2·n²·d for scores and "
                "weighted sums"
            ),
        ),
    )


def _growth_claim(grown: Mapping[str, Growth]) -> Claim:
    error = max(float(np.abs(np.subtract(g.formula, g.counted)).max()) for g in grown.values())
    return Claim(
        say("Counted multiplications grow with n and d as table 1 says"),
        say("largest difference of an exponent {error:.2f}", error=error),
        error <= TOLERANCE,
    )


def _reach_claim(sizes: Sizes, reach: Mapping[str, list[int]]) -> Claim:
    text = sizes._replace(n=MIDDLE)
    errors = [
        abs(count - expected)
        for name, each in reach.items()
        if (reaches := LAYERS[name].reach) is not None
        for layers, count in enumerate(each, 1)
        if (expected := reaches(text, layers)) <= MIDDLE
    ]
    return Claim(
        say(
            "L convolutions reach L·(k - 1) + 1 tokens, L dilated ones k^L, L restricted "
            "attentions L·r + 1, as long as the text has that many"
        ),
        say(
            "{count} counts, largest difference {error}",
            count=len(errors),
            error=max(errors, default=0),
        ),
        bool(errors) and max(errors) == 0,
    )


def _shares_claim(shares: Mapping[int, tuple[int, int]]) -> Claim:
    projections, scores = shares[2 * WIDTH]
    return Claim(
        say("At n = 2·d, scores and weighted sums cost as much as the four projections"),
        say(
            "{scores} and {projections} at n = {n}",
            scores=scores,
            projections=projections,
            n=2 * WIDTH,
        ),
        scores == projections,
    )


def _pair(exponents: tuple[float, float]) -> str:
    return ", ".join(f"{exponent:.1f}" for exponent in exponents)


TRY = (
    Try(
        "attnviz learn cost:n=100000",
        "The text is now much longer than the vectors are wide: self-attention takes n/d = 195 "
        "times as many operations as a recurrent layer.",
    ),
    Try(
        "attnviz learn cost:times=true",
        "Also shows how long each layer takes on your own machine, for texts of 128, 256 and 512 "
        "tokens.",
    ),
)
NEXT = ("sequence",)
