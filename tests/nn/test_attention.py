"""`attend` against loops in float64, and the laws that it keeps."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attnviz import attend
from attnviz.errors import AttnvizError
from attnviz.nn import scores
from attnviz.nn.attention import attention
from attnviz.nn.heads import merge_heads, split_heads

# distinct primes: a swapped axis cannot fit
N_BATCH, N_HEAD, N_KV, N_Q, N_K, D_K, D_V = 2, 6, 3, 5, 7, 11, 13


@pytest.fixture
def qkv(generator):
    return (
        generator.normal(size=(N_BATCH, N_HEAD, N_Q, D_K)),
        generator.normal(size=(N_BATCH, N_KV, N_K, D_K)),
        generator.normal(size=(N_BATCH, N_KV, N_K, D_V)),
    )


def reference(q, k, v, visible=None, bias=None, softcap=None, scale=None, sinks=None):
    """One query and one key at a time: (weights, context)."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    n_batch, n_head, n_q, _ = q.shape
    group = n_head // k.shape[1]
    weights = np.zeros((n_batch, n_head, n_q, k.shape[2]))
    context = np.zeros((n_batch, n_head, n_q, v.shape[3]))
    for b, h, i in np.ndindex(n_batch, n_head, n_q):
        powers = {}
        for j in range(k.shape[2]):
            if visible is not None and not np.broadcast_to(visible, weights.shape)[b, h, i, j]:
                continue
            score = sum(x * y for x, y in zip(q[b, h, i], k[b, h // group, j], strict=True)) * scale
            score = score if softcap is None else softcap * math.tanh(score / softcap)
            score += 0 if bias is None else np.broadcast_to(bias, weights.shape)[b, h, i, j]
            powers[j] = math.exp(score)
        total = sum(powers.values()) + (0 if sinks is None else math.exp(sinks[h]))
        for j, power in powers.items():
            weights[b, h, i, j] = power / total
            context[b, h, i] += power / total * v[b, h // group, j]
    return weights, context


def check(done, expected):
    np.testing.assert_allclose(done.weights, expected[0], atol=1e-12)
    np.testing.assert_allclose(done.context, expected[1], atol=1e-12)


def test_grouped_heads_and_widths(qkv):
    check(attend(*qkv), reference(*qkv))


@pytest.mark.parametrize("causal", ["lower_right", "upper_left", True])
@pytest.mark.parametrize("window", [None, 1, 3, (2, None), (1, 1)])
def test_causal_and_window(qkv, causal, window):
    offset = 0 if causal == "upper_left" else N_K - N_Q
    left, right = (window - 1, window - 1) if isinstance(window, int) else window or (None, None)
    visible = np.array([
        [
            j <= i + offset
            and (left is None or i + offset - j <= left)
            and (right is None or j - i - offset <= right)
            for j in range(N_K)
        ]
        for i in range(N_Q)
    ])  # fmt: skip
    done = attend(*qkv, causal=causal, window=window)
    check(done, reference(*qkv, visible=visible))
    np.testing.assert_array_equal(done.mask, visible)


def test_everything_at_once(qkv, generator):
    bias = generator.normal(size=(N_HEAD, 1, N_K))
    mask = generator.random((N_BATCH, 1, N_Q, N_K)) < 0.7
    sinks = generator.normal(size=N_HEAD)
    settings = {"bias": bias, "softcap": 2.0, "scale": 0.9, "sinks": sinks}
    done = attend(*qkv, mask=mask, **settings)
    check(done, reference(*qkv, visible=mask, **settings))
    np.testing.assert_allclose(done.scores[0, 1, 2, 3], 0.9 * qkv[0][0, 1, 2] @ qkv[1][0, 0, 3])
    assert np.isneginf(done.logits[~np.broadcast_to(mask, done.logits.shape)]).all()


def test_a_bias_of_minus_infinity_is_a_mask(qkv):
    bias = np.where(np.arange(N_K) < 3, 0.5, -np.inf)
    done = attend(*qkv, bias=bias)
    check(done, reference(*qkv, visible=np.arange(N_K) < 3, bias=np.full(N_K, 0.5)))
    assert not done.mask[..., 3:].any()


@pytest.mark.parametrize("n", [1, 2])
def test_single_token_and_single_key(generator, n):
    q, k, v = (generator.normal(size=(1, 1, m, 3)) for m in (n, 1, 1))
    done = attend(q, k, v)
    np.testing.assert_array_equal(done.weights, np.ones((1, 1, n, 1)))
    np.testing.assert_allclose(done.context, np.broadcast_to(v, (1, 1, n, 3)))


def test_no_queries_and_no_keys(generator):
    empty, one = generator.normal(size=(1, 0, 3)), generator.normal(size=(1, 2, 3))
    assert attend(empty, one, one).context.shape == (1, 0, 3)
    assert attend(one, empty, empty).context.tolist() == [[[0, 0, 0]] * 2]


def test_masked_keys_never_reach_the_output_whatever_they_hold(qkv):
    """Not as NaN in k, in v, or both; but a query that sees them shows them."""
    q, k, v = (x.copy() for x in qkv)
    mask = np.ones((N_Q, N_K), bool)
    mask[:3, 4] = False
    clean = attend(q, k, v, mask=mask)
    for value in (np.nan, np.inf, -np.inf):
        k[:, :, 4], v[:, :, 4] = value, value
        done = attend(q, k, v, mask=mask)
        np.testing.assert_array_equal(done.context[..., :3, :], clean.context[..., :3, :])
        np.testing.assert_array_equal(done.weights[..., :3, :], clean.weights[..., :3, :])
        assert not np.isfinite(done.context[..., 3:, :]).any()


def test_nan_of_one_batch_item_or_head_stays_there(qkv):
    q, k, v = (x.copy() for x in qkv)
    clean = attend(q, k, v).context
    v[1, 2, 0, 0] = np.nan
    broken = np.isnan(attend(q, k, v).context)
    assert broken[1, 4:, :, 0].all()
    assert broken.sum() == 2 * N_Q
    np.testing.assert_array_equal(attend(q, k, v).context[~broken], clean[~broken])


@given(st.permutations(range(N_Q)))
def test_permuting_the_queries_permutes_the_answers(order):
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(2, N_Q, 3)) for _ in range(3))
    done, other = attend(q, k, v), attend(q[:, order], k, v)
    np.testing.assert_allclose(other.context, done.context[:, order], atol=1e-12)


@given(st.permutations(range(N_K)))
def test_permuting_the_keys_changes_no_answer(order):
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(2, n, 3)) for n in (N_Q, N_K, N_K))
    done, other = attend(q, k, v), attend(q, k[:, order], v[:, order])
    np.testing.assert_allclose(other.context, done.context, atol=1e-12)
    np.testing.assert_allclose(other.weights, done.weights[..., order], atol=1e-12)


@given(st.sampled_from([1, 2, 3, 5, 30]), st.integers(1, 4))
def test_split_then_merge_is_the_identity(n_head, n_token):
    x = np.arange(n_token * 30.0).reshape(n_token, 30)
    np.testing.assert_array_equal(merge_heads(split_heads(x, n_head)), x)


def test_split_gives_consecutive_features_to_a_head():
    assert split_heads(np.arange(6.0).reshape(1, 6), 3).tolist() == [[[0, 1]], [[2, 3]], [[4, 5]]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(qkv, dtype):
    done = attend(*(x.astype(dtype) for x in qkv), causal=True)
    assert {a.dtype for a in (done.scores, done.weights, done.context)} == {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [int, bool, np.float16])
def test_everything_else_is_computed_in_float32(dtype):
    ones = np.ones((1, 2, 3), dtype)
    assert attend(ones, ones, ones).context.dtype == np.float32


def test_inputs_are_not_written_to(qkv):
    copies = [x.copy() for x in qkv]
    attend(*qkv, causal=True, softcap=1.0)
    for x, copy in zip(qkv, copies, strict=True):
        np.testing.assert_array_equal(x, copy)


class TestDiveIntoDeepLearning:
    """Section 11.3: equal keys give uniform weights over the valid ones, whatever the score."""

    keys = np.ones((2, 1, 10, 2))
    values = np.arange(40.0).reshape(1, 1, 10, 4).repeat(2, axis=0)
    mask = (np.arange(10) < np.array([[2], [6]]))[:, None, None]
    expected = np.array([[[[2, 3, 4, 5]]], [[[10, 11, 12, 13]]]])

    def test_additive(self, generator):
        w_q, w_k = generator.normal(size=(8, 20)), generator.normal(size=(8, 2))
        score = partial(scores.additive, w_q=w_q, w_k=w_k, w_v=generator.normal(size=8))
        queries = generator.normal(size=(2, 1, 1, 20))
        done = attend(queries, self.keys, self.values, score=score, mask=self.mask)
        np.testing.assert_allclose(done.context, self.expected)
        np.testing.assert_allclose(done.weights[1, 0, 0], [1 / 6] * 6 + [0] * 4)

    def test_scaled_dot(self, generator):
        queries = generator.normal(size=(2, 1, 1, 2))
        done = attend(queries, self.keys, self.values, mask=self.mask)
        np.testing.assert_allclose(done.context, self.expected)


class TestErrors:
    x = np.ones((6, 5, 3))

    @pytest.mark.parametrize(
        ("shapes", "message"),
        [
            (((5, 3), (5, 3), (5, 3)), r"q has the shape \[5, 3\]; expected \[n_head, n, d\]"),
            (((6, 5, 3), (6, 7, 3), (6, 8, 3)), "k has n_k = 7 keys and v has 8 values"),
            (
                ((6, 5, 3), (4, 7, 3), (4, 7, 3)),
                "n_head = 6 of q is not a multiple of n_kv_head = 4",
            ),
            (((6, 5, 3), (3, 7, 3), (2, 7, 3)), "k has n_kv_head = 3 and v has 2"),
            (((2, 6, 5, 3), (6, 7, 3), (6, 7, 3)), "leading axes"),
        ],
    )
    def test_shapes(self, shapes, message):
        with pytest.raises(AttnvizError, match=message):
            attend(*(np.ones(shape) for shape in shapes))

    def test_mask_that_does_not_fit(self):
        with pytest.raises(AttnvizError, match=r"mask has the shape \[4, 5\]; expected"):
            attend(self.x, self.x, self.x, mask=np.ones((4, 5), bool))

    def test_bias_that_does_not_fit(self):
        with pytest.raises(AttnvizError, match=r"bias has the shape \[7\]"):
            attend(self.x, self.x, self.x, bias=np.ones(7))

    def test_mask_of_numbers(self):
        with pytest.raises(AttnvizError, match="boolean with True = visible"):
            attend(self.x, self.x, self.x, mask=np.zeros((5, 5)))

    def test_unknown_names(self):
        with pytest.raises(AttnvizError, match="unknown score") as error:
            attend(self.x, self.x, self.x, score="scaled-dot")
        assert "did you mean `scaled_dot`" in error.value.hint
        with pytest.raises(AttnvizError, match="unknown causal alignment"):
            attend(self.x, self.x, self.x, causal="bottom_right")

    def test_heads_that_do_not_divide(self):
        with pytest.raises(AttnvizError, match="4 heads do not divide the width 6") as error:
            split_heads(np.ones((2, 6)), 4)
        assert "1, 2, 3, 6" in error.value.hint


class TestOverflow:
    """A row that float32 cannot hold is NaN: never zeros, which would say that it sees no key."""

    big = np.float32(1e20)

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("function", [attend, attention])
    def test_scores(self, generator, sign, function):
        q, k, v = generator.normal(size=(3, 2, 5, 3)).astype(np.float32)
        q[1, 3], k[1] = self.big, sign * self.big
        q[1, [0, 1, 2, 4]] = 0
        done = function(q, k, v)
        rows = np.isnan(done.weights).any(-1)
        assert np.argwhere(rows).tolist() == [[1, 3]]
        assert np.isnan(done.context[1, 3]).all()
        np.testing.assert_allclose(done.weights.sum(-1)[~rows], 1, rtol=1e-6)
        assert np.isinf(done.scores[1, 3]).all()

    def test_a_bias_beyond_float32(self):
        x = np.ones((1, 2, 3), np.float32)
        done = attend(x, x, x, bias=np.array([[0.0, -1e300], [-1e300, -1e300]]))
        np.testing.assert_allclose(done.weights[0], [[1, 0], [np.nan, np.nan]])

    def test_one_key_far_below_the_others_has_no_weight(self):
        """Its score is -inf, and its share 0 to any precision."""
        q, k = np.full((1, 1, 1), self.big), np.array([[[-self.big], [0], [0]]], np.float32)
        assert attend(q, k, k).weights.tolist() == [[[0, 0.5, 0.5]]]

    def test_a_sink_takes_what_is_far_below_it(self):
        q = np.full((1, 1, 1), self.big)
        assert attend(q, -q, q, sinks=[0.0]).weights.tolist() == [[[0]]]

    @pytest.mark.parametrize("function", [attend, attention])
    def test_masked_cells_of_such_a_row_are_zero(self, function):
        q, k = np.full((1, 3, 1), self.big), np.full((1, 3, 1), -self.big)
        visible = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
        name = "mask" if function is attend else "visible"
        nan = np.nan
        expected = [[nan, nan, 0], [0, 0, 0], [0, 0, nan]]
        np.testing.assert_array_equal(function(q, k, k, **{name: visible}).weights[0], expected)

    @pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 3e38])
    def test_cosines_do_not_depend_on_lengths(self, generator, size):
        """The squares of such vectors overflow or vanish in float32, and the cosine was 0."""
        q, k = generator.normal(size=(2, 2, 5, 3)).astype(np.float32)
        q, k = (x / np.abs(x).max() for x in (q, k))
        expected = attend(q, k, k, score="cosine").scores
        found = attend(q * np.float32(size), k, k, score="cosine").scores
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


HOSTILE = {
    dtype: st.one_of(
        st.floats(width=8 * np.dtype(dtype).itemsize),
        st.sampled_from([0.0, np.finfo(dtype).max, np.finfo(dtype).min, np.inf, -np.inf, np.nan]),
    )
    for dtype in (np.float16, np.float32, np.float64)
}


@st.composite
def hostile_qkv(draw):
    dtype = draw(st.sampled_from(list(HOSTILE)))
    return [draw(hnp.arrays(dtype, (2, 3, 2), elements=HOSTILE[dtype])) for _ in range(3)]


@settings(max_examples=300, deadline=None)
@given(
    hostile_qkv(),
    st.sampled_from(["scaled_dot", "dot", "cosine", "gaussian"]),
    st.sampled_from([None, 1e30, -1.0]),
    st.sampled_from([None, 1e-30, 50.0]),
    st.booleans(),
)
def test_a_row_is_a_distribution_or_nan(qkv, score, scale, softcap, causal):
    """Whatever q, k and v hold; and nothing is warned of."""
    done = attend(*qkv, score=score, scale=scale, softcap=softcap, causal=causal)
    sums = done.weights.sum(-1)
    broken = np.isnan(sums)
    np.testing.assert_allclose(sums[~broken], 1, rtol=1e-5)
    hidden = ~np.broadcast_to(done.mask, done.weights.shape)
    assert (done.weights[hidden] == 0).all()
    assert np.isnan(done.weights[broken][~hidden[broken]]).all()
