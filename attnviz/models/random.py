"""The seeded stack: random weights in the shape that a config asks for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from attnviz.models.model import Model
from attnviz.models.stack import StackConfig
from attnviz.nn import masks, norms, scores
from attnviz.nn.activations import ACTIVATIONS
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.schemes import SCHEMES, Scheme, Setting
from attnviz.nn.seeded import normal
from attnviz.nn.transformer import Block, Embedding, Stack, Sublayer, Transformer
from attnviz.nn.types import Array
from attnviz.registry import parse_spec
from attnviz.tokens import Tokens, split_words

RANDOM_NOTE = "random weights: they show how attention computes, not what a language model learned"


def random_model(config: StackConfig, name: str = "random") -> Model:
    """A model with the weights that the config's seed gives."""
    weights = Weights(config.seed, np.dtype(config.dtype))
    transformer = _transformer(config, weights)
    defaults = StackConfig()
    told = {
        f.name: getattr(config, f.name)
        for f in fields(config)
        if getattr(config, f.name) != getattr(defaults, f.name)
    }
    shape = {
        "n_layer": config.layers,
        "n_head": config.heads,
        "d_model": config.d_model,
        "seed": config.seed,
        "config": told,
    }
    return Model(
        name=name,
        transformer=transformer,
        tokenizer=WordTokenizer(config.vocabulary),
        trained=False,
        shape=shape,
        n_parameter=weights.n_parameter + config.vocabulary * config.d_model,
        n_vocabulary=config.vocabulary or None,
        dtype=config.dtype,
        notes=(RANDOM_NOTE,),
    )


class Weights:
    """Normal random arrays; each depends on the seed and its own name only, so that one more
    layer or a longer text leaves all others as they are."""

    def __init__(self, seed: int, dtype: np.dtype[Any]) -> None:
        self.seed = seed
        self.dtype = dtype
        self.n_parameter = 0

    def draw(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        array = self.vector(name, shape)
        self.n_parameter += array.size
        array *= self.dtype.type(deviation)
        return array

    def vector(self, name: str, shape: tuple[int, ...]) -> Array:
        """Normal numbers of deviation 1, not counted as parameters."""
        numbers: Array = normal(shape, self.seed, name).astype(self.dtype, copy=False)
        return numbers

    def linear(self, name: str, d_in: int, d_out: int, bias: bool) -> Linear:
        """Deviation 1/√d_in keeps the variance of what passes through."""
        weight = self.draw(name, (d_out, d_in), 1 / math.sqrt(d_in))
        return Linear(weight, self.constant(0, d_out) if bias else None)

    def constant(self, value: float, size: int) -> Array:
        self.n_parameter += size
        return np.full(size, value, self.dtype)


class WordTokenizer:
    """Words and signs; any word has an id, made from its letters."""

    def __init__(self, n_vocabulary: int = 0) -> None:
        self._n_vocabulary = n_vocabulary

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        first, second = split_words(text), split_words(pair or "")
        words = first + second
        segments = [0] * len(first) + [1] * len(second) if second else []
        return Tokens.of(words, [self._id(word) for word in words], segments=segments)

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        every = [*ids, *(pair or ())]
        segments = [0] * len(ids) + [1] * len(pair) if pair else []
        return Tokens.of([f"#{id}" for id in every], every, segments=segments)

    def _id(self, word: str) -> int:
        number = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        return number % self._n_vocabulary if self._n_vocabulary else number


def _transformer(config: StackConfig, weights: Weights) -> Transformer:
    both = config.kind == "encoder-decoder"
    first = "decoder" if config.kind == "decoder" else "encoder"
    scheme = _scheme(config, weights, first)
    stacks = {first: _stack(config, weights, first, scheme, cross=False)}
    source = target = _embedding(config, weights, scheme)
    if both:
        scheme = _scheme(config, weights, "decoder")
        stacks["decoder"] = _stack(config, weights, "decoder", scheme, cross=True)
        target = _embedding(config, weights, scheme)
    return Transformer(
        encoder=stacks.get("encoder"),
        decoder=stacks.get("decoder"),
        source=source,
        target=target if both else None,
        unembed=_unembed(config, weights),
    )


def _scheme(config: StackConfig, weights: Weights, stack: str) -> Scheme:
    name, options = parse_spec(config.positions)

    def draw(what: str, shape: tuple[int, ...]) -> Array:
        return weights.draw(f"{stack}.{what}", shape)

    setting = Setting(config.d_model, config.heads, stack == "decoder", draw)
    return SCHEMES[name](setting, **SCHEMES.options(name, options))


def _embedding(config: StackConfig, weights: Weights, scheme: Scheme) -> Embedding:
    deviation = weights.dtype.type(1 / math.sqrt(config.d_model))

    def tokens(ids: Array) -> Array:
        known, which = np.unique(ids, return_inverse=True)
        rows = [weights.vector(f"token.{id}", (config.d_model,)) for id in known]
        table = np.stack(rows) * deviation
        return np.asarray(table[which.reshape(ids.shape)])

    return Embedding(
        tokens=tokens,
        positions=scheme.add,
        scale=math.sqrt(config.d_model) if config.embedding_scale else 1.0,
    )


def _unembed(config: StackConfig, weights: Weights) -> Callable[[Array], Array] | None:
    """[n_token, d_model] -> [n_token, vocabulary]; the matrix is drawn when it is asked for."""
    if not config.vocabulary:
        return None
    size = (config.vocabulary, config.d_model)
    if not config.tied:
        weights.n_parameter += math.prod(size)

    def unembed(x: Array) -> Array:
        if config.tied:
            rows = [weights.vector(f"token.{id}", size[1:]) for id in range(config.vocabulary)]
            matrix = np.stack(rows)
        else:
            matrix = weights.vector("unembed", size)
        return Linear(matrix * weights.dtype.type(1 / math.sqrt(config.d_model)))(x)

    return unembed


def _stack(config: StackConfig, weights: Weights, name: str, scheme: Scheme, cross: bool) -> Stack:
    blocks = []
    for layer in range(config.layers):
        where = f"{name}.{layer}"
        parts: list[Any] = [_attention(config, weights, where, "self", scheme)]
        if cross:
            parts.append(_attention(config, weights, where, "cross", Scheme()))
        if config.width_ff:
            parts.append(_feed_forward(config, weights, where))
        blocks.append(_block(config, weights, parts))
    pre = config.norm_place == "pre"
    return Stack(name, tuple(blocks), _norm(config, weights) if pre else None)


def _block(config: StackConfig, weights: Weights, parts: list[Any]) -> Block:
    if config.norm_place == "pre":
        return tuple(Sublayer(part, before=_norm(config, weights)) for part in parts)
    return tuple(Sublayer(part, after=_norm(config, weights)) for part in parts)


def _norm(config: StackConfig, weights: Weights) -> norms.Norm | None:
    if config.norm == "none":
        return None
    gain = weights.constant(1, config.d_model)
    if config.norm == "rms":
        return norms.RMSNorm(gain)
    shift = weights.constant(0, config.d_model)
    return norms.BatchNorm(gain, shift) if config.norm == "batch" else norms.LayerNorm(gain, shift)


def _attention(
    config: StackConfig, weights: Weights, where: str, kind: str, scheme: Scheme
) -> MultiHeadAttention:
    d_k, d_v, name = config.width_k, config.width_v, f"{where}.{kind}"
    score_name, score = build_score(config.score, d_k, partial(_drawn, weights, name))
    default = 1 / math.sqrt(d_k) if score_name == "scaled_dot" else 1.0
    return MultiHeadAttention(
        query=weights.linear(f"{name}.query", config.d_model, config.heads * d_k, config.bias),
        key=weights.linear(f"{name}.key", config.d_model, config.n_kv_head * d_k, config.bias),
        value=weights.linear(f"{name}.value", config.d_model, config.n_kv_head * d_v, config.bias),
        output=weights.linear(f"{name}.output", config.heads * d_v, config.d_model, config.bias),
        n_head=config.heads,
        n_kv_head=config.n_kv_head,
        kind=kind,
        score=score,
        score_name=config.score,
        scale=default / config.temperature,
        softcap=config.softcap,
        mask=_mask(config, where, kind),
        turn=scheme.turn,
        bias=scheme.bias,
    )


def build_score(
    spec: str, d_k: int, draw: Callable[[str, tuple[int, ...]], Array]
) -> tuple[str, scores.Score]:
    """A scoring function from its spec, with its learned arrays drawn: (name, function)."""
    name, options = parse_spec(spec)
    arrays = {
        key: draw(key, shape) for key, shape in scores.parameters(name, d_k, d_k, d_k).items()
    }
    function = partial(scores.SCORES[name], **arrays, **scores.SCORES.options(name, options))
    return name, function


def _drawn(weights: Weights, where: str, key: str, shape: tuple[int, ...]) -> Array:
    return weights.draw(f"{where}.{key}", shape, 1 / math.sqrt(shape[-1]))


def _mask(config: StackConfig, where: str, kind: str) -> masks.Mask:
    """The config's mask holds for the first stack; a decoder that has an encoder is causal."""
    if kind == "cross":
        return masks.NONE
    is_decoder = where.startswith("decoder")
    if config.mask is None or (is_decoder and config.kind == "encoder-decoder"):
        return masks.CAUSAL if is_decoder else masks.NONE
    return masks.parse(config.mask)


def _feed_forward(config: StackConfig, weights: Weights, where: str) -> FeedForward:
    d, d_ff = config.d_model, config.width_ff
    gate = weights.linear(f"{where}.gate", d, d_ff, True) if config.gated else None
    return FeedForward(
        up=weights.linear(f"{where}.up", d, d_ff, True),
        down=weights.linear(f"{where}.down", d_ff, d, True),
        activation=ACTIVATIONS[config.activation],
        gate=gate,
    )
