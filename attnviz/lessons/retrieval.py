"""Query, keys and values as a dictionary that answers with a mixture."""

from __future__ import annotations

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, prose
from attnviz.nn.attention import Attention, attend
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Heatmap, Table

TITLE = "A dictionary that answers with a mixture"
QUESTION = "What are queries, keys and values?"
AFTER = "context"
GROUP = "start"
ALSO = ("qkv", "query", "key", "value", "dictionary", "lookup")

CHOSEN = 1e-6
"""What a key that is not chosen may keep, of the weight of the one that is."""


def lesson(
    *,
    query: str = "四不像",
    items: str = "deer,ox,sheep,donkey,frog",
    similarities: str = "4,2,3,3,0",
) -> Lesson:
    """What does a dictionary answer to a word that is none of its keys?"""
    keys = tuple(label(item.strip()) for item in items.split(","))
    similarity = _numbers(similarities, len(keys))
    shares = similarity / similarity.sum()
    sharp = _sharp(similarity)
    soft, hard = _look_up(similarity, 1.0), _look_up(similarity, sharp)
    axes = Axis(say("query"), (label(query),)), Axis(say("key"), keys)
    views = (
        prose(
            say(
                "A dictionary gives the value of the key that is asked for. Attention has a key "
                "that fits a little, another that fits more, and answers with all of their "
                "values, each in proportion to how well its key fits."
            ),
            say(
                "The query is {query}; the values are the keys themselves, one number each, so "
                "that the answer shows what it is mixed of.",
                query=label(query),
            ),
        ),
        _answer_table(query, keys, similarity, soft),
        Heatmap(say("weights"), soft.weights[0], *axes),
        Heatmap(
            say("the same, with scores {scale:.4g} times as large: a hard look-up", scale=sharp),
            hard.weights[0],
            *axes,
        ),
    )
    return Lesson(views, _claims(keys, shares, soft, hard))


def _answer_table(query: str, keys: tuple[str, ...], similarity: Array, soft: Attention) -> Table:
    columns = (similarity, soft.weights[0, 0], soft.context[0, 0])
    return Table(
        say("the answer to {query}", query=label(query)),
        (say("key"), say("similarity"), say("weight"), say("share of the answer")),
        tuple((key, *map(float, row)) for key, *row in zip(keys, *columns, strict=True)),
        (say("weight = softmax of ln similarity = similarity / sum of all similarities"),),
    )


def _claims(
    keys: tuple[str, ...], shares: Array, soft: Attention, hard: Attention
) -> tuple[Claim, ...]:
    answer, choice = soft.context[0, 0], hard.context[0, 0]
    best = np.isclose(shares, shares.max())
    return (
        Claim(
            say("The answer is the mixture of the values by their shares"),
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
                "With large scores the softmax chooses: all weight is on {best}",
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
