"""The position-wise feed-forward net, plain and gated."""

from __future__ import annotations

from typing import NamedTuple

from attnviz.nn.activations import Activation
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import SublayerContext
from attnviz.nn.types import Array


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

    def __call__(self, x: Array, context: SublayerContext) -> Array:
        shape = (*x.shape[:-2], len(self.up.weight), x.shape[-2])
        hidden = self.up(x, context.scratch.array("hidden", shape, x.dtype))
        if self.gate is None:
            return self.down(self.activation(hidden, out=hidden))
        gate = self.gate(x, context.scratch.array("gate", shape, x.dtype))
        hidden *= self.activation(gate, out=gate)
        return self.down(hidden)
