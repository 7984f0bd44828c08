"""Query, keys and values as a dictionary that returns a blend."""

from __future__ import annotations

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, prose
from attnviz.nn.attention import Attention, attend
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Heatmap, Table, Text

TITLE = "Retrieval: a dictionary that returns a blend"
QUESTION = "What are queries, keys and values?"
INTUITION = (
    "A dictionary in a program needs exactly the right key and returns one value. Attention asks "
    "with a query, compares it with every key, and returns a blend of all values; the better a "
    "key matches, the more its value counts. It is like asking five friends for advice and "
    "listening most to those who know the subject best."
)
AFTER = "context"
GROUP = "start"
ALSO = ("qkv", "query", "key", "value", "dictionary", "lookup")

QUERY = "四不像"
ITEMS = "deer,ox,sheep,donkey,frog"

CHOSEN = 1e-6
"""What a key that is not chosen may keep, of the weight of the one that is."""


def lesson(
    *,
    query: str = QUERY,
    items: str = ITEMS,
    similarities: str = "4,2,3,3,0",
) -> Lesson:
    """What does a dictionary answer to a word that is none of its keys?"""
    keys = _animals() if items == ITEMS else tuple(label(i.strip()) for i in items.split(","))
    similarity = _numbers(similarities, len(keys))
    shares = similarity / similarity.sum()
    sharp = _sharp(similarity)
    soft, hard = _look_up(similarity, 1.0), _look_up(similarity, sharp)
    views = (
        _explanation(query),
        Heatmap(
            say("weights"),
            np.concatenate([soft.weights[0], hard.weights[0]]),
            Axis(say("look-up"), (say("soft"), say("hard"))),
            Axis(say("key"), keys),
            notes=(
                say(
                    "soft: the scores as they are; hard: all scores times {scale:.4g}, so that "
                    "nearly all the weight goes to the best match",
                    scale=sharp,
                ),
            ),
        ),
        _answer_table(query, keys, similarity, soft),
    )
    return Lesson(views, _claims(keys, shares, soft, hard))


def _animals() -> tuple[str, ...]:
    """The ITEMS, in the reader's language."""
    return say("deer"), say("ox"), say("sheep"), say("donkey"), say("frog")


def _explanation(query: str) -> Text:
    """Who is asked for, and why the answer can be read."""
    milu = say(
        "The query is 四不像, Père David's deer. Its Chinese name says that it resembles four "
        "animals and is none of them; how similar it is to each key is made up here."
    )
    return prose(
        milu if query == QUERY else say("The query is {query}.", query=label(query)),
        say(
            "Each key stands for itself as a value: one number for each key. So the answer shows "
            "directly what it was blended from."
        ),
    )


def _answer_table(query: str, keys: tuple[str, ...], similarity: Array, soft: Attention) -> Table:
    columns = (similarity, soft.weights[0, 0], soft.context[0, 0])
    return Table(
        say("the answer to {query}", query=label(query)),
        (say("key"), say("similarity"), say("weight"), say("share of the answer")),
        tuple((key, *map(float, row)) for key, *row in zip(keys, *columns, strict=True)),
        (
            say(
                "score = ln similarity; so weight = softmax(score) = similarity / sum of all "
                "similarities"
            ),
        ),
    )


def _claims(
    keys: tuple[str, ...], shares: Array, soft: Attention, hard: Attention
) -> tuple[Claim, ...]:
    answer, choice = soft.context[0, 0], hard.context[0, 0]
    best = np.isclose(shares, shares.max())
    return (
        Claim(
            say("The answer blends the values in proportion to the similarity of their keys"),
            ", ".join(f"{key} {a:.4g}" for key, a in zip(keys, answer, strict=True)),
            bool(np.allclose(answer, shares, atol=1e-12)),
        ),
        Claim(
            say("The weights sum to 1"),
            f"{soft.weights.sum():.12g}",
            bool(abs(soft.weights.sum() - 1) < 1e-12),
        ),
        Claim(
            say(
                "With large scores the softmax is a hard choice: all weight is on {best}",
                best=", ".join(key for key, is_best in zip(keys, best, strict=True) if is_best),
            ),
            f"{choice[best].sum():.6f}",
            bool(np.allclose(choice[best], 1 / best.sum(), atol=1e-4)),
        ),
    )


def _look_up(similarity: Array, scale: float) -> Attention:
    """One query over keys whose scores are the logarithms of their similarities to it; a key
    without any similarity is masked."""
    with np.errstate(divide="ignore"):
        scores = np.log(similarity)
    visible = similarity > 0
    k = np.where(visible, scores, 0.0)[None, :, None]
    return attend(
        np.ones((1, 1, 1)), k, np.eye(len(similarity))[None], scale=scale, mask=visible[None, None]
    )


def _sharp(similarity: Array) -> float:
    """A factor on the scores at which the softmax is a choice between the largest of them."""
    weaker = similarity[(similarity > 0) & ~np.isclose(similarity, similarity.max())]
    gap = np.log(similarity.max() / weaker.max()) if weaker.size else 1.0
    return float(np.ceil(-np.log(CHOSEN) / gap))


def _numbers(text: str, n: int) -> Array:
    try:
        numbers = np.array([float(part) for part in text.split(",")])
    except ValueError:
        numbers = np.array([])
    if len(numbers) != n or not np.isfinite(numbers).all() or (numbers < 0).any():
        raise AttnvizError(
            f"similarities: expected {n} numbers of at least 0, one per item, got {text!r}",
            "4,2,3,3,0",
        )
    if not numbers.any():
        raise AttnvizError("similarities: all are 0, so nothing fits", "give one above 0")
    return numbers


TRY = (
    Try(
        "attnviz learn retrieval:similarities=1,1,8,0,0",
        "One key matches much better than the others: 0.8 of the answer is now sheep.",
    ),
    Try(
        "attnviz learn retrieval:query=moose,items=elk,ox,similarities=3,1",
        "Your own dictionary: the answer is three quarters elk and one quarter ox.",
    ),
)
NEXT = ("steps",)
