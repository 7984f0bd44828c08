"""What a dump is read as."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.diagnosis import UNLIKELY
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.errors import AttnvizError
from attnviz.trace.dump import dump_of as made

B, H, G, N, M, D, E = 2, 6, 3, 5, 7, 11, 13
CAUSAL = np.tril(np.ones((N, M), bool), M - N)


def dump_of(**arrays):
    return made({name: np.asarray(x) for name, x in arrays.items()}, where="dump.npz")


@pytest.fixture
def qkv(generator):
    shapes = ((B, H, N, D), (B, G, M, D), (B, G, M, E))
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def merged(x):
    """[b, h, n, d] -> [b, n, h·d], by a loop."""
    return np.concatenate([x[:, head] for head in range(x.shape[1])], axis=-1)


def is_right(case, tolerance=2e-6):
    """Whether the reference of a reading gives what the dump has."""
    done = compute(case.wanted)
    return all(
        np.allclose(getattr(done, stage), x, atol=tolerance) for stage, x in case.given.items()
    )


def read(request=None, **arrays):
    """The reading that is right, which has to be the likeliest one of its shape."""
    cases = readings(dump_of(**arrays), request)
    right = [case for case in cases if is_right(case)]
    assert right, [case.reading for case in cases]
    return right[0]


ORDERS = {"bhnd": (0, 1, 2, 3), "bnhd": (0, 2, 1, 3), "nbhd": (2, 0, 1, 3)}


@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize("out", [*ORDERS, "merged", "n b e"])
def test_every_order_of_axes_is_read_back(qkv, layout, out):
    right = attnviz.attend(*qkv, mask=CAUSAL)
    given = {
        "merged": lambda x: merged(x),
        "n b e": lambda x: merged(x).swapaxes(0, 1),
        **{name: lambda x, order=order: x.transpose(order) for name, order in ORDERS.items()},
    }[out](right.context)
    q, k, v = (x.transpose(ORDERS[layout]) for x in qkv)
    (case,) = readings(dump_of(q=q, k=k, v=v, out=given, mask=CAUSAL, weights=right.weights))
    assert case.layout == layout
    for found, x in zip((case.wanted.q, case.wanted.k, case.wanted.v), qkv, strict=True):
        np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(case.given["context"], right.context)
    assert case.wanted.masking.causal
    assert is_right(case)


def test_as_many_heads_as_tokens_are_read_both_ways(generator):
    q, k, v = generator.normal(size=(3, 2, 5, 5, 7)).astype(np.float32)
    cases = readings(dump_of(q=q, k=k, v=v, out=attnviz.attend(q, k, v).context))
    assert {case.layout for case in cases} == {"bhnd", "bnhd", "nbhd"}
    assert cases[0].layout == "bhnd"
    turned = [x.swapaxes(1, 2) for x in (q, k, v)]
    out = attnviz.attend(*turned).context.swapaxes(1, 2)
    assert read(q=q, k=k, v=v, out=out).layout == "bnhd"
    asked = readings(dump_of(q=q, k=k, v=v, out=out), Request(layout="bnhd"))
    assert {case.layout for case in asked} == {"bnhd"}


def test_more_heads_than_tokens_are_unlikely(generator):
    q, k, v = generator.normal(size=(3, 2, 17, 3, 5)).astype(np.float32)
    cases = readings(dump_of(q=q, k=k, v=v, out=q))
    assert cases[0].layout == "bnhd"


def test_causal_is_tried_where_nothing_says_so(qkv):
    q, k, v = qkv
    for causal in (False, "lower_right"):
        out = attnviz.attend(q, k, v, causal=causal).context
        case = read(q=q, k=k, v=v, out=out)
        assert case.wanted.masking.causal == bool(causal)
        assert case.rank == int(bool(causal))
    cases = readings(dump_of(q=q, k=k, v=v, out=out), Request(causal=False))
    assert not any(case.wanted.masking.causal for case in cases)
    (case,) = readings(dump_of(q=q, k=k, v=v, out=out, is_causal=True))
    assert case.wanted.masking.causal
    assert case.wanted.masking.offset == M - N
    (case,) = readings(
        dump_of(q=q, k=k, v=v, out=out), Request(causal=True, alignment="upper_left")
    )
    assert case.wanted.masking.offset == 0


PADDING = np.arange(M) < np.array([M, 4])[:, None]


@pytest.mark.parametrize(
    ("name", "mask", "seen"),
    [
        ("mask", CAUSAL, CAUSAL),
        ("mask", CAUSAL.astype(np.int64), CAUSAL),
        ("mask", CAUSAL.astype(np.float32), CAUSAL),
        ("mask", np.where(CAUSAL, 0, -np.inf), CAUSAL),
        ("mask", np.where(CAUSAL, 0, -1e9)[None, None], CAUSAL),
        ("mask", np.where(CAUSAL, 0, np.finfo(np.float16).min).astype(np.float16), CAUSAL),
        ("mask", np.where(CAUSAL, 0, -10000), CAUSAL),
        ("attention_mask", PADDING.astype(np.int64), PADDING[:, None, None]),
        ("attention_mask", PADDING[:, None, None], PADDING[:, None, None]),
        ("key_padding_mask", ~PADDING, PADDING[:, None, None]),
        ("key_padding_mask", PADDING.astype(int), PADDING[:, None, None]),
        ("mask", CAUSAL & PADDING[:, None], CAUSAL & PADDING[:, None, None]),
        ("mask", (CAUSAL & PADDING[:, None, None])[:, :1], CAUSAL & PADDING[:, None, None]),
        ("mask", np.repeat(CAUSAL & PADDING[:, None], H, 0), CAUSAL & PADDING[:, None, None]),
        ("mask", np.triu(np.ones((N, M), bool), M - N + 1), CAUSAL),
        ("mask", ~(CAUSAL & PADDING[:, None, None]), CAUSAL & PADDING[:, None, None]),
        ("mask", ~(CAUSAL & ~np.tri(N, M, M - N - 2, bool)), CAUSAL & ~np.tri(N, M, M - N - 2, bool)),
        ("mask", ~np.eye(N, M, M - N, bool), ~np.eye(N, M, M - N, bool)),
        ("mask", np.tri(N, M, M - N - 1, bool), np.tri(N, M, M - N - 1, bool)),
    ],
)  # fmt: skip
def test_masks(qkv, name, mask, seen):
    out = attnviz.attend(*qkv, mask=seen).context
    q, k, v = qkv
    case = read(q=q, k=k, v=v, out=out, **{name: mask})
    visible = case.wanted.visible()
    full = (B, H, N, M)
    np.testing.assert_array_equal(np.broadcast_to(visible, full), np.broadcast_to(seen, full))
    assert case.wanted.bias is None
    assert any(name in sentence for sentence in case.reading)
    assert case.wanted.facts.mask.size == mask.size


def test_what_is_added_may_hide_and_shift(qkv, generator):
    q, k, v = qkv
    bias = generator.normal(size=(H, N, M)).astype(np.float32)
    added = np.where(CAUSAL, bias, -np.inf).astype(np.float32)
    out = attnviz.attend(q, k, v, bias=bias, mask=CAUSAL).context
    for name in ("mask", "attn_bias"):
        case = read(q=q, k=k, v=v, out=out, **{name: added})
        assert case.wanted.masking.causal
        np.testing.assert_array_equal(np.where(CAUSAL, case.wanted.bias[0], 0), bias * CAUSAL)


def test_weights_of_all_kinds(qkv):
    q, k, v = qkv
    right = attnviz.attend(q, k, v)
    weights = right.weights
    assert not read(q=q, k=k, v=v, weights=weights).averaged
    assert not read(q=q, k=k, v=v, weights=weights.reshape(B * H, N, M)).averaged
    case = readings(dump_of(q=q, k=k, v=v, weights=weights.mean(1)))[0]
    assert case.averaged == {"weights"}
    np.testing.assert_array_equal(case.given["weights"][:, 0], weights.mean(1))
    assert read(q=q, k=k, weights=weights)


def test_numbers_in_the_file_are_what_is_wanted(qkv):
    q, k, v = qkv
    how = {"scale": 0.25, "softcap": 3.0, "causal": True, "window": 3}
    out = attnviz.attend(q, k, v, **how).context
    wanted = {"softmax_scale": 0.25, "softcap": 3.0, "is_causal": True, "sliding_window": 3}
    case = read(q=q, k=k, v=v, out=out, **wanted)
    assert case.wanted.scale == 0.25
    assert (case.wanted.masking.left, case.wanted.masking.right) == (2, None)
    said = Request(**how)
    assert is_right(readings(dump_of(q=q, k=k, v=v, out=out), said)[0])
    assert (
        readings(dump_of(q=q, k=k, v=v, out=out, **wanted), Request(scale=0.5))[0].wanted.scale
        == 0.5
    )


def test_merged_heads(qkv):
    q, k, v = qkv
    out = attnviz.attend(q, k, v).context
    sides = {"q": merged(q), "k": merged(k), "v": merged(v), "out": merged(out)}
    for case in (
        read(**sides, num_heads=H),
        read(Request(n_head=H), **sides),
        read(**{name: x.swapaxes(0, 1) for name, x in sides.items()}, num_heads=H),
        read(**sides, weights=attnviz.attend(q, k, v).weights),
    ):
        np.testing.assert_array_equal(case.wanted.q, q)
        np.testing.assert_array_equal(case.wanted.v, v)


def test_heads_side_by_side_that_nobody_counts(generator):
    q, k, v = generator.normal(size=(3, 2, 3, 5, 64)).astype(np.float32)
    out = attnviz.attend(q, k, v).context
    case = read(q=merged(q), k=merged(k), v=merged(v), out=merged(out))
    np.testing.assert_array_equal(case.wanted.q, q)
    assert case.rank < UNLIKELY


def test_fewer_heads_of_keys_side_by_side_that_nobody_counts(qkv):
    q, k, v = qkv
    v = v[..., :D]
    out = attnviz.attend(q, k, v, causal=True).context
    case = read(q=merged(q), k=merged(k), v=merged(v), out=merged(out))
    np.testing.assert_array_equal(case.wanted.k, k)
    assert case.rank < UNLIKELY


def test_no_batch_and_no_heads(qkv):
    q, k, v = (x[:1] for x in qkv)
    out = attnviz.attend(q, k, v).context
    read(q=q[0], k=k[0], v=v[0], out=out[0])
    read(q=q[0].swapaxes(0, 1), k=k[0].swapaxes(0, 1), v=v[0].swapaxes(0, 1), out=merged(out)[0])
    q, k, v = q[:, 0], k[:, 0], v[:, 0]
    out = attnviz.attend(q, k, v).context
    read(q=q[0], k=k[0], v=v[0], out=out[0])


def test_items_and_heads_in_one_axis(qkv):
    q, k, v = qkv
    out = attnviz.attend(q, k, v).context
    flat = {"q": q.reshape(-1, N, D), "k": k.reshape(-1, M, D), "v": v.reshape(-1, M, E)}
    for given in (merged(out), out, out.swapaxes(1, 2)):
        np.testing.assert_array_equal(read(**flat, out=given).wanted.q, q)
    k, v = (np.repeat(x, H // G, 1) for x in (k, v))
    flat |= {"k": k.reshape(-1, M, D), "v": v.reshape(-1, M, E)}
    read(**flat, out=out.reshape(-1, N, E))
    read(**flat, out=out.reshape(-1, N, E), attention_mask=np.ones((B, M), bool))


def test_keys_that_are_transposed(qkv):
    q, k, v = qkv
    case = read(q=q, k=k.swapaxes(2, 3), v=v, out=attnviz.attend(q, k, v).context)
    np.testing.assert_array_equal(case.wanted.k, k)
    assert "k is transposed" in " ".join(case.reading)


def test_a_mask_for_the_longest_text(qkv):
    q, k, v = qkv
    out = attnviz.attend(q, k, v, causal=True).context
    buffer = np.tril(np.ones((1, 1, 19, 19), bool))
    assert read(q=q, k=k, v=v, out=out, mask=buffer).wanted.masking.causal


def test_the_coarsest_type_counts(qkv):
    q, k, v = qkv
    assert readings(dump_of(q=q, k=k, v=v, out=q[..., :1] + v[:, :1, :1]))[0].dtype == "float32"
    half = readings(dump_of(q=q, k=k.astype(np.float16), v=v, out=q[..., :1] + v[:, :1, :1]))
    assert half[0].dtype == "float16"
    assert "k float16, v float32" in half[0].reading[-1]
    assert half[0].wanted.k.dtype == np.float32


def test_values_of_one_item_serve_all(qkv):
    q, k, v = qkv
    out = attnviz.attend(q, k, np.repeat(v[:1], B, 0)).context
    read(q=q, k=k, v=v[:1], out=out)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"out": None}, "v [2, 3, 7, 13] there is no output and no weights to compare"),
        ({"q": None, "k": None, "v": None}, "there is no q and no k: it holds out [2, 6, 5, 13]"),
        ({"v": None}, "there is no v, which the output is made of"),
        ({"k": (B, G, M, D + 1)}, "as [batch, n_head, n_q, d_k], d_k is 11, but 12 in k"),
        ({"k": (B, 4, M, D), "v": (B, 4, M, E)}, "the 6 heads of q are no multiple of the 4 of k"),
        ({"v": (B, G, M + 1, E)}, "n_k is 7, but 8 in v"),
        ({"out": (B, H, N + 1, E)}, "out [2, 6, 6, 13] is no [b, h, n, e] of b = 2, h = 6"),
        ({"q": (1, 2, 3, 4, 5, 6)}, "has 5 axes; expected 2 to 4"),
        ({"mask": (4, 4)}, "mask [4, 4] does not broadcast"),
        ({"mask": (1, N, M), "out": (B, 1, N, E)}, "out [2, 1, 5, 13] is no [b, h, n, e]"),
        ({"k": ()}, "k [] has 0 axes"),
    ],
)  # fmt: skip
def test_what_does_not_fit(qkv, changed, message):
    arrays = dict(zip("qkv", qkv, strict=True)) | {"out": np.ones((B, H, N, E))}
    for name, shape in changed.items():
        arrays.pop(name, None)
        if shape is not None:
            arrays[name] = np.ones(shape, np.float32)
    with pytest.raises(AttnvizError) as caught:
        readings(dump_of(**arrays))
    assert message in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_all_axes_that_were_tried_are_named(qkv):
    q, k, v = qkv
    with pytest.raises(AttnvizError) as caught:
        readings(dump_of(q=q, k=k[..., :4], v=v, out=q))
    tried = ("[batch, n_head, n_q, d_k]", "[batch, n_q, n_head, d_k]", "[n_q, batch, n_head, d_k]")
    for axes, other in itertools.pairwise(tried):
        assert caught.value.message.index(axes) < caught.value.message.index(other)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize(
    ("b", "h", "n"), [(2, 8, 37), (1, 31, 5), (3, 12, 17), (1, 13, 2), (2, 4, 3)]
)
def test_the_right_order_of_equal_axes_is_not_called_unlikely(generator, b, h, n, layout, causal):
    """Where q, k and v have one shape, every order of axes fits."""
    q, k, v = generator.normal(size=(3, b, h, n, 7)).astype(np.float32)
    out = attnviz.attend(q, k, v, causal=causal).context
    arrays = {"q": q, "k": k, "v": v, "out": out}
    turned = {name: x.transpose(ORDERS[layout]) for name, x in arrays.items()}
    case = read(**turned)
    assert case.rank < UNLIKELY
    assert case.layout == layout or min(b, h, n) == 1


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("b", "h", "d"), [(1, 12, 32), (2, 4, 80), (2, 8, 16)])
@pytest.mark.parametrize("tokens_first", [False, True])
def test_heads_that_nobody_counts_are_not_called_unlikely(generator, b, h, d, tokens_first, causal):
    q, k, v = generator.normal(size=(3, b, h, 17, d)).astype(np.float32)
    out = attnviz.attend(q, k, v, causal=causal).context
    arrays = {name: merged(x) for name, x in {"q": q, "k": k, "v": v, "out": out}.items()}
    if tokens_first:
        arrays = {name: x.swapaxes(0, 1) for name, x in arrays.items()}
    assert read(**arrays).rank < UNLIKELY
