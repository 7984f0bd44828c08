"""Parts out of tensors: each number where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build import layers
from attnviz.models.build.config import Config
from attnviz.models.build.tensors import Tensors
from attnviz.nn.activations import gelu, gelu_tanh, relu

D_MODEL, D_FF = 6, 10


class Numbered:
    """A file of tensors of the given shapes, each with numbers of its own."""

    path = "weights"

    def __init__(self, **shapes):
        self.shapes = {name.replace("__", "."): shape for name, shape in shapes.items()}
        self.tensors = {
            name: np.random.default_rng(i).normal(size=shape).astype(np.float32)
            for i, (name, shape) in enumerate(self.shapes.items())
        }

    def copies(self, name):
        return False

    def read(self, name, rows=None):
        return self.tensors[name] if rows is None else self.tensors[name][rows]


def opened(**shapes):
    file = Numbered(**shapes)
    return Tensors(file, (), np.dtype(np.float32)), file.tensors


def config(**fields):
    return Config(fields, "config.json")


def test_a_linear_map_and_some_rows_of_it():
    tensors, stored = opened(a__weight=(D_FF, D_MODEL), a__bias=(D_FF,))
    full = layers.linear(tensors, "a", D_MODEL, D_FF)
    np.testing.assert_array_equal(full.weight, stored["a.weight"])
    np.testing.assert_array_equal(full.bias, stored["a.bias"])
    some = layers.linear(tensors, "a", D_MODEL, D_FF, rows=slice(2, 5))
    np.testing.assert_array_equal(some.weight, stored["a.weight"][2:5])
    np.testing.assert_array_equal(some.bias, stored["a.bias"][2:5])
    assert layers.linear(tensors, "a", D_MODEL, D_FF, bias=False).bias is None


def test_norms_by_new_and_old_names():
    tensors, stored = opened(new__weight=(5,), new__bias=(5,), old__gamma=(5,), old__beta=(5,))
    for name, (gain, shift) in {"new": ("weight", "bias"), "old": ("gamma", "beta")}.items():
        norm = layers.layer_norm(tensors, name, 5, 1e-3)
        x = np.arange(5.0)[None]
        expected = (x - x.mean()) / np.sqrt(x.var() + 1e-3) * stored[f"{name}.{gain}"]
        np.testing.assert_allclose(norm(x), expected + stored[f"{name}.{shift}"], rtol=1e-6)


def test_the_gain_of_gemma_is_stored_less_one():
    tensors, stored = opened(a__weight=(5,))
    x = np.arange(1.0, 6)[None]
    normed = x / np.sqrt((x**2).mean() + 1e-6)
    for offset in (0.0, 1.0):
        norm = layers.rms_norm(tensors, "a", 5, 1e-6, offset=offset)
        np.testing.assert_allclose(norm(x), normed * (stored["a.weight"] + offset), rtol=1e-6)


def test_attention_has_its_four_projections_in_their_order():
    names = ("q", "k", "v", "o")
    square = {f"at__{name}__weight": (D_MODEL, D_MODEL) for name in names}
    tensors, stored = opened(**square, **{f"at__{name}__bias": (D_MODEL,) for name in names})
    part = layers.attention(tensors, "at", names, D_MODEL, 3, n_kv_head=3, kind="cross")
    projections = (part.query, part.key, part.value, part.output)
    for name, linear in zip(names, projections, strict=True):
        np.testing.assert_array_equal(linear.weight, stored[f"at.{name}.weight"])
        np.testing.assert_array_equal(linear.bias, stored[f"at.{name}.bias"])
    assert (part.n_head, part.kind) == (3, "cross")
    assert part.scale == pytest.approx(1 / np.sqrt(2))
    assert layers.attention(tensors, "at", names, D_MODEL, 3, scale=1.0).scale == 1


def test_a_feed_forward_net_goes_up_then_down():
    tensors, stored = opened(up__weight=(D_FF, D_MODEL), down__weight=(D_MODEL, D_FF))
    net = layers.feed_forward(tensors, ("up", "down"), D_MODEL, D_FF, relu, bias=False)
    np.testing.assert_array_equal(net.up.weight, stored["up.weight"])
    np.testing.assert_array_equal(net.down.weight, stored["down.weight"])
    assert net.activation is relu


def test_activations_by_the_names_of_configs():
    assert layers.activation(config(), "act", "gelu") is gelu
    assert layers.activation(config(act="gelu_new"), "act", "gelu") is gelu_tanh
    with pytest.raises(AttnvizError, match="act = 'mish'"):
        layers.activation(config(act="mish"), "act", "gelu")


def test_heads_share_the_width_evenly():
    assert layers.head_width(config(), 12, 4) == 3
    with pytest.raises(AttnvizError, match="5 heads do not share a width of 12"):
        layers.head_width(config(), 12, 5)
