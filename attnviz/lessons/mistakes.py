"""Five mistakes that others have made, and how their numbers give them away."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, Stages, computation, compute
from attnviz.analysis.diagnose.diagnosis import Diagnosis, diagnose
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_size, prose, read_words
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array, Bool
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Heatmap, Table, View

TITLE = "Mistakes: five that are made again and again"
QUESTION = "What goes wrong when attention is programmed?"
AFTER = "caveats"
GROUP = "practice"
ALSO = ("bugs", "debugging", "errors", "porting", "diagnose", "dropout")
INTUITION = (
    "Almost no mistake in attention raises an error. The shapes fit, the rows look like "
    "probabilities, training even works, only a little worse. But every mistake leaves its mark on "
    "the numbers: from what went into one call and what came out of it, one can compute what each "
    "known mistake would have given, and see which of them it was."
)

MIN_WORDS, MAX_WORDS = 4, 10
N_HEAD, WIDTH = 4, 6
DROPOUT = 0.2

MISTAKEN = (
    "aligned_upper_left",
    "scale_of_the_model",
    "filled_with_zero",
    "causal_dropped",
    "dropout",
)
"""Mistakes of the registry; dropout, which is random, is made here."""


def _names() -> dict[str, str]:
    return {
        "aligned_upper_left": say("causal mask in the wrong corner"),
        "scale_of_the_model": say("scaled by √d_model"),
        "filled_with_zero": say("masked with 0, not -∞"),
        "causal_dropped": say("mask forgotten"),
        "dropout": say("dropout left on"),
    }


class Made(NamedTuple):
    """A mistake, what it gives, and what a diagnosis says of its output alone."""

    name: str
    id: str
    weights: Array
    """[n_head, n_q, n_k]"""
    context: Array
    found: Diagnosis

    @property
    def is_named(self) -> bool:
        return any(
            self.id in (each.hypothesis.ids[0] for each in (cause.best, *cause.equivalent))
            for cause in self.found.causes
        )


def lesson(*, text: str = "the cat sat on the mat", queries: int = 4, seed: int = 0) -> Lesson:
    """How are mistakes in attention found?"""
    words = read_words(text, MIN_WORDS, MAX_WORDS, "every cell is shown: take a short sentence")
    check_size("queries", queries, 1, len(words))
    wanted = _wanted(len(words), queries, seed)
    right = compute(wanted)
    made = [_made(name, wanted, right, seed) for name in MISTAKEN]
    views: tuple[View, ...] = (
        *_panels(words, right, made, _seen(wanted)),
        prose(
            say(
                "The last {n} words are the queries, all words are keys, as when a text is "
                "continued, and no query may see later words. Each panel is the first head, as "
                "wanted or under one mistake.",
                n=queries,
            )
        ),
        _table(right, made),
    )
    claims = (_named_claim(made), _right_claim(wanted, right), _sums_claim(right, made))
    return Lesson(views, claims)


def _wanted(n_k: int, n_q: int, seed: int) -> Computation:
    """Causal attention of the last n_q of n_k words."""
    q, k, v = (
        normal((1, N_HEAD, n, WIDTH), seed, name, 5).astype(np.float64)
        for name, n in (("q", n_q), ("k", n_k), ("v", n_k))
    )
    return computation(q, k, v, masking=Masking(causal=True, offset=n_k - n_q))


def _made(name: str, wanted: Computation, right: Stages, seed: int) -> Made:
    """A mistake, as the arrays that somebody would save show it: weights and output, float32."""
    if name == "dropout":
        id, weights = "D1", _dropped(right.weights, seed)
        context = weights @ wanted.v
    else:
        variant = next(MISTAKES[name].variants(wanted), None)
        id, stages = MISTAKES[name].id, right if variant is None else compute(variant.computation)
        weights, context = stages.weights, stages.context
    given = {"weights": weights.astype(np.float32), "context": context.astype(np.float32)}
    found = diagnose([Case(wanted, given, "float32")])
    return Made(name, id, weights[0], context[0], found)


def _dropped(weights: Array, seed: int) -> Array:
    """Dropout of weights. Source: Srivastava et al. 2014, scaled at training."""
    draws = normal(weights.shape, seed, "dropout")
    kept = draws > np.quantile(draws[weights > 0], DROPOUT)
    return np.where(kept, weights / (1 - DROPOUT), 0)


def _seen(c: Computation) -> Bool:
    """[n_q, n_k]"""
    visible = c.visible()
    assert visible is not None
    return np.asarray(visible[0, 0])


def _panels(words: list[str], right: Stages, made: list[Made], visible: Bool) -> list[Heatmap]:
    """The first head as wanted, and under each mistake."""
    labels = tuple(map(label, words))
    n_q, n_k = visible.shape
    queries, keys = Axis(say("query"), labels[n_k - n_q :], n_k - n_q), Axis(say("key"), labels)
    titles = (say("as wanted"), *(_names()[each.name] for each in made))
    weights = (right.weights[0], *(each.weights for each in made))
    return [
        Heatmap(
            title,
            w[0],
            queries,
            keys,
            masked=((w[0] == 0) & ~visible).astype(np.uint8),
            reasons=(say("causal"),),
            hatches=("rising",),
            group=say("weights"),
        )
        for title, w in zip(titles, weights, strict=True)
    ]


def _table(right: Stages, made: list[Made]) -> Table:
    rows = tuple(
        (
            _names()[each.name],
            _worst_sum(each.weights),
            float(np.abs(each.context - right.context[0]).max()),
            ", ".join(cause.id for cause in each.found.causes) or say("matches"),
            len(_entry_threads(each)),
        )
        for each in made
    )
    columns = (say("mistake"), say("row sum - 1"), say("output off by"), say("diagnosis"),
               say("threads"))  # fmt: skip
    notes = (
        say("row sum - 1: the largest distance of a row of weights from 1"),
        say("diagnosis: what `attnviz diagnose` says of q, k, v, the mask, weights and output"),
        say("threads: places where others have reported the same, as the diagnosis names them"),
    )
    return Table(say("what gives each mistake away"), columns, rows, notes)


def _entry_threads(made: Made) -> tuple[str, ...]:
    return tuple(
        thread
        for cause in made.found.causes[:1]
        for entry in cause.best.hypothesis.entries
        for thread in entry.threads
    )


def _worst_sum(weights: Array) -> float:
    return float(np.abs(weights.sum(-1) - 1).max())


def _named_claim(made: list[Made]) -> Claim:
    changing = [each for each in made if each.found.verdict == "differs"]
    named = sum(each.is_named for each in changing)
    return Claim(
        say("Each mistake that changes a number is named from the numbers of one call"),
        say("{named} of {n} named; {same} of {all} change nothing here",
            named=named, n=len(changing), same=len(made) - len(changing), all=len(made)),
        named == len(changing) > 0,
    )  # fmt: skip


def _right_claim(wanted: Computation, right: Stages) -> Claim:
    given = {"context": right.context.astype(np.float32)}
    found = diagnose([Case(wanted, given, "float32")])
    return Claim(
        say("The right output is not blamed, although it is rounded"),
        say("off by {off:.1g}, {verdict}", off=found.reference.largest,
            verdict=say("matches") if found.verdict == "match" else say("differs")),
        found.verdict == "match",
    )  # fmt: skip


def _sums_claim(right: Stages, made: list[Made]) -> Claim:
    quiet = [each for each in made if _worst_sum(each.weights) < 1e-9]
    return Claim(
        say("A check that rows sum to 1 sees only the dropout"),
        say("sums are 1 under {n} of {all} mistakes", n=len(quiet), all=len(made)),
        {each.name for each in made} - {each.name for each in quiet} == {"dropout"},
    )


TRY = (
    Try(
        'attnviz learn "mistakes:queries=6"',
        "As many queries as keys: the causal mask has one corner only, and the first mistake "
        "changes nothing.",
    ),
    Try(
        'attnviz learn "mistakes:queries=1"',
        "One query, as in decoding: the mask hides nothing from the last word, so forgetting it "
        "changes nothing; in the wrong corner, it leaves only the first key.",
    ),
)
NEXT = (
    Try(
        'attnviz heads "I saw a saw"',
        "Every head of the model is measured, and named by what it does.",
    ),
)
