"""Layer, batch and RMS norm: which numbers share a mean?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_size, prose
from attnviz.models import load_model
from attnviz.nn.norms import batch_norm, layer_norm, rms_norm
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.running import run
from attnviz.views.kinds import Curves, Grid, Heatmap, Table, Text, Value, indices

TITLE = "Norms: which numbers share a mean?"
QUESTION = "What does a norm do, and which numbers share a mean?"
AFTER = "embedding"
GROUP = "deeper"
ALSO = (
    "layernorm",
    "layer-norm",
    "rmsnorm",
    "rms-norm",
    "batchnorm",
    "batch-norm",
    "normalization",
    "normalisation",
)
INTUITION = (
    "Normalising is like grading on a curve: what counts is how far a mark lies from the average "
    "of its group. Layer norm compares a number with the other features of the same word. Batch "
    "norm compares it with the same feature of every word in the batch, so in training your "
    "grade depends on who else takes the exam. RMS norm does not subtract the average; it only "
    "divides by the typical size. Norms keep the numbers at a steady size, so that many blocks "
    "can be stacked."
)

Norm = Callable[[Array], Array]
"""[n_batch, n_token, n_feature] -> the same."""

N_TEXT = 100
"""Texts from which the running statistics were collected in training."""
EXACT = 1e-9
NOTICEABLE = 1e-6


class Facts(NamedTuple):
    """What a norm leaves of the means and variances, and what reaches its output."""

    token: tuple[Array, Array]
    """The mean and the variance of each token's features, [n_batch, n_token]."""
    feature: tuple[Array, Array]
    """Of each feature over all tokens, [n_feature]."""
    touched: Array
    """[n_batch, n_token, n_feature], bool: the outputs that change with the first number."""
    from_others: float
    """The largest change of the first text's output when the other texts are replaced."""
    shift: float
    """The largest change when the same is added to all numbers."""
    factor: float
    """The largest change when all numbers are multiplied by the same."""


def lesson(
    *,
    text: str = "I saw a saw",
    batch: int = 2,
    length: int = 3,
    features: int = 6,
    layers: int = 8,
    shift: float = 3.0,
    factor: float = 2.0,
    seed: int = 0,
) -> Lesson:
    """Over which numbers are mean and variance taken, and what follows from that?"""
    _check(batch, length, features, layers, shift, factor)
    x = normal((batch, length, features), seed, "texts").astype(np.float64)
    facts = {
        name: _facts(norm, x, shift, factor, seed) for name, norm in _norms(features, seed).items()
    }
    post, pre = (_sizes_by_block(text, place, layers, seed) for place in ("post", "pre"))
    views = (
        _explanation(batch, length, features),
        _touched_grid(facts),
        _moments_table(facts),
        _changes_table(facts, shift, factor),
        Curves(
            say("size of the residual stream, block by block"),
            np.arange(layers + 1),
            say("number of blocks"),
            ((say("post-norm"), post), (say("pre-norm"), pre)),
            say("root mean square"),
            notes=(
                say(
                    "post-norm: norm(x + f(x)); pre-norm: x + f(norm(x)), shown before its final "
                    "norm"
                ),
            ),
        ),
    )
    return Lesson(views, (*_claims(facts), _claim_of_places(post, pre)))


def _check(
    batch: int, length: int, features: int, layers: int, shift: float, factor: float
) -> None:
    check_size("batch", batch, 2, 4)
    check_size("length", length, 2, 8)
    check_size("features", features, 3, 16)
    check_size("layers", layers, 2, 32)
    check_size("shift", shift, -100, 100)
    check_size("factor", factor, 0.01, 100)
    if abs(shift) < 0.01 or factor == 1:
        raise AttnvizError(
            f"shift={shift:g} and factor={factor:g}: one of them changes nothing",
            "write for example shift=3,factor=2",
        )


def _norms(features: int, seed: int) -> Mapping[str, Norm]:
    """By name, without ε, which would blur what is shown. The batch norm of testing has seen
    other texts before."""
    texts = normal((N_TEXT, 1, features), seed, "seen").astype(np.float64)
    mean, variance = texts.mean((0, 1)), texts.var((0, 1))
    return {
        "layer": lambda x: layer_norm(x, eps=0),
        "RMS": lambda x: rms_norm(x, eps=0),
        "batch, training": lambda x: batch_norm(x, eps=0),
        "batch, testing": lambda x: batch_norm(x, mean=mean, variance=variance, eps=0),
    }


def _facts(norm: Norm, x: Array, shift: float, factor: float, seed: int) -> Facts:
    y = norm(x)
    one, others = x.copy(), x.copy()
    one[0, 0, 0] += 1
    others[1:] = normal(others[1:].shape, seed, "other texts")
    return Facts(
        token=(y.mean(-1), y.var(-1)),
        feature=(y.mean((0, 1)), y.var((0, 1))),
        touched=np.abs(norm(one) - y) > EXACT,
        from_others=_largest(norm(others)[0] - y[0]),
        shift=_largest(norm(x + shift) - y),
        factor=_largest(norm(x * factor) - y),
    )


def _sizes_by_block(text: str, place: str, layers: int, seed: int) -> Array:
    """The root mean square of the residual stream before and after each block, [layers + 1]."""
    model = load_model(f"random:layers={layers},norm_place={place},seed={seed},dtype=float64")
    encoder = model.transformer.encoder
    assert encoder is not None
    bare = model.transformer._replace(encoder=encoder._replace(norm=None))
    trace = run(text, model=model._replace(transformer=bare), stages=(), hidden_states=True)
    return np.array([np.sqrt((x**2).mean()) for x in trace.hidden_states["encoder"]])


def _explanation(batch: int, length: int, features: int) -> Text:
    return prose(
        say(
            "Here are {batch} texts of {length} words with {features} random features each: "
            "[batch, length, feature]. (The small ε that norms add to the variance is left out.)",
            batch=batch,
            length=length,
            features=features,
        ),
        say(
            "To see which numbers share a mean, the very first number is raised by 1. Its own "
            "output changes, and so does every output that shares a mean or a spread with it."
        ),
    )


def _touched_grid(facts: Mapping[str, Facts]) -> Grid:
    """Which outputs change with the first number, a panel for each norm and text."""
    titles = {name: _name(name) for name in facts}
    n_batch, n_token, n_feature = next(iter(facts.values())).touched.shape
    rows, columns = indices(say("word"), n_token), indices(say("feature"), n_feature)
    panels = tuple(
        tuple(
            Heatmap(
                say("{norm}, text {number}", norm=titles[name], number=i),
                cells.astype(float),
                rows,
                columns,
            )
            for i, cells in enumerate(fact.touched)
        )
        for name, fact in facts.items()
    )
    return Grid(
        say("outputs that change when the first number of text 0 changes"),
        panels,
        tuple(titles.values()),
        tuple(say("text {number}", number=i) for i in range(n_batch)),
        notes=(
            say(
                "1: changes, 0: does not change; each panel is one text, {length} words × "
                "{features} features",
                length=n_token,
                features=n_feature,
            ),
        ),
    )


def _name(norm: str) -> str:
    return {
        "layer": say("layer norm"),
        "RMS": say("RMS norm"),
        "batch, training": say("batch norm, training"),
        "batch, testing": say("batch norm, inference"),
    }[norm]


def _moments_table(facts: Mapping[str, Facts]) -> Table:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (_name(name), *(_range(values) for values in (*fact.token, *fact.feature)))
        for name, fact in facts.items()
    )
    return Table(
        say("mean and variance of the outputs, from smallest to largest"),
        (
            say("norm"),
            say("word: mean"),
            say("variance"),
            say("feature: mean"),
            say("variance"),
        ),
        rows,
    )


def _range(values: Array) -> str:
    """`0.00` where all are alike."""
    low, high = (round(float(end), 2) + 0.0 for end in (values.min(), values.max()))
    if low == high:
        return f"{low:.2f}"
    return say("{low:.2f} to {high:.2f}", low=low, high=high)


def _changes_table(facts: Mapping[str, Facts], shift: float, factor: float) -> Table:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (_name(name), *(float(round(c, 6)) for c in (f.shift, f.factor, f.from_others)))
        for name, f in facts.items()
    )
    return Table(
        say("what changes the output of text 0: the largest change"),
        (
            say("norm"),
            say("all numbers + {shift:g}", shift=shift),
            say("all numbers × {factor:g}", factor=factor),
            say("other texts replaced"),
        ),
        rows,
        decimals=3,
    )


def _claims(facts: Mapping[str, Facts]) -> tuple[Claim, ...]:
    layer, rms, batch = facts["layer"], facts["RMS"], facts["batch, training"]
    square = rms.token[0] ** 2 + rms.token[1]
    off_layer, off_batch = _from_standard(layer.token), _from_standard(batch.feature)
    off_rms = _largest(square - 1)
    return (
        Claim(
            say("Layer norm: each word's features have mean 0 and variance 1"),
            say("off by {off:.1g}", off=off_layer),
            off_layer < EXACT,
        ),
        Claim(
            say(
                "Batch norm in training: each feature has mean 0 and variance 1 over all words of "
                "all texts"
            ),
            say("off by {off:.1g}", off=off_batch),
            off_batch < EXACT,
        ),
        Claim(
            say("RMS norm: each word's features have mean square 1, but their mean need not be 0"),
            say(
                "off by {off:.1g}; means up to {mean:.2f}",
                off=off_rms,
                mean=_largest(rms.token[0]),
            ),
            off_rms < EXACT < _largest(rms.token[0]),
        ),
        Claim(
            say("Layer norm ignores shifting and scaling its input; RMS norm ignores only scaling"),
            say(
                "shifting, scaling: layer norm changes by {a:.1g}, {b:.1g}; RMS norm by {c:.2f}, "
                "{d:.1g}",
                a=layer.shift,
                b=layer.factor,
                c=rms.shift,
                d=rms.factor,
            ),
            max(layer.shift, layer.factor, rms.factor) < EXACT and rms.shift > NOTICEABLE,
        ),
        _claim_of_testing(facts),
    )


def _claim_of_testing(facts: Mapping[str, Facts]) -> Claim:
    training, testing = (facts[name].from_others for name in ("batch, training", "batch, testing"))
    return Claim(
        say(
            "Batch norm lets the texts of a batch affect one another in training, but not at "
            "inference; layer norm never does"
        ),
        say(
            "changes by {training:.2f} in training, {testing:.2f} at inference; layer norm by "
            "{layer:.2f}",
            training=training,
            testing=testing,
            layer=facts["layer"].from_others,
        ),
        training > NOTICEABLE > max(testing, facts["layer"].from_others),
    )


def _claim_of_places(post: Array, pre: Array) -> Claim:
    return Claim(
        say("Post-norm keeps the residual stream at root mean square 1; with pre-norm it grows"),
        say(
            "after all blocks: post-norm {post:.3f}; pre-norm grows from {first:.2f} to {last:.2f}",
            post=post[-1],
            first=pre[0],
            last=pre[-1],
        ),
        bool(np.abs(post[1:] - 1).max() < 1e-3 and pre[-1] > pre[0]),
    )


def _from_standard(moments: tuple[Array, Array]) -> float:
    """How far means are from 0 and variances from 1."""
    mean, variance = moments
    return max(_largest(mean), _largest(variance - 1))


def _largest(x: Array) -> float:
    return float(np.abs(x).max())


TRY = (
    Try(
        "attnviz learn norms:layers=32",
        "With pre-norm, the residual stream grows to almost 7 times its size; with post-norm it "
        "stays at 1.",
    ),
    Try(
        "attnviz learn norms:shift=100",
        "Layer norm still ignores the shift; batch norm at inference, which uses fixed "
        "statistics, is off by 100.",
    ),
)
NEXT = ("block",)
