"""The feed-forward net, plain and gated, number by number."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn.activations import relu, silu
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import RecordNothing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch

D_MODEL, D_FF = 5, 11


@pytest.mark.parametrize("n", [3, 17])
@pytest.mark.parametrize("gated", [False, True])
def test_each_token_by_itself(n, gated, generator):
    def weights(d_out, d_in):
        return generator.normal(size=(d_out, d_in)), generator.normal(size=d_out)

    x = generator.normal(size=(n, D_MODEL))
    (up, up_b), (down, down_b), (gate, gate_b) = (
        weights(D_FF, D_MODEL), weights(D_MODEL, D_FF), weights(D_FF, D_MODEL)
    )  # fmt: skip
    net = FeedForward(
        Linear(up, up_b),
        Linear(down, down_b),
        silu if gated else relu,
        Linear(gate, gate_b) if gated else None,
    )
    context = SublayerContext(
        "encoder", 0, Stream("s", x, np.arange(n)), None, RecordNothing(), Scratch()
    )
    expected = []
    for row in x:
        hidden = up @ row + up_b
        if gated:
            z = gate @ row + gate_b
            hidden *= z / (1 + np.exp(-z))
        else:
            hidden = np.maximum(hidden, 0)
        expected.append(down @ hidden + down_b)
    for _ in range(2):  # the second time in memory that was used
        np.testing.assert_allclose(net(x, context), expected, rtol=1e-9)
