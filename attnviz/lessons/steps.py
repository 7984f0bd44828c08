"""Attention from the sentence to the output, with the shape at each arrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    Try,
    check_size,
    largest_difference,
    prose,
    read_words,
)
from attnviz.nn.attention import Attention, attend
from attnviz.nn.linear import linear
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Heatmap, Table, View, around_zero, indices

TITLE = "Attention step by step: from a sentence to its output"
QUESTION = "How does a sentence become the output of attention?"
INTUITION = (
    "Every word writes three notes: a query (what I am looking for), a key (what I have to offer) "
    "and a value (what I pass on). It compares its query with the keys of all words; the better "
    "the match, the larger that word's weight. Its new vector is the weighted average of all "
    "values. The rest is a matter of shapes: matrices at the start make the notes, one at the end "
    "restores the width."
)
AFTER = "retrieval"
GROUP = "start"
ALSO = ("attention", "self-attention", "walkthrough", "shapes", "projections")

MAX_WORDS = 12
EXACT = 1e-12


class Steps(NamedTuple):
    """One head, and what comes before and after it."""

    words: tuple[str, ...]
    """As they are shown."""
    x: Array
    """[n_token, d_model]"""
    matrices: dict[str, Array]
    """q, k, v: [d_k, d_model]; o: [d_model, d_k]."""
    attention: Attention
    """[1 head, n_token, …]"""
    output: Array
    """[n_token, d_model]"""


def lesson(*, text: str = "I saw a saw", d_model: int = 8, d_k: int = 3, seed: int = 0) -> Lesson:
    """What happens to a sentence between the input and the output of one attention head?"""
    check_size("d_model", d_model, 1, 64)
    check_size("d_k", d_k, 1, 64)
    words = read_words(text, 1, MAX_WORDS, "every number is shown: take a short sentence")
    steps = _compute(words, d_model, d_k, seed)
    views: tuple[View, ...] = (
        Heatmap(
            say("weights: who looks at whom"),
            steps.attention.weights[0],
            Axis(say("query"), steps.words),
            Axis(say("key"), steps.words),
            notes=(
                say("Read a row: how the word at its left divides its attention. A row sums to 1."),
                *_repeated(steps.words),
            ),
        ),
        prose(
            say(
                "Each word comes in as a vector of d_model = {d_model} numbers and goes out as one "
                "of the same length. The vectors and matrices here are random: the arithmetic is "
                "that of a trained model, but the numbers mean nothing.",
                d_model=d_model,
            ),
        ),
        _shapes(steps),
        _one_row(steps),
        Heatmap(
            say("output: a new vector for each word"),
            steps.output,
            Axis(say("word"), steps.words),
            indices(say("dimension"), d_model),
            around_zero(steps.output),
        ),
    )
    return Lesson(views, _claims(steps))


def _compute(words: Sequence[str], d_model: int, d_k: int, seed: int) -> Steps:
    """The same word has the same vector wherever it stands: there are no positions."""
    x = np.stack([normal((d_model,), seed, "word", word) for word in words]).astype(np.float64)
    shapes = dict.fromkeys("qkv", (d_k, d_model)) | {"o": (d_model, d_k)}
    matrices = {
        name: normal(shape, seed, name).astype(np.float64) / math.sqrt(shape[1])
        for name, shape in shapes.items()
    }
    q, k, v = (linear(x, matrices[name])[None] for name in "qkv")
    attention = attend(q, k, v)
    output = linear(attention.context[0], matrices["o"])
    return Steps(tuple(map(label, words)), x, matrices, attention, output)


def _shapes(steps: Steps) -> Table:
    x, a = steps.x, steps.attention
    rows = (
        (say("the vectors of the words"), "x", "[n, d_model]", x),
        (say("what each word looks for"), "q = x W_q", "[n, d_k]", a.q[0]),
        (say("what each word offers"), "k = x W_k", "[n, d_k]", a.k[0]),
        (say("what each word passes on"), "v = x W_v", "[n, d_k]", a.v[0]),
        (say("every query times every key"), "q kᵀ", "[n, n]", a.scores[0]),
        (say("scaled down (lesson `scaling`)"), "s = q kᵀ / √d_k", "[n, n]", a.scores[0]),
        (say("each row sums to 1"), "w = softmax(s)", "[n, n]", a.weights[0]),
        (say("the values, averaged with the weights"), "c = w v", "[n, d_k]", a.context[0]),
        (say("back to the width of the input"), "y = c W_o", "[n, d_model]", steps.output),
    )
    return Table(
        say("the steps, with the shape of what comes out"),
        (say("step"), say("formula"), say("axes"), say("shape")),
        tuple((what, formula, axes, str(list(a.shape))) for what, formula, axes, a in rows),
    )


def _one_row(steps: Steps) -> Table:
    """The last word's query, from its products with the keys to its weights."""
    a = steps.attention
    products = a.q[0, -1] @ a.k[0].T
    scores, weights = a.scores[0, -1], a.weights[0, -1]
    powers = np.exp(scores)
    columns = (products, scores, powers, weights, a.v[0, :, 0], weights * a.v[0, :, 0])
    return Table(
        say("one row by hand: the last word, {word}, as the query", word=steps.words[-1]),
        (say("key"), "q·k", "q·k/√d_k", "exp", say("weight"), "v[0]", say("weight × v[0]")),
        tuple(
            (f"{j} {word}", *(float(column[j]) for column in columns))
            for j, word in enumerate(steps.words)
        ),
        (
            say("weight = exp / {total:.4f}, the sum of the column exp", total=powers.sum()),
            say(
                "the last column adds up to {sum:.4f}: the first number of this word's c",
                sum=a.context[0, -1, 0],
            ),
        ),
        decimals=4,
    )


def _repeated(words: Sequence[str]) -> tuple[str, ...]:
    if len(set(words)) == len(words):
        return ()
    return (
        say(
            "A word that occurs twice has the same row twice: nothing here tells attention where "
            "a word stands (lesson `positions`)."
        ),
    )


def _claims(steps: Steps) -> tuple[Claim, ...]:
    sums = steps.attention.weights[0].sum(-1)
    by_hand = _by_loops(steps)
    same_shape = steps.output.shape == steps.x.shape
    apart = largest_difference(steps.output, by_hand) if same_shape else math.inf
    return (
        Claim(
            say("Every row of weights sums to 1"),
            say("at most {apart:.1e} from 1", apart=np.abs(sums - 1).max()),
            bool(np.abs(sums - 1).max() < EXACT),
        ),
        Claim(
            say("The output has the shape of the input"),
            say(
                "input {input}, output {output}",
                input=list(steps.x.shape),
                output=list(steps.output.shape),
            ),
            same_shape,
        ),
        Claim(
            say("Worked out number by number, the formulas give the same output"),
            say("at most {apart:.1e} apart", apart=apart),
            apart < EXACT,
        ),
    )


def _by_loops(steps: Steps) -> Array:
    """The output [n_token, d_model] as the table of steps has it, in plain numbers."""
    w_q, w_k, w_v, w_o = (steps.matrices[name].tolist() for name in "qkvo")
    x = steps.x.tolist()

    def times(matrix: list[list[float]], vector: list[float]) -> list[float]:
        return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]

    queries, keys, values = ([times(w, row) for row in x] for w in (w_q, w_k, w_v))
    rows = []
    for query in queries:
        scores = [s / math.sqrt(len(query)) for s in times(keys, query)]
        powers = [math.exp(score) for score in scores]
        weights = [power / sum(powers) for power in powers]
        context = times([list(column) for column in zip(*values, strict=True)], weights)
        rows.append(times(w_o, context))
    return np.array(rows)


TRY = (
    Try(
        'attnviz learn steps --text "a saw I saw"',
        "Only the order is new: every word gets the same output vector as before, in another row.",
    ),
    Try('attnviz run "I saw a saw" --steps', "The same steps in a trained model."),
)
NEXT = ("scaling",)
