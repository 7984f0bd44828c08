"""The recurrent layer: context that is handed on from token to token."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array


class Recurrent(NamedTuple):
    """[n_token, d_in] -> [n_token, d_state]: h_t = tanh(W x_t + U h_{t-1} + b), from h = 0.

    Each state waits for the one before it. Any leading axes. Source: Elman 1990.
    """

    read: Array
    """W, [d_state, d_in]"""
    recur: Array
    """U, [d_state, d_state]"""
    bias: Array
    """[d_state]"""

    def __call__(self, x: Array, matmul: Callable[[Array, Array], Array] = np.matmul) -> Array:
        inputs = matmul(x, self.read.T) + self.bias
        states = np.empty_like(inputs)
        state = np.zeros_like(inputs[..., 0, :])
        for t in range(x.shape[-2]):
            update = inputs[..., t, :] + matmul(state, self.recur.T)
            state = states[..., t, :] = np.tanh(update)
        return states
