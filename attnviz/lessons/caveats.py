"""When weights mislead: a head at rest, values of different lengths, other weights for the same."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from attnviz.analysis.adversary import moved_share, other_weights
from attnviz.analysis.contributions import projected_values
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    check_count,
    check_size,
    largest_difference,
    prose,
)
from attnviz.models import load_model
from attnviz.models.edit.ablate import ablate
from attnviz.models.model import Model
from attnviz.models.run.forward import forward, run
from attnviz.models.run.prepare import prepare
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.site import RecordId
from attnviz.nn.transformer import Stack, attentions
from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head
from attnviz.views.kinds import Axis, Heatmap, Scale, Table, Text, Value

TITLE = "Caveats: when weights mislead"
QUESTION = "When do attention weights mislead?"
AFTER = "image"
GROUP = "practice"
ALSO = ("explanation", "interpretability", "faithfulness", "sink", "attention-sink")

LETTERS = 2 * "abcdefghijkl"
"""What the model `induction` reads: a text that repeats itself."""
SINK, SHORT = 0.9, 0.5
"""A head at rest: at least so much weight on the first token, whose vector has at most so much of
the average length."""
ALLOWED = 1e-6
CLEAR = 0.01
"""A share of the weight far beyond what rounding moves."""
LAYER = RecordId("encoder", 0, "self")
STAGES = ("weights", "v", "context")


class Rest(NamedTuple):
    """How each head of a layer treats the first token."""

    weight: Array
    """[n_head]: what it gets of each later query, on average."""
    even: float
    """What it would get if weights were spread evenly."""
    length: Array
    """[n_head]: of its vector, against the average of all."""


class Misled(NamedTuple):
    """A layer, with the weights that it has and others for the same output."""

    labels: tuple[str, ...]
    weights: Array
    """[n_head, n_q, n_k]"""
    shares: Array
    """[n_head, n_q, n_k]: weight times length of the vector, of their sum over the keys."""
    lengths: Array
    """[n_head, n_k]: of each key's vector after the output projection."""
    others: Array
    """[n_head, n_q, n_k]: other weights, as the layer computed with them."""
    width: int
    """d_v"""
    error: float
    """The largest difference of the heads' contexts with the other weights."""
    logits: float
    """The same of the model's logits."""


def lesson(
    *,
    text: str = "I saw a saw that the old man who lived near the river had left under a tree "
    "while his dog slept",
    query: int = 2,
    head: int = 0,
) -> Lesson:
    """What do weights not tell?"""
    tagger = load_model("tagger", {"dtype": "float64"})
    rest, misled = _rest(), _mislead(tagger, text)
    check_size("query", query, 0, len(misled.labels) - 1)
    check_size("head", head, 0, len(misled.weights) - 1)
    views = (
        prose(
            say(
                "A weight says where a head reads from. It does not say what it moves from "
                "there, nor why the model answers as it does. Three examples."
            ),
            say(
                "First, heads at rest. Weights must sum to 1, even where a head finds nothing. "
                "Some heads then look at the first token, whose vector is short: they add little. "
                "The model `induction` on {text}, first layer:",
                text=LETTERS,
            ),
        ),
        _rest_table(rest),
        _misled_text(misled),
        *_misled_views(misled, head, query),
        prose(
            say(
                "So weights show where a head looked, and do not explain the answer by themselves. "
                "Check with what is added, with heads taken out, or with gradients. Whether other "
                "weights that no training would find count against the weights that it found is "
                "disputed: Jain and Wallace 2019, Wiegreffe and Pinter 2019."
            )
        ),
    )
    claims = (_rest_claim(rest), *_misled_claims(misled, head, query))
    return Lesson(views, claims)


def _rest() -> Rest:
    model = load_model("induction", {"dtype": "float64"})
    trace = run(LETTERS, model=model, stages=STAGES)
    weights = trace["decoder.0.self"].stage("weights")
    lengths = _lengths(trace["decoder.0.self"], _attention(model.transformer.decoder))
    later = np.arange(1, weights.shape[1])
    return Rest(
        weights[:, later, 0].mean(1),
        float((1 / (later + 1)).mean()),
        lengths[:, 0] / lengths.mean(1),
    )


def _mislead(model: Model, text: str) -> Misled:
    prepared = prepare(model, text, stages=STAGES)
    labels = prepared.streams["source"].labels
    check_count("text", len(labels), "tokens", 1, 64)
    trace = forward(prepared, logits=True)
    record = trace[LAYER]
    weights, values = record.stage("weights"), record.stage("v")
    others = np.stack(
        [[other_weights(row, v) for row in rows] for rows, v in zip(weights, values, strict=True)]
    )
    if not moved_share(weights, others).any():
        raise AttnvizError(
            f"text: its {len(labels)} tokens have no values that can stand for others",
            f"give more than {values.shape[-1] + 1} tokens, or a word twice",
        )
    changed = forward(replace(prepared, model=_with_weights(model, others)), logits=True)
    lengths = _lengths(record, _attention(model.transformer.encoder))
    shares = weights * lengths[:, None]
    return Misled(
        labels,
        weights,
        shares / shares.sum(-1, keepdims=True),
        lengths,
        changed[LAYER].stage("weights"),
        values.shape[-1],
        largest_difference(record.stage("context"), changed[LAYER].stage("context")),
        largest_difference(_logits(trace), _logits(changed)),
    )


def _with_weights(model: Model, weights: Array) -> Model:
    """The model with these weights [n_head, n_q, n_k] in its first layer: its scores are their
    logarithms."""
    scores = np.log(np.maximum(weights, np.finfo(np.float64).tiny))

    def take(id: RecordId, attention: MultiHeadAttention, heads: list[int]) -> MultiHeadAttention:
        return attention._replace(score=lambda q, k: scores, scale=None)

    heads = [Head(LAYER, head) for head in range(len(weights))]
    return model._replace(transformer=ablate(model.transformer, heads, take))


def _rest_table(rest: Rest) -> Table:
    rows = tuple(
        (f"H{head}", float(weight), rest.even, float(length))
        for head, (weight, length) in enumerate(zip(rest.weight, rest.length, strict=True))
    )
    return Table(
        say("the first token, [BOS]"),
        (say("head"), say("its weight"), say("if spread evenly"), say("its vector")),
        rows,
        (
            say("weight: mean over all later queries"),
            say("vector: its length after the output projection, against that of the average key"),
        ),
        decimals=3,
    )


def _misled_text(misled: Misled) -> Text:
    return prose(
        say(
            "Second, what a key adds is its weight times its vector, and vectors differ in "
            "length: the key with the largest weight need not add most."
        ),
        say(
            "Third, other weights can give the same output. A head with values of {width} "
            "numbers that reads more than {most} keys can mix any output from {most} of them. "
            "The model `tagger`, first layer:",
            width=misled.width,
            most=misled.width + 1,
        ),
    )


def _misled_views(misled: Misled, head: int, query: int) -> tuple[Table, Heatmap]:
    computed, others = misled.weights[head, query], misled.others[head, query]
    columns = (computed, misled.lengths[head], misled.shares[head, query], others)
    numbers = np.stack(columns, -1).tolist()
    rows: list[tuple[Value, ...]] = [
        (f"{i} {label}", *line)
        for i, (label, line) in enumerate(zip(misled.labels, numbers, strict=True))
    ]
    title = say("head {head}, query {query}", head=head, query=f"{query} {misled.labels[query]}")
    return (
        Table(
            title,
            (say("key"), say("weight"), say("vector"), say("adds"), say("other weights")),
            tuple(rows),
            (
                say("vector: its length after the output projection"),
                say("adds: weight times that length, as a share of the sum over all keys"),
            ),
            decimals=3,
        ),
        Heatmap(
            say("two rows of weights with one output"),
            np.stack([computed, others]),
            Axis(say("weights"), (say("as computed"), say("others"))),
            Axis(say("key"), misled.labels),
            Scale(0.0, float(max(computed.max(), others.max()))),
        ),
    )


def _rest_claim(rest: Rest) -> Claim:
    head = int(rest.weight.argmax())
    weight, length = float(rest.weight[head]), float(rest.length[head])
    return Claim(
        say("A head with nearly all of its weight on the first token adds little"),
        say(
            "H{head}: weight {weight:.3f}, its vector has {length:.2f} of the average length",
            head=head,
            weight=weight,
            length=length,
        ),
        weight >= SINK and length <= SHORT,
    )


def _misled_claims(misled: Misled, head: int, query: int) -> tuple[Claim, ...]:
    other = (misled.weights.argmax(-1) != misled.shares.argmax(-1)).mean()
    moved = moved_share(misled.weights, misled.others)
    sums = largest_difference(misled.others.sum(-1), 1)
    return (
        Claim(
            say("The key with the largest weight does not always add most"),
            say("in {other:.0%} of the rows of this layer another key does", other=other),
            bool(other > 0),
        ),
        Claim(
            say("Other weights, also from 0 to 1 and with sum 1, give the same output, to 1e-6"),
            say(
                "outputs differ by {error:.0e}, sums by {sums:.0e}; of the weight, {moved:.0%} "
                "lies on other keys here, at most {most:.0%}",
                error=misled.error,
                sums=sums,
                moved=moved[head, query],
                most=moved.max(),
            ),
            misled.error <= ALLOWED
            and sums <= ALLOWED
            and bool((misled.others >= 0).all())
            and bool(moved.max() >= CLEAR),
        ),
        Claim(
            say("With such weights in all heads of the layer, no logit changes, to 1e-6"),
            say("largest difference {error:.0e}", error=misled.logits),
            misled.logits <= ALLOWED,
        ),
    )


def _attention(stack: Stack | None) -> MultiHeadAttention:
    """The first attention of a stack."""
    assert stack is not None
    return next(attentions(stack.blocks[0]))


def _lengths(record: Record, attention: MultiHeadAttention) -> Array:
    """[n_head, n_k]: how long each key's vector is after the output projection."""
    return np.asarray(np.linalg.norm(projected_values(record, attention), axis=-1))


def _logits(trace: Trace) -> Array:
    assert trace.logits is not None
    return trace.logits
