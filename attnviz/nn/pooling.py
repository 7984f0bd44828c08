"""One vector out of many: what a classifier, or an embedding of a whole text, reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.embedding import Input
from attnviz.nn.linear import Linear
from attnviz.nn.norms import Norm
from attnviz.nn.types import Array


class Classifier(NamedTuple):
    """[n_token, d_model] -> [1, n_class]: the logits of a class."""

    linear: Linear
    """[n_class, d_pooled]"""
    pool: Callable[[Array], Array]
    """[n_token, d_model] -> [1, d_pooled]"""
    before: Norm | None = None
    """Over what comes out of the stack."""

    def __call__(self, x: Array) -> Array:
        return self.linear(self.pool(x if self.before is None else self.before(x)))


class Similarity(NamedTuple):
    """[n_token, d_model] -> [1, n_text]: the scaled cosine of the angle between what is made of an
    image and of each of some texts, plus a bias. Source: Radford et al. 2021 (CLIP), figure 3."""

    embed: Step
    """[n_token, d_model] -> [1, d]"""
    texts: Linear
    """[n_text, d]: what was made of the texts, each of the length of the scale."""

    def __call__(self, x: Array) -> Array:
        return self.texts(unit_length(self.embed(x)))


class Mean(NamedTuple):
    """[n_token, d_model] -> [1, n_class]: the mean of the logits of several classifiers.

    Source: Touvron et al. 2021 (DeiT), section 4, where class and distillation token have one each.
    """

    parts: tuple[Classifier, ...]

    def __call__(self, x: Array) -> Array:
        logits: Array = sum(part(x) for part in self.parts) / x.dtype.type(len(self.parts))
        return logits


def token(number: int, x: Array) -> Array:
    """The vector of one token: [n_token, d_model] -> [1, d_model].

    Source: Dosovitskiy et al. 2021, equation 4, where it is the first one, the class token.
    """
    return x[..., number : number + 1, :]


def mean_of_patches(n_first: int, x: Array) -> Array:
    """The mean of the vectors behind the first `n_first` tokens: [n_token, d_model] ->
    [1, d_model]."""
    mean: Array = x[..., n_first:, :].mean(-2, keepdims=True)
    return mean


def class_token_and_mean(n_first: int, x: Array) -> Array:
    """The vector of the class token and the mean of the patches' behind `n_first` tokens:
    [n_token, d_model] -> [1, 2·d_model].

    Source: Oquab et al. 2024, appendix B.3 (linear evaluation).
    """
    return np.concatenate([token(0, x), mean_of_patches(n_first, x)], -1)


class Pool(Protocol):
    """Vectors [n_token, d_model] and the ids of the source [n_token] -> [1, d_pooled], or
    [0, d_pooled] where the text has no token that is read."""

    def __call__(self, x: Array, ids: Array, /) -> Array: ...


class Step(Protocol):
    """[n, d_in] -> [n, d_out]"""

    def __call__(self, x: Array, /) -> Array: ...


class TextHead(NamedTuple):
    """[n_token, d_model] -> [n_token, n_output], or [1, n_output] where tokens are pooled."""

    steps: tuple[Step, ...]
    """What each vector goes through, from the pooled one to the output."""
    pool: Pool | None = None
    """None: every token has an output."""

    def __call__(self, x: Array, source: Input | None = None) -> Array:
        """`source` is what the model's first stack read: to pool, one has to know its tokens."""
        if self.pool is not None:
            ids = None if source is None else source.ids
            assert ids is not None, "this head reads tokens"
            x = self.pool(x, ids)
        for step in self.steps:
            x = step(x)
        return x


def first_token(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model]: that of [CLS] or <s>. Source: Devlin et al. 2019,
    section 3."""
    return x[:1]


def last_token(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model]"""
    return x[-1:]


class LastBut(NamedTuple):
    """The last token that is no padding, the first where all are: as transformers' decoders
    classify."""

    padding: int
    """The id of padding."""

    def __call__(self, x: Array, ids: Array) -> Array:
        """[n_token, d_model] -> [1, d_model]"""
        last = int((np.arange(len(ids)) * (ids != self.padding)).argmax())
        return x[last : last + 1]


class LastOf(NamedTuple):
    """The last of the tokens that end the text, in the decoder's numbering of what it read. Source:
    Lewis et al. 2020, section 3.1."""

    id: int
    """What ends the text."""

    def __call__(self, x: Array, ids: Array) -> Array:
        """[n_token, d_model] -> [1, d_model]; [0, d_model] without such a token."""
        positions = np.flatnonzero(ids == self.id)[-1:]
        return x[positions[positions < len(x)]]


def mean(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model]. Source: Reimers & Gurevych 2019, section 3."""
    return np.asarray(x.mean(0, keepdims=True))


def largest(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model], number by number. Source: as for `mean`."""
    return np.asarray(x.max(0, keepdims=True))


def root_mean(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model]: the sum by √n_token, as sentence-transformers has it."""
    return np.asarray(x.sum(0, keepdims=True) / x.dtype.type(len(x) ** 0.5))


def rising_mean(x: Array, ids: Array) -> Array:
    """[n_token, d_model] -> [1, d_model]: the mean weighted by 1, 2, 3, …. Source: Muennighoff 2022
    (SGPT), section 3."""
    weights = np.arange(1, len(x) + 1, dtype=x.dtype)
    return np.asarray(weights[None] @ x / weights.sum())


class FirstOf(NamedTuple):
    """The first token of those that end the text, the first of all where there is none; with the
    id 2, the token with the largest id. Source: Radford et al. 2021; both as transformers has it,
    the latter for CLIP's first configs, which named another end than their tokenizer."""

    id: int

    def __call__(self, x: Array, ids: Array) -> Array:
        """[n_token, d_model] -> [1, d_model]"""
        first = int((ids if self.id == 2 else ids == self.id).argmax())
        return x[first : first + 1]


class Several(NamedTuple):
    """Several of them side by side."""

    pools: tuple[Pool, ...]

    def __call__(self, x: Array, ids: Array) -> Array:
        """[n_token, d_model] -> [1, n_pool·d_model]"""
        return np.concatenate([pool(x, ids) for pool in self.pools], -1)


def unit_length(x: Array) -> Array:
    """[n, d] -> [n, d], each vector by its length."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(length, x.dtype.type(1e-12)))


def against_zero(x: Array) -> Array:
    """[n, 1] -> [n, 2]: the logits of no and yes, whose softmax is the logistic function of x."""
    return np.concatenate([np.zeros_like(x), x], -1)
