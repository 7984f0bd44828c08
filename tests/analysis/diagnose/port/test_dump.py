"""Which array of a dump is which stage, by anybody's names and axes."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.port.dump import arrangements, givens, read_name

ONE = {"decoder": 12}
TWO = {"encoder": 6, "decoder": 6}


@pytest.mark.parametrize(
    ("name", "stage", "layer"),
    [
        ("attentions.3", "weights", 3),
        ("hidden_states.3", "hidden", 3),
        ("hidden_states[3]", "hidden", 3),
        ("hidden_states_3", "hidden", 3),
        ("layers.3.q", "q", 3),
        ("model.layers.3.self_attn.q_proj", "q_proj", 3),
        ("encoder.layer.3.attention.self.key", "k_proj", 3),
        ("block.3.layer.0.SelfAttention.k", "k", 3),
        ("model.layers.3.self_attn.o_proj", "attended", 3),
        ("transformer.h.3.attn.c_proj", "attended", 3),
        ("decoder.3.self/weights", "weights", 3),
        ("blocks.3.attn.hook_k", "k", 3),
        ("blocks.3.attn.hook_pattern", "weights", 3),
        ("blocks.3.attn.hook_attn_scores", "scores", 3),
        ("blocks.3.attn.hook_z", "context", 3),
        ("blocks.3.hook_resid_pre", "hidden", 3),
        ("blocks.3.hook_resid_post", "hidden", 4),
        ("model.layers.3", "hidden", 4),
        ("layers.3.output", "hidden", 4),
        ("layers.3.hidden_in", "hidden", 3),
        ("layers.3.hidden_out", "hidden", 4),
        ("layers.3.self_attn.output", "attended", 3),
        ("embeddings", "hidden", 0),
        ("last_hidden_state", "hidden", 12),
        ("Qcur-3", "q", 3),
        ("kq_soft_max-3", "weights", 3),
        ("l_out-3", "hidden", 4),
        ("attn_weights_10", "weights", 10),
    ],
)
def test_names(name, stage, layer):
    found = read_name(name, ONE)
    assert (found.stages[0], found.layer, found.stack) == (stage, layer, "decoder")


@pytest.mark.parametrize(
    ("name", "stack", "kind"),
    [
        ("encoder_hidden_states.2", "encoder", "self"),
        ("decoder_attentions.2", "decoder", "self"),
        ("cross_attentions.2", "decoder", "cross"),
        ("decoder.2.cross/q", "decoder", "cross"),
    ],
)
def test_names_of_two_stacks(name, stack, kind):
    found = read_name(name, TWO)
    assert (found.stack, found.kind, found.layer) == (stack, kind, 2)


@pytest.mark.parametrize("name", ["loss", "lm_head", "layers.3.mlp.gate", "position_ids"])
def test_other_names_say_nothing(name):
    assert read_name(name, ONE) is None


def test_stacked_arrays_are_cut_into_layers():
    arrays = {
        "hidden_states": np.zeros((13, 2, 5, 8), np.float32),
        "attentions": np.zeros((12, 2, 4, 5, 5), np.float32),
        "input_ids": np.zeros((2, 5), int),
    }
    found = [given.ats[0] for given in givens(arrays, ONE)]
    assert [at.layer for at in found if at.stage == "hidden"] == list(range(13))
    assert [at.layer for at in found if at.stage == "weights"] == list(range(12))
    assert len(found) == 25


@pytest.mark.parametrize(
    ("axes", "how"),
    [
        ("hnd", ""),
        ("bhnd", ""),
        ("nhd", "[n, head, d]"),
        ("bnhd", "[n, head, d]"),
        ("n(hd)", "heads merged"),
        ("bn(hd)", "heads merged"),
        ("nb(hd)", "[n, batch, …] heads merged"),
    ],
)
def test_axes_of_queries(generator, axes, how):
    """[2 items, 3 heads, 5 tokens, 7 wide] in any order, of item 1."""
    x = generator.normal(size=(2, 3, 5, 7))
    given = {
        "hnd": x[1],
        "bhnd": x,
        "nhd": x[1].swapaxes(0, 1),
        "bnhd": x.swapaxes(1, 2),
        "n(hd)": x[1].swapaxes(0, 1).reshape(5, 21),
        "bn(hd)": x.swapaxes(1, 2).reshape(2, 5, 21),
        "nb(hd)": x.transpose(2, 0, 1, 3).reshape(5, 2, 21),
    }[axes]
    found = dict(arrangements(given, (3, 5, 7), "q", 1, np.ones(5, bool)))
    np.testing.assert_array_equal(found[how], x[1])


def test_padding_is_left_out_and_repeated_heads_are_read_once(generator):
    kept = np.array([False, True, True, True, False])
    weights = generator.normal(size=(2, 3, 5, 5))
    found = dict(arrangements(weights, (3, 3, 3), "weights", 0, kept))[""]
    np.testing.assert_array_equal(found, weights[0][:, 1:4, 1:4])
    keys = generator.normal(size=(2, 5, 7))
    found = dict(arrangements(np.repeat(keys, 3, 0), (2, 5, 7), "k", 0, np.ones(5, bool)))
    np.testing.assert_array_equal(found["heads repeated"], keys)


def test_room_in_a_cache_is_left_out(generator):
    weights = np.zeros((3, 5, 32))
    weights[:, :, :5] = generator.random((3, 5, 5))
    found = dict(arrangements(weights[None], (3, 5, 5), "weights", 0, np.ones(5, bool)))
    np.testing.assert_array_equal(found[""], weights[:, :, :5])
    weights[0, 0, 31] = 0.5
    assert not dict(arrangements(weights[None], (3, 5, 5), "weights", 0, np.ones(5, bool)))
