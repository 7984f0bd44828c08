"""Three shapes of tasks: an answer for each token, one for all, and a text of another length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.language import say
from attnviz.lessons.kit import (
    DIGIT,
    Claim,
    Lesson,
    Try,
    check_count,
    largest_difference,
    read_drawing,
)
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.models.run.prepare import prepare
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.generation import Generated
from attnviz.views.kinds import Table, Value
from attnviz.views.numbers import probability_text

TITLE = "Sequences: an answer per token, a single answer, or a new text"
QUESTION = "A label per word, one per text, or a new text?"
AFTER = "cost"
GROUP = "models"
ALSO = ("seq2seq", "sequence-to-sequence", "classification", "sentiment", "tasks", "n-to-m")
INTUITION = (
    "Attention turns n tokens into n vectors, each of which knows about the others. The task "
    "decides which of them are read. Read all of them to label every word, as a proofreader "
    "marks every word of a page; read one to judge the whole, as a foreman speaks for the jury. "
    "Or let a decoder look at them while it writes, as an interpreter listens and then speaks "
    "for as long as it takes."
)

MAX_TOKENS = 64
"""Tokens of a text that is shown."""
N_CLASS = 3
"""The most probable classes, which are shown."""
ALLOWED = 1e-6


class Answer(NamedTuple):
    """What a model made of n tokens."""

    model: Model
    read: Tokens
    output: Array
    """[n_answer, n_label]: logits."""
    error: float = 0.0
    """By how much they differ from those of a pass that computes all tokens' outputs."""


class Written(NamedTuple):
    """What a decoder made of n tokens."""

    model: Model
    read: Tokens
    generated: Generated

    @property
    def text(self) -> str:
        reader = self.model.output_tokenizer
        return reader.join(self.generated.written.ids)


def lesson(
    *, text: str = "I saw a saw", drawing: str = DIGIT, phrase: str = "我看见了一把锯子"
) -> Lesson:
    """How many answers does a model give to n tokens?"""
    tagged, classified, translated = _tag(text), _classify(drawing), _translate(phrase)
    views = (
        _shapes_table(tagged, classified, translated),
        _tags_table(tagged),
        _classes_table(classified),
        _steps_table(translated),
    )
    return Lesson(views, _claims(tagged, classified, translated))


def _tag(text: str) -> Answer:
    model = load_model("tagger")
    prepared = prepare(model, text, stages=())
    read = prepared.streams["source"]
    check_count("text", len(read), "tokens", 1, MAX_TOKENS)
    trace = forward(prepared, logits=True)
    assert trace.logits is not None
    return Answer(model, read, trace.logits)


def _classify(drawing: str) -> Answer:
    model = load_model("digits", {"dtype": "float64"})
    prepared = prepare(model, image=read_drawing(drawing), stages=())
    trace = forward(prepared, hidden_states=True, logits=True)
    unembed = model.transformer.unembed
    assert unembed is not None
    assert trace.logits is not None
    output = unembed(trace.hidden_states["encoder"][-1][:1])
    return Answer(
        model, prepared.streams["source"], output, largest_difference(output, trace.logits[:1])
    )


def _translate(phrase: str) -> Written:
    model = load_model("phrases")
    read = read_text(model, phrase)
    check_count("phrase", len(read), "tokens", 1, MAX_TOKENS)
    return Written(model, read, generate(model, read))


def _shapes_table(tagged: Answer, classified: Answer, translated: Written) -> Table:
    m = len(translated.generated.written)
    rows: list[tuple[Value, ...]] = [
        ("n → n", say("tag every word"), "tagger", len(tagged.read), len(tagged.output)),
        ("n → 1", say("classify an image"), "digits", len(classified.read), len(classified.output)),
        ("n → m", say("translate"), "phrases", len(translated.read), m),
    ]
    return Table(
        say("three kinds of task"),
        (say("shape"), say("task"), say("model"), say("tokens in"), say("answers out")),
        tuple(rows),
        (say("tokens in: including begin and end markers and the class token"),),
    )


def _tags_table(tagged: Answer) -> Table:
    labels, read = tagged.model.labels, tagged.read
    rows = tuple(
        (i, label, "" if i in read.special else labels[best])
        for i, (label, best) in enumerate(zip(read.labels, tagged.output.argmax(-1), strict=True))
    )
    return Table(
        say("n to n: a tag for each token"),
        (say("position"), say("token"), say("tag")),
        rows,
        (say("[BOS] and [EOS] are markers, not words: what the model says there means nothing"),),
    )


def _classes_table(classified: Answer) -> Table:
    (logits,) = classified.output.astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities, kind="stable")[:N_CLASS]
    rows = tuple((classified.model.labels[i], float(probabilities[i])) for i in order)
    return Table(
        say("n to 1: the class token answers for all patches"),
        (say("class"), say("probability")),
        rows,
        (
            say(
                "the {shown} most probable of {count} classes",
                shown=N_CLASS,
                count=len(probabilities),
            ),
        ),
    )


def _steps_table(translated: Written) -> Table:
    generated = translated.generated
    rows = tuple(
        (i, label, probability_text(step.probability))
        for i, (label, step) in enumerate(
            zip(generated.written.labels, generated.steps, strict=True)
        )
    )
    return Table(
        say("n to m: the decoder writes “{text}”", text=translated.text),
        (say("step"), say("writes"), say("probability")),
        rows,
        (
            say(
                "it reads {tokens}; each step also sees everything written so far, until the "
                "model writes [EOS]",
                tokens=" ".join(translated.read.labels),
            ),
        ),
    )


def _claims(tagged: Answer, classified: Answer, translated: Written) -> tuple[Claim, ...]:
    n, m = len(translated.read), len(translated.generated.written)
    counts = [(len(each.read), each.output.shape) for each in (tagged, classified)]
    labels = [len(each.model.labels) for each in (tagged, classified)]
    return (
        Claim(
            say("n to n: as many answers as tokens"),
            say(
                "{n} tokens in, {answers} answers out, each one of {labels} tags",
                n=counts[0][0],
                answers=counts[0][1][0],
                labels=labels[0],
            ),
            counts[0][1] == (counts[0][0], labels[0]),
        ),
        Claim(
            say("n to 1: the class token's vector alone gives the answer, to 1e-6"),
            say(
                "{n} tokens in, {answers} answer out, one of {labels} classes; largest difference "
                "{error:.1g}",
                n=counts[1][0],
                answers=counts[1][1][0],
                labels=labels[1],
                error=classified.error,
            ),
            counts[1][1] == (1, labels[1]) and classified.error <= ALLOWED,
        ),
        Claim(
            say("n to m: the decoder itself decides where its text ends"),
            say("{n} tokens in; it writes {m}, and the last is [EOS]", n=n, m=m)
            if translated.generated.ended
            else say("{n} tokens in; stopped after {m} without [EOS]", n=n, m=m),
            translated.generated.ended,
        ),
    )


TRY = (
    Try(
        "attnviz learn sequence:phrase=早上好！",
        "5 tokens in, 4 out: “Good morning!” and [EOS]. The length of the input does not fix the "
        "length of the answer.",
    ),
    Try(
        'attnviz learn sequence --text "the old man saw a dog"',
        "8 tokens in, 8 answers out, whatever the words are.",
    ),
)
NEXT = ("image",)
