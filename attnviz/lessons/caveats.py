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
    Try,
    check_count,
    check_size,
    largest_difference,
    prose,
)
from attnviz.models import load_model
from attnviz.models.edit.ablate import ablate
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.site import RecordId
from attnviz.nn.transformer import Stack, attentions
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head
from attnviz.views.kinds import Axis, Heatmap, Scale, Table, Text, Value

TITLE = "Caveats: when weights mislead"
QUESTION = "When do attention weights mislead?"
AFTER = "cache"
GROUP = "practice"
ALSO = ("explanation", "interpretability", "faithfulness", "sink", "attention-sink")
INTUITION = (
    "Think of a weight as how far a tap is open. How much water comes out also depends on the "
    "pressure behind it: the length of the value vector. A tap that is wide open without pressure "
    "delivers nothing, and different settings of several taps can fill the same glass. So a "
    "weight says where a head reads; it does not say what the head takes from there, nor why the "
    "model answers as it does."
)

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
                "First, attention sinks. The weights of a row must sum to 1 even when a head "
                "finds nothing to read. Some heads then park their weight on the first token, "
                "whose value vector is short, so they contribute little. The first layer of the "
                "model `induction`, on {text}:",
                text=LETTERS,
            ),
        ),
        _rest_table(rest),
        _misled_text(misled),
        *_misled_views(misled, head, query),
        prose(
            say(
                "So weights show where a head looked; on their own they do not explain the "
                "answer. Check them against contributions, ablations or gradients. Whether "
                "alternative weights that training would never find count against the ones it did "
                "find is disputed: see Jain and Wallace 2019, Wiegreffe and Pinter 2019."
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
        say("how each head treats the first token, [BOS]"),
        (say("head"), say("weight on it"), say("if uniform"), say("relative length")),
        rows,
        (
            say("weight on it: mean over all later queries"),
            say(
                "relative length: of its value vector after the output projection, where the "
                "average key has 1"
            ),
        ),
        decimals=3,
    )


def _misled_text(misled: Misled) -> Text:
    return prose(
        say(
            "Second, what a key contributes is its weight times its value vector, and these "
            "vectors differ in length: the key with the largest weight need not contribute most."
        ),
        say(
            "Third, other weights can give the same output. If the values have {width} numbers "
            "each and a head reads more than {most} keys, {most} of these keys are enough to mix "
            "the same output. The first layer of the model `tagger`:",
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
    heaviest, greatest = (int(each.argmax()) for each in (computed, columns[2]))
    title = say("head {head}, query {query}", head=head, query=f"{query} {misled.labels[query]}")
    return (
        Table(
            title,
            (say("key"), say("weight"), say("length"), say("contribution"), say("other weights")),
            tuple(rows),
            (
                say("length: of the key's value vector after the output projection"),
                say("contribution: weight times length, as a share of the sum over all keys"),
                say(
                    "the largest weight is on {heaviest}; {greatest} contributes most",
                    heaviest=rows[heaviest][0],
                    greatest=rows[greatest][0],
                ),
            ),
            decimals=3,
        ),
        Heatmap(
            say("two rows of weights, one and the same output"),
            np.stack([computed, others]),
            Axis(say("weights"), (say("the model's"), say("other weights"))),
            Axis(say("key"), misled.labels),
            Scale(0.0, float(max(computed.max(), others.max()))),
        ),
    )


def _rest_claim(rest: Rest) -> Claim:
    head = int(rest.weight.argmax())
    weight, length = float(rest.weight[head]), float(rest.length[head])
    return Claim(
        say("A head with nearly all of its weight on the first token contributes little"),
        say(
            "H{head}: weight {weight:.3f}; its value vector is {length:.2f} times as long as the "
            "average",
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
            say("The key with the largest weight does not always contribute most"),
            say("in {other:.0%} of the rows of this layer, another key does", other=other),
            bool(other > 0),
        ),
        Claim(
            say(
                "Other weights, also between 0 and 1 and summing to 1, give the same output, to "
                "1e-6"
            ),
            say(
                "outputs differ by {error:.1g}, sums by {sums:.1g}; {moved:.0%} of this row's "
                "weight moves to other keys, at most {most:.0%} in any row",
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
            say("With such weights in every head of the layer, no logit changes, to 1e-6"),
            say("largest difference {error:.1g}", error=misled.logits),
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


TRY = (
    Try(
        "attnviz ablate abcdefghijklabcdefghijkl -m induction -s L0",
        "Without H1, the sink, the output hardly changes (KL 0.004 nats); without H2 it changes "
        "completely (6.36 nats).",
    ),
    Try(
        "attnviz learn caveats:query=10,head=2",
        "“a” at position 3 has the largest weight (0.091), but “the” at position 6 contributes "
        "most (0.126).",
    ),
)
NEXT = ("mistakes",)
