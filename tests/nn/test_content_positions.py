"""Terms of a query or a key and a distance: cell by cell, and in every way to attend."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.edit.ablate import uniform
from attnviz.nn.content_positions import ContentPositions, EachDistance, PositionTable
from attnviz.nn.linear import Linear
from attnviz.nn.masks import NONE
from attnviz.nn.multi_head import MultiHeadAttention, Stream, SublayerContext
from attnviz.nn.norms import LayerNorm
from attnviz.nn.positions import log_buckets
from attnviz.nn.scores import dot
from attnviz.nn.scratch import Scratch
from attnviz.nn.site import RecordId
from attnviz.nn.stages import TERMS, CollectStages
from attnviz.nn.streaming import ReadNothing, TileSize, streamed_attention
from attnviz.nn.tiled import tiled_attention

N_HEAD, N_KV_HEAD, N_Q, N_K, D_K, D, REACH, SCALE = 6, 2, 13, 11, 5, 7, 4, 0.3


def place(distances):
    return np.clip(distances + REACH, 0, 2 * REACH - 1)


@pytest.fixture
def call(generator):
    q, k, v = (
        generator.standard_normal(shape)
        for shape in ((N_HEAD, N_Q, D_K), (N_KV_HEAD, N_K, D_K), (N_KV_HEAD, N_K, 3))
    )
    return q, k, v, np.arange(2, 2 + N_Q), np.arange(N_K)


@pytest.fixture
def part(generator):
    """Keys for each head out of a map and a norm, queries that all heads share."""
    keys = PositionTable(
        generator.standard_normal((2 * REACH, D)),
        N_HEAD,
        LayerNorm(generator.standard_normal(D), generator.standard_normal(D), 1e-3),
        Linear(generator.standard_normal((N_HEAD * D_K, D)), generator.standard_normal(30)),
    )
    queries = PositionTable(generator.standard_normal((2 * REACH, D_K)))
    return ContentPositions(place, keys, queries, SCALE)


def loops(part, q, k, q_pos, k_pos):
    """Both terms, cell by cell."""
    found = {name: np.zeros((N_HEAD, N_Q, N_K)) for name in TERMS}
    for head in range(N_HEAD):
        for i, at in enumerate(q_pos):
            for j, key_at in enumerate(k_pos):
                row = min(max(at - key_at + REACH, 0), 2 * REACH - 1)
                x = part.keys.vectors[row]
                x = (x - x.mean()) / np.sqrt(x.var() + 1e-3)
                x = x * part.keys.norm.gain + part.keys.norm.bias
                vector = (part.keys.linear.weight @ x + part.keys.linear.bias).reshape(N_HEAD, -1)
                found[TERMS[0]][head, i, j] = SCALE * q[head, i] @ vector[head]
                products = k[head // 3, j] @ part.queries.vectors[row]
                found[TERMS[1]][head, i, j] = SCALE * products
    return found


def test_cell_by_cell(call, part):
    q, k, _, q_pos, k_pos = call
    expected, terms = loops(part, q, k, q_pos, k_pos), part.of(q, k, q_pos, k_pos)
    for name in TERMS:
        np.testing.assert_allclose(terms.whole(name), expected[name], atol=1e-12)
    total = expected[TERMS[0]] + expected[TERMS[1]]
    np.testing.assert_allclose(terms.total(), total, atol=1e-12)
    tile = terms.over(slice(3, 8), slice(2, 9))
    np.testing.assert_allclose(tile(4), total[4, 3:8, 2:9], atol=1e-12)


@pytest.mark.parametrize("missing", ["keys", "queries"])
def test_one_of_them(call, part, missing):
    q, k, _, q_pos, k_pos = call
    name = TERMS[missing == "keys"]
    terms = part._replace(**{missing: None}).of(q, k, q_pos, k_pos)
    assert terms.names == (name,)
    expected = loops(part, q, k, q_pos, k_pos)[name]
    np.testing.assert_allclose(terms.total(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [TileSize(), TileSize(20, 1, 3)])
def test_streamed_as_whole(call, part, size):
    q, k, v, q_pos, k_pos = call
    terms = part.of(q, k, q_pos, k_pos)
    options = {"score": dot, "scale": SCALE}
    expected = tiled_attention(q, k, v, bias=terms.total(), **options)
    found = streamed_attention(
        q, k, v, mask=NONE, q_pos=q_pos, k_pos=k_pos, terms=terms, tile=size, **options
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_table_of_distances_ends():
    np.testing.assert_array_equal(EachDistance(4)(np.arange(-3, 4)), np.arange(7))
    for distance in (4, -4):
        with pytest.raises(AttnvizError, match="a distance of 4 tokens"):
            EachDistance(4)(np.array([0, distance]))


def test_no_tokens(part):
    q, k = np.zeros((N_HEAD, 0, D_K)), np.zeros((N_KV_HEAD, 0, D_K))
    assert part.of(q, k, np.arange(0), np.arange(0)).total().shape == (N_HEAD, 0, 0)


class Keep(CollectStages):
    def __init__(self, streams):
        super().__init__()
        self.streams = streams

    def reader(self, inputs):
        return ReadNothing() if self.streams else None

    def open(self, site):
        return self


@pytest.fixture
def attention(generator, part):
    maps = (Linear(generator.standard_normal((width, D)) / 3) for width in (30, 10, 10))
    output = Linear(generator.standard_normal((D, 30)))
    return MultiHeadAttention(*maps, output, N_HEAD, N_KV_HEAD, scale=SCALE, relative=part)


def run(attention, x, streams=False):
    keep = Keep(streams)
    stream = Stream("source", x, np.arange(len(x)))
    attention(x, SublayerContext("encoder", 0, stream, None, keep, Scratch()))
    return keep.stages


def test_multi_head_attention(generator, attention):
    """Whole, streamed and row by row; the terms are kept and add up to what enters the softmax."""
    x = generator.standard_normal((N_K, D))
    whole, streamed = run(attention, x), run(attention, x, streams=True)
    np.testing.assert_allclose(streamed["context"], whole["context"], atol=1e-12)
    added = whole[TERMS[0]] + whole[TERMS[1]]
    np.testing.assert_allclose(whole["bias"], added, atol=1e-12)
    np.testing.assert_allclose(whole["scores"] + added, whole["logits"], atol=1e-12)
    rows = attention.rows_in_full(whole["q"], whole["k"], whole["v"], NONE, slice(4, 6))
    for stage in ("logits", *TERMS):
        np.testing.assert_allclose(rows[stage], whole[stage][:, 4:6], atol=1e-12)


def test_an_ablated_head_has_none(generator, attention):
    x = generator.standard_normal((N_K, D))
    weights = run(uniform(RecordId("encoder", 0, "self"), attention, [1, 4]), x)["weights"]
    before = run(attention, x)["weights"]
    for head in range(N_HEAD):
        expected = 1 / N_K if head in (1, 4) else before[head]
        np.testing.assert_allclose(weights[head], expected, atol=1e-12)


def test_log_buckets():
    """Where the buckets of DeBERTa v3's 256 for distances below 512 begin, by PyTorch."""
    buckets = log_buckets(np.arange(-600, 601), 256, 512)
    np.testing.assert_array_equal(buckets[600:729], np.arange(129))
    np.testing.assert_array_equal(buckets, -buckets[::-1])
    starts = {int(np.flatnonzero(buckets == b)[0]) - 600: b for b in (129, 150, 200, 254, 255)}
    assert starts == {129: 129, 161: 150, 278: 200, 500: 254, 506: 255}
