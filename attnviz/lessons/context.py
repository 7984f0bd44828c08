"""The same word alone, in a window, under attention: three taggers on one text."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, read_words
from attnviz.models import PACKAGED
from attnviz.models.sources.card import read_card
from attnviz.nn.softmax import softmax
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.tokens import label
from attnviz.trace.record import Trace
from attnviz.trace.selection import parse_selection
from attnviz.views.kinds import Heatmap, Table, View
from attnviz.views.matrices import token_axis

TITLE = "I saw a saw: the words around a word decide what it is"
QUESTION = "How does a word get its meaning from its neighbours?"
INTUITION = (
    "A dictionary lists several meanings of “saw”: the past of “see”, a tool, to cut with that "
    "tool. The word alone cannot tell you which one is meant; the sentence can. Attention lets "
    "each word look at the others and take from them what it needs. So the same word ends up "
    "with a different vector in each place: after “I” a verb, after “a” a noun."
)
AFTER = ""
GROUP = "start"
ALSO = ("tagging", "tagger", "part-of-speech", "pos", "ambiguity", "meaning", "saw")

CLASSIC = "I saw a saw"
WORD, WINDOW, ATTENTION = "tagger-word", "tagger-window", "tagger"
TAGGERS = (WORD, WINDOW, ATTENTION)

MAX_WORDS = 30
"""What the taggers were trained on."""

EITHER = "accuracy_noun_or_verb"
"""The card's figure of nouns and verbs that may be either."""

WITHOUT = "accuracy_ambiguous_without_"
"""How the card's figures of the model without one head are named."""

SAME, DIFFERENT = 1e-5, 1e-3
"""Vectors this near to each other, of their length, are the same up to rounding; or are not."""


class Reading(NamedTuple):
    """What one tagger makes of a text; the words only, without what the tokenizer added."""

    trace: Trace
    positions: tuple[int, ...]
    """Of the words among the tokens."""

    @property
    def words(self) -> list[str]:
        labels = self.trace.streams["source"].labels
        return [labels[i] for i in self.positions]

    @property
    def tags(self) -> list[str]:
        tags = self.trace.streams["source"].tags
        return [tags[i] for i in self.positions]

    def confidences(self) -> list[float]:
        """The probability of each word's tag."""
        assert self.trace.logits is not None
        return [float(p) for p in softmax(self.trace.logits).max(-1)[list(self.positions)]]

    def apart(self, first: int, second: int) -> float:
        """How far the last vectors of two words are apart, as a share of the first's length."""
        vectors = self.trace.hidden_states["encoder"][-1][list(self.positions)]
        distance = np.linalg.norm(vectors[first] - vectors[second])
        return float(distance / np.linalg.norm(vectors[first]))


Readings = dict[str, Reading]


def lesson(*, text: str = CLASSIC) -> Lesson:
    """Does a word have the same tag wherever it stands?"""
    readings, classic = _read(text), _read(CLASSIC)
    repeating = readings if _repeated(readings) else classic
    head = _best_head()
    views: tuple[View, ...] = (
        _where_it_looks(readings[ATTENTION], head),
        _tags_table(classic, CLASSIC),
        *((_tags_table(readings, text),) if text != CLASSIC else ()),
        _accuracies(),
    )
    claims = (
        _classic_claim(classic),
        _looks_claim(classic[ATTENTION], head),
        _apart_claim(repeating),
        _ahead_claim(),
    )
    return Lesson(views, claims)


def _read(text: str) -> Readings:
    read_words(text, 1, MAX_WORDS, "the taggers were trained on texts of that length")
    readings = {}
    for name in TAGGERS:
        trace = run(text, model=name, hidden_states=True, logits=True, fingerprint=False)
        tokens = trace.streams["source"]
        positions = tuple(i for i in range(len(tokens)) if i not in tokens.special)
        readings[name] = Reading(trace, positions)
    return readings


def _repeated(readings: Readings) -> tuple[int, int] | None:
    """The first and the last position of the first word that occurs twice."""
    words = readings[WORD].words
    for first, word in enumerate(words):
        last = len(words) - 1 - words[::-1].index(word)
        if last > first:
            return first, last
    return None


def _tags_table(readings: Readings, text: str) -> Table:
    words = readings[WORD].words
    columns = [
        [f"{tag} {p:.2f}" for tag, p in zip(reading.tags, reading.confidences(), strict=True)]
        for reading in readings.values()
    ]
    return Table(
        say("{text}: the tags that three taggers give", text=label(text)),
        (say("word"), say("word alone"), say("with a window"), say("with attention")),
        tuple(
            (f"{i} {word}", *tags)
            for i, (word, *tags) in enumerate(zip(words, *columns, strict=True))
        ),
        (
            say(
                "each tag with its probability. The taggers learned from the same texts: {word} "
                "sees each word alone, {window} also the two words on either side, {attention} "
                "the whole text",
                word=WORD,
                window=WINDOW,
                attention=ATTENTION,
            ),
        ),
    )


def _best_head() -> tuple[str, float]:
    """The head without which most words are tagged wrong, by the model's card, and the share
    that is then still right."""
    figures = _figures()[ATTENTION]
    without = {
        key.removeprefix(WITHOUT): p for key, p in figures.items() if key.startswith(WITHOUT)
    }
    name = min(without, key=lambda name: without[name])
    return name, without[name]


def _weights(reading: Reading, name: str) -> Array:
    """Of a head: [n_token, n_token]."""
    selection = parse_selection([name])
    record = next(record for record in reading.trace if selection.covers(record))
    (head,) = selection.heads(record)
    return np.asarray(record.stage("weights")[head])


def _where_it_looks(reading: Reading, head: tuple[str, float]) -> Heatmap:
    name, without = head
    tokens = reading.trace.streams["source"]
    return Heatmap(
        say("where each word looks: head {head} of {model}", head=name, model=ATTENTION),
        _weights(reading, name),
        token_axis(say("query"), tokens),
        token_axis(say("key"), tokens),
        notes=(
            say("Read a row: how much the word at its left takes from each word. A row sums to 1."),
            say(
                "This is the head that matters most: with it, the tagger gets {whole:.1%} of the "
                "ambiguous words in new texts right; without it, {without:.1%}.",
                without=without,
                whole=_figures()[ATTENTION]["accuracy_ambiguous"],
            ),
        ),
    )


def _figures() -> dict[str, dict[str, float]]:
    """What the models' cards say of texts that they were not trained on."""
    cards = {name: read_card(PACKAGED / name) for name in TAGGERS}
    return {name: card["figures"] for name, card in cards.items() if card is not None}


def _accuracies() -> Table:
    figures = _figures()
    kinds = (
        (say("all words"), "accuracy", "n"),
        (say("words that can be noun or verb"), EITHER, "n_noun_or_verb"),
        (
            say("of these, in texts longer than the window"),
            "accuracy_noun_or_verb_far",
            "n_noun_or_verb_far",
        ),
    )
    return Table(
        say("share of words tagged correctly, in texts that were not in the training"),
        (say("words"), say("how many"), *TAGGERS),
        tuple(
            (what, int(figures[WORD][n]), *(figures[name][key] for name in TAGGERS))
            for what, key, n in kinds
        ),
        (
            say(
                "where a word can be noun or verb, attention beats the window by only "
                "{points:.1f} points: in short texts, the word that decides is usually near",
                points=100 * (figures[ATTENTION][EITHER] - figures[WINDOW][EITHER]),
            ),
            say(
                "from the models' cards: `attnviz models {name}` shows one in full", name=ATTENTION
            ),
        ),
        decimals=3,
    )


def _classic_claim(classic: Readings) -> Claim:
    def both(name: str) -> str:
        tagged = list(zip(classic[name].tags, classic[name].confidences(), strict=True))
        return ", ".join(f"{tag} {p:.2f}" for tag, p in (tagged[1], tagged[3]))

    (_, first, _, last), (_, one, _, other) = classic[WORD].tags, classic[ATTENTION].tags
    return Claim(
        say(
            "In I saw a saw, the word alone gets the same tag twice; with attention it is first a "
            "verb, then a noun"
        ),
        say(
            "alone {alone}; with attention {attention}",
            alone=both(WORD),
            attention=both(ATTENTION),
        ),
        first == last and (one, other) == ("VERB", "NOUN"),
    )


def _looks_claim(classic: Reading, head: tuple[str, float]) -> Claim:
    """Of the two saws, each at the word before it."""
    weights = _weights(classic, head[0])
    saws = [classic.positions[1], classic.positions[3]]
    first, second = (float(weights[i, i - 1]) for i in saws)
    return Claim(
        say(
            "The head above looks from each saw at the word that decides: from saw to I, then to a"
        ),
        say("weight on I {first:.2f}, weight on a {second:.2f}", first=first, second=second),
        all(int(weights[i].argmax()) == i - 1 for i in saws),
    )


def _apart_claim(readings: Readings) -> Claim:
    pair = _repeated(readings)
    assert pair is not None
    alone, window, attention = (readings[name].apart(*pair) for name in TAGGERS)
    return Claim(
        say(
            "Alone, {word} has the same vector in both places; with attention it has two different "
            "ones",
            word=readings[WORD].words[pair[0]],
        ),
        say(
            "distance of the two, relative to their length: alone {alone:.1%}, with a window "
            "{window:.1%}, with attention {attention:.1%}",
            alone=alone,
            window=window,
            attention=attention,
        ),
        alone < SAME and attention > DIFFERENT,
    )


def _ahead_claim() -> Claim:
    """More than four standard errors, so that it is not the luck of the texts held out."""
    figures = _figures()
    n = figures[WORD]["n_noun_or_verb"]
    alone, attention = (figures[name][EITHER] for name in (WORD, ATTENTION))
    error = math.sqrt((alone * (1 - alone) + attention * (1 - attention)) / n)
    return Claim(
        say("Context tells nouns from verbs: attention is far ahead of the word alone"),
        say(
            "correct of {n} words: alone {alone:.1%}, with attention {attention:.1%} (standard "
            "error of the difference: {error:.1%})",
            alone=alone,
            attention=attention,
            n=n,
            error=error,
        ),
        attention - alone > 4 * error,
    )


TRY = (
    Try(
        'attnviz learn context --text "we watch a watch"',
        "Alone, watch is a verb both times; with attention, the second one is a noun.",
    ),
)
NEXT = ("retrieval",)
