"""Many heads: one width, split and merged."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from attnviz.analysis.ablation import measure
from attnviz.analysis.effects import Case, Outcome
from attnviz.analysis.parameters import count
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    check_count,
    check_heads,
    check_size,
    largest_difference,
    prose,
    sublayer_context,
)
from attnviz.models import load_model
from attnviz.models.edit.ablate import ablate, zero
from attnviz.models.run.evaluator import Evaluator
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.models.run.probe import make_probe
from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.site import RecordId
from attnviz.nn.transformer import attentions
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.record import Record
from attnviz.trace.selection import Head
from attnviz.views.attention import token_axis
from attnviz.views.kinds import Grid, Heatmap, Table, Text, View, indices

TITLE = "Heads: one width, split and merged"
QUESTION = "Why several heads instead of one?"
AFTER = "masks"
GROUP = "start"
ALSO = ("multi-head", "multihead", "mha", "gqa", "mqa", "subspaces")

ID = RecordId("encoder", 0, "self")
TRAINED = "induction"
N_SHOWN = 4
"""Heads whose weights are drawn."""
MAX_WORDS = 16
MIN_LETTERS, MAX_LETTERS = 2, 100
EXACT = 1e-12


class Attended(NamedTuple):
    """One attention over a text, by so many heads."""

    attention: MultiHeadAttention
    tokens: Tokens
    x: Array
    """[n_token, d_model]"""
    record: Record


class Ablated(NamedTuple):
    """Shares of letters that a trained model predicts."""

    intact: float
    without: Array
    """[n_layer, n_head]: without this head."""
    n_letter: int


def lesson(*, text: str = "I saw a saw", width: int = 32, heads: int = 4) -> Lesson:
    """What do several heads do that one does not, and what do they cost?"""
    check_size("width", width, 2, 256)
    check_size("heads", heads, 2, 32)
    check_heads(width, heads)
    divisors = [h for h in range(1, width + 1) if width % h == 0]
    many, one = _attend(text, width, heads), _attend(text, width, 1)
    counts = {h: count(_attend(text, width, h).attention) for h in divisors}
    views = (
        _explanation(width, heads),
        _shapes_table(many),
        _counts_table(counts, width, len(many.x)),
        _patterns_grid(one, many),
        *_ablation_views(_ablate(text)),
    )
    return Lesson(views, _claims(many, counts))


def _attend(text: str, width: int, heads: int) -> Attended:
    model = load_model(f"random:layers=1,d_model={width},heads={heads},dtype=float64")
    prepared = prepare(model, text, stages=("q", "weights", "context"))
    tokens = prepared.streams["source"]
    check_count("text", len(tokens), "words", 1, MAX_WORDS)
    trace = forward(prepared, hidden_states=True)
    encoder = model.transformer.encoder
    assert encoder is not None
    (attention,) = attentions(encoder.blocks[0])
    return Attended(attention, tokens, trace.hidden_states["encoder"][0], trace[ID])


def _ablate(text: str) -> Ablated:
    """The text twice: which letters of the second time are predicted, without each head?

    The first of them cannot be known; those after it have been read before.
    """
    model = load_model(TRAINED)
    probe = make_probe(model, f"{text} {text}")
    ids = np.array(probe.streams["source"].ids)
    n_letter = len(ids) // 2
    check_count("text", n_letter, "letters", MIN_LETTERS, MAX_LETTERS)
    positions = np.arange(len(ids) - n_letter, len(ids) - 1)
    evaluate = Evaluator(model, probe._replace(positions=positions))

    def without(heads: Collection[Head]) -> Array:
        return evaluate(ablate(model.transformer, heads, zero))

    sites = model.transformer.sites()
    heads = [Head(site.id, head) for site in sites for head in range(site.n_head)]
    case = Case(Outcome(without(())), right=ids[positions + 1])
    shares = measure([(case, without)], [(), *((head,) for head in heads)], ["accuracy"])[:, 0]
    return Ablated(float(shares[0]), shares[1:].reshape(len(sites), -1), len(positions))


def _explanation(width: int, heads: int) -> Text:
    return prose(
        say(
            "One head has one set of weights: each word gets one mixture of the others. {heads} "
            "heads cut queries, keys and values of width {width} into pieces of width {d_k}, "
            "attend in each piece by itself, and put the contexts side by side again.",
            heads=heads,
            width=width,
            d_k=width // heads,
        ),
        say("(Seeded random weights, up to the trained model at the end.)"),
    )


def _shapes_table(many: Attended) -> Table:
    q, weights, context = (many.record.stage(stage) for stage in ("q", "weights", "context"))
    merged = merge_heads(context)
    steps = (
        (say("words"), "x", "[n, d]", many.x),
        (say("queries, projected"), "x W_Q", "[n, d]", merge_heads(q)),
        (say("split"), "Q_1 … Q_h", "[h, n, d/h]", q),
        (say("weights of each head"), "softmax(Q_i K_iᵀ / √(d/h))", "[h, n, n]", weights),
        (say("context of each head"), "A_i V_i", "[h, n, d/h]", context),
        (say("merged"), "C = (C_1 … C_h)", "[n, d]", merged),
        (say("output"), "C W_O", "[n, d]", many.attention.output(merged)),
    )
    rows = tuple((name, formula, axes, str(list(x.shape))) for name, formula, axes, x in steps)
    return Table(
        say("from words to words, through {heads} heads", heads=len(q)),
        (say("step"), say("computes"), say("axes"), say("here")),
        rows,
    )


def _counts_table(counts: dict[int, int], width: int, n_word: int) -> Table:
    rows = tuple((h, width // h, n, h * n_word) for h, n in counts.items())
    return Table(
        say("the same width, cut into more and more heads"),
        (say("heads"), say("width of each"), say("parameters"), say("weights for each word")),
        rows,
    )


def _patterns_grid(one: Attended, many: Attended) -> Grid:
    n_head = min(N_SHOWN, many.record.n_head)
    single = (_pattern(one, 0), *([None] * (n_head - 1)))
    several = tuple(_pattern(many, head) for head in range(n_head))
    left = many.record.n_head - n_head
    return Grid(
        say("who looks at whom: one head, and several on the same width"),
        (single, several),
        (say("1 head"), say("{heads} heads", heads=many.record.n_head)),
        tuple(f"H{head}" for head in range(n_head)),
        notes=(say("{left} heads more are not drawn", left=left),) if left else (),
    )


def _pattern(attended: Attended, head: int) -> Heatmap:
    return Heatmap(
        say("{heads} heads: H{head}", heads=attended.record.n_head, head=head),
        attended.record.stage("weights")[head],
        token_axis(say("query"), attended.tokens),
        token_axis(say("key"), attended.tokens),
    )


def _ablation_views(ablated: Ablated) -> tuple[View, ...]:
    n_layer, n_head = ablated.without.shape
    return (
        prose(
            say(
                "What is one head worth? A trained model (`{name}`) reads the letters of your "
                "text twice; the second time it can predict each letter but the first. The whole "
                "model gets {whole:.0%} of {n} right. Then heads are taken out, one at a time.",
                name=TRAINED,
                whole=ablated.intact,
                n=ablated.n_letter,
            )
        ),
        Heatmap(
            say("share of letters predicted without this head"),
            ablated.without,
            indices(say("layer"), n_layer),
            indices(say("head"), n_head),
        ),
    )


def _claims(many: Attended, counts: dict[int, int]) -> tuple[Claim, ...]:
    x = many.x
    changed = max(largest_difference(merge_heads(split_heads(x, h)), x) for h in counts)
    parts = _parts(many)
    whole = many.attention(x, sublayer_context(x))
    off = largest_difference(parts.sum(0), whole)
    n_head = many.attention.n_head
    left = [zero(ID, many.attention, [head])(x, sublayer_context(x)) for head in range(n_head)]
    missed = float(np.abs(whole - np.stack(left) - parts).max())
    return (
        Claim(
            say("Splitting and merging is the identity, for every number of heads"),
            say("largest change: {changed:.1g}", changed=changed),
            changed == 0,
        ),
        Claim(
            say("The number of parameters does not depend on the number of heads"),
            say(
                "fewest {fewest}, most {most}, of {n} numbers of heads",
                fewest=min(counts.values()),
                most=max(counts.values()),
                n=len(counts),
            ),
            len(set(counts.values())) == 1,
        ),
        Claim(
            say("The output is the sum of what each head adds through its rows of W_O"),
            say("off by {off:.1g}", off=off),
            off < EXACT,
        ),
        Claim(
            say("Taking a head out takes away its part of that sum and nothing else"),
            say("off by {missed:.1g}, over all heads", missed=missed),
            missed < EXACT,
        ),
    )


def _parts(attended: Attended) -> Array:
    """What each head adds to the output, [n_head, n_token, d_model]."""
    context = attended.record.stage("context")
    rows = split_heads(np.asarray(attended.attention.output.weight), len(context))
    return np.asarray(context @ rows.mT)
