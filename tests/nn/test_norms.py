"""Norms: which axes share a mean. The formulas themselves are held by ONNX's cases."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn import norms

X = np.array([[1.0, 2, 3, 4], [2, 4, 6, 8]])


def test_published_examples():
    np.testing.assert_allclose(
        norms.layer_norm(X, eps=0)[1], [-1.3416, -0.4472, 0.4472, 1.3416], atol=5e-5
    )
    np.testing.assert_allclose(
        norms.rms_norm(X, eps=0)[1], [0.3651, 0.7303, 1.0954, 1.4606], atol=5e-5
    )
    np.testing.assert_allclose(norms.batch_norm(X, eps=0), [[-1] * 4, [1] * 4])


def test_axes(generator):
    x = generator.normal(3, 2, size=(5, 7, 11))
    layer, batch = norms.layer_norm(x, eps=0), norms.batch_norm(x, eps=0)
    np.testing.assert_allclose(layer.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(layer.var(-1), 1)
    np.testing.assert_allclose(batch.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(batch.var((0, 1)), 1)


def test_shift_and_scale_invariance(generator):
    x = generator.normal(size=(3, 8))
    np.testing.assert_allclose(norms.layer_norm(5 * x + 2, eps=0), norms.layer_norm(x, eps=0))
    np.testing.assert_allclose(norms.rms_norm(5 * x, eps=0), norms.rms_norm(x, eps=0))
    assert not np.allclose(norms.rms_norm(x + 2, eps=0), norms.rms_norm(x, eps=0))


def test_batch_norm_of_testing_uses_the_running_statistics(generator):
    x = generator.normal(size=(2, 3, 5))
    mean, variance = generator.normal(size=5), generator.random(5)
    done = norms.batch_norm(x, mean=mean, variance=variance, eps=0)
    np.testing.assert_allclose(done, (x - mean) / np.sqrt(variance))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_and_input_stay(order, generator):
    x = np.asarray(generator.normal(size=(3, 8)), order=order)
    before = x.copy()
    done = norms.LayerNorm(np.full(8, 2.0), np.ones(8))(x)
    np.testing.assert_array_equal(x, before)
    assert done.flags.f_contiguous == (order == "F")
    np.testing.assert_allclose(done, 2 * norms.layer_norm(before) + 1)


def test_across_heads_a_token_has_one_mean(generator):
    heads, gain = generator.normal(size=(2, 5, 7, 3)), generator.normal(size=15)
    found = norms.AcrossHeads(norms.RMSNorm(gain, 0.1))(heads)
    size = np.sqrt((heads**2).mean((1, 3), keepdims=True) + 0.1)
    np.testing.assert_allclose(found, heads / size * gain.reshape(5, 1, 3), rtol=1e-12)
