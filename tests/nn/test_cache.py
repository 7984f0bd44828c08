"""A cache gives what one pass gives, whatever the pieces that the text comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.models import load_model
from attnviz.nn.cache import FIRST_ROOM, ContiguousCache
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import RecordNothing
from attnviz.trace.recorder import TraceRecorder


def pairs(generator, n):
    return generator.normal(size=(2, n, 5)), generator.normal(size=(2, n, 7))


@settings(deadline=None)
@given(st.lists(st.integers(1, 3 * FIRST_ROOM), min_size=1, max_size=6))
def test_all_that_came_is_there_in_order(sizes):
    generator = np.random.default_rng(0)
    cache, given_pairs = ContiguousCache(), [pairs(generator, n) for n in sizes]
    for k, v in given_pairs:
        keys, values = cache.extend("decoder.0.self", k, v)
    np.testing.assert_array_equal(keys, np.concatenate([k for k, _ in given_pairs], 1))
    np.testing.assert_array_equal(values, np.concatenate([v for _, v in given_pairs], 1))


def test_attentions_do_not_mix(generator):
    cache = ContiguousCache()
    first, second = pairs(generator, 3), pairs(generator, 4)
    cache.extend("decoder.0.self", *first)
    keys, _ = cache.extend("decoder.1.self", *second)
    np.testing.assert_array_equal(keys, second[0])


def test_an_encoder_s_keys_are_made_once(generator):
    cache, made = ContiguousCache(), []

    def make():
        made.append(1)
        return pairs(generator, 3)

    first, second = cache.once("x", make), cache.once("x", make)
    assert made == [1]
    np.testing.assert_array_equal(first[0], second[0])


@pytest.mark.parametrize("positions", ["none", "sinusoidal", "learned", "rope", "alibi", "t5"])
@pytest.mark.parametrize("pieces", [[7], [1] * 7, [3, 1, 3], [1, 5, 1]])
@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_cached_and_whole_agree(positions, pieces, kind):
    model = load_model(f"random:kind={kind},positions={positions},kv_heads=2,dtype=float64")
    transformer, ids = model.transformer, np.arange(7)
    memory = None
    if kind == "encoder-decoder":
        memory = transformer.encode(Input(np.arange(5)), RecordNothing())
    recorder = TraceRecorder(["weights", "mask"])
    whole = transformer.decode(Input(ids), memory, recorder)
    expected = recorder.records()
    cache, start = ContiguousCache(), 0
    for size in pieces:
        recorder = TraceRecorder(["weights", "mask"])
        part = Input(ids[start : start + size], first=start)
        rows = transformer.decode(part, memory, recorder, cache=cache)
        np.testing.assert_allclose(rows, whole[start : start + size], atol=1e-12)
        for record, full in zip(recorder.records(), expected, strict=True):
            n_k = record.weights.shape[-1]
            same = full.weights[:, start : start + size, :n_k]
            np.testing.assert_allclose(record.weights, same, atol=1e-12)
            assert not full.weights[:, start : start + size, n_k:].any()
        start += size
