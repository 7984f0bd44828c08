"""Many heads: one width, split and merged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from attnviz.analysis.ablation import measure
from attnviz.analysis.effects import Case, Outcome
from attnviz.analysis.looks import head_looks
from attnviz.analysis.parameters import count
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    Try,
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
from attnviz.nn.seeded import normal
from attnviz.nn.site import RecordId
from attnviz.nn.transformer import attentions
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head
from attnviz.views.kinds import Curves, Grid, Heatmap, Table, View, indices
from attnviz.views.matrices import token_axis
from attnviz.views.sentences import look_sentence

TITLE = "Heads: looking at several things at once"
QUESTION = "Why several heads instead of one?"
INTUITION = (
    "One head gives each word one weighted average. Asked to look at two words at once, the one "
    "before and the one after, it returns a blend in which the two can no longer be told apart. "
    "Several heads look several times: each has its own queries, keys and values in a smaller "
    "space (a subspace), so each can look for something else, and their answers are put side by "
    "side, unmixed. This costs nothing: the heads share the width between them."
)
AFTER = "masks"
GROUP = "start"
ALSO = ("multi-head", "multihead", "mha", "gqa", "mqa", "subspaces")

ID = RecordId("encoder", 0, "self")
TRAINED = "induction"
LAYERED, LAYER = "tagger", RecordId("encoder", 1, "self")
"""A trained layer whose heads look at different places."""
CLASSIC = "I saw a saw"
N_PAIR, PAIR_WIDTH = 1000, 16
"""Pairs of words that something is wanted of, and the numbers that each word has."""
WITHIN = 0.03
"""The lost share's standard error is below 1 %."""
MAX_WORDS = 16
MIN_LETTERS, MAX_LETTERS = 2, 100
EXACT = 1e-12
MOST = 0.5


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


def lesson(*, text: str = CLASSIC, width: int = 32, heads: int = 4) -> Lesson:
    """What do several heads do that one does not, and what do they cost?"""
    check_size("width", width, 2, 256)
    check_size("heads", heads, 2, 32)
    check_heads(width, heads)
    divisors = [h for h in range(1, width + 1) if width % h == 0]
    many, blend = _attend(text, width, heads), _blend()
    counts = {h: count(_attend(text, width, h).attention) for h in divisors}
    views = (
        _layer_grid(_trained_layer(text)),
        _blend_curves(blend),
        _shapes_table(many),
        _counts_table(counts, width, len(many.x)),
        *_ablation_views(_ablate(text)),
    )
    claims = (_blend_claim(blend), _places_claim(_trained_layer(CLASSIC)), *_claims(many, counts))
    return Lesson(views, claims)


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


def _shapes_table(many: Attended) -> Table:
    q, weights, context = (many.record.stage(stage) for stage in ("q", "weights", "context"))
    merged = merge_heads(context)
    steps = (
        (say("words"), "x", "[n, d]", many.x),
        (say("queries (keys and values likewise)"), "x W_Q", "[n, d]", merge_heads(q)),
        (say("split among the heads"), "Q_1 … Q_h", "[h, n, d/h]", q),
        (say("weights of each head"), "softmax(Q_i K_iᵀ / √(d/h))", "[h, n, n]", weights),
        (say("context of each head"), "A_i V_i", "[h, n, d/h]", context),
        (say("put side by side"), "C = (C_1 … C_h)", "[n, d]", merged),
        (say("output"), "C W_O", "[n, d]", many.attention.output(merged)),
    )
    rows = tuple((name, formula, axes, str(list(x.shape))) for name, formula, axes, x in steps)
    return Table(
        say("from words to words through {heads} heads", heads=len(q)),
        (say("step"), say("formula"), say("axes"), say("shape")),
        rows,
        (say("here with random weights: only the shapes matter"),),
    )


def _counts_table(counts: dict[int, int], width: int, n_word: int) -> Table:
    rows = tuple((h, width // h, n, h * n_word) for h, n in counts.items())
    return Table(
        say("the same width, split into more and more heads"),
        (say("heads"), say("width of each"), say("parameters"), say("weights per word")),
        rows,
    )


def _trained_layer(text: str) -> Trace:
    """The layer of a trained model whose heads are compared."""
    trace = run(text, model=LAYERED, fingerprint=False)
    return replace(trace, records=(trace[LAYER],))


def _layer_grid(trace: Trace) -> Grid:
    (record,) = trace.records
    tokens = trace.streams["source"]
    heads = [Head(record.id, number) for number in range(record.n_head)]
    looks = head_looks(trace, heads)
    panels = tuple(
        Heatmap(
            f"H{head.number}",
            record.stage("weights")[head.number],
            token_axis(say("query"), tokens),
            token_axis(say("key"), tokens),
        )
        for head in heads
    )
    return Grid(
        say("{n} heads of one trained layer look at the same words", n=len(heads)),
        (panels,),
        ("",),
        tuple(panel.title for panel in panels),
        notes=(
            *(f"H{head.number} {look_sentence(looks[head], tokens)}" for head in heads),
            say("These are the heads of layer {layer} of {name}.", layer=LAYER.layer, name=LAYERED),
        ),
    )


class Blend(NamedTuple):
    """What is lost of two things that are to be brought from two words, as shares of their
    variance: by one head, by how it divides its weight; and by two heads of half the width."""

    shares: Array
    """[n]: the one head's weight on the first word."""
    first: Array
    second: Array
    two: float

    @property
    def both(self) -> Array:
        return (self.first + self.second) / 2


def _blend() -> Blend:
    """Wanted are the first half of one word's numbers and the second half of another's, of many
    pairs of random words; every head has the output matrix that serves it best."""
    words = normal((N_PAIR, 2, PAIR_WIDTH), 0, "pairs").astype(np.float64)
    halves = np.arange(PAIR_WIDTH) < PAIR_WIDTH // 2
    wanted = np.where(halves, words[:, 0], words[:, 1])

    def lost(shares: Sequence[float]) -> Array:
        """[2]: by heads that give such shares of their weight to the first word."""
        values = np.stack([split_heads(pair, len(shares)) for pair in words])
        context = np.array([[[share, 1 - share]] for share in shares]) @ values
        merged = np.stack([merge_heads(heads)[0] for heads in context])
        output = np.linalg.solve(merged.T @ merged, merged.T @ wanted)
        errors = ((merged @ output - wanted) ** 2).mean(0) / (wanted**2).mean(0)
        errors = errors.round(12)  # what is left of rounding is no loss
        return np.array([errors[halves].mean(), errors[~halves].mean()])

    shares = np.linspace(0, 1, 21)
    first, second = np.stack([lost([share]) for share in shares], axis=-1)
    return Blend(shares, first, second, float(lost([1.0, 0.0]).max()))


def _blend_curves(blend: Blend) -> Curves:
    return Curves(
        say("one head asked for something from two words: how much of it is lost"),
        blend.shares,
        say("weight on the first word"),
        (
            (say("from the first word"), blend.first),
            (say("from the second word"), blend.second),
            (say("from both"), blend.both),
            (say("two heads"), np.full_like(blend.shares, blend.two)),
        ),
        say("share lost"),
        notes=(
            say(
                "Wanted are {n} numbers of one word and {n} others of another. Read from left to "
                "right: the more weight one head puts on the first word, the less it loses there "
                "and the more it loses of the second; half of the whole is always lost. Two heads "
                "of half the width look at one word each, and lose nothing.",
                n=PAIR_WIDTH // 2,
            ),
        ),
    )


def _ablation_views(ablated: Ablated) -> tuple[View, ...]:
    n_layer, n_head = ablated.without.shape
    return (
        prose(
            say(
                "What is one head worth? The trained model `{name}` reads the letters of the text "
                "twice; the second time it can predict every letter but the first. With all heads "
                "it gets {whole:.0%} of {n} right. The picture shows what is left when one head is "
                "taken out.",
                name=TRAINED,
                whole=ablated.intact,
                n=ablated.n_letter,
            )
        ),
        Heatmap(
            say("share of letters predicted correctly without this head"),
            ablated.without,
            indices(say("layer"), n_layer),
            indices(say("head"), n_head),
        ),
    )


def _blend_claim(blend: Blend) -> Claim:
    low, high = float(blend.both.min()), float(blend.both.max())
    return Claim(
        say(
            "One head loses half of what it should bring from two words, however it divides its "
            "weight; two heads of half the width lose nothing"
        ),
        say(
            "one head loses {low:.1%} to {high:.1%}, two heads lose {two:.1g}",
            low=low, high=high, two=blend.two,
        ),
        abs(low - 0.5) < WITHIN and abs(high - 0.5) < WITHIN and blend.two < EXACT,
    )  # fmt: skip


def _places_claim(trace: Trace) -> Claim:
    """Means over the words that have such a neighbour."""
    weights = trace[LAYER].stage("weights")
    before, after = (
        np.diagonal(weights, offset, axis1=-2, axis2=-1).mean(-1) for offset in (-1, 1)
    )
    back, ahead = int(before.argmax()), int(after.argmax())
    return Claim(
        say("In the trained layer, one head looks at the word before, another at the word after"),
        say(
            "in I saw a saw: H{back} gives {before:.0%} to the word before, H{ahead} {after:.0%} "
            "to the word after",
            back=back, ahead=ahead, before=before[back], after=after[ahead],
        ),
        bool(back != ahead and before[back] > MOST and after[ahead] > MOST),
    )  # fmt: skip


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
            say("Splitting a vector among heads and merging it again changes nothing"),
            say(
                "largest change {changed:.1g}, with {n} numbers of heads",
                changed=changed,
                n=len(counts),
            ),
            changed == 0,
        ),
        Claim(
            say("More heads need no more parameters"),
            say(
                "fewest {fewest}, most {most}, with {n} numbers of heads",
                fewest=min(counts.values()),
                most=max(counts.values()),
                n=len(counts),
            ),
            len(set(counts.values())) == 1,
        ),
        Claim(
            say("The output is a sum: each head adds its context times its own rows of W_O"),
            say("off by {off:.1g}", off=off),
            off < EXACT,
        ),
        Claim(
            say("Taking a head out removes its term from that sum and nothing else"),
            say("at most {missed:.1g} off, over all heads", missed=missed),
            missed < EXACT,
        ),
    )


def _parts(attended: Attended) -> Array:
    """What each head adds to the output, [n_head, n_token, d_model]."""
    context = attended.record.stage("context")
    rows = split_heads(np.asarray(attended.attention.output.weight), len(context))
    return np.asarray(context @ rows.mT)


TRY = (
    Try(
        "attnviz learn heads:heads=16",
        "16 heads of width 2: still 4096 parameters, but 16 rows of weights for each word.",
    ),
    Try(
        'attnviz heads "I saw a saw"',
        "What each of the tagger's eight heads looks at, with the numbers behind it.",
    ),
)
NEXT = ("pooling",)
