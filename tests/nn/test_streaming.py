"""Tiles that are read and forgotten against the formula, over everything that it takes."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.nn import masks, schemes, streaming, threads
from attnviz.nn.attention import attention
from attnviz.nn.scores import SCORES
from attnviz.nn.streaming import Inputs, ReadNothing, TileSize, streamed_attention
from attnviz.nn.tile_readers import Block, ExactBlock, PooledMaps, ReadAll, StrongestLinks

MASK_SPECS = (
    "none", "causal", "window:size=3", "causal+window:size=2", "band:left=4,right=1", "band:left=2",
    "prefix:length=3", "documents:lengths=3,5,2", "documents:lengths=2,7+causal",
    "padding:lengths=5", "causal+padding:lengths=4", "padding:lengths=0",
)  # fmt: skip


class Rest(ReadNothing):
    """Entropies, visible counts and columns' sums, as a metric would read them."""

    def __init__(self, n_head, n_q, n_k):
        self.entropies = np.full((n_head, n_q), np.inf)
        self.n_visible = np.zeros((n_head, n_q), int)
        self.received = np.zeros((n_head, n_k))

    def fork(self):
        return Rest(*self.entropies.shape, self.received.shape[-1])

    def read(self, tile):
        at = tile.head, tile.rows.queries
        assert np.isinf(self.entropies[at]).all(), "rows that come twice"
        self.entropies[at] = tile.entropies
        n_visible = tile.rows.n_visible
        self.n_visible[at] = n_visible[tile.head] if n_visible.ndim > 1 else n_visible
        self.received[tile.head, tile.rows.keys] += tile.weights.sum(0)

    def merge(self, other):
        read = ~np.isinf(other.entropies)
        assert np.isinf(self.entropies[read]).all(), "rows that come twice"
        self.entropies[read] = other.entropies[read]
        self.n_visible += other.n_visible
        self.received += other.received


@st.composite
def calls(draw):
    """(q, k, v, options of both, mask, bias, positions of queries and of keys)."""
    n_kv_head, group = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    n_head, n_q, n_k = n_kv_head * group, draw(st.integers(1, 13)), draw(st.integers(1, 11))
    d_k, d_v = draw(st.sampled_from([(3, 5), (2, 7)]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    normal = lambda *shape: generator.normal(size=shape)  # noqa: E731
    q, k, v = (normal(n, m, d) for n, m, d in
               ((n_head, n_q, d_k), (n_kv_head, n_k, d_k), (n_kv_head, n_k, d_v)))  # fmt: skip
    for x in q, k:  # bounded, not bounded, overflowing
        x[..., 0] *= draw(st.sampled_from([1.0, 1.0, 30.0, 1e160]))
    if draw(st.booleans()):
        broken = draw(st.integers(0, n_k - 1))
        k[:, broken, 0] = draw(st.sampled_from([np.nan, np.inf, 1.0]))
        v[:, broken, 0] = draw(st.sampled_from([np.nan, -np.inf]))
    name = draw(st.sampled_from([*SCORES, "scaled_dot", "somebody else's"]))
    own = normal(n_head, d_k, d_k)
    score = lambda q, k, scale=1.0: scale * (q @ own @ k.mT)  # noqa: E731
    if name in SCORES:
        sizes = SCORES[name].array_shapes(d_k, d_k, 5)
        arrays = {key: normal(*sizes[key]) for key in sizes}
        score = partial(SCORES[name].function, **arrays) if arrays else SCORES[name].function
    q_pos, k_pos = np.arange(n_q) + draw(st.integers(-2, 5)), np.arange(n_k)
    if draw(st.booleans()):
        q_pos = generator.permutation(q_pos)
    mask = masks.parse(draw(st.sampled_from(MASK_SPECS)))
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(n_q, n_k), (n_k,), (n_head, n_q, n_k), (1, n_q, 1)]))
        share = draw(st.sampled_from([0, 0.5, 0.9]))
        mask += masks.custom(np.asarray(generator.random(shape) < share))
    options = {
        "score": score,
        "scale": draw(st.sampled_from([None, 0.3, -1.0])),
        "softcap": draw(st.sampled_from([None, 0.5, 30.0])),
        "sinks": draw(st.sampled_from([None, normal(n_head), np.full(n_head, -np.inf)])),
    }
    table = normal(n_q, n_k) * 3
    table[generator.random(table.shape) < 0.2] = -np.inf
    bias = draw(
        st.sampled_from([
            None, None, schemes.Alibi(n_head), schemes.RoundedAlibi(n_head, 0.3), schemes.RelativeBias(normal(8, n_head), 9, True),
            lambda a, b: np.sin(a[:, None] * b), lambda a, b: table[a % n_q][:, b],
        ])
    )  # fmt: skip
    return q, k, v, options, mask, bias, q_pos, k_pos


def dense(call):
    """The formula's weights and context, and which cells are visible."""
    q, k, v, options, mask, bias, q_pos, k_pos = call
    done = attention(
        q, k, v, visible=True if (seen := mask.visible(q_pos, k_pos)) is None else seen,
        bias=0.0 if bias is None else bias(q_pos, k_pos), **options,
    )  # fmt: skip
    return done.weights, done.context, np.broadcast_to(done.mask, done.weights.shape)


def streamed(call, tile=streaming.TILE, size=4, heads=None):
    """The context, and all that the readers have read."""
    q, k, v, options, mask, bias, q_pos, k_pos = call
    n_head, n_q, n_k = len(q), len(q_pos), len(k_pos)
    heads = range(n_head) if heads is None else heads
    inputs = Inputs(n_head, q_pos, k_pos, mask, v)
    maps, links = PooledMaps(inputs, heads, size), StrongestLinks(inputs, heads, 3)
    block = ExactBlock(inputs, heads, Block(np.arange(n_q)[1::2], np.arange(n_k)[::3]))
    rest = Rest(n_head, n_q, n_k)
    context = streamed_attention(
        q, k, v, mask=mask, q_pos=q_pos, k_pos=k_pos, bias=bias, tile=tile,
        reader=ReadAll([links, maps, block, rest]), **options,
    )  # fmt: skip
    return SimpleNamespace(context=context, maps=maps, links=links, block=block, rest=rest)


def cells(x, row_step, key_step, pool):
    """`pool` of each cell of a map, in plain loops: x [n_head, n_q, n_k]."""
    n_q, n_k = x.shape[1:]
    return np.array([
        [
            [pool(head[i : i + row_step, j : j + key_step]) for j in range(0, n_k, key_step)]
            for i in range(0, n_q, row_step)
        ]
        for head in x
    ])  # fmt: skip


def strongest(row, n):
    """The keys of the n largest weights of a row, the first of equal ones; NaN is largest."""
    return sorted(range(len(row)), key=lambda j: (-np.inf if np.isnan(row[j]) else -row[j], j))[:n]


TILES = [TileSize(1, 1, 1), TileSize(7, 1, 3), TileSize(50, 2, 4), streaming.TILE]


@settings(max_examples=150, deadline=None)
@given(calls(), st.sampled_from(TILES), st.sampled_from([1, 2]), st.sampled_from([2, 5]))
def test_what_is_read_of_tiles_is_the_formulas(call, tile, n_thread, size):
    weights, context, visible = dense(call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_most", [n_thread])
        found = streamed(call, tile, size)
    close = {"rtol": 1e-7, "atol": 1e-9}
    np.testing.assert_allclose(found.context, context, **close)
    maps = found.maps
    for name, of, pool in (
        ("total", weights, np.sum), ("largest", weights.astype(np.float32), np.max),
        ("visible", visible, np.count_nonzero),
    ):  # fmt: skip
        wanted = cells(of, maps.row_step, maps.key_step, pool)
        value = np.broadcast_to(getattr(maps, name), wanted.shape)
        np.testing.assert_allclose(value, wanted, **close, err_msg=name)
    rows, keys = found.block.block
    np.testing.assert_allclose(found.block.weights, weights[:, rows][..., keys], **close)
    reasons = call[4].reasons(*call[6:])[..., rows, :][..., keys]
    why = 0 if found.block.masked is None else found.block.masked
    np.testing.assert_array_equal(np.broadcast_to(why, reasons.shape), reasons)
    logs = np.log(np.where(weights == 0, 1, weights))
    np.testing.assert_allclose(found.rest.entropies, -(weights * logs).sum(-1), **close)
    np.testing.assert_array_equal(found.rest.n_visible, visible.sum(-1))
    np.testing.assert_allclose(found.rest.received, weights.sum(1), **close)
    check_links(found.links, weights)


def check_links(links, weights):
    for head, query in np.ndindex(weights.shape[:2]):
        row = weights[head, query]
        keys = links.keys[head, query]
        order = strongest(row, 3)
        np.testing.assert_allclose(links.weights[head, query], row[order], rtol=1e-7, atol=1e-9)
        for key, wanted in zip(keys, order, strict=True):
            # equal weights may be rounded differently, so that another of them is the larger
            near = key >= 0 and np.isclose(row[key], row[wanted], rtol=1e-7, equal_nan=True)
            assert near or (key == -1 and row[wanted] < 1e-9)
        assert len(set(keys[keys >= 0])) == (keys >= 0).sum()


@pytest.fixture
def long_call(generator):
    """More keys than a chunk of links and a block of sums, in float32."""
    n_head, n, d = 3, 1013, 5
    q, k, v = (generator.normal(size=(n_head, n, d)).astype(np.float32) for _ in range(3))
    k[:, 700] = k[:, 3]  # a tie
    options = {"score": SCORES["scaled_dot"].function, "scale": None, "softcap": None}
    position = np.arange(n)
    return q, k, v, {**options, "sinks": None}, masks.CAUSAL, None, position, position


def test_float32_is_exact_to_a_millionth(long_call):
    call = long_call
    weights, context, _ = dense(tuple(x.astype(np.float64) for x in call[:3]) + call[3:])
    found = streamed(call, TileSize(1 << 15, 4, 32), size=64)
    np.testing.assert_allclose(found.context, context, atol=1e-6)
    maps = found.maps
    np.testing.assert_allclose(
        maps.total, cells(weights, maps.row_step, maps.key_step, np.sum), rtol=1e-6, atol=1e-6
    )
    logs = np.log(np.where(weights == 0, 1, weights))
    np.testing.assert_allclose(found.rest.entropies, -(weights * logs).sum(-1), atol=1e-6)
    for head, query in ((0, 1012), (1, 701), (2, 0)):
        keys = found.links.keys[head, query]
        wanted = strongest(weights[head, query].astype(np.float32), 3)
        np.testing.assert_allclose(weights[head, query][keys[keys >= 0]],
                                   weights[head, query][wanted][: (keys >= 0).sum()], rtol=1e-5)  # fmt: skip


class FarBias(NamedTuple):
    """Beyond what exp can hold in float32, for every other distance."""

    size: float

    def of_distances(self, distances):
        return np.where(distances % 2, self.size, -self.size)[None]

    def __call__(self, q_pos, k_pos):
        return self.of_distances(k_pos - q_pos[:, None])


@pytest.mark.parametrize("size", [200.0, -200.0])
def test_a_large_bias_neither_overflows_nor_vanishes(long_call, size):
    q, k, v, options, mask, _, *positions = long_call
    call = q[:, :101], k[:, :101], v[:, :101], options, mask, FarBias(size), *(p[:101] for p in positions)  # fmt: skip
    _, context, _ = dense(tuple(x.astype(np.float64) for x in call[:3]) + call[3:])
    np.testing.assert_allclose(streamed(call).context, context, atol=1e-5)


@pytest.mark.parametrize("n_thread", [1, 2, 5])
def test_the_same_bytes_on_any_number_of_threads(long_call, n_thread, monkeypatch):
    def result():
        found = streamed(long_call, TileSize(1 << 15, 4, 32))
        parts = found.context, found.maps.total, found.rest.received, found.rest.entropies
        return [part.tobytes() for part in parts]

    monkeypatch.setattr(threads, "_most", [1])
    alone = result()
    monkeypatch.setattr(threads, "_most", [n_thread])
    assert result() == alone


def test_of_equal_weights_the_first_keys_are_kept():
    n = 517
    call = [np.zeros((1, n, 2)), np.zeros((1, n, 2)), np.zeros((1, n, 2))]
    options = {"score": SCORES["dot"].function, "scale": None, "softcap": None, "sinks": None}
    found = streamed((*call, options, masks.NONE, None, np.arange(n), np.arange(n)))
    assert (found.links.keys == [0, 1, 2]).all()


def test_some_heads_only(long_call):
    whole, some = streamed(long_call), streamed(long_call, heads=[2, 0])
    np.testing.assert_array_equal(some.context, whole.context)
    np.testing.assert_array_equal(some.maps.total, whole.maps.total[[2, 0]])
    np.testing.assert_array_equal(some.links.keys, whole.links.keys[[2, 0]])
    np.testing.assert_array_equal(some.block.weights, whole.block.weights[[2, 0]])


def test_a_window_costs_what_its_keys_cost(long_call):
    """Tiles have the keys that some query sees, and few beside them."""

    class Count(ReadNothing):
        cells = 0

        def fork(self):
            return self

        def read(self, tile):
            self.cells += tile.weights.size

    q, k, v, options, _, _, position, _ = long_call
    count = Count()
    mask = masks.parse("causal+window:size=31")
    streamed_attention(
        q, k, v, mask=mask, q_pos=position, k_pos=position, reader=count,
        tile=TileSize(1 << 15, 4, 32), **options,
    )  # fmt: skip
    assert count.cells <= 3 * 1013 * (31 + 32)


def test_nothing_is_read_of_no_tokens():
    empty = np.zeros((2, 0, 3))
    options = {"score": SCORES["dot"].function, "mask": masks.NONE, "q_pos": np.arange(0)}
    assert streamed_attention(empty, empty, empty, k_pos=np.arange(0), **options).shape == (2, 0, 3)
