"""What `attend` refuses: by the argument's name, with what was expected and what was found."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attnviz import AttnvizError, attend
from attnviz.nn import scores

N_HEAD, N_KV, N_Q, N_K, D_K, D_V = 4, 2, 5, 7, 3, 11


@pytest.fixture
def qkv(generator):
    shapes = ((N_HEAD, N_Q, D_K), (N_KV, N_K, D_K), (N_KV, N_K, D_V))
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


COUNT = "expected a whole number ≥ 1"
PAIR = r"expected a pair \(left, right\) of whole numbers from 0"
NUMBER = "expected a finite number"
REAL = "expected real numbers"
SINKS = r"expected \[n_head\] = \[4\]"

REFUSED = [
    *(("sinks", np.zeros(n), SINKS) for n in (5, 3, 1, (4, 1), (1, 4), ())),
    ("sinks", 1.0, SINKS),
    ("sinks", "x", REAL),
    ("sinks", [None] * 4, REAL),
    ("sinks", np.zeros(4, complex), REAL),
    *(("window", w, COUNT) for w in (0, -1, 2.5, True, "3", math.nan, np.array([1, 2]))),
    *(("window", w, PAIR) for w in ((-1, 0), (1,), (1, 2, 3), (1.5, 0), (True, 0), ("1", None))),
    ("softcap", -1, "expected a positive number, in float32 from 1.2e-38"),
    ("softcap", 5e-324, "expected a positive number"),
    ("softcap", 1e300, "expected a positive number"),
    *(("softcap", c, NUMBER) for c in (math.nan, math.inf, "2", True, [1.0], 1j)),
    *(("scale", c, NUMBER) for c in (math.nan, -math.inf, "2", True, [1.0], 1j, 10**5000)),
    *(("causal", c, "unknown causal alignment") for c in (2, None, "x", np.array([1, 0]), [])),
    ("score", None, "expected a name or a function"),
    ("score", "additive", "`additive` needs its learned arrays w_q, w_k, w_v"),
    ("score", "general", "`general` needs its learned arrays w; got none"),
    ("score", scores.general, "`general` needs its learned arrays w"),
    ("score", partial(scores.additive, w_q=np.ones((2, 3))), "needs its learned arrays w_k, w_v"),
    ("score", partial(scores.general, w=np.ones((3, 5))), r"\[3, 5\]; expected .* = \[3, 3\]"),
    ("score", partial(scores.general, w=np.ones(3)), r"\[3\]; expected .* = \[3, 3\]"),
    (
        "score",
        partial(scores.additive, w_q=np.ones((2, 3)), w_k=np.ones((2, 3)), w_v=np.ones(5)),
        r"w_v of `additive` has the shape \[5\]; expected \[d_hidden\] = \[2\]",
    ),
    ("score", lambda q, k: np.zeros(3), "has the shape"),
    ("score", lambda q, k: (q @ k.mT).astype(complex), "returns complex128"),
    ("score", lambda q, k: None, "score returns"),
    ("bias", np.ones((N_Q, N_K), bool), "bias holds bool"),
    ("bias", True, "bias holds bool"),
    ("bias", np.ones((N_Q, N_K), object), REAL),
    ("bias", 1j, REAL),
    ("bias", [[1], [1, 2]], "expected an array of numbers"),
    ("mask", [[True], [True, False]], "expected an array of numbers"),
    ("mask", np.ones((N_Q, N_K), object), "a mask is boolean"),
    ("mask", "x", "a mask is boolean"),
]


@pytest.mark.parametrize(
    ("name", "value", "message"), REFUSED, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(REFUSED)]
)
def test_refusals_name_the_argument(qkv, name, value, message):
    with pytest.raises(AttnvizError, match=message) as error:
        attend(*qkv, **{name: value})
    assert name in error.value.message
    assert error.value.hint
    assert len(error.value.message) < 400


@pytest.mark.parametrize("name", ["q", "k", "v"])
@pytest.mark.parametrize("dtype", [object, complex, str, "M8[s]"])
def test_arrays_of_anything_else(qkv, name, dtype):
    arrays = dict(zip("qkv", qkv, strict=True))
    arrays[name] = arrays[name].astype(dtype)
    with pytest.raises(AttnvizError, match=f"{name} holds .*; {REAL}"):
        attend(**arrays)


def test_a_masked_array_does_not_lose_its_mask(qkv):
    q, k, v = qkv
    with pytest.raises(AttnvizError, match="k is a masked array"):
        attend(q, np.ma.masked_array(k, k > 1), v)


def test_what_cannot_become_an_array(qkv):
    class Tensor:
        def __array__(self, *_, **__):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    with pytest.raises(AttnvizError, match="k: expected an array of numbers; got Tensor: Can't"):
        attend(qkv[0], Tensor(), qkv[2])


@pytest.mark.parametrize("n", [3, 700])
def test_one_sink_for_four_heads_is_refused_at_any_length(generator, n):
    """It was taken for all heads where these fit into one tile, and failed where they did not."""
    q, k, v = generator.normal(size=(3, N_HEAD, n, D_K))
    with pytest.raises(AttnvizError, match="sinks has the shape"):
        attend(q, k, v, sinks=np.zeros(1))


def test_keys_of_no_width(qkv):
    q, k, v = qkv
    with pytest.raises(AttnvizError, match=r"d_k = 0; expected 1 or more"):
        attend(q[..., :0], k[..., :0], v)
    even = attend(q[..., :0], k[..., :0], v, scale=1.0)
    np.testing.assert_allclose(even.weights, 1 / N_K, rtol=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"window": np.int64(2)}, {"window": 2}),
        ({"window": np.array(2)}, {"window": 2}),
        ({"window": [1, None]}, {"window": (1, None)}),
        ({"window": 10**30}, {}),
        ({"window": (None, None)}, {}),
        ({"softcap": 0}, {}),
        ({"softcap": np.float64(2)}, {"softcap": 2}),
        ({"scale": np.array(0.5)}, {"scale": 0.5}),
        ({"causal": 1}, {"causal": True}),
        ({"causal": np.False_}, {}),
        ({"sinks": [0, 0, 0, 0]}, {"sinks": np.zeros(N_HEAD)}),
        ({"mask": np.ones((N_Q, N_K), bool).tolist()}, {}),
        ({"bias": 1}, {}),
        ({"score": lambda q, k: q @ k.mT, "scale": 0.7}, {"score": "dot", "scale": 0.7}),
    ],
)
def test_what_means_the_same(qkv, one, other):
    found, expected = attend(*qkv, **one), attend(*qkv, **other)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-6)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.tuples(st.one_of(st.none(), st.integers(-2, 2), st.floats()), st.integers(-1, 9)),
    st.lists(st.floats(), max_size=5),
    hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64, np.longdouble, bool, object,
                                np.int64, complex, "U3"]), hnp.array_shapes(max_side=7)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["scale", "mask", "bias", "causal", "window", "softcap", "sinks", "score"]),
    ANYTHING,
)
def test_any_value_is_taken_or_refused(name, value):
    """Nothing else is raised, and nothing is warned of."""
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(2, 3, 5)).astype(np.float32) for _ in range(3))
    message = ""
    try:
        done = attend(q, k, v, **{name: value})
        assert done.weights.shape == (2, 3, 3)
    except AttnvizError as error:
        message = error.message
    assert not message or name in message


def test_a_signalling_nan_of_half_precision(qkv):
    """Its conversion to float32 is an invalid operation, which NumPy warns of."""
    q = np.full((N_HEAD, N_Q, D_K), 0x7C01, np.uint16).view(np.float16)
    assert np.isnan(attend(q, *qkv[1:]).weights).all()


def test_other_people_s_number_types(qkv):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    q, k, v = (x.astype(ml_dtypes.bfloat16) for x in qkv)
    bias = np.zeros(N_K, ml_dtypes.bfloat16)
    expected = attend(*(x.astype(np.float32) for x in (q, k, v)))
    np.testing.assert_array_equal(attend(q, k, v, bias=bias).weights, expected.weights)
    with pytest.raises(AttnvizError, match=REAL):
        attend(qkv[0].astype("V8"), k, v)
