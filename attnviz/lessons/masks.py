"""Which key may a query see, and how is a key really hidden?"""

from __future__ import annotations

from collections.abc import Callable
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
from attnviz.nn import masks
from attnviz.nn.attention import Attention, attend
from attnviz.nn.scores import scaled_dot
from attnviz.nn.seeded import normal
from attnviz.nn.softmax import masked_softmax, softmax
from attnviz.nn.types import Array, Bool
from attnviz.tokens import label
from attnviz.views.kinds import Axis, Grid, Heatmap, Table, Text, View

TITLE = "Masks: which keys a query may see, and how to hide a key"
QUESTION = "Which keys may a query see, and how is one hidden?"
INTUITION = (
    "A mask decides who may look at whom, like a sheet of paper laid over part of a page. It hides "
    "the padding after a short text, or the words that come later, or all but the neighbours. To "
    "hide a key, its score becomes -∞ before the softmax: e to the power of -∞ is exactly 0, so "
    "the key gets no weight and the others share all of it. Other ways look the same, but leak."
)
AFTER = "scaling"
GROUP = "start"
ALSO = ("causal", "padding", "masking", "look-ahead")

MIN_WORDS, MAX_WORDS = 2, 12
WIDTH = 8
FILL = -1e9
LOW = -2e9
"""Added to every score: that changes no weight, but FILL lies above such scores."""
LOUD = 1000.0
"""A hidden score beside which exp of the others is nothing."""
LEAKS = 1e-6

Way = Callable[[Array, Bool], Array]
"""scores [n_q, n_k], visible [n_q, n_k] -> weights [n_q, n_k]"""


class Sentence(NamedTuple):
    """One head on the words of a text: random vectors, the same for the same word."""

    words: tuple[str, ...]
    """As they are shown."""
    q: Array
    """[1 head, n, WIDTH], and so k and v."""
    k: Array
    v: Array

    def attend(self, visible: Bool) -> Attention:
        return attend(self.q, self.k, self.v, mask=visible)


class Leaks(NamedTuple):
    """By how much the outputs change if hidden keys and values are replaced."""

    ordinary: float
    low: float
    """With LOW added to all scores."""
    loud: float
    """With LOUD as the hidden keys' new score."""
    blind: Array
    """[n_k]: the weights of a query that sees no key."""

    @property
    def worst(self) -> float:
        return max(self.ordinary, self.low, self.loud)


def lesson(
    *,
    text: str = "I saw a saw",
    length: int = 3,
    window: int = 2,
    prefix: int = 2,
    seed: int = 0,
) -> Lesson:
    """What do masks hide, and do they?"""
    sentence = _sentence(text, seed)
    n = len(sentence.words)
    check_size("length", length, 1, n - 1)
    check_size("window", window, 1, n)
    check_size("prefix", prefix, 1, n)
    rules = {
        "padding": masks.padded((length,)),
        "causal": masks.CAUSAL,
        "window": masks.parse(f"window:size={window}"),
        "prefix": masks.parse(f"prefix:length={prefix}"),
    }
    leaks = {name: _leaks(way, sentence, length) for name, way in _ways().items()}
    views: tuple[View, ...] = (
        _grid(sentence, rules, (length, window, prefix)),
        _explanation(),
        _leaks_table(leaks, length),
    )
    claims = (
        _rules_claim(sentence, rules, (length, window, prefix)),
        _leaks_claim(leaks),
        _blind_claim(leaks),
        _broken_claim(sentence, length),
    )
    return Lesson(views, claims)


def _explanation() -> Text:
    return prose(
        say(
            "A key is hidden only if it changes nothing, whatever its value and its score are. The "
            "table puts other keys in the place of the hidden ones and shows how much the outputs "
            "change: anything above 0 is a leak."
        ),
    )


def _sentence(text: str, seed: int) -> Sentence:
    words = read_words(text, MIN_WORDS, MAX_WORDS, "every cell is shown: take a short sentence")
    q, k, v = (
        np.stack([normal((WIDTH,), seed, name, word) for word in words]).astype(np.float64)[None]
        for name in "qkv"
    )
    return Sentence(tuple(map(label, words)), q, k, v)


def _visible(mask: masks.Mask, n: int) -> Bool:
    visible = mask.visible(np.arange(n), np.arange(n))
    assert visible is not None
    return visible


def _ways() -> dict[str, Way]:
    """Ways to hide keys that are met in programs; the first is that of attnviz."""
    return {
        say("hidden scores become -∞"): masked_softmax,
        say("hidden scores become {fill:g}", fill=FILL): _filled,
        say("scores times 0 or 1"): lambda scores, visible: softmax(scores * visible),
        say("weights times 0 or 1, after the softmax"): _multiplied,
        say("the same, then divided by the sum of the row"): _renormalised,
    }


def _filled(scores: Array, visible: Bool) -> Array:
    return softmax(np.where(visible, scores, FILL))


def _multiplied(scores: Array, visible: Bool) -> Array:
    return np.asarray(softmax(scores) * visible)


def _renormalised(scores: Array, visible: Bool) -> Array:
    weights = _multiplied(scores, visible)
    total = weights.sum(-1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total))


def _leaks(way: Way, sentence: Sentence, length: int) -> Leaks:
    scores, v = scaled_dot(sentence.q, sentence.k)[0], sentence.v[0]
    n = len(v)
    visible = _visible(masks.padded((length,)), n)
    other_scores = np.where(visible, scores, -scores - 1)
    other_v = np.where(np.arange(n)[:, None] < length, v, -v - 1)

    def change(before: Array, after: Array) -> float:
        outputs = way(before, visible) @ v, way(after, visible) @ other_v
        return largest_difference(outputs[0], outputs[1])

    return Leaks(
        ordinary=change(scores, other_scores),
        low=change(scores + LOW, other_scores + LOW),
        loud=change(scores, np.where(visible, scores, LOUD)),
        blind=way(scores[:1], np.zeros((1, n), bool))[0],
    )


def _grid(sentence: Sentence, rules: dict[str, masks.Mask], sizes: tuple[int, int, int]) -> Grid:
    n = len(sentence.words)
    length, window, prefix = sizes
    rows, columns = Axis(say("query"), sentence.words), Axis(say("key"), sentence.words)
    names = {
        "padding": say("padding"),
        "causal": say("causal"),
        "window": say("window"),
        "prefix": say("prefix"),
    }
    panels = tuple(
        Heatmap(
            names[name],
            sentence.attend(_visible(mask, n)).weights[0],
            rows,
            columns,
            masked=(~_visible(mask, n)).astype(np.uint8),
            reasons=(names[name],),
            hatches=(masks.hatch_of(name),),
        )
        for name, mask in rules.items()
    )
    return Grid(
        say("the weights of one head under four masks"),
        (panels,),
        ("",),
        tuple(names.values()),
        notes=(
            say(
                "padding hides the keys from {length} on: they only fill up the text",
                length=length,
            ),
            say("causal hides the keys that come after the query"),
            say("window hides the keys that are {window} or more places away", window=window),
            say("prefix is causal, but all queries see the first {prefix} keys", prefix=prefix),
        ),
    )


def _leaks_table(leaks: dict[str, Leaks], length: int) -> Table:
    return Table(
        say("ways to hide a key, and how much leaks through"),
        (
            say("way"),
            say("ordinary"),
            say("low"),
            say("loud"),
            say("blind"),
        ),
        tuple(
            (name, leak.ordinary, leak.low, leak.loud, float(leak.blind.sum()))
            for name, leak in leaks.items()
        ),
        (
            say(
                "the largest change of an output, with {length} valid keys. ordinary: the "
                "scores as they are; low: all scores near {low:g}; loud: the hidden scores are "
                "{loud:g}",
                length=length,
                low=LOW,
                loud=LOUD,
            ),
            say("blind: the sum of the weights of a query that may see no key; it should be 0"),
        ),
    )


def _rules_claim(
    sentence: Sentence,
    rules: dict[str, masks.Mask],
    sizes: tuple[int, int, int],
) -> Claim:
    """Cell by cell, against the rules in words."""
    length, window, prefix = sizes
    allowed: dict[str, Callable[[int, int], bool]] = {
        "padding": lambda i, j: j < length,
        "causal": lambda i, j: j <= i,
        "window": lambda i, j: abs(i - j) < window,
        "prefix": lambda i, j: j <= i or j < prefix,
    }
    n = len(sentence.words)
    wrong = 0
    off = 0.0
    for name, mask in rules.items():
        weights = sentence.attend(_visible(mask, n)).weights[0]
        wrong += sum((weights[i, j] > 0) != allowed[name](i, j) for i in range(n) for j in range(n))
        off = max(off, largest_difference(weights.sum(-1), 1))
    return Claim(
        say("Hidden cells have weight exactly 0, all others more than 0; each row sums to 1"),
        say(
            "{wrong} of {cells} cells wrong, under {n} masks; sums at most {off:.1e} from 1",
            n=len(rules), cells=len(rules) * n * n, wrong=wrong, off=off,
        ),
        wrong == 0 and off < 1e-12,
    )  # fmt: skip


def _leaks_claim(leaks: dict[str, Leaks]) -> Claim:
    true, *others = leaks.values()
    smallest = min(leak.worst for leak in others)
    return Claim(
        say("Only -∞ leaks nothing, whatever the scores are"),
        say(
            "-∞ leaks {true:g}; at its worst, each other way leaks {least:.3g} or more",
            true=true.worst,
            least=smallest,
        ),
        true.worst == 0 and smallest > LEAKS,
    )


def _blind_claim(leaks: dict[str, Leaks]) -> Claim:
    true, filled, *_ = (leak.blind for leak in leaks.values())
    even = 1 / len(filled)
    return Claim(
        say(
            "A query that may see no key has weights of 0; with {fill:g} it looks at all keys "
            "instead",
            fill=FILL,
        ),
        say(
            "-∞: at most {true:g} each; {fill:g}: {low:.3g} to {high:.3g} each",
            true=true.max(), fill=FILL, low=filled.min(), high=filled.max(),
        ),
        bool(not true.any() and np.allclose(filled, even, atol=1e-12)),
    )  # fmt: skip


def _broken_claim(sentence: Sentence, length: int) -> Claim:
    """NaN spreads through any product; a hidden key must not take part in one."""
    visible = _visible(masks.padded((length,)), len(sentence.words))
    hidden = np.arange(len(sentence.words))[:, None] >= length
    k, v = (np.where(hidden, np.nan, array) for array in (sentence.k, sentence.v))
    intact, broken = sentence.attend(visible), sentence._replace(k=k, v=v).attend(visible)
    changed = int((intact.context != broken.context).sum())
    return Claim(
        say("Hidden keys and values change nothing, even if they are not numbers (NaN)"),
        say(
            "{changed} of {all} numbers of the output change",
            changed=changed,
            all=intact.context.size,
        ),
        changed == 0,
    )


TRY = (
    Try(
        "attnviz learn masks:window=1",
        "In the panel window each word sees only itself: weights of 1 on the diagonal.",
    ),
    Try(
        'attnviz run "I saw a saw" --mask causal',
        "The tagger may no longer look ahead: every cell above the diagonal is masked.",
    ),
)
NEXT = ("heads",)
