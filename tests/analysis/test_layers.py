"""Layers that compute alike are one row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attnviz.analysis.layers import layer_groups, ranges
from attnviz.nn.site import RecordId, Site


def site(layer, block="decoder", kind="self", **fields):
    fields = {"n_head": 6, "n_kv_head": 3, "mask": ("causal",), "score": "scaled_dot",
              "scale": 0.25} | fields  # fmt: skip
    return Site(id=RecordId(block, layer, kind), queries="source", keys="source", **fields)


def test_layers_that_alternate_are_two_groups():
    window = ("causal", "window:size=3")
    sites = [site(layer, mask=window if layer % 2 else ("causal",)) for layer in range(5)]
    groups = layer_groups(sites)
    assert [(group.layers, group.mask) for group in groups] == [
        ((0, 2, 4), ("causal",)),
        ((1, 3), window),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"n_head": 3}, {"n_kv_head": 6}, {"mask": ()}, {"score": "cosine"}, {"scale": 0.5},
        {"scale": None}, {"softcap": 50.0}, {"block": "encoder"}, {"kind": "cross"},
    ],
)  # fmt: skip
def test_whatever_differs_parts_them(other):
    assert len(layer_groups([site(0), site(1)])) == 1
    assert len(layer_groups([site(0), site(1, **other)])) == 2


def test_scales_that_differ_by_rounding_are_the_same():
    alike = [site(0, scale=0.1), site(1, scale=0.1 + 1e-9)]
    assert len(layer_groups(alike)) == 1
    assert len(layer_groups([*alike, site(2, scale=0.1001)])) == 2


@pytest.mark.parametrize(
    ("n_kv_head", "sharing"),
    [(6, "each its own"), (3, "3: head h uses h // 2"), (1, "all share one")],
)
def test_which_keys_a_head_uses(n_kv_head, sharing):
    (group,) = layer_groups([replace(site(0), n_kv_head=n_kv_head)])
    assert group.sharing == sharing


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([0, 1, 2, 3, 4, 6], "0-4,6"), ([0, 2, 4], "0,2,4"), ([8, 9], "8-9")],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text
