"""What arrays are, by their names."""

from __future__ import annotations

import pytest

from attnviz.trace.names import by_group, has_projections, parse_name, place


@pytest.mark.parametrize(
    ("name", "role", "group"),
    [
        ("q", "q", ()),
        ("Q", "q", ()),
        ("queries", "q", ()),
        ("query_states", "q", ()),
        ("L0.k", "k", ("l", "0")),
        ("encoder.0.self/v", "v", ("encoder", "0", "self")),
        ("layer12_value", "v", ("layer", "12")),
        ("k3", "k", ("3",)),
        ("blocks.0.attn.hook_q", "q", ("blocks", "0", "attn", "hook")),
        ("attn_weights", "weights", ()),
        ("attn_output", "context", ()),
        ("w_q", "w_q", ()),
        ("key_padding_mask", "padding", ()),
    ],
)
def test_names(name, role, group):
    assert parse_name(name) == (role, group)


@pytest.mark.parametrize("name", ["arr_0", "layer0", "3", "", "q_proj.weight", "embedding", "seq"])
def test_names_that_say_nothing(name):
    assert parse_name(name) is None


def test_layers_are_in_the_order_of_their_numbers():
    groups = by_group(f"layer_{i}.{role}" for i in (10, 2) for role in "qkv")
    assert list(groups) == [("layer", "2"), ("layer", "10")]
    assert groups["layer", "2"] == {"q": "layer_2.q", "k": "layer_2.k", "v": "layer_2.v"}


def test_queries_alone_may_be_anything():
    assert not has_projections(["q", "weights"])
    assert has_projections(["L0.query", "L0.key"])
    assert has_projections(["qkv"])


def test_places():
    assert place(("decoder", "2", "encoder", "attn")) == ("decoder", 2, "cross")
    assert place(("encoder", "1", "self")) == ("encoder", 1, "self")
    assert place(("layers", "3", "cross")) == (None, 3, "cross")
    assert place(()) == (None, None, None)
