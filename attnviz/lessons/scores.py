"""Scoring functions beside one another, and the classic example with two times ten pairs."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

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
from attnviz.nn.attention import Attention, attend
from attnviz.nn.masks import hatch_of, padded
from attnviz.nn.scores import SCORES, Score
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.views.kinds import Axis, Heatmap, Table, Value, View, indices

TITLE = "Scores: how well does a key match a query?"
QUESTION = "How is a query compared with a key?"
INTUITION = (
    "A score is a matchmaker: it takes one query and one key and answers with a number, larger for "
    "a better match. The dot product is large where the two point in the same direction and are "
    "long; the cosine looks at the direction only. Additive attention and the general score have "
    "learned matrices, so they can even compare vectors of different widths."
)
AFTER = "pooling"
GROUP = "deeper"
ALSO = ("additive", "bahdanau", "luong", "dot", "dot-product", "cosine", "general", "similarity")

N_KEY, D_VALUE = 10, 4
LENGTHS = (2, 6)
PUBLISHED = ((2.0, 3.0, 4.0, 5.0), (10.0, 11.0, 12.0, 13.0))
"""The classic example's outputs. Source: Zhang et al., Dive into Deep Learning, attention
scoring functions; printed there for additive and for scaled dot-product attention."""

NAMES = ("additive", "dot", "scaled_dot", "general", "cosine")
EXACT = 1e-12
LONGER = 3.0


class Tried(NamedTuple):
    """One score on the query and the keys that all scores are tried on."""

    scores: Array
    """[n_key]"""
    weights: Array
    """[n_key]"""
    longer: Array
    """[n_key]: the weights if every key is LONGER times as long."""
    refusal: str
    """What it says to queries and keys of different widths; empty if it takes them."""


def lesson(
    *,
    d_q: int = 20,
    d_k: int = 2,
    hidden: int = 8,
    lengths: tuple[int, ...] = LENGTHS,
    seed: int = 0,
) -> Lesson:
    """What does it mean that a key fits a query?"""
    _check(d_q, d_k, hidden, lengths)
    classic = {name: _classic(name, d_q, d_k, hidden, lengths, seed) for name in NAMES}
    tried = {name: _try(name, d_q, d_k, hidden, seed) for name in NAMES}
    views: tuple[View, ...] = (
        _side_by_side(tried, d_q),
        _formulas_table(tried, d_q, d_k, seed),
        prose(
            say(
                "The classic example from Dive into Deep Learning: queries of width {d_q}, {n} "
                "identical keys of width {d_k}, and values that count up from 0. Identical keys "
                "get equal weights under any score, so the output is the mean of the values of "
                "the valid keys.",
                d_q=d_q,
                n=N_KEY,
                d_k=d_k,
            ),
        ),
        _classic_map(classic["additive"], lengths),
        _classic_table(classic["additive"], lengths),
    )
    claims = (
        _uniform_claim(classic, lengths),
        _published_claim(d_q, d_k, hidden, seed),
        _widths_claim(tried),
        _length_claim(tried),
    )
    return Lesson(views, claims)


def _check(d_q: int, d_k: int, hidden: int, lengths: tuple[int, ...]) -> None:
    for name, size in (("d_q", d_q), ("d_k", d_k), ("hidden", hidden)):
        check_size(name, size, 1, 256)
    check_count("lengths", len(lengths), "numbers", 1, 6)
    for length in lengths:
        check_size("lengths", length, 1, N_KEY)
    if d_q == d_k:
        raise AttnvizError(
            f"d_q and d_k: expected two different widths, got {d_q} twice",
            "the lesson shows which scores bring two widths together: d_q=20,d_k=2",
        )


def _bound(name: str, d_q: int, d_k: int, hidden: int, seed: int) -> Score:
    """The score with random arrays where it has learned ones."""
    shapes = SCORES[name].array_shapes(d_q, d_k, hidden)
    return partial(
        SCORES[name].function,
        **{
            key: _random(shape, seed, name, key) / np.sqrt(shape[-1])
            for key, shape in shapes.items()
        },
    )


def _random(shape: tuple[int, ...], *key: int | str) -> Array:
    return normal(shape, *key).astype(np.float64)


def _classic(
    name: str, d_q: int, d_k: int, hidden: int, lengths: tuple[int, ...], seed: int
) -> Attention:
    """One random query a text, keys of ones: [n_text, 1 head, 1 query, …]."""
    n_text = len(lengths)
    width = d_q if SCORES[name].arrays else d_k
    values = np.arange(float(N_KEY * D_VALUE)).reshape(1, 1, N_KEY, D_VALUE)
    return attend(
        _random((n_text, 1, 1, width), seed, "classic"),
        np.ones((n_text, 1, N_KEY, d_k)),
        np.broadcast_to(values, (n_text, 1, N_KEY, D_VALUE)),
        score=_bound(name, width, d_k, hidden, seed),
        mask=padded(lengths).visible(np.arange(1), np.arange(N_KEY)),
    )


def _try(name: str, d_q: int, d_k: int, hidden: int, seed: int) -> Tried:
    q, k = _random((1, 1, d_q), seed, "q"), _random((1, N_KEY, d_q), seed, "k")
    score = _bound(name, d_q, d_q, hidden, seed)
    once, longer = (attend(q, keys, keys, score=score) for keys in (k, LONGER * k))
    try:
        _bound(name, d_q, d_k, hidden, seed)(q, k[..., :1] * np.ones(d_k))
        refusal = ""
    except AttnvizError as error:
        refusal = error.message
    return Tried(once.scores[0, 0], once.weights[0, 0], longer.weights[0, 0], refusal)


def _formulas_table(tried: dict[str, Tried], d_q: int, d_k: int, seed: int) -> Table:
    return Table(
        say("the scores of that query with the {n} keys", n=N_KEY),
        (
            say("score"),
            say("formula"),
            say("widths {d_q} and {d_k}", d_q=d_q, d_k=d_k),
            say("lowest"),
            say("highest"),
        ),
        tuple(
            (
                name,
                SCORES[name].formula,
                say("no") if each.refusal else say("yes"),
                float(each.scores.min()),
                float(each.scores.max()),
            )
            for name, each in tried.items()
        ),
        (
            say(
                "widths {d_q} and {d_k}: whether the score can compare a query of width {d_q} with "
                "a key of width {d_k}",
                d_q=d_q,
                d_k=d_k,
            ),
            say("W_q, W_k, w_v and W are untrained: random, seed {seed}", seed=seed),
        ),
        decimals=2,
    )


def _classic_map(classic: Attention, lengths: tuple[int, ...]) -> Heatmap:
    beyond = np.arange(N_KEY) >= np.array(lengths)[:, None]
    names = tuple(say("{length} valid", length=length) for length in lengths)
    return Heatmap(
        say("the classic example: additive attention with identical keys"),
        classic.weights[:, 0, 0],
        Axis(say("query"), names),
        indices(say("key"), N_KEY),
        masked=beyond.astype(np.uint8),
        reasons=(say("beyond the valid length"),),
        hatches=(hatch_of("padding"),),
    )


def _classic_table(classic: Attention, lengths: tuple[int, ...]) -> Table:
    rows: list[tuple[Value, ...]] = [
        (i, length, *map(float, row))
        for i, (length, row) in enumerate(zip(lengths, classic.context[:, 0, 0], strict=True))
    ]
    return Table(
        say("its outputs: the mean of the values of the valid keys"),
        (say("query"), say("valid keys"), *(f"[{i}]" for i in range(D_VALUE))),
        tuple(rows),
        (say("the value of key j is [4j, 4j + 1, 4j + 2, 4j + 3]"),),
    )


def _side_by_side(tried: dict[str, Tried], d_q: int) -> Heatmap:
    return Heatmap(
        say("weights: the same query and keys under each score (width {d_q})", d_q=d_q),
        np.stack([each.weights for each in tried.values()]),
        Axis(say("score"), tuple(tried)),
        indices(say("key"), N_KEY),
        notes=(
            say("Read a row: how that score divides the weight among the keys. A row sums to 1."),
        ),
    )


def _uniform_claim(classic: dict[str, Attention], lengths: tuple[int, ...]) -> Claim:
    even = np.array([[(j < length) / length for j in range(N_KEY)] for length in lengths])
    off = max(largest_difference(done.weights[:, 0, 0], even) for done in classic.values())
    return Claim(
        say("Identical keys get equal weights, whatever the score; hidden keys get none"),
        say("{n} scores, at most {off:.1g} off", n=len(classic), off=off),
        off < EXACT,
    )


def _published_claim(d_q: int, d_k: int, hidden: int, seed: int) -> Claim:
    outputs = {
        name: _classic(name, d_q, d_k, hidden, LENGTHS, seed).context[:, 0, 0] for name in NAMES
    }
    first, second = (" ".join(f"{x:g}" for x in row) for row in outputs["additive"].round(9))
    off = max(largest_difference(output, np.array(PUBLISHED)) for output in outputs.values())
    return Claim(
        say("With 2 and 6 valid keys, the outputs are the published ones: 2 3 4 5 and 10 11 12 13"),
        say(
            "{first} and {second}; with any score, at most {off:.1e} off",
            first=first,
            second=second,
            off=off,
        ),
        off < EXACT * N_KEY * D_VALUE,
    )


def _widths_claim(tried: dict[str, Tried]) -> Claim:
    takes = {name for name, each in tried.items() if not each.refusal}
    return Claim(
        say("Only scores with learned matrices accept queries and keys of different widths"),
        say(
            "{n} accept them ({names}), {other} do not ({others})",
            n=len(takes), names=", ".join(sorted(takes)),
            other=len(tried) - len(takes), others=", ".join(sorted(set(tried) - takes)),
        ),
        takes == {name for name in NAMES if SCORES[name].arrays},
    )  # fmt: skip


def _length_claim(tried: dict[str, Tried]) -> Claim:
    moved = {name: largest_difference(t.longer, t.weights) for name, t in tried.items()}
    others = min(change for name, change in moved.items() if name != "cosine")
    return Claim(
        say("Only the cosine ignores how long the keys are"),
        say(
            "with keys {times:g} times as long, its weights change by at most {cosine:.1g}, those "
            "of every other score by {others:.2g} or more",
            times=LONGER, cosine=moved["cosine"], others=others,
        ),
        moved["cosine"] < EXACT < others,
    )  # fmt: skip


TRY = (
    Try(
        "attnviz learn scores:lengths=10,1",
        "In the classic example, ten valid keys get 0.10 each; a single valid key gets it all.",
    ),
    Try(
        "attnviz compare dot scaled_dot",
        "In a trained model: without the division by √d_k the weights are far more one-sided.",
    ),
)
NEXT = ("positions",)
