"""How attention learns where a word stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.encoding import diagonal_spread, rotated_scores, rotation_error
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    Try,
    check_count,
    check_size,
    largest_difference,
    prose,
)
from attnviz.models import load_model
from attnviz.models.run.inputs import read_text
from attnviz.nn import positions
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.views.kinds import Curves, Heatmap, Scale, Table, indices

TITLE = "Positions: how attention knows the order of words"
QUESTION = "How does attention know the order of the words?"
AFTER = "scores"
GROUP = "deeper"
ALSO = ("positional-encoding", "positional", "pe", "rope", "rotary", "alibi", "sinusoidal", "order")
INTUITION = (
    "Attention is a weighted sum over the keys, and a sum does not depend on the order of its "
    "terms: attention sees a bag of words, not a sentence. Positions have to be put in, like "
    "page numbers on loose sheets. Sinusoidal and learned positions add a vector to each word; "
    "RoPE, ALiBi and T5 make each score depend on the distance between query and key. Sines work "
    "like the hands of a clock: the fast hands tell neighbours apart, the slow ones tell where "
    "in the text a word stands."
)

MIN_WORDS, MAX_WORDS = 3, 32
ROWS = 16
"""Positions that are shown one by one."""
BITS = 4
FAR = 1000
"""How far both positions of a RoPE score move on."""


class Shuffled(NamedTuple):
    """A text whose last word went to the front, and how far each scheme noticed."""

    labels: tuple[str, ...]
    changes: dict[str, float]
    """By scheme: the largest |difference of a word's vectors| / |that vector|."""


class ByDistance(NamedTuple):
    """What the schemes make of distances 0, 1, …; [n] each but for the biases."""

    sinusoidal: Array
    """PE(p) · PE(p + k), 1 at distance 0."""
    rope: Array
    """The score of a key that equals the query, 1 at distance 0."""
    alibi: Array
    """[n_head, n]"""
    t5: Array


def lesson(
    *, text: str = "I saw a saw", length: int = 64, width: int = 32, heads: int = 4
) -> Lesson:
    """What does attention know of the order of words, and how is it told?"""
    _check_sizes(length, width, heads)
    shuffled = _shuffle(text, width, heads)
    where = np.arange(length)
    added = positions.sinusoidal(where, width)
    distances = _by_distance(where, added, heads)
    views = (
        prose(
            say(
                "Here the last word of the text is moved to the front: {text}. How much does each "
                "word's vector change? (One block with seeded random weights, so only zero or "
                "not zero counts here: the size of a change says nothing about how good a scheme "
                "is.)",
                text=" ".join(shuffled.labels),
            ),
        ),
        _schemes_table(shuffled),
        Heatmap(
            say("sinusoidal: the vectors added at the first {n} positions", n=min(ROWS, length)),
            added[:ROWS],
            indices(say("position"), min(ROWS, length)),
            indices(say("dimension"), width),
            Scale(-1, 1, "diverging"),
            notes=(
                say(
                    "a row is the vector of one position; from row to row, the left columns change "
                    "quickly and the right ones slowly"
                ),
            ),
        ),
        _clocks_table(added, width),
        _distance_curves(where, distances),
        _distance_table(distances),
    )
    return Lesson(views, _claims(shuffled, where, added, width))


def _check_sizes(length: int, width: int, heads: int) -> None:
    check_size("length", length, 8, 512)
    check_size("width", width, 4, 128)
    check_size("heads", heads, 1, 16)
    if width % (2 * heads):
        raise AttnvizError(
            f"width: {heads} heads need a multiple of {2 * heads}, got {width}: "
            "RoPE rotates the features of each in pairs",
            f"write for example width={8 * heads}",
        )


def _shuffle(text: str, width: int, heads: int) -> Shuffled:
    changes = {}
    for scheme in ("none", "sinusoidal", "learned", "rope", "alibi", "t5"):
        stack = f"positions={scheme},layers=1,d_model={width},heads={heads},dtype=float64"
        model = load_model(f"random:{stack}")
        tokens = read_text(model, text)
        check_count("text", len(tokens), "words", MIN_WORDS, MAX_WORDS)
        order = np.roll(np.arange(len(tokens)), 1)
        before, after = (
            run([tokens.ids[i] for i in arrangement], model=model, stages=(), hidden_states=True)
            for arrangement in (range(len(tokens)), order)
        )
        old, new = (trace.hidden_states["encoder"][-1] for trace in (before, after))
        moved = np.linalg.norm(new - old[order], axis=-1) / np.linalg.norm(old[order], axis=-1)
        changes[scheme] = float(moved.max())
    return Shuffled(tuple(tokens.labels[i] for i in order), changes)


def _by_distance(where: Array, added: Array, heads: int) -> ByDistance:
    """Seen from position 0; T5's buckets as in a decoder, which looks back."""
    query = normal((1, added.shape[-1]), 0, "rope").astype(np.float64)
    scores = rotated_scores(query, query, where)[0]
    products = added @ added[0]
    return ByDistance(
        sinusoidal=products / products[0],
        rope=scores / scores[0],
        alibi=positions.alibi(where[:1], where, heads)[:, 0] + 0.0,  # no -0
        t5=positions.t5_buckets(where, where[:1], bidirectional=False)[:, 0],
    )


def _schemes_table(shuffled: Shuffled) -> Table:
    enters = {
        "none": say("not at all"),
        "sinusoidal": say("a vector of sines and cosines is added to each word's vector"),
        "learned": say("a learned vector for each position is added to the word's vector"),
        "rope": say("queries and keys are rotated by angles proportional to their positions"),
        "alibi": say("each score is lowered in proportion to the distance"),
        "t5": say("each score gets a learned bias, one for each range of distances"),
    }
    rows = tuple(
        (scheme, enters[scheme], say("{change:.1%}", change=change))
        for scheme, change in shuffled.changes.items()
    )
    return Table(
        say("one word moved, six position schemes"),
        (say("scheme"), say("how positions enter"), say("largest change of a vector")),
        rows,
    )


def _clocks_table(added: Array, width: int) -> Table:
    """The digits of a binary number beside the signs of sines: clocks of different speeds."""
    waves = 2 * np.pi / positions.frequencies(width)
    shown = np.arange(min(ROWS, len(added)))
    rows = tuple(
        (
            pair,
            "".join(str(p >> pair & 1) for p in shown.tolist()),
            2 ** (pair + 1),
            "".join("-0+"[int(sign) + 1] for sign in np.sign(added[shown, 2 * pair])),
            float(waves[pair]),
        )
        for pair in sorted({*range(min(BITS, len(waves))), len(waves) - 1})
    )
    return Table(
        say("counting in binary digits and in sines"),
        (say("number"), say("digit"), say("period"), say("sign of the sine"), say("wavelength")),
        rows,
        (
            say(
                "each row: one binary digit (number 0 is the last digit) and one sine, at "
                "positions 0 to {last}; the first rows change quickly, the later ones slowly",
                last=int(shown[-1]),
            ),
        ),
    )


def _distance_table(schemes: ByDistance) -> Table:
    n_head, n = schemes.alibi.shape
    shown = [0, *(2**i for i in range(n.bit_length()) if 2**i < n)]
    rows = tuple(
        (
            k,
            float(schemes.sinusoidal[k]),
            float(schemes.rope[k]),
            float(schemes.alibi[0, k]),
            float(schemes.alibi[-1, k]),
            int(schemes.t5[k]),
        )
        for k in shown
    )
    return Table(
        say("how each scheme sees distance"),
        (
            say("distance"),
            say("sinusoidal"),
            say("RoPE"),
            say("ALiBi H0"),
            say("ALiBi H{last}", last=n_head - 1),
            say("T5 bucket"),
        ),
        rows,
        (
            say(
                "sinusoidal: PE(p) · PE(p + k); RoPE: the score of a key equal to the query; both "
                "relative to distance 0"
            ),
            say(
                "ALiBi: what is added to the score; T5: distances in one bucket share a learned "
                "bias"
            ),
            say(
                "learned positions are missing here: before training they contain nothing about "
                "distance"
            ),
        ),
        decimals=3,
    )


def _distance_curves(where: Array, schemes: ByDistance) -> Curves:
    steps = np.diff(schemes.sinusoidal)
    return Curves(
        say("similarity falls with distance, but not steadily"),
        where,
        say("distance"),
        (
            (say("sinusoidal"), schemes.sinusoidal),
            (say("RoPE"), schemes.rope),
            (say("ALiBi H0, exp(bias)"), np.exp(schemes.alibi[0])),
        ),
        say("relative to distance 0"),
        notes=(
            say(
                "the sinusoidal curve rises again at {rising} of {n} steps; exp(bias) is the "
                "factor by which ALiBi lowers a weight before the row is normalised",
                rising=int((steps > 0).sum()),
                n=len(steps),
            ),
        ),
    )


def _claims(shuffled: Shuffled, where: Array, added: Array, width: int) -> tuple[Claim, ...]:
    unordered = shuffled.changes["none"]
    error = rotation_error(added)
    query, key = normal((2, 1, width), 0, "rope").astype(np.float64)
    scores = rotated_scores(query, key, where)
    spread = diagonal_spread(scores[None])
    moved = largest_difference(rotated_scores(query, key, where + FAR), scores)
    last = int(where[-1])
    return (
        Claim(
            say("Without positions, shuffling the words only shuffles the vectors"),
            say("largest change of a vector: {change:.1g} of its length", change=unordered),
            unordered < 1e-12,
        ),
        Claim(
            say("PE(p + k) is PE(p) rotated by angles that depend only on k"),
            say("all p and k up to {last}: off by {error:.1g} at most", last=last, error=error),
            error < 1e-12 * len(where),
        ),
        Claim(
            say("A RoPE score depends only on m - n, the query's position minus the key's"),
            say(
                "same m - n elsewhere: off by {spread:.1g}; both moved by {far}: {moved:.1g}",
                spread=spread,
                far=FAR,
                moved=moved,
            ),
            max(spread, moved) < 1e-9,
        ),
    )


TRY = (
    Try(
        'attnviz run "the dog bit the man" -m random:positions=none,layers=1',
        "Without positions, the two rows of “the” are equal in every head; with positions=rope "
        "they differ.",
    ),
    Try(
        "attnviz learn positions:width=128",
        "A clock with four times as many hands: the sinusoidal curve is smoother and rises at 19 "
        "of 63 steps instead of 29.",
    ),
)
NEXT = ("embedding",)
