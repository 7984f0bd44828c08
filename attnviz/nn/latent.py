"""Multi-head latent attention: keys and values of all heads are made of one narrow vector a token,
and positions enter by a few rotated features beside it.

Source: DeepSeek-AI 2024 (DeepSeek-V2), section 2.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.heads import merge_heads, split_heads
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import Rotary
from attnviz.nn.norms import Norm
from attnviz.nn.types import Array


class LowRank(NamedTuple):
    """up(norm(down(x))): [n_token, d_model] -> [n_token, n_head·d]."""

    down: Linear
    """[d_latent, d_model]"""
    norm: Norm
    up: Linear
    """[n_head·d, d_latent]"""

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        return self.up(self.norm(self.down(x)), out)

    @property
    def weight(self) -> Array:
        """[n_head·d, d_model]: the shape of the matrix that it stands for; no numbers."""
        return _shape(len(self.up.weight), self.down.weight.shape[1])

    @property
    def bias(self) -> Array | None:
        """[n_head·d]"""
        return self.up.bias


class LatentKeys(NamedTuple):
    """The keys of all heads: [n_token, d_model] -> [n_token, n_head·(d_content + d_rotary)]. The
    last features of each head are those to be rotated, the same for all heads."""

    content: LowRank
    """[n_head·d_content, d_model]"""
    shared: Linear
    """[d_rotary, d_model]"""
    n_head: int

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        content = split_heads(self.content(x), self.n_head)
        shared = self.shared(x)[..., None, :, :]
        beside = np.broadcast_to(shared, (*content.shape[:-1], shared.shape[-1]))
        keys = merge_heads(np.concatenate([content, beside], -1))
        if out is None:
            return keys
        out[...] = keys
        return out

    @property
    def weight(self) -> Array:
        """The shape, as of `LowRank`."""
        width = len(self.content.up.weight) + self.n_head * len(self.shared.weight)
        return _shape(width, self.shared.weight.shape[1])

    @property
    def bias(self) -> Array | None:
        return None


class RotaryBehind(NamedTuple):
    """Rotates the features of x [n_head, n, d] behind the first `n_content`, which know no
    position."""

    rotary: Rotary
    n_content: int

    def __call__(self, x: Array, positions: Array) -> Array:
        content, rotated = x[..., : self.n_content], x[..., self.n_content :]
        return np.concatenate([content, self.rotary(rotated, positions)], -1)


def _shape(d_out: int, d_in: int) -> Array:
    """A matrix of this shape that takes no memory."""
    return np.broadcast_to(np.float32(0), (d_out, d_in))
