"""The attention of anybody's q, k and v."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.nn import masks
from attnviz.trace.attended import How, attended, trace_of_projections, trace_of_reading
from attnviz.trace.layout import parse_layout
from attnviz.trace.projections import Axes, read_projections
from attnviz.trace.summary import SummaryPlan

HERE = Path("qkv.npz")
N_HEAD, N_KV, N, D, D_V = 6, 2, 7, 5, 3


@pytest.fixture
def qkv(generator):
    """[n_head, n, d] each, with fewer heads of k and v."""
    shapes = ((N_HEAD, N, D), (N_KV, N, D), (N_KV, N, D_V))
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def trace(arrays, how=None, **axes):
    return trace_of_projections(HERE, arrays, axes=Axes(**axes), how=how)


def same(found, qkv, **how):
    """All stages are what `attend` computes."""
    right = attnviz.attend(*qkv, **how)
    (record,) = found.records
    for stage, array in right._asdict().items():
        np.testing.assert_array_equal(record.stage(stage), array, stage)


@pytest.mark.parametrize("names", ["q k v", "query key value", "queries keys values", "Q K V",
                                   "L0.q L0.k L0.v", "encoder.0.self/q encoder.0.self/k encoder.0.self/v",
                                   "arr_0 arr_1 arr_2", "layer0_0 layer0_1 layer0_2"])  # fmt: skip
def test_names(qkv, names):
    same(trace(dict(zip(names.split(), qkv, strict=True))), qkv)


def test_layouts_are_told_by_the_heads_of_k(qkv):
    q, k, v = (x.swapaxes(0, 1) for x in qkv)
    same(trace({"q": q[None], "k": k[None], "v": v[None]}), qkv)
    found = trace({"q": q, "k": k, "v": v})
    same(found, qkv)
    assert "[n, head, d]" in found.model.notes[0]


def test_layouts_are_told_by_the_weights_and_by_tokens(qkv):
    q, k, v = qkv[0], np.repeat(qkv[1], 3, 0), np.repeat(qkv[2], 3, 0)
    turned = {"q": q.swapaxes(0, 1), "k": k.swapaxes(0, 1), "v": v.swapaxes(0, 1)}
    with pytest.raises(AttnvizError, match="7 heads of 6 tokens, or 6 heads of 7 tokens") as caught:
        trace(turned)
    assert caught.value.hint == "say which: --layout hnd or --layout nhd"
    same(trace({**turned, "attn_weights": np.zeros((N_HEAD, N, N))}), (q, k, v))
    same(trace(turned, layout="nhd"), (q, k, v))
    same(trace(turned, layout="[seq, head, dim]"), (q, k, v))
    named = trace_of_projections(HERE, {"q": q, "k": k, "v": v})
    assert "(if not: --layout nhd)" in named.model.notes[0]


def test_heads_that_lie_side_by_side(qkv):
    q, k, v = (x.swapaxes(0, 1).reshape(N, -1) for x in qkv)
    same(trace({"q": q, "k": k, "v": v}, n_head=N_HEAD), qkv)
    same(trace({"q": q[None], "k": k[None], "v": v[None]}, n_head=N_HEAD), qkv)
    with pytest.raises(AttnvizError, match="--heads 4 does not divide the width 30 of q"):
        trace({"q": q, "k": k, "v": v}, n_head=4)


def test_packed_arrays(generator):
    packed = generator.normal(size=(3, 2, N, D))
    right = attnviz.attend(*packed).weights
    for arrays in (
        {"qkv": packed},
        {"layer0": packed},
        {"qkv": packed.transpose(2, 0, 1, 3)[None], "weights": np.zeros((1, 2, N, N))},
    ):
        np.testing.assert_array_equal(trace(arrays).records[0].weights, right)


def test_batches_and_layers(qkv):
    stacked = {name: np.stack([x, -x, 2 * x, x]) for name, x in zip("qkv", qkv, strict=True)}
    with pytest.raises(AttnvizError, match="the batch holds 4 items") as caught:
        trace(stacked)
    assert caught.value.hint.endswith("if this axis counts layers: --layout lhnd")
    same(trace(stacked, batch="0:3"), qkv)
    layers = trace(stacked, layout="lhnd")
    assert [record.id for record in layers] == [f"array.{i}.self" for i in range(4)]
    np.testing.assert_array_equal(layers.records[0].weights, layers.records[3].weights)
    with pytest.raises(AttnvizError, match="the batch has no item 4"):
        trace(stacked, batch="0:4")


def test_what_the_file_hides_itself(qkv):
    arrays = dict(zip("qkv", qkv, strict=True))
    causal = np.tril(np.ones((N, N), bool))
    same(trace({**arrays, "mask": causal.astype(int)}), qkv, mask=causal)
    same(trace({**arrays, "attn_mask": np.where(causal, 0, -np.inf)[None, None]}), qkv, mask=causal)
    padding = np.arange(N) > 4
    same(trace({**arrays, "key_padding_mask": padding}), qkv, mask=~padding[None])
    found = trace({**arrays, "mask": causal, "key_padding_mask": padding}, How(mask=masks.CAUSAL))
    assert found.records[0].site.mask == ("causal", "mask", "padding")
    same(trace({**arrays, "mask": causal}, How(own_mask=False)), qkv)


def test_options(qkv, generator):
    arrays = dict(zip("qkv", qkv, strict=True))
    bias = generator.normal(size=(N, N))
    same(
        trace(arrays, How(scale=0.5, softcap=3.0, bias=bias)),
        qkv,
        scale=0.5,
        softcap=3.0,
        bias=bias,
    )
    same(trace({**arrays, "attn_bias": bias}), qkv, bias=bias)
    same(trace(arrays, How(score="cosine")), qkv, score="cosine")
    learned = {"w_q": generator.normal(size=(4, D)), "w_k": generator.normal(size=(4, D)),
               "w_v": generator.normal(size=4)}  # fmt: skip
    found = trace({**arrays, **learned}, How(score="additive"))
    keys, queries = qkv[1][0] @ learned["w_k"].T, qkv[0][0] @ learned["w_q"].T
    right = np.tanh(queries[:, None] + keys[None]) @ learned["w_v"]
    np.testing.assert_allclose(found.records[0].scores[0], right, rtol=1e-5, atol=1e-6)
    with pytest.raises(AttnvizError, match=r"the file lacks: w_q \[d_hidden, d_q\], w_k"):
        trace(arrays, How(score="additive"))


def test_the_bits_of_bfloat16_are_read_as_numbers(qkv):
    bits = {
        name: (x.view(np.uint32) >> 16).astype(np.uint16)
        for name, x in zip("qkv", qkv, strict=True)
    }
    wide = [(x.astype(np.uint32) << 16).view(np.float32) for x in bits.values()]
    found = trace(bits)
    same(found, wide)
    assert found.model.notes[0] == "q: its whole numbers are read as the bits of bfloat16"
    assert trace(dict(zip("qkv", wide, strict=True))).records[0].weights.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "layout"),
    [("bsnd", "bnhd"), ("BNSD", "bhnd"), ("bsh", "bnd"), ("sbh", "nbd"), ("btnh", "bnhd"),
     ("bmhk", "bnhd"), ("tnd", "nhd"), ("[batch, seq, embed]", "bnd")],
)  # fmt: skip
def test_layouts_as_libraries_spell_them(text, layout):
    assert parse_layout(text) == layout


def test_more_keys_than_queries(qkv):
    q, k, v = qkv
    arrays = {"q": q[:, :4], "k": k, "v": v}
    same(trace(arrays, How(mask=masks.CAUSAL)), (q[:, :4], k, v), causal=True)
    upper = How(mask=masks.CAUSAL, alignment="upper_left")
    same(trace(arrays, upper), (q[:, :4], k, v), causal="upper_left")


def test_half_precision_is_computed_in_float32(qkv):
    narrow = [x.astype(np.float16) for x in qkv]
    found = trace(dict(zip("qkv", narrow, strict=True)))
    assert found.records[0].weights.dtype == np.float32
    assert found.model.notes[-1] == "the arrays hold float16; computed in float32"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"v": None}, "beside q, k there is no v"),
        ({"q": None, "k": None, "v": None, "a": (2, 3, 4)}, "there are no q, k and v among its arrays: a"),
        ({"k": (N_KV, N, 4)}, "q has d_k = 5, k has d_k = 4"),
        ({"v": (N_KV, 6, 3)}, "k has n_k = 7 keys and v has 6 values"),
        ({"k": (4, 8, D), "v": (4, 8, D)}, "n_head = 6 of q is not a multiple of the n_kv_head = 4"),
        ({"q": (2, N_HEAD, N, D)}, "q [2, 6, 7, 5], k [2, 7, 5], v [2, 7, 3]"),
        ({"q": (N, 10), "k": (N, 5), "v": (N, 5)}, "the last axis of q holds 10 and that of k and v 5"),
        ({"mask": (N, 4)}, "the custom mask has the shape [7, 4]"),
    ],
)  # fmt: skip
def test_what_does_not_fit(qkv, changed, message):
    arrays = dict(zip("qkv", qkv, strict=True))
    for name, shape in changed.items():
        if shape is None:
            del arrays[name]
        else:
            arrays[name] = np.ones(shape, np.float32)
    with pytest.raises(AttnvizError) as caught:
        trace(arrays)
    assert message in caught.value.message
    assert caught.value.hint


def test_a_damaged_option():
    arrays = {name: np.ones((2, 3, 4)) for name in "qkv"}
    for axes, message in (
        ({"layout": "xyz"}, "cannot read 'xyz'"),
        ({"layout": "hnnd"}, "cannot read 'hnnd'"),
        ({"batch": "x"}, "cannot read the batch axis 'x'"),
        ({"arrays": ("q", "k")}, "expected the names of q, k and v"),
        ({"arrays": ("q", "k", "w")}, "expected the names of q, k and v"),
        ({"layout": "bhnd"}, "expected of each [batch, head, n, d]"),
    ):
        with pytest.raises(AttnvizError) as caught:
            trace_of_projections(HERE, arrays, axes=Axes(**axes))
        assert message in caught.value.message


LONG = [How(), How(mask=masks.parse("causal")), How(softcap=3.0, score="gaussian:sigma=2"),
        How(mask=masks.parse("causal+window:size=3"), alignment="upper_left", scale=0.7)]  # fmt: skip


@pytest.mark.parametrize(
    "how", LONG, ids=["plain", "causal", "capped gaussian", "window upper left"]
)
@pytest.mark.parametrize("beside", ["", "mask", "bias", "sinks"])
def test_what_exceeds_the_budget_is_summarised_with_the_same_numbers(qkv, generator, how, beside):
    n_k = 11
    k, v = (np.concatenate([x, x[:, : n_k - N] + 1], 1) for x in qkv[1:])
    extra = {
        "mask": generator.random((N, n_k)) < 0.8,
        "bias": np.where(generator.random((N, n_k)) < 0.1, -np.inf, 0.5),
        "sinks": generator.normal(size=N_HEAD),
    }
    arrays = {"q": qkv[0], "k": k, "v": v, **({beside: extra[beside]} if beside else {})}
    reading = read_projections(HERE, arrays, Axes())
    (whole,) = trace_of_reading(HERE, reading, how)
    plan = SummaryPlan(map_size=4)
    (record,) = trace_of_reading(HERE, reading, how, memory=1, summaries=lambda streams: plan)
    assert record.weights is None
    assert record.site == whole.site
    np.testing.assert_allclose(record.context, whole.context, atol=1e-5)
    for row, key in np.ndindex(4, 4):
        cells = whole.weights[:, 2 * row : 2 * row + 2, 3 * key : 3 * key + 3]
        np.testing.assert_allclose(record.summary.total[:, row, key], cells.sum((1, 2)), atol=1e-5)
        np.testing.assert_allclose(
            record.summary.largest[:, row, key], cells.max((1, 2), initial=0), atol=1e-5
        )


def test_some_rows_are_those_of_the_whole(qkv, generator):
    arrays = dict(zip("qkv", qkv, strict=True), mask=generator.random((N_HEAD, N, N)) < 0.8)
    (layer,) = read_projections(HERE, arrays, Axes()).layers
    how, rows = How(mask=masks.CAUSAL), np.array([0, 2, 3, 6])
    whole = attended(HERE, layer, how, "queries", "keys")
    some = attended(HERE, layer, how, "queries", "keys", rows)
    for stage in ("q", "scores", "logits", "weights", "context", "mask"):
        np.testing.assert_allclose(some.stage(stage), whole.stage(stage)[..., rows, :], atol=1e-6)
