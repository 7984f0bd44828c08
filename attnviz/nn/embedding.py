"""What a transformer reads, as vectors: tokens, parts of words, patches of an image, sounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.nn.activations import Activation
from attnviz.nn.convolution import Convolution
from attnviz.nn.linear import Linear
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.norms import Norm
from attnviz.nn.patches import GridPositions, cut
from attnviz.nn.types import Array


class Input(NamedTuple):
    """What a stack reads: ids, the pixels of an image, or a sound."""

    ids: Array | None = None
    """[n_token]"""
    segments: Array | None = None
    """[n_token]"""
    pieces: Array | None = None
    """[n_token, n_piece]: parts of each word, for models that read them besides the word."""
    pixels: Array | None = None
    """[channel, height, width]: an image."""
    sound: Array | None = None
    """[n_mel, n_frame]: a spectrogram."""
    mask: Mask = NONE
    """What the text itself hides: its padding, say."""
    first: int = 0
    """The position of the first token: above 0 where a cache holds what came before."""


class Embed(Protocol):
    """-> [n_token, d_model]"""

    def __call__(self, inputs: Input) -> Array: ...


class PositionVectors(Protocol):
    """positions [n_token] -> [n_token, d_model]"""

    def __call__(self, positions: Array, /) -> Array: ...


class TokenDropout(NamedTuple):
    """x [n_token, d_model] with 0 for masked tokens, as if they were dropped, the rest scaled by
    (1 - the share masked in training) / (1 - the share masked here); padding counts for neither.

    Source: Rives et al. 2021 (ESM-1b), and its code.
    """

    masked: int
    """The id of masked tokens."""
    in_training: float = 0.15 * 0.8

    def __call__(self, x: Array, inputs: Input) -> Array:
        assert inputs.ids is not None, "this embedding reads tokens"
        n, is_masked = len(inputs.ids), inputs.ids == self.masked
        visible = inputs.mask.visible_part(np.arange(n), np.arange(n), slice(0, 1), slice(0, n))
        n_token = n if visible is None else np.count_nonzero(visible)
        with np.errstate(divide="ignore", invalid="ignore"):  # of a text that is masked all over
            factor = np.float32(1 - self.in_training) / (1 - np.count_nonzero(is_masked) / n_token)
            return np.asarray(np.where(is_masked[:, None], 0, x) * x.dtype.type(factor), x.dtype)


class Embedding(NamedTuple):
    """Token ids [n_token] -> [n_token, d_model]: look up, scale, add positions, normalise."""

    tokens: Callable[[Array], Array]
    """ids [n_token] -> [n_token, d_model]"""
    positions: PositionVectors | None = None
    segments: Array | None = None
    """[n_segment, d_model]: which of two sentences a token belongs to."""
    pieces: Array | None = None
    """[n_piece, d_model]: parts of words, added to what the word has of its own.
    Source: Bojanowski et al. 2017 (fastText)."""
    scale: float = 1.0
    """√d_model in Vaswani et al. 2017, section 3.4."""
    norm: Norm | None = None
    widen: Linear | None = None
    """[d_model, d_embedding], where tokens have narrower vectors than the stack.
    Source: Lan et al. 2020 (ALBERT), section 3.1."""
    place: Callable[[Array, int], Array] | None = None
    """ids [n_token], first position -> positions [n_token], where they depend on the ids."""
    dropout: TokenDropout | None = None
    """What becomes of masked tokens."""

    def __call__(self, inputs: Input) -> Array:
        ids = inputs.ids
        assert ids is not None, "this embedding reads tokens"
        x = self.tokens(ids)
        if self.pieces is not None and inputs.pieces is not None:
            x = x + self.pieces[inputs.pieces].sum(-2)
        if self.scale != 1:
            x = x * x.dtype.type(self.scale)
        if self.dropout is not None:
            x = self.dropout(x, inputs)
        if self.segments is not None:
            x = (
                x
                + self.segments[np.zeros_like(ids) if inputs.segments is None else inputs.segments]
            )
        if self.positions is not None:
            positions = np.arange(inputs.first, inputs.first + ids.shape[-1])
            if self.place is not None:
                positions = self.place(ids, inputs.first)
            x = x + self.positions(positions).astype(x.dtype, copy=False)
        x = x if self.norm is None else self.norm(x)
        return x if self.widen is None else self.widen(x)


class Unembed(Protocol):
    """[n_token, d_model] -> [n_token, n_vocabulary]"""

    def __call__(self, x: Array) -> Array: ...


class Transform(NamedTuple):
    """norm(activation(dense(x))): what BERT does before it predicts a masked token."""

    dense: Linear
    """[d_embedding, d_model]"""
    activation: Activation
    norm: Norm

    def __call__(self, x: Array) -> Array:
        return self.norm(self.activation(self.dense(x)))


class Unembedding(NamedTuple):
    """[n_token, d_model] -> [n_token, n_vocabulary]: the logits of each token, or of the next."""

    linear: Linear
    """[n_vocabulary, d_model]: often the table of the embedding."""
    scale: float = 1.0
    """A factor on what goes in (T5 with tied embeddings: 1/√d_model)."""
    softcap: float | None = None
    """c·tanh(logits/c) (Gemma 2)."""
    before: Linear | Transform | None = None
    """[n_token, d_model] -> [n_token, d_embedding], where tokens have vectors of their own."""

    def __call__(self, x: Array) -> Array:
        x = x if self.before is None else self.before(x)
        logits = self.linear(x if self.scale == 1 else x * x.dtype.type(self.scale))
        if self.softcap is not None:
            cap = logits.dtype.type(self.softcap)
            logits = cap * np.tanh(logits / cap)
        return logits


class PatchEmbedding(NamedTuple):
    """An image [channel, height, width] -> [n_first + n_patch, d_model]: a class token and the
    like, then the patches.

    Source: Dosovitskiy et al. 2021, section 3.1.
    """

    patches: Linear
    """[d_model, channel·height·width of a patch]"""
    first: Array
    """[n_first, d_model]: what stands before the patches: a class token, registers."""
    positions: GridPositions | None
    """None where the attention itself knows them."""
    patch: tuple[int, int]
    """The height and width of a patch in pixels."""
    norm: Norm | None = None
    first_positions: Array | None = None
    """[n, d_model]: of the first n of what stands before the patches; registers have none."""

    def grid(self, pixels: Array) -> tuple[int, int]:
        """Rows and columns of patches of an image [channel, height, width]."""
        return pixels.shape[-2] // self.patch[0], pixels.shape[-1] // self.patch[1]

    def __call__(self, inputs: Input) -> Array:
        assert inputs.pixels is not None, "this embedding reads an image"
        patches = self.patches(cut(inputs.pixels, self.patch))
        if self.positions is not None:
            patches = patches + self.positions(*self.grid(inputs.pixels))
        first = self.first
        if self.first_positions is not None:
            first = first.copy()
            first[: len(self.first_positions)] += self.first_positions
        first = np.broadcast_to(first, (*patches.shape[:-2], *first.shape))
        x = np.concatenate([first, patches], -2)
        return x if self.norm is None else self.norm(x)


class SoundEmbedding(NamedTuple):
    """A spectrogram [n_mel, n_frame] -> [n_frame / 2, d_model].

    Source: Radford et al. 2023, section 2.2 (Whisper).
    """

    first: Convolution
    """[n_frame, n_mel] -> [n_frame, d_model]"""
    second: Convolution
    """[n_frame, d_model] -> [n_frame / 2, d_model]"""
    activation: Activation
    positions: Array
    """[n_position, d_model]: there are as many frames, whatever the sound."""

    def __call__(self, inputs: Input) -> Array:
        assert inputs.sound is not None, "this embedding reads a sound"
        x = self.activation(self.first(np.ascontiguousarray(inputs.sound.T)))
        return np.asarray(self.activation(self.second(x)) + self.positions)
