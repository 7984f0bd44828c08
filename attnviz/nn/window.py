"""Nets over each token and its neighbours: context without attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.nn.activations import Activation
from attnviz.nn.convolution import Convolution
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import SublayerContext
from attnviz.nn.types import Array


class WindowNet(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model]: a token and `reach` neighbours on either side,
    side by side, through down(activation(up(x))). Beyond the ends there are zeros.

    Source: Collobert et al. 2011, section 3.3.1, the window approach.
    """

    up: Linear
    """[d_ff, (2·reach + 1)·d_model]"""
    down: Linear
    """[d_model, d_ff]"""
    activation: Activation
    reach: int

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        n_token = x.shape[-2]
        ends = [(0, 0)] * (x.ndim - 2) + [(self.reach, self.reach), (0, 0)]
        wide = np.pad(x, ends)
        shifted = [wide[..., i : i + n_token, :] for i in range(2 * self.reach + 1)]
        hidden = self.up(np.concatenate(shifted, -1))
        return self.down(self.activation(hidden, out=hidden))


class InputConvolution(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model]: activation(convolution) of what the stack was
    given, whatever came of it since; padding counts as 0.

    Source: He et al. 2021 (DeBERTa v2's code), which adds it behind the first block.
    """

    convolution: Convolution
    activation: Activation

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        given, mask = context.stream.x, context.stream.mask
        places = np.arange(given.shape[-2])
        visible = mask.visible_part(places, places, slice(0, 1), slice(0, len(places)))
        if visible is not None:
            given = np.where(visible.reshape(-1, 1), given, 0)
        return self.activation(self.convolution(given))
