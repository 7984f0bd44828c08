"""The feed-forward net, plain and gated, number by number."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from attnviz.nn.activations import clamped_plus_one, clamped_swish, relu, silu
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


def test_the_gate_of_gpt_oss(generator):
    """Both maps are clamped; what comes out of `up` is raised by 1."""
    up, gate = generator.normal(size=(2, D_FF, D_MODEL))
    down, limit, slope = generator.normal(size=(D_MODEL, D_FF)), 0.7, 1.3
    net = FeedForward(
        Linear(up),
        Linear(down),
        partial(clamped_swish, slope=slope, limit=limit),
        Linear(gate),
        partial(clamped_plus_one, limit=limit),
    )
    x = generator.normal(size=(3, D_MODEL))
    stream = Stream("s", x, np.arange(3))
    context = SublayerContext("decoder", 0, stream, None, RecordNothing(), Scratch())
    for row, found in zip(x, net(x, context), strict=True):
        hidden = []
        for a, b in zip(gate @ row, up @ row, strict=True):
            g = min(a, limit)
            hidden.append((max(-limit, min(b, limit)) + 1) * g / (1 + math.exp(-slope * g)))
        np.testing.assert_allclose(found, down @ hidden, rtol=1e-12)
