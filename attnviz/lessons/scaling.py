"""Why attention divides by √d_k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.distributions import entropy
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_size, largest_difference
from attnviz.nn.scores import dot, scaled_dot
from attnviz.nn.seeded import normal
from attnviz.nn.softmax import jacobian, softmax
from attnviz.nn.types import Array
from attnviz.views.kinds import Axis, Curves, Heatmap, Table, View, indices

TITLE = "Scaling: why attention divides by √d_k"
QUESTION = "Why are the scores divided by √d_k?"
AFTER = "steps"
GROUP = "start"
ALSO = ("softmax", "scaled-dot-product", "sqrt", "d_k", "temperature", "gradient", "saturation")
INTUITION = (
    "A dot product adds up d_k products of random sign. Like the steps of a random walk, they "
    "partly cancel: after d_k steps the sum is typically √d_k away from 0. So wider queries and "
    "keys give larger scores, although they match no better. With large scores the softmax is "
    "almost one-hot; its gradient is nearly zero, so training stalls. Dividing by √d_k keeps the "
    "scores at the same size at every width."
)

N_KEY = 10
MAX_WIDTHS = 8
N_NUMBER = 1 << 18
"""How many numbers the queries of one width have together; as many have the keys."""

WITHIN = 0.03
"""The variances' standard error is at most 0.7 %: 3 % is four of them."""

REFERENCE = {
    1: (0.320, 1.926, 0.348),
    4: (0.532, 1.333, 0.344),
    16: (0.742, 0.702, 0.254),
    64: (0.865, 0.347, 0.158),
    256: (0.935, 0.164, 0.087),
    512: (0.952, 0.118, 0.061),
    1024: (0.967, 0.080, 0.050),
}
"""By width: largest weight, entropy in nats and ‖J‖ of the softmax of 10 logits N(0, d_k), means
of 4000 draws; from another program with another generator."""
REFERENCE_DRAWS = 4000
ROUNDING = 0.0005
ERRORS = 4.5
"""Standard errors between two means of the same: 1 in 150,000 differ by more."""

COLDEST, HOTTEST = 1e-4, 1e4
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


class Spread(NamedTuple):
    """The variance of the scores of one width, over all pairs of a query and a key."""

    d_k: int
    plain: float
    """Of q·k."""
    scaled: float
    """Of q·k / √d_k."""


class Sharpness(NamedTuple):
    """What the softmax makes of rows of logits, [3]: largest weight, entropy, ‖J‖."""

    means: Array
    deviations: Array
    """From row to row."""


def lesson(
    *,
    widths: tuple[int, ...] = (1, 4, 16, 64, 256, 512, 1024),
    draws: int = 4000,
    seed: int = 0,
) -> Lesson:
    """What happens to the softmax when queries and keys get wider?"""
    _check(widths, draws)
    spreads = [_spread(d_k, seed) for d_k in widths]
    sharp = {d_k: _sharpness(_logits(d_k, draws, seed)) for d_k in widths}
    rows = _logits(1, draws, seed)
    views: tuple[View, ...] = (
        *_weights_maps(widths, seed),
        _spread_table(spreads),
        _sharpness_table(sharp),
        _temperature_curves(rows),
    )
    claims = (
        *_variance_claims(spreads),
        *_reference_claim(sharp, draws),
        _jacobian_claim(rows),
        _temperature_claim(rows),
    )
    return Lesson(views, claims)


def _check(widths: Sequence[int], draws: int) -> None:
    if len(widths) > MAX_WIDTHS or len(set(widths)) < len(widths):
        raise AttnvizError(
            f"widths: expected at most {MAX_WIDTHS} different ones, got {len(widths)}",
            "write for example widths=4,64,1024",
        )
    for d_k in widths:
        check_size("widths", d_k, 1, 4096)
    check_size("draws", draws, 100, 20_000)


def _spread(d_k: int, seed: int) -> Spread:
    """All pairs within groups of queries and keys: few numbers make many scores."""
    size = min(max(d_k, 32), 256)
    shape = (math.ceil(N_NUMBER / (size * d_k)), size, d_k)
    q, k = normal(shape, seed, "q", d_k), normal(shape, seed, "k", d_k)
    plain, scaled = (float(score(q, k).var()) for score in (dot, scaled_dot))
    return Spread(d_k, plain, scaled)


def _logits(d_k: int, draws: int, seed: int) -> Array:
    """Rows of logits with variance d_k, [draws, n_key]."""
    return math.sqrt(d_k) * normal((draws, N_KEY), seed, "logits", d_k).astype(np.float64)


def _sharpness(logits: Array) -> Sharpness:
    weights = softmax(logits)
    norms = np.linalg.norm(jacobian(weights), axis=(-2, -1))
    values = np.stack([weights.max(-1), entropy(weights), norms])
    return Sharpness(values.mean(-1), values.std(-1, ddof=1))


def _weights_maps(widths: Sequence[int], seed: int) -> tuple[Heatmap, Heatmap]:
    """Of one random query and its random keys, of each width."""
    pairs = [
        (normal((1, d_k), seed, "query", d_k), normal((N_KEY, d_k), seed, "keys", d_k))
        for d_k in widths
    ]
    plain, divided = (
        np.concatenate([softmax(score(q, k).astype(np.float64)) for q, k in pairs])
        for score in (dot, scaled_dot)
    )
    rows = Axis(say("width"), tuple(f"d_k = {d_k}" for d_k in widths))
    columns = indices(say("key"), N_KEY)
    return (
        Heatmap(
            say("not divided: softmax(q·k) of a random query and {n} random keys", n=N_KEY),
            plain,
            rows,
            columns,
            notes=(say("Read downwards: the wider, the more one key takes all the weight."),),
        ),
        Heatmap(
            say("divided: softmax(q·k / √d_k) of the same"),
            divided,
            rows,
            columns,
            notes=(say("At every width the weight is shared among the keys."),),
        ),
    )


def _spread_table(spreads: Sequence[Spread]) -> Table:
    return Table(
        say("variance of the scores of random queries and keys, by width"),
        ("d_k", "q·k", say("q·k, in units of d_k"), "q·k / √d_k"),
        tuple((s.d_k, s.plain, s.plain / s.d_k, s.scaled) for s in spreads),
    )


def _sharpness_table(sharp: dict[int, Sharpness]) -> Table:
    rows = []
    for d_k, sharpness in sharp.items():
        known = REFERENCE.get(d_k, (None, None, None))
        pairs = zip((float(mean) for mean in sharpness.means), known, strict=True)
        rows.append((d_k, *(value for pair in pairs for value in pair)))
    again = say("reference")
    return Table(
        say("the softmax of {n} scores of variance d_k, without the division", n=N_KEY),
        ("d_k", say("largest weight"), again, say("entropy"), again, "‖J‖", again),
        tuple(rows),
        (
            say("with the division, every width is like d_k = 1"),
            say("‖J‖ measures the gradient: the norm of the softmax's Jacobian J"),
            say(
                "entropy in nats: 0 is all on one key, {most:.3f} is an even spread",
                most=math.log(N_KEY),
            ),
            say(
                "reference: the same from another program with other random numbers, {n} draws",
                n=REFERENCE_DRAWS,
            ),
        ),
        decimals=3,
    )


def _temperature_curves(rows: Array) -> Curves:
    means = np.array([_sharpness(rows / t).means for t in TEMPERATURES])
    means[:, 1] /= math.log(N_KEY)
    names = (say("largest weight"), say("entropy / ln {n}", n=N_KEY), "‖J‖")
    return Curves(
        say("temperature: the softmax of scores of variance 1, divided by T"),
        np.array(TEMPERATURES),
        "T",
        tuple(zip(names, means.T, strict=True)),
        say("value"),
        log_x=True,
        notes=(say("leaving out the division by √d_k is the same as a temperature T = 1/√d_k"),),
    )


def _variance_claims(spreads: Sequence[Spread]) -> tuple[Claim, Claim]:
    off, worst = max((abs(s.plain / s.d_k - 1), s.d_k) for s in spreads)
    scaled = max(abs(s.scaled - 1) for s in spreads)
    return (
        Claim(
            say("The variance of q·k is d_k, within {within:.0%}", within=WITHIN),
            say("at most {off:.2%} off, at d_k = {worst}", off=off, worst=worst),
            off < WITHIN,
        ),
        Claim(
            say(
                "The variance of q·k / √d_k is 1 at every width, within {within:.0%}",
                within=WITHIN,
            ),
            say("at most {off:.2%} off", off=scaled),
            scaled < WITHIN,
        ),
    )


def _reference_claim(sharp: dict[int, Sharpness], draws: int) -> tuple[Claim, ...]:
    """Both are means of draws, so that they may differ as two such means do."""
    known = [d_k for d_k in sharp if d_k in REFERENCE]
    if not known:
        return ()
    worst = 0.0
    for d_k in known:
        errors = sharp[d_k].deviations * math.sqrt(1 / draws + 1 / REFERENCE_DRAWS)
        beyond = np.abs(sharp[d_k].means - np.array(REFERENCE[d_k])) - ROUNDING
        worst = max(worst, float((beyond / errors).max()))
    return (
        Claim(
            say(
                "The largest weight grows with the width, entropy and gradient shrink, as in the "
                "reference"
            ),
            say(
                "at {n} widths, at most {worst:.1f} standard errors from it ({most:g} allowed)",
                n=len(known), worst=worst, most=ERRORS,
            ),
            worst < ERRORS,
        ),
    )  # fmt: skip


def _jacobian_claim(rows: Array) -> Claim:
    """Pushes one score a little up and a little down."""
    row, push = rows[0], 1e-5
    moved = np.stack(
        [softmax(row + push * up) - softmax(row - push * up) for up in np.eye(len(row))], axis=-1
    )
    apart = largest_difference(moved / (2 * push), jacobian(softmax(row)))
    return Claim(
        say("J = diag(w) - w wᵀ is the gradient of the weights w by the scores"),
        say("at most {apart:.1e} from how the weights really move", apart=apart),
        apart < 1e-8,
    )


def _temperature_claim(rows: Array) -> Claim:
    coldest = float(_sharpness(rows / COLDEST).means[0])
    hottest = float(_sharpness(rows / HOTTEST).means[1])
    even = math.log(N_KEY)
    return Claim(
        say("At a low temperature the softmax picks one key, at a high one it spreads evenly"),
        say(
            "largest weight {largest:.4f} at T = {coldest:g}; entropy {entropy:.4f} of "
            "{most:.4f} at T = {hottest:g}",
            largest=coldest, coldest=COLDEST, entropy=hottest, most=even, hottest=HOTTEST,
        ),
        coldest > 0.99 and even - hottest < 1e-4,
    )  # fmt: skip


TRY = (
    Try(
        "attnviz learn scaling:widths=4,4096",
        "The variance of q·k follows d_k up to 4096; divided by √d_k it stays at 1.",
    ),
    Try(
        'attnviz run "I saw a saw" --temperature 0.1',
        "Every score is 10 times as large: the weights move to 0 and 1.",
    ),
)
NEXT = ("masks",)
