"""Random weights from a seed, in the shape that a config asks for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.memory import check_available
from attnviz.models.build.stack import StackConfig
from attnviz.models.build.stack_parts import build_stacks
from attnviz.models.model import Model
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.embedding import Embedding, Unembed
from attnviz.nn.linear import Linear
from attnviz.nn.schemes import Scheme
from attnviz.nn.seeded import normal
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, split_words

MAX_DRAWN = 1 << 31
"""Random numbers that are drawn at most: half a minute's work."""

SMALLEST_DRAW = 1000
"""To draw fewer numbers takes no less time."""

VECTORS = 16
"""What a run holds besides the weights, in vectors of the residual stream."""

RANDOM_NOTE = to_say(
    "random weights: they show how attention computes, not what a language model learned"
)


def random_model(config: StackConfig, name: str = "random") -> Model:
    """A model with the weights that the config's seed gives."""
    defaults = StackConfig()
    changed = {
        f.name: getattr(config, f.name)
        for f in fields(config)
        if getattr(config, f.name) != getattr(defaults, f.name)
    }
    check_drawable(config, changed)
    weights = SeededWeights(config.seed, np.dtype(config.dtype))
    transformer = _transformer(config, weights)
    shape = {
        "n_layer": config.layers,
        "n_head": config.heads if transformer.sites() else 0,
        "d_model": config.d_model,
        "seed": config.seed,
        "config": changed,
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


def check_drawable(config: StackConfig, changed: Mapping[str, Any]) -> None:
    """Raise AttnvizError if the weights take too long to draw, or more memory than there is."""
    # the weights of a stack of one layer, and of two: further layers are like the second
    one, two = (_count(replace(config, layers=layers)) for layers in (1, 2))
    n = one + (two - one) * (config.layers - 1) + VECTORS * config.d_model
    sizes = ", ".join(f"{name} = {value}" for name, value in changed.items())
    hint = "a smaller stack: attnviz run --help says what each size is"
    if n > MAX_DRAWN:
        raise AttnvizError(
            f"a stack with {sizes} has over {MAX_DRAWN:,} random weights, which would take minutes",
            hint,
        )
    check_available(n * np.dtype(config.dtype).itemsize, f"a stack with {sizes}", hint)


def _count(config: StackConfig) -> int:
    """How many weights a stack has, or that they are more than anybody draws."""
    weights = _CountedWeights()
    try:
        build_stacks(config, weights)
    except OverflowError:
        return MAX_DRAWN + 1
    return weights.n_parameter


class _CountedWeights:
    """Arrays of the right shapes that take no memory, and their number of entries.

    Raises:
        OverflowError: they are more than `MAX_DRAWN`.
    """

    def __init__(self) -> None:
        self.n_parameter = 0

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        self.n_parameter += math.prod(shape)
        if self.n_parameter > MAX_DRAWN:
            raise OverflowError
        return np.broadcast_to(np.float32(0), shape)

    def constant(self, name: str, size: int, value: float) -> Array:
        return self.array(name, (size,))


class SeededWeights:
    """Normal random arrays; each depends on the seed and its own name only, so that one more
    layer or a longer text leaves all others as they are."""

    def __init__(self, seed: int, dtype: np.dtype[Any]) -> None:
        self.seed = seed
        self.dtype = dtype
        self.n_parameter = 0

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        array = self.vector(name, shape)
        self.n_parameter += array.size
        array *= self.dtype.type(deviation)
        return array

    def constant(self, name: str, size: int, value: float) -> Array:
        self.n_parameter += size
        return np.full(size, value, self.dtype)

    def vector(self, name: str, shape: tuple[int, ...]) -> Array:
        """Normal numbers of deviation 1, not counted as parameters."""
        numbers: Array = normal(shape, self.seed, name).astype(self.dtype, copy=False)
        return numbers


class WordTokenizer(Tokenizer):
    """Words and punctuation; any word has an id, computed from its letters."""

    def __init__(self, n_vocabulary: int = 0) -> None:
        self._n_vocabulary = n_vocabulary

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        first, second = split_words(text), split_words(pair or "")
        words = first + second
        segments = [0] * len(first) + [1] * len(second) if second else []
        return Tokens.of(words, [self._id(word) for word in words], segments=segments)

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        all_ids = [*ids, *(pair or ())]
        segments = [0] * len(ids) + [1] * len(pair) if pair else []
        return Tokens.of([f"#{id}" for id in all_ids], all_ids, segments=segments)

    def _id(self, word: str) -> int:
        number = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        return number % self._n_vocabulary if self._n_vocabulary else number


def _transformer(config: StackConfig, weights: SeededWeights) -> Transformer:
    stacks = build_stacks(config, weights)
    target = None if stacks.target is None else _embedding(config, weights, stacks.target)
    return Transformer(
        encoder=stacks.encoder,
        decoder=stacks.decoder,
        source=_embedding(config, weights, stacks.source),
        target=target,
        unembed=_unembed(config, weights),
    )


def _embedding(config: StackConfig, weights: SeededWeights, scheme: Scheme) -> Embedding:
    deviation = weights.dtype.type(1 / math.sqrt(config.d_model))

    def tokens(ids: Array) -> Array:
        distinct, which = np.unique(ids, return_inverse=True)
        rows = [weights.vector(f"token.{id}", (config.d_model,)) for id in distinct]
        table = np.stack(rows) * deviation
        return np.asarray(table[which.reshape(ids.shape)])

    return Embedding(
        tokens=tokens,
        positions=scheme.add,
        scale=math.sqrt(config.d_model) if config.embedding_scale else 1.0,
    )


def _unembed(config: StackConfig, weights: SeededWeights) -> Unembed | None:
    """[n_token, d_model] -> [n_token, vocabulary]; the matrix is drawn when it is asked for."""
    if not config.vocabulary:
        return None
    size = (config.vocabulary, config.d_model)
    if not config.tied:
        weights.n_parameter += math.prod(size)

    def unembed(x: Array) -> Array:
        if size[0] * max(size[1], SMALLEST_DRAW) > MAX_DRAWN:
            raise AttnvizError(
                f"the output of vocabulary = {size[0]} and d_model = {size[1]} would take minutes",
                "a smaller vocabulary",
            )
        if config.tied:
            rows = [weights.vector(f"token.{id}", size[1:]) for id in range(config.vocabulary)]
            matrix = np.stack(rows)
        else:
            matrix = weights.vector("unembed", size)
        return Linear(matrix * weights.dtype.type(1 / math.sqrt(config.d_model)))(x)

    return unembed
