"""What a lesson is written with.

A lesson is one file in `attnviz/lessons`, in the order in which it is read: the `QUESTION` that
it answers and the `INTUITION` behind the answer, a function that shows something and claims
something of it, with the value that decides, what the reader may `TRY`, and what comes `NEXT`.
It may also have a `GROUP` in the list, and under `ALSO` the names by which a reader may ask for it;
a question has at most 56 letters.

    import numpy as np

    from attnviz.language import say
    from attnviz.lessons.kit import Claim, Lesson, Try, check_size
    from attnviz.nn.softmax import softmax
    from attnviz.views.kinds import Table

    TITLE = "Softmax: scores become shares"
    QUESTION = "How do scores become weights?"
    AFTER = "retrieval"
    GROUP = "start"
    ALSO = ("exponential", "shares")
    INTUITION = (
        "The softmax cuts a cake: every score gets a slice, a higher score a larger one. Each "
        "step of 1 makes a slice e = 2.72 times as large."
    )

    def lesson(*, n: int = 4) -> Lesson:
        check_size("n", n, 2, 100)
        weights = softmax(np.arange(float(n)))
        rows = tuple((i, float(weight)) for i, weight in enumerate(weights))
        title = say("the softmax of {n} scores", n=n)
        table = Table(title, (say("score"), say("weight")), rows)
        claim = Claim(
            say("Weights sum to 1"),
            say("off by {off:.1g}", off=abs(weights.sum() - 1)),
            bool(abs(weights.sum() - 1) < 1e-12),
        )
        return Lesson((table,), (claim,))

    TRY = (
        Try("attnviz learn softmax:n=9", "The largest weight stays near 1 - 1/e = 0.63."),
    )
    NEXT = ("scaling",)

Its keyword-only parameters are the reader's options: `attnviz learn softmax:n=7`. A picture comes
first where there is one. A newcomer follows the intuition, in two to five sentences; every command
of `TRY` is run by the tests, and does what it says. `NEXT` names lessons, or holds a `Try` too. Of
the constants only `TITLE` and `AFTER` have to be there.

Whatever is shown goes through `say`, as a literal, which the catalogues translate
(`python -m tests.catalogue` brings them up to date; it knows these constants, which `page` says).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.multi_head import RecordNothing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.types import Array
from attnviz.tokens import split_words
from attnviz.views.kinds import Line, Text, View

__all__ = [
    "DIGIT",
    "Claim",
    "Lesson",
    "Try",
    "check_count",
    "check_even",
    "check_heads",
    "check_size",
    "largest_difference",
    "prose",
    "read_drawing",
    "read_words",
    "sublayer_context",
]

DRAWING_SIDE = 8
DIGIT = "00599500/00000950/00000950/00099500/00000950/00000095/00000950/00599500"
"""A 3, for the model of digits: rows from the top, a pixel each from 0 (black) to 9 (white)."""


class Claim(NamedTuple):
    """What a lesson says, and whether the numbers that it shows bear it out."""

    text: str
    measured: str
    """The value that decides, in words and numbers."""
    holds: bool


class Lesson(NamedTuple):
    """What is shown: pictures, numbers, what is to be said of them; and what is claimed."""

    views: tuple[View, ...]
    claims: tuple[Claim, ...]


class Try(NamedTuple):
    """Something for the reader to change."""

    command: str
    """`attnviz learn scaling:widths=4,4096`"""
    expect: str
    """What is then to be seen, in English: `say` translates it."""


def prose(*paragraphs: str) -> Text:
    """Plain paragraphs."""
    return Text(tuple(map(Line, paragraphs)))


def check_size(name: str, value: float, minimum: float, maximum: float) -> None:
    """Raise AttnvizError unless minimum <= value <= maximum; `name` is the option's."""
    if not minimum <= value <= maximum:
        raise AttnvizError(
            f"{name}: expected {minimum:g} to {maximum:g}, got {value:g}",
            f"write for example {name}={minimum:g}",
        )


def check_even(name: str, value: int) -> None:
    """Raise AttnvizError unless the option is an even number."""
    if value % 2:
        raise AttnvizError(
            f"{name}: expected an even number, got {value}",
            f"write for example {name}={value + 1}",
        )


def check_heads(width: int, heads: int) -> None:
    """Raise AttnvizError unless the width is even and can be split into so many heads."""
    if width % heads or width % 2:
        raise AttnvizError(
            f"width: expected an even number that can be split into {heads} heads, got {width}",
            f"write for example width={8 * heads}",
        )


def check_count(name: str, n: int, unit: str, minimum: int, maximum: int, hint: str = "") -> None:
    """Raise AttnvizError unless an option has minimum <= n <= maximum `words`, `letters`, …"""
    if not minimum <= n <= maximum:
        quantity = "more" if n < minimum else "fewer"
        raise AttnvizError(
            f"{name}: expected {minimum} to {maximum} {unit}, got {n}",
            hint or f"give {quantity} {unit}",
        )


def read_words(text: str, minimum: int, maximum: int, hint: str) -> list[str]:
    """The words of a reader's text.

    Raises:
        AttnvizError: it has fewer or more of them.
    """
    words = split_words(text)
    check_count("text", len(words), "words", minimum, maximum, hint)
    return words


def read_drawing(drawing: str) -> Array:
    """A small image that is written as digits, such as `DIGIT` -> [8, 8], from 0 to 1.

    Raises:
        AttnvizError: it does not have 8 rows of 8 digits.
    """
    rows, side = drawing.split("/"), DRAWING_SIDE
    if len(rows) != side or any(len(row) != side or not row.isdecimal() for row in rows):
        raise AttnvizError(
            f"drawing: expected {side} rows of {side} digits from 0 to 9, separated by /, "
            f"got {drawing!r:.80}",
            DIGIT,
        )
    return np.array([[int(pixel) for pixel in row] for row in rows]) / 9


def sublayer_context(x: Array) -> SublayerContext:
    """What an encoder's first block gets besides its input [n_token, d_model]: with it a part of a
    block can be run by itself."""
    stream = Stream("source", x, np.arange(len(x)))
    return SublayerContext("encoder", 0, stream, None, RecordNothing(), Scratch())


def largest_difference(one: Array, other: Array | float) -> float:
    """The largest |one - other| of two arrays, or of an array and a number."""
    return float(np.abs(one - other).max())
