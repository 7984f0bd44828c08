"""The position-wise feed-forward net, plain and gated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from attnviz.nn.activations import Activation
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.types import Array

ROWS = 128
"""Tokens at a time: what is hidden between the two maps then stays in a processor's cache."""


class FeedForward(NamedTuple):
    """[n_token, d_model] -> [n_token, d_model], each token by itself.

    Plain: down(activation(up(x))), Vaswani et al. 2017, section 3.3.
    With a gate: down(activation(gate(x)) * up(x)), Shazeer 2020 (ReGLU, GEGLU, SwiGLU by their
    activation).
    """

    up: Linear
    """[d_ff, d_model]"""
    down: Linear
    """[d_model, d_ff]"""
    activation: Activation
    gate: Linear | None = None
    """[d_ff, d_model]"""
    up_activation: Activation | None = None
    """Of what comes out of `up`, where there is a gate. Source: OpenAI 2025, gpt-oss."""

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        if math.prod(x.shape[:-1]) <= ROWS:
            return self._rows(x, context.scratch)
        net, flat = self.converted(), x.reshape(-1, x.shape[-1])
        y = np.empty((len(flat), len(self.down.weight)), x.dtype)
        for start in range(0, len(flat), ROWS):
            rows = slice(start, start + ROWS)
            net._rows(flat[rows], context.scratch, y[rows])
        return y.reshape(*x.shape[:-1], -1)

    def _rows(self, x: Array, scratch: Scratch, out: Array | None = None) -> Array:
        shape = (*x.shape[:-1], len(self.up.weight))
        hidden = self.up(x, scratch.array("hidden", shape, x.dtype))
        if self.gate is None:
            return self.down(self.activation(hidden, out=hidden), out)
        if self.up_activation is not None:
            hidden = self.up_activation(hidden, out=hidden)
        gate = self.gate(x, scratch.array("gate", shape, x.dtype))
        hidden *= self.activation(gate, out=gate)
        return self.down(hidden, out)

    def converted(self) -> FeedForward:
        """The same net, for several uses: its weights are not converted at each of them."""
        up, down = (x._replace(weight=np.asarray(x.weight)) for x in (self.up, self.down))
        gate = self.gate and self.gate._replace(weight=np.asarray(self.gate.weight))
        return self._replace(up=up, down=down, gate=gate)
