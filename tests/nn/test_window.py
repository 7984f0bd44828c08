"""The net over a window sees its neighbours, as far as it reaches and no further."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models import load_model
from attnviz.nn.activations import relu
from attnviz.nn.convolution import Convolution
from attnviz.nn.linear import Linear
from attnviz.nn.masks import padded
from attnviz.nn.multi_head import RecordNothing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.window import InputConvolution, WindowNet


def net(generator, d, reach):
    up = Linear(generator.normal(size=(11, (2 * reach + 1) * d)), generator.normal(size=11))
    return WindowNet(up, Linear(generator.normal(size=(d, 11)), None), relu, reach)


@pytest.mark.parametrize("reach", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 7, 19])
def test_against_a_loop(generator, reach, n):
    d = 5
    window, x = net(generator, d, reach), generator.normal(size=(n, d))
    expected = []
    for i in range(n):
        around = [x[j] if 0 <= j < n else np.zeros(d) for j in range(i - reach, i + reach + 1)]
        hidden = np.maximum(0, window.up.weight @ np.concatenate(around) + window.up.bias)
        expected.append(window.down.weight @ hidden)
    np.testing.assert_allclose(window(x, None), expected, atol=1e-12)


def test_a_convolution_of_what_the_stack_was_given(generator):
    """Token by token; the last two of 7 are padding."""
    d, n, n_valid = 5, 7, 5
    weight, bias = generator.normal(size=(3, d, d)), generator.normal(size=d)
    given = generator.normal(size=(n, d))
    stream = Stream("source", given, np.arange(n), padded((n_valid,)))
    context = SublayerContext("encoder", 0, stream, None, RecordNothing(), Scratch())
    found = InputConvolution(Convolution(weight, bias), relu)(np.zeros((n, d)), context)
    for i in range(n):
        around = [j for j in (i - 1, i, i + 1) if 0 <= j < n_valid]
        expected = bias + sum(weight[j - i + 1] @ given[j] for j in around)
        np.testing.assert_allclose(found[i], np.maximum(0, expected), atol=1e-12)


def test_leading_axes(generator):
    window, x = net(generator, 5, 2), generator.normal(size=(2, 3, 7, 5))
    np.testing.assert_allclose(window(x, None)[1, 2], window(x[1, 2], None), atol=1e-12)


@pytest.mark.parametrize(("mix", "reach"), [("none", 0), ("window:reach=1", 2), ("window", 4)])
def test_what_reaches_a_token_through_two_layers(mix, reach):
    """Two layers reach twice as far; without mixing, no word knows of another."""
    words = [f"w{i}" for i in range(11)]
    from attnviz import run

    def states(text):
        trace = run(" ".join(text), model="random", mix=mix, hidden_states=True, dtype="float64")
        return trace.hidden_states["encoder"][-1]

    before = states(words)
    after = states([*words[:5], "other", *words[6:]])
    changed = np.abs(before - after).max(-1) > 1e-9
    assert changed.nonzero()[0].tolist() == list(range(5 - reach, 6 + reach))


def test_a_model_without_attention():
    model = load_model("random:mix=none")
    assert model.transformer.sites() == []
