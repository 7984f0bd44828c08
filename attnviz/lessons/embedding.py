"""Words as vectors: how long they are when positions are added, and how they come out again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from attnviz.analysis.encoding import embedded
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    Try,
    check_count,
    check_even,
    check_size,
    largest_difference,
    prose,
)
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.embedding import Embedding
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.views.kinds import Heatmap, Scale, Table
from attnviz.views.matrices import token_axis

TITLE = "Embedding: from words to vectors and back"
QUESTION = "How do words become vectors, and vectors words?"
AFTER = "positions"
GROUP = "deeper"
ALSO = ("vectors", "vocabulary", "tied", "weight-tying", "unembedding")
INTUITION = (
    "The embedding is a table with one row of numbers for each word, like a card index: to look "
    "up a word is to take out its card. Word and position are then added, so they must be about "
    "equally loud: when two people speak at once, you hear the louder one. Multiplying by √d "
    "turns up the word's volume. At the output the table is used in reverse: the dot product "
    "with each row says how well a vector matches that word, and the best match wins."
)

MAX_WORDS = 32


class Entered(NamedTuple):
    """A text on its way into the first block, [n_token, d_model] each."""

    tokens: Tokens
    words: Array
    """Rows of the table."""
    scaled: Array
    """Times √d_model."""
    positions: Array
    sum: Array
    """The scaled words with their positions: what enters."""
    unscaled_sum: Array
    """The same without the factor."""


class Returned(NamedTuple):
    """The words' vectors, put straight into the output."""

    logits: Array
    """[n_token, n_vocabulary]"""
    n_tied: int
    """The parameters of the model."""
    n_untied: int
    """And of one whose output has a table of its own."""


def lesson(*, text: str = "I saw a saw", width: int = 64, vocabulary: int = 1000) -> Lesson:
    """What becomes of a word's vector before the first block, and after the last?"""
    check_size("width", width, 2, 512)
    check_size("vocabulary", vocabulary, 2, 5000)
    check_even("width", width)
    model = _model(width, vocabulary)
    entered = _enter(model, text)
    returned = _return(model, entered, _model(width, vocabulary, tied=False))
    unit = entered.words / _lengths(entered.words)[:, None]
    views = (
        prose(
            say(
                "Each word of the vocabulary has one row in a table, and that row is its vector. "
                "This table is random, not trained; its numbers have variance 1/d, so each row "
                "has a length close to 1."
            ),
            say(
                "A sinusoidal position vector PE has length √(d/2) = {length:.2f}, so the wider "
                "the model, the more the position drowns out the word. Vaswani et al. (2017) "
                "multiply the word's vector by √d = {root:.2f} before adding the position.",
                length=math.sqrt(width / 2),
                root=math.sqrt(width),
            ),
            say(
                "Cosines show what a vector is mostly about. Where the position dominates, "
                "neighbours look alike whatever the words; where the word dominates, it looks "
                "alike wherever it stands."
            ),
        ),
        *_cosine_maps(entered),
        _lengths_table(entered, unit),
        prose(
            say(
                "At the other end of the model, the same table can turn a vector back into a "
                "score for every word (tied weights). Here the word vectors go straight to the "
                "output, with no block in between: if the rows differ enough, each word comes "
                "back as itself."
            ),
        ),
        _output_table(entered, returned),
    )
    return Lesson(views, _claims(entered, returned, unit))


def _model(width: int, vocabulary: int, tied: bool = True) -> Model:
    shape = f"d_model={width},heads=1,layers=1,vocabulary={vocabulary}"
    return load_model(f"random:{shape},tied={tied},dtype=float64")


def _enter(model: Model, text: str) -> Entered:
    tokens = read_text(model, text)
    check_count("text", len(tokens), "words", 1, MAX_WORDS)
    embedding, inputs = model.transformer.source, as_input(model, tokens)
    assert isinstance(embedding, Embedding)
    assert embedding.positions is not None
    return Entered(
        tokens=tokens,
        words=embedding.tokens(np.array(tokens.ids)),
        scaled=embedding._replace(positions=None)(inputs),
        positions=embedding.positions(np.arange(len(tokens))),
        sum=embedding(inputs),
        unscaled_sum=embedding._replace(scale=1.0)(inputs),
    )


def _return(model: Model, entered: Entered, untied: Model) -> Returned:
    unembed = model.transformer.unembed
    assert unembed is not None
    return Returned(unembed(entered.words), model.n_parameter, untied.n_parameter)


def _lengths(vectors: Array) -> Array:
    """[n, d] -> [n]: the L2 norms."""
    return np.asarray(np.linalg.norm(vectors, axis=-1))


def _lengths_table(entered: Entered, unit: Array) -> Table:
    columns = (entered.words, entered.scaled, entered.positions, entered.sum, unit)
    lengths = np.stack([_lengths(vectors) for vectors in columns], -1).tolist()
    rows = tuple((i, name, *lengths[i]) for i, name in enumerate(entered.tokens.labels))
    return Table(
        say("lengths (L2 norms)"),
        (
            say("position"),
            say("word"),
            say("row"),
            say("√d · row"),
            "PE",
            say("√d · row + PE"),
            say("row, normalised"),
        ),
        rows,
        (
            say(
                "the word's share of the squared lengths: {before:.1%} without √d, {after:.1%} "
                "with it",
                before=_share(entered.words, entered.positions),
                after=_share(entered.scaled, entered.positions),
            ),
        ),
        decimals=3,
    )


def _share(words: Array, positions: Array) -> float:
    """Of the sum of all squared lengths, the words' part."""
    squares, others = float((words**2).sum()), float((positions**2).sum())
    return squares / (squares + others)


def _cosine_maps(entered: Entered) -> tuple[Heatmap, Heatmap]:
    axes = token_axis(say("word"), entered.tokens), token_axis(say("other word"), entered.tokens)
    without, with_factor = (
        Heatmap(title, embedded(vectors).similarity, *axes, Scale(-1, 1, "diverging"))
        for title, vectors in (
            (say("cosines of word + position"), entered.unscaled_sum),
            (say("cosines of √d · word + position"), entered.sum),
        )
    )
    return without, with_factor


def _output_table(entered: Entered, returned: Returned) -> Table:
    rows = []
    for name, id, logits in zip(
        entered.tokens.labels, entered.tokens.ids, returned.logits, strict=True
    ):
        others = np.delete(logits, id)
        back = say("itself") if int(logits.argmax()) == id else say("another word")
        rows.append((name, id, float(logits[id]), float(others.max()), back))
    return Table(
        say("from vector back to word, through the same table"),
        (
            say("word"),
            say("row number"),
            say("own score"),
            say("best other score"),
            say("comes back as"),
        ),
        tuple(rows),
        decimals=3,
    )


def _claims(entered: Entered, returned: Returned, unit: Array) -> tuple[Claim, ...]:
    return (
        *_length_claims(entered),
        *_tying_claims(entered, returned),
        _unit_claim(unit),
    )


def _length_claims(entered: Entered) -> tuple[Claim, Claim]:
    d_model = entered.words.shape[-1]
    before, after = _lengths(entered.words), _lengths(entered.scaled)
    factors, root = after / before, math.sqrt(d_model)
    squares = _lengths(entered.positions) ** 2
    return (
        Claim(
            say("Scaling makes every word's vector √d = {root:.4g} times as long", root=root),
            say(
                "mean length {before:.3f} before, {after:.3f} after: {factor:.4g} times",
                before=before.mean(),
                after=after.mean(),
                factor=factors.mean(),
            ),
            bool(np.allclose(factors, root, rtol=1e-12)),
        ),
        Claim(
            say("‖PE(p)‖² = d/2 = {half:g} at every position", half=d_model / 2),
            say("{low:.6f} to {high:.6f}", low=squares.min(), high=squares.max()),
            bool(np.allclose(squares, d_model / 2, rtol=1e-12)),
        ),
    )


def _tying_claims(entered: Entered, returned: Returned) -> tuple[Claim, Claim]:
    d_model = entered.words.shape[-1]
    scores = returned.logits[:, entered.tokens.ids]
    tied = largest_difference(scores, entered.words @ entered.words.T)
    saved, table = returned.n_untied - returned.n_tied, returned.logits.shape[-1] * d_model
    return (
        Claim(
            say("With tied weights, a word's score is the dot product with that word's row"),
            say("largest difference {tied:.1g}", tied=tied),
            tied < 1e-12,
        ),
        Claim(
            say(
                "Tying saves a second table of {n} words × {d} numbers",
                n=table // d_model,
                d=d_model,
            ),
            say("{saved} parameters fewer", saved=saved),
            saved == table,
        ),
    )


def _unit_claim(unit: Array) -> Claim:
    distances = ((unit[:, None] - unit) ** 2).sum(-1)
    off = largest_difference(distances, 2 - 2 * unit @ unit.T)
    far = largest_difference(_lengths(unit), 1)
    return Claim(
        say("After L2 normalisation all lengths are 1, and ‖a - b‖² = 2 - 2 a · b"),
        say("lengths off by {far:.1g}, distances by {off:.1g}", far=far, off=off),
        max(far, off) < 1e-12,
    )


TRY = (
    Try(
        "attnviz learn embedding:width=512",
        "Without √d, the word's share falls to 0.4%: the position drowns it out. With √d it "
        "stays at about two thirds.",
    ),
    Try(
        "attnviz learn embedding:width=4,vocabulary=5000",
        "With 5000 rows in 4 dimensions, some rows point the same way and are longer: every word "
        "comes back as another word.",
    ),
)
NEXT = ("norms",)
