"""Tiles against the formula, over everything that it takes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import attend
from attnviz.nn import scores
from attnviz.nn import tiled as module
from attnviz.nn.attention import attention
from attnviz.nn.scores import SCORES
from attnviz.nn.stages import STAGES, CollectStages, DiscardStages
from attnviz.nn.tiled import mix, tiled_attention

# distinct primes: a swapped axis cannot fit
N_BATCH, N_HEAD, N_KV, N_Q, N_K, D_K, D_V = 2, 6, 3, 5, 7, 11, 13


@pytest.fixture
def qkv(generator):
    return (
        generator.normal(size=(N_BATCH, N_HEAD, N_Q, D_K)),
        generator.normal(size=(N_BATCH, N_KV, N_K, D_K)),
        generator.normal(size=(N_BATCH, N_KV, N_K, D_V)),
    )


@st.composite
def shapes(draw):
    """(lead, n_kv_head, n_head, n_q, n_k, d_k, d_v), also of nothing and of one."""
    lead = draw(st.sampled_from([(), (2,), (2, 3), (0,)]))
    n_kv_head = draw(st.integers(1, 3))
    n_head = n_kv_head * draw(st.integers(1, 3))
    return lead, n_kv_head, n_head, *(draw(st.integers(low, 7)) for low in (0, 0, 1, 1))


def part_of(draw, shape):
    """A shape that broadcasts to this one."""
    axes = [draw(st.sampled_from([1, n])) for n in shape]
    return tuple(axes[draw(st.integers(0, len(axes) - 1)) :])


@st.composite
def calls(draw):
    """Arguments of `attend`: (q, k, v), those that the formula takes too, causal and window."""
    lead, n_kv_head, n_head, n_q, n_k, d_k, d_v = draw(shapes())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))

    def normal(*shape):
        return generator.normal(size=shape).astype(dtype)

    q, k = normal(*lead, n_head, n_q, d_k), normal(*lead, n_kv_head, n_k, d_k)
    v = normal(*lead, n_kv_head, n_k, d_v)
    if n_k and draw(st.booleans()):
        broken = draw(st.integers(0, n_k - 1))
        v[..., broken, 0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        if draw(st.booleans()):
            k[..., broken, :] = np.nan
    if draw(st.booleans()):
        k[..., :1, :] = 0
    name = draw(st.sampled_from([*SCORES, "somebody else's"]))
    own = normal(n_head, d_k, d_k)
    score = lambda q, k, scale=1.0: scale * (q @ own @ k.mT)  # noqa: E731
    if name in SCORES:
        sizes = SCORES[name].array_shapes(d_k, d_k, 5)
        score = partial(SCORES[name].function, **{key: normal(*sizes[key]) for key in sizes})
    shape = (*lead, n_head, n_q, n_k)
    options = {
        "score": score,
        "scale": draw(st.sampled_from([None, 0.3, 2.0, -1.0])),
        "softcap": draw(st.sampled_from([None, 0.5, 30.0])),
        "sinks": draw(st.sampled_from([None, normal(n_head), np.full(n_head, -np.inf)])),
        "bias": None,
    }
    if draw(st.booleans()):
        bias = np.asarray(normal(*part_of(draw, shape)))
        if draw(st.booleans()):
            bias = np.where(generator.random(bias.shape) < 0.3, -np.inf, bias)
        options["bias"] = bias
    mask = None
    if draw(st.booleans()):
        mask = generator.random(part_of(draw, shape)) < draw(st.sampled_from([0, 0.5, 0.9]))
    causal = draw(st.sampled_from([False, True, "lower_right", "upper_left"]))
    window = draw(st.sampled_from([None, 1, 3, (2, None), (None, 0), (1, 2)]))
    return (q, k, v), options, mask, causal, window


def visible_cells(n_q, n_k, mask, causal, window):
    """Which cells `attend` shows, from the words of its docstring."""
    distance = (np.arange(n_q) + (0 if causal == "upper_left" else n_k - n_q))[:, None]
    distance = distance - np.arange(n_k)
    visible = np.ones((n_q, n_k), bool) if mask is None else mask
    if causal:
        visible = visible & (distance >= 0)
    if isinstance(window, int):
        visible = visible & (abs(distance) < window)
    elif window is not None:
        left, right = (math.inf if side is None else side for side in window)
        visible = visible & (distance <= left) & (-distance <= right)
    return visible


@settings(max_examples=300, deadline=None)
@given(calls(), st.sampled_from([1, 200, 1 << 20]), st.sampled_from([1, 500, 1 << 26]))
def test_tiles_are_the_formula(call, tile, block):
    qkv, options, mask, causal, window = call
    n_q, n_k = qkv[0].shape[-2], qkv[1].shape[-2]
    visible = visible_cells(n_q, n_k, mask, causal, window)
    formula = {key: value for key, value in options.items() if value is not None}
    expected = attention(*qkv, visible=visible, **formula)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE_BYTES", tile)
        patch.setattr(module, "BLOCK_BYTES", block)
        done = attend(*qkv, mask=mask, causal=causal, window=window, **options)
        bare = tiled_attention(*qkv, visible=visible, **options)
    close = {"rtol": 1e-3, "atol": 1e-4} if qkv[0].dtype == np.float32 else {"atol": 1e-10}
    for stage in STAGES:
        found, wanted = getattr(done, stage), getattr(expected, stage)
        assert found.dtype == wanted.dtype
        if stage == "mask":
            found, wanted = (np.broadcast_to(x, expected.scores.shape) for x in (found, wanted))
        np.testing.assert_allclose(found, wanted, **close, err_msg=stage)
    np.testing.assert_allclose(bare, expected.context, **close)
    np.testing.assert_array_equal(expected.weights[~np.broadcast_to(
        expected.mask, expected.weights.shape)] > 0, False)  # fmt: skip


@pytest.mark.parametrize("tile", [1, 64, 1 << 30])
@pytest.mark.parametrize("block", [1, 1 << 30])
def test_tiles_change_nothing(qkv, monkeypatch, tile, block):
    mask = np.random.default_rng(0).random((N_HEAD, N_Q, N_K)) < 0.7
    whole = attend(*qkv, mask=mask, sinks=np.arange(N_HEAD))
    monkeypatch.setattr(module, "TILE_BYTES", tile)
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    cut = attend(*qkv, mask=mask, sinks=np.arange(N_HEAD))
    for stage in STAGES:
        np.testing.assert_allclose(getattr(cut, stage), getattr(whole, stage), atol=1e-12)


def test_what_is_not_kept_changes_nothing(qkv):
    kept = CollectStages()
    whole = tiled_attention(*qkv, score=scores.scaled_dot, keep=kept)
    bare = tiled_attention(*qkv, score=scores.scaled_dot, keep=DiscardStages())
    np.testing.assert_array_equal(whole, bare)


def test_somebody_elses_score_with_parameters_for_each_head(qkv, monkeypatch):
    """It sees all heads at once, also where our own scores are taken a head at a time."""
    monkeypatch.setattr(module, "TILE_BYTES", 1)
    q, k, v = qkv
    k, v = (np.repeat(x, 2, axis=1) for x in (k, v))
    w = np.random.default_rng(1).normal(size=(N_HEAD, D_K, D_K))
    done = attend(q, k, v, score=lambda q, k: q @ w @ k.mT)
    expected = np.einsum("bhid,hde,bhje->bhij", q, w, k)
    np.testing.assert_allclose(done.scores, expected, atol=1e-12)


def test_mix_without_a_mask_shows_nan(generator):
    v = generator.normal(size=(1, 3, 2))
    v[0, 1, 0] = np.nan
    context = mix(np.full((1, 2, 3), 1 / 3), v)
    assert np.isnan(context[..., 0]).all()
    assert np.isfinite(context[..., 1]).all()
