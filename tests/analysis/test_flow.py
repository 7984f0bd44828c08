"""Attention rollout against paths that are counted one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import AttnvizError, run
from attnviz.analysis.flow import even_mix, flow, is_causal, relative, rollout_mix
from attnviz.analysis.visibility import visible_to_any
from attnviz.nn.masks import parse
from attnviz.nn.site import RecordId, Site
from attnviz.trace.record import Record

N_LAYER, N_HEAD = 3, 2


def weights(generator, n_q, n_k, visible=None):
    raw = generator.random((N_HEAD, n_q, n_k)) ** 3
    raw = raw if visible is None else raw * visible
    return raw / raw.sum(-1, keepdims=True)


def record(id, array, queries="source", keys="source", mask=None):
    site = Site(RecordId.parse(id), queries, keys, len(array), len(array))
    return Record(site, weights=array, mask=mask)


def stack(generator, n, mask="none", block="encoder", stream="source"):
    visible = parse(mask).visible(np.arange(n), np.arange(n))
    return [
        record(f"{block}.{layer}.self", weights(generator, n, n, visible), stream, stream, visible)
        for layer in range(N_LAYER)
    ]


def half(matrix):
    return 0.5 * matrix + 0.5 * np.eye(len(matrix))


def test_one_layer_is_half_the_weights_and_half_the_token(generator):
    """Abnar & Zuidema 2020: W and the identity, in equal parts."""
    records = stack(generator, 5)
    found = flow(records, rollout_mix, last_layer=0).shares["source"]
    np.testing.assert_allclose(found, half(records[0].weights.mean(0)), atol=1e-15)


def test_all_paths_one_by_one(generator):
    n = 4
    records = stack(generator, n)
    steps = [half(r.weights.mean(0)) for r in records]
    found = flow(records, rollout_mix).shares["source"]
    for i, j in itertools.product(range(n), repeat=2):
        paths = itertools.product(range(n), repeat=N_LAYER - 1)
        expected = sum(steps[2][i, a] * steps[1][a, b] * steps[0][b, j] for a, b in paths)
        assert found[i, j] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(1, 7), st.sampled_from(["none", "causal", "causal+window:size=2"]),
       st.integers(0, 99))  # fmt: skip
def test_rows_sum_to_one_and_stay_within_reach(n, mask, seed):
    records = stack(np.random.default_rng(seed), n, mask)
    even = flow(records, even_mix)
    for found in (flow(records, rollout_mix), relative(flow(records, rollout_mix), even)):
        shares = found.shares["source"]
        np.testing.assert_allclose(shares.sum(-1), 1)
        assert (shares >= 0).all()
        assert (shares[even.shares["source"] == 0] == 0).all()


def test_heads_that_look_at_themselves_leave_everything_in_place():
    records = [record(f"encoder.{i}.self", np.eye(5)[None]) for i in range(3)]
    np.testing.assert_array_equal(flow(records, rollout_mix).shares["source"], np.eye(5))


def test_even_heads_level_out():
    """The residual's share halves with every layer: 2^-n of it is left above the even spread."""
    n, layers = 5, 6
    records = [record(f"encoder.{i}.self", np.full((2, n, n), 1 / n)) for i in range(layers)]
    found = flow(records, rollout_mix).shares["source"]
    expected = 2.0**-layers * np.eye(n) + (1 - 2.0**-layers) / n
    np.testing.assert_allclose(found, expected)


def test_a_row_that_sees_nothing_keeps_itself(generator):
    array = weights(generator, 4, 4)
    array[:, 2] = 0
    mask = np.ones((4, 4), bool)
    mask[2] = False
    found = flow([record("encoder.0.self", array, mask=mask)], rollout_mix).shares["source"]
    np.testing.assert_array_equal(found[2], np.eye(4)[2])


class TestCausal:
    def test_even_heads_seem_to_prefer_the_first_tokens_and_do_not(self):
        n = 8
        visible = np.tril(np.ones((n, n), bool))
        even = visible / visible.sum(-1, keepdims=True)
        records = [record(f"decoder.{i}.self", even[None], mask=visible) for i in range(3)]
        bare, null = flow(records, rollout_mix), flow(records, even_mix)
        assert bare.shares["source"][-1, 0] > 2 * bare.shares["source"][-1, -2]
        np.testing.assert_allclose(relative(bare, null).shares["source"], even)

    def test_later_tokens_change_no_earlier_row(self, generator):
        records = stack(generator, 7, "causal")
        shorter = [record(r.id, r.weights[:, :4, :4], mask=r.mask[:4, :4]) for r in records]
        long, short = (
            relative(flow(each, rollout_mix), flow(each, even_mix)).shares["source"]
            for each in (records, shorter)
        )
        np.testing.assert_allclose(long[:4, :4], short)

    def test_it_is_seen_by_the_mask_or_else_by_the_weights(self, generator):
        causal = stack(generator, 5, "causal")
        assert is_causal(causal)
        assert not is_causal(stack(generator, 5))
        bare = [record(r.id, r.weights) for r in causal]
        assert is_causal(bare)
        np.testing.assert_array_equal(visible_to_any(bare[0]), np.tril(np.ones((5, 5), bool)))


def test_an_encoder_decoder_is_one_large_matrix(generator):
    """Source and target as one text: each attention a step of the states of all tokens."""
    n_s, n_t = 3, 5
    encoder = stack(generator, n_s)
    causal = np.tril(np.ones((n_t, n_t), bool))
    records, total = list(encoder), np.eye(n_s + n_t)
    for r in encoder:
        step = np.eye(n_s + n_t)
        step[:n_s, :n_s] = half(r.weights.mean(0))
        total = step @ total
    for layer in range(2):
        own, cross = weights(generator, n_t, n_t, causal), weights(generator, n_t, n_s)
        records += [
            record(f"decoder.{layer}.self", own, "target", "target", causal),
            record(f"decoder.{layer}.cross", cross, "target", "source"),
        ]
        first, second = np.eye(n_s + n_t), np.eye(n_s + n_t)
        first[n_s:, n_s:] = half(own.mean(0))
        second[n_s:, :n_s] = 0.5 * cross.mean(0)
        second[n_s:, n_s:] = 0.5 * np.eye(n_t)
        total = second @ first @ total
    found = flow(records, rollout_mix)
    assert found.outputs == "target"
    np.testing.assert_allclose(found.shares["source"], total[n_s:, :n_s])
    np.testing.assert_allclose(found.shares["target"], total[n_s:, n_s:])
    both = relative(found, flow(records, even_mix)).shares
    np.testing.assert_allclose(both["source"].sum(-1) + both["target"].sum(-1), 1)
    stream, place, share = found.largest(4, 1)[0]
    assert share == max(found.shares[name][4].max() for name in found.shares)
    assert found.shares[stream][4, place] == share


def test_the_trace_stays_as_it_was():
    trace = run("我看见了一把锯子", model="phrases")
    before = {name: array.copy() for name, array in trace.arrays().items()}
    relative(flow(trace.records, rollout_mix), flow(trace.records, even_mix))
    for name, array in trace.arrays().items():
        assert (array == before[name]).all(), name


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.25])
def test_what_is_no_share_of_anything_is_refused(generator, wrong):
    array = weights(generator, 4, 4)
    array[1, 2, 3] = wrong
    with pytest.raises(AttnvizError, match="head 1 row 2 column 3"):
        flow([record("encoder.0.self", array)], rollout_mix)


def test_what_is_missing(generator):
    records = stack(generator, 3)
    with pytest.raises(AttnvizError, match="there are layers 0, 2 of encoder"):
        flow([records[0], records[2]], rollout_mix)
    with pytest.raises(AttnvizError, match="there is no layer 3"):
        flow(records, rollout_mix, last_layer=3)
    with pytest.raises(AttnvizError, match="no attention"):
        flow([], rollout_mix)
    cross = record("decoder.0.cross", weights(generator, 3, 4), "target", "source")
    with pytest.raises(AttnvizError, match="needs self-attention"):
        flow([cross], rollout_mix)
    own = record("decoder.0.self", weights(generator, 3, 3), "target", "target")
    with pytest.raises(AttnvizError, match="'source', whose attention is not there"):
        flow([own, cross], rollout_mix)
