"""One block: attention mixes positions, the feed-forward net does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.parameters import count
from attnviz.errors import AttnvizError
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
from attnviz.models.model import Model
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.norms import layer_norm
from attnviz.nn.transformer import Block, Sublayer, Transformer
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.selection import Head
from attnviz.views.kinds import Axis, Heatmap, Scale, Table, Value
from attnviz.views.matrices import token_axis

TITLE = "One block: attention mixes the words, the feed-forward net does not"
QUESTION = "Which part of a block lets words hear one another?"
AFTER = "norms"
GROUP = "deeper"
ALSO = ("ffn", "mlp", "feed-forward", "residual", "transformer", "layer")
INTUITION = (
    "A block is like a meeting followed by work at the desk. In the meeting (self-attention), "
    "every word listens to the others and takes something from each. At the desk (the "
    "feed-forward net), each word works alone on what it has heard, all by the same "
    "instructions. The residual connection adds the result of each step to what the word already "
    "had, so a step only has to supply a change."
)

MIN_WORDS, MAX_WORDS = 2, 14
EXACT = 1e-12
NOTICEABLE = 1e-9


class Read(NamedTuple):
    """A text as it enters the block, and the same with another word in one place."""

    tokens: Tokens
    x: Array
    """[n_token, d_model]"""
    other: Array
    """The same but for one row."""


class Passed(NamedTuple):
    """What the parts of a block make of a text, [n_token, d_model] each but `hidden`."""

    x: Array
    attended: Array
    """What attention adds."""
    between: Array
    """After the first add & norm."""
    hidden: Array
    """[n_token, d_ff]: inside the feed-forward net."""
    fed: Array
    """What the feed-forward net adds."""
    out: Array
    """After the second add & norm."""


class Changes(NamedTuple):
    """By how much each word's vector changes with one word of the text, as a share of its length,
    [n_token] each."""

    before: Array
    """Where the block begins."""
    attention: Array
    feed_forward: Array
    """After the second sublayer without the first."""
    whole: Array
    deaf: Array
    """After a block whose attention adds nothing."""


def lesson(
    *,
    text: str = "I saw a saw",
    word: int = 1,
    instead: str = "heard",
    width: int = 32,
    heads: int = 4,
    inner: int = 128,
) -> Lesson:
    """Which part of a block lets one word learn of another?"""
    _check_sizes(width, heads, inner)
    model = load_model(f"random:layers=1,d_model={width},heads={heads},d_ff={inner},dtype=float64")
    read = _read(model, text, word, instead)
    block, deaf = (_block(each) for each in (model.transformer, _deafened(model.transformer)))
    changes = _changes(read, block, deaf)
    passed = _pass(block, read.x)
    views = (
        prose(
            say(
                "A block has two sublayers: self-attention and a feed-forward net. The output of "
                "a sublayer is added to its input (the residual connection), and the sum is "
                'normalised: norm(x + f(x)), "add & norm". (Seeded random weights.)'
            ),
            say(
                "To see which words notice a change, word {place}, {old}, is replaced with "
                "{instead}. The matrix shows how much each word's vector changes, relative to its "
                "length.",
                place=word,
                old=read.tokens.labels[word],
                instead=label(instead),
            ),
        ),
        _changes_map(read, changes),
        _steps_table(passed, block),
    )
    return Lesson(views, _claims(changes, word, block, passed))


def _check_sizes(width: int, heads: int, inner: int) -> None:
    check_size("width", width, 2, 256)
    check_size("heads", heads, 1, 32)
    check_size("inner", inner, 1, 1024)
    check_heads(width, heads)


def _read(model: Model, text: str, word: int, instead: str) -> Read:
    tokens, others = read_text(model, text), read_text(model, instead)
    check_count("text", len(tokens), "words", MIN_WORDS, MAX_WORDS)
    check_size("word", word, 0, len(tokens) - 1)
    if len(others) != 1 or others.ids[0] == tokens.ids[word]:
        raise AttnvizError(
            f"instead: expected one word other than word {word}, got {instead!r}",
            "write for example instead=heard",
        )
    ids = [*tokens.ids]
    ids[word] = others.ids[0]
    changed = read_text(model, ids)
    embed = model.transformer.source
    assert embed is not None
    return Read(tokens, embed(as_input(model, tokens)), embed(as_input(model, changed)))


def _block(transformer: Transformer) -> Block:
    assert transformer.encoder is not None
    return transformer.encoder.blocks[0]


def _deafened(transformer: Transformer) -> Transformer:
    """The same without any head: attention adds nothing."""
    heads = [Head(site.id, i) for site in transformer.sites() for i in range(site.n_head)]
    return ablate(transformer, heads, zero)


def _changes(read: Read, block: Block, deaf: Block) -> Changes:
    attention, feed_forward = block
    return Changes(
        _change(read, ()),
        _change(read, (attention,)),
        _change(read, (feed_forward,)),
        _change(read, block),
        _change(read, deaf),
    )


def _through(sublayers: tuple[Sublayer, ...], x: Array) -> Array:
    for sublayer in sublayers:
        x = sublayer(x, sublayer_context(x))
    return x


def _change(read: Read, sublayers: tuple[Sublayer, ...]) -> Array:
    """By how much each word's vector differs after these sublayers, [n_token]."""
    before, after = (_through(sublayers, x) for x in (read.x, read.other))
    lengths = np.linalg.norm(before, axis=-1)
    return np.asarray(np.linalg.norm(after - before, axis=-1) / lengths)


def _pass(block: Block, x: Array) -> Passed:
    attention, feed_forward = block
    between = _through((attention,), x)
    net = feed_forward.f
    assert isinstance(net, FeedForward)
    return Passed(
        x=x,
        attended=attention.f(x, sublayer_context(x)),
        between=between,
        hidden=net.activation(net.up(between)),
        fed=net(between, sublayer_context(between)),
        out=_through((feed_forward,), between),
    )


def _steps_table(passed: Passed, block: Block) -> Table:
    steps = (
        (say("word + position"), "x", passed.x),
        (say("self-attention"), "f(x)", passed.attended),
        (say("add & norm"), "y = norm(x + f(x))", passed.between),
        (say("feed-forward, hidden layer"), "relu(y W1 + b1)", passed.hidden),
        (say("feed-forward"), "g(y) = … W2 + b2", passed.fed),
        (say("add & norm"), "norm(y + g(y))", passed.out),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (name, formula, str(list(values.shape)), float(np.sqrt((values**2).mean())))
        for name, formula, values in steps
    )
    attention, feed_forward = block
    return Table(
        say("one block, step by step"),
        (say("step"), say("computes"), say("shape"), say("root mean square")),
        rows,
        (
            say(
                "parameters: self-attention {attention}, feed-forward {feed_forward}, norms "
                "{norms}; ReLU sets {silent:.0%} of the hidden layer's numbers to 0",
                attention=count(attention.f),
                feed_forward=count(feed_forward.f),
                norms=count(attention.after) + count(feed_forward.after),
                silent=(passed.hidden == 0).mean(),
            ),
        ),
        decimals=2,
    )


def _changes_map(read: Read, changes: Changes) -> Heatmap:
    names = (
        say("input"),
        say("self-attention"),
        say("feed-forward"),
        say("whole block"),
        say("attention off"),
    )
    values = np.stack(changes)
    return Heatmap(
        say("how much each word changes, after each part"),
        values,
        Axis(say("after"), names),
        token_axis(say("word"), read.tokens),
        Scale(0, float(values.max())),
    )


def _claims(changes: Changes, word: int, block: Block, passed: Passed) -> tuple[Claim, ...]:
    heard, net, deaf = (
        np.delete(each, word) for each in (changes.whole, changes.feed_forward, changes.deaf)
    )
    feed_forward = block[1]
    alone = np.concatenate([_through((feed_forward,), row[None]) for row in passed.between])
    apart = largest_difference(alone, passed.out)
    sums = passed.x + passed.attended, passed.between + passed.fed
    outs = passed.between, passed.out
    off = max(largest_difference(layer_norm(s), y) for s, y in zip(sums, outs, strict=True))
    return (
        Claim(
            say("With attention, every other word notices the change"),
            say(
                "the other words change by {low:.2%} to {high:.2%}",
                low=heard.min(),
                high=heard.max(),
            ),
            bool(heard.min() > NOTICEABLE),
        ),
        Claim(
            say(
                "Without attention, no other word changes: attention is the only path between words"
            ),
            say(
                "the other words change by {deaf:.1g} at most; word {word} itself by {own:.0%}",
                deaf=deaf.max(),
                word=word,
                own=changes.deaf[word],
            ),
            bool(deaf.max() < EXACT and changes.deaf[word] > NOTICEABLE),
        ),
        Claim(
            say(
                "The feed-forward net treats each word separately: fed alone, it gives the same "
                "result"
            ),
            say(
                "largest difference {apart:.1g}; the other words change by {net:.1g}",
                apart=apart,
                net=net.max(),
            ),
            bool(apart < EXACT and net.max() < EXACT),
        ),
        Claim(
            say("Each sublayer computes norm(x + f(x))"),
            say("off by {off:.1g}", off=off),
            off < EXACT,
        ),
    )


TRY = (
    Try(
        "attnviz learn block:word=3,instead=dog",
        "Now word 3 changes, and after the feed-forward net alone it is again the only one.",
    ),
    Try(
        "attnviz learn block:inner=512",
        "The feed-forward net grows from 8352 to 33312 parameters, and still carries nothing "
        "from word to word.",
    ),
)
NEXT = ("three",)
