"""What arrays are, by their names."""

from __future__ import annotations

import pytest

from attnviz.trace.names import (
    LONGEST,
    MEANINGS,
    ROLES,
    by_group,
    has_projections,
    parse_name,
    place,
)


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


SAY_NOTHING = ["arr_0", "layer0", "3", "", "q_proj.weight", "embedding", "seq"]


@pytest.mark.parametrize("name", [*SAY_NOTHING, "encoder.0.self/summary/keys"])
def test_names_that_say_nothing(name):
    assert parse_name(name) is None


def test_all_that_diagnose_reads_is_described():
    of_scores = {"w_q", "w_k", "w_v", "w"}  # of `attend --score additive`
    of_onnx = {"qk_output", "present_k", "present_v"}
    of_atb = {"token_offset", "layer_id", "log_n", "batch_status"}
    assert set(MEANINGS) == set(ROLES) - of_scores - of_onnx - of_atb


def test_no_word_means_two_things():
    words = [word for names in ROLES.values() for word in names]
    assert len(set(words)) == len(words)
    assert max(word.count("_") + 1 for word in words) <= LONGEST


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("isCausal", "causal"), ("numHeads", "n_head"), ("num_key_value_heads", "n_kv_head"),
        ("cu_seqlens_q", "cu_q"), ("q_before_rope", "q_pre"), ("keyCache", "k_cache"),
        ("layers.0.attn.q_heads", "q"), ("layers.0.self_attn.o_proj", None), ("out_proj", None),
        ("past_key", "past_k"), ("softmax_scale", "scale"),
    ],
)  # fmt: skip
def test_names_of_dumps(name, role):
    parsed = parse_name(name)
    assert (parsed and parsed.role) == role


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
