"""The same word alone, in a window, under attention: three taggers on one text."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, prose, read_words
from attnviz.models import PACKAGED
from attnviz.models.run.forward import run
from attnviz.models.sources.card import read_card
from attnviz.nn.softmax import softmax
from attnviz.tokens import label
from attnviz.trace.record import Trace
from attnviz.trace.selection import parse_selection
from attnviz.views.attention import token_axis
from attnviz.views.kinds import Heatmap, Table, View

TITLE = "I saw a saw: what a word is depends on the words around it"
QUESTION = "How does a word get its meaning from its neighbours?"
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
    views: tuple[View, ...] = (
        prose(
            say(
                "In I saw a saw, the first saw is a verb and the second a noun. The word itself "
                "cannot tell which: only the words around it can."
            ),
            say(
                "Three taggers, trained on the same texts. One sees each word by itself, one also "
                "sees the two words on either side, one sees the whole text through attention."
            ),
        ),
        _tags_table(classic, CLASSIC),
        *((_tags_table(readings, text),) if text != CLASSIC else ()),
        _where_it_looks(readings),
        _accuracies(),
    )
    return Lesson(views, (_classic_claim(classic), _apart_claim(repeating), _ahead_claim()))


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
        say("{text}: its words, tagged by each of the three", text=label(text)),
        (say("word"), say("by itself"), say("in a window"), say("under attention")),
        tuple(
            (f"{i} {word}", *tags)
            for i, (word, *tags) in enumerate(zip(words, *columns, strict=True))
        ),
        (
            say(
                "each tag with its probability; these are the models {names}",
                names=", ".join(TAGGERS),
            ),
        ),
    )


def _where_it_looks(readings: Readings) -> Heatmap:
    """The head without which most words are tagged wrong, by the model's card."""
    figures = _figures()[ATTENTION]
    without = {
        key.removeprefix(WITHOUT): p for key, p in figures.items() if key.startswith(WITHOUT)
    }
    name = min(without, key=lambda name: without[name])
    trace = readings[ATTENTION].trace
    selection = parse_selection([name])
    record = next(record for record in trace if selection.covers(record))
    (head,) = selection.heads(record)
    tokens = trace.streams["source"]
    return Heatmap(
        say("where each word looks: {head} of {model}", head=name, model=ATTENTION),
        record.stage("weights")[head],
        token_axis(say("query"), tokens),
        token_axis(say("key"), tokens),
        notes=(
            say(
                "this head matters most: without it {without:.1%} of the ambiguous words held out "
                "are tagged right, with it {whole:.1%}",
                without=without[name],
                whole=figures["accuracy_ambiguous"],
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
        (say("nouns and verbs that may be either"), EITHER, "n_noun_or_verb"),
        (
            say("of them, in texts that reach farther than the window"),
            "accuracy_noun_or_verb_far",
            "n_noun_or_verb_far",
        ),
    )
    return Table(
        say("share tagged right, in texts held out from training"),
        (say("words"), say("how many"), *TAGGERS),
        tuple(
            (what, int(figures[WORD][n]), *(figures[name][key] for name in TAGGERS))
            for what, key, n in kinds
        ),
        (
            say(
                "on nouns and verbs, attention is ahead of the window by {points:.1f} points only: "
                "in short texts, most words that decide stand near",
                points=100 * (figures[ATTENTION][EITHER] - figures[WINDOW][EITHER]),
            ),
            say("from the models' cards; attnviz models {name} shows one in full", name=ATTENTION),
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
            "In I saw a saw, the word by itself has the same tag at both places; under attention "
            "it is a verb, then a noun"
        ),
        say(
            "by itself {alone}; under attention {attention}",
            alone=both(WORD),
            attention=both(ATTENTION),
        ),
        first == last and (one, other) == ("VERB", "NOUN"),
    )


def _apart_claim(readings: Readings) -> Claim:
    pair = _repeated(readings)
    assert pair is not None
    alone, window, attention = (readings[name].apart(*pair) for name in TAGGERS)
    return Claim(
        say(
            "By itself, {word} has the same vector at both places; under attention it has another",
            word=readings[WORD].words[pair[0]],
        ),
        say(
            "apart by {alone:.1%} of its length by itself, {window:.1%} in a window, "
            "{attention:.1%} under attention",
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
        say("Context decides what may be noun or verb: attention is far ahead of the word alone"),
        say(
            "{alone:.1%} of {n} tagged right by itself, {attention:.1%} under attention; the "
            "difference has a standard error of {error:.1%}",
            alone=alone,
            attention=attention,
            n=n,
            error=error,
        ),
        attention - alone > 4 * error,
    )
