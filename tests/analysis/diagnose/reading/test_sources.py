"""Where q, k and v come from: fused arrays, projections, packed texts, caches, before RoPE."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.reading import picked
from attnviz.errors import AttnvizError
from attnviz.nn.positions import alibi_slopes, rope
from tests.analysis.diagnose.reading.test_readings import dump_of, is_right, merged, read, readings

B, H, G, N, D = 2, 6, 3, 5, 11
LENGTHS, LONGER = (3, 5, 2), (7, 5, 4)


@pytest.fixture
def qkv(generator):
    """Of as many queries as keys, and heads of one width."""
    return [generator.normal(size=(B, h, N, D)).astype(np.float32) for h in (H, G, G)]


@pytest.fixture
def out(qkv):
    return attnviz.attend(*qkv).context


def repeated(x):
    return np.repeat(x, H // G, 1)


def side_by_side(*parts):
    """[b, n, h, d] each -> [b, n, width]."""
    return np.concatenate([x.reshape(B, N, -1) for x in parts], -1)


def same_qkv(case, qkv):
    for found, x in zip((case.wanted.q, case.wanted.k, case.wanted.v), qkv, strict=True):
        np.testing.assert_allclose(found, x, atol=1e-5)


# one array of q, k and v


@pytest.mark.parametrize(
    "stack",
    [
        lambda x: np.stack(x),
        lambda x: np.stack(x).swapaxes(2, 3),
        lambda x: np.stack(x, 1),
        lambda x: np.stack(x, 2).transpose(0, 3, 2, 1, 4),
        lambda x: np.stack(x, 3).swapaxes(1, 2),
    ],
)
def test_an_axis_of_three(qkv, stack):
    alike = [qkv[0], repeated(qkv[1]), repeated(qkv[2])]
    result = attnviz.attend(*alike).context
    same_qkv(read(qkv=stack(alike), out=merged(result)), alike)


def test_a_fused_width_in_three_orders(qkv, out):
    q, k, v = (x.swapaxes(1, 2) for x in qkv)  # [b, n, h, d]
    thirds = side_by_side(q, k, v)
    groups = [
        [q[:, :, 2 * g : 2 * g + 2], k[:, :, g : g + 1], v[:, :, g : g + 1]] for g in range(G)
    ]
    grouped = side_by_side(*(part for group in groups for part in group))
    for fused in (thirds, grouped, thirds.swapaxes(0, 1)):
        given = merged(out) if len(fused) == B else merged(out).swapaxes(0, 1)
        case = read(qkv=fused, out=given, num_heads=H, num_kv_heads=G)
        same_qkv(case, qkv)
        assert case.wanted.facts.fused.shape == thirds.shape


def test_a_fused_width_head_by_head(qkv):
    alike = [qkv[0], repeated(qkv[1]), repeated(qkv[2])]
    result = attnviz.attend(*alike).context
    by_token = [x.swapaxes(1, 2) for x in alike]
    fused = side_by_side(*(x[:, :, h : h + 1] for h in range(H) for x in by_token))
    same_qkv(read(Request(n_head=H), qkv=fused, out=merged(result)), alike)


def test_a_projection(qkv, out, generator):
    x = generator.normal(size=(B, N, 97)).astype(np.float32)
    weight = generator.normal(size=(97, (H + 2 * G) * D)).astype(np.float32) / 10
    fused = (x.astype(np.float64) @ weight).reshape(B, N, -1, D).swapaxes(1, 2)
    parts = [fused[:, :H], fused[:, H : H + G], fused[:, H + G :]]
    result = attnviz.attend(*parts).context.astype(np.float32)
    for stored in (weight, weight.T):
        case = read(x=x, w_qkv=stored, out=merged(result), n_head=H, n_kv_head=G)
        same_qkv(case, parts)
        assert case.wanted.facts.d_model == 97
        np.testing.assert_array_equal(case.wanted.facts.inputs[1], weight)


def test_keys_and_values_in_one_array(qkv, out):
    q, k, v = (x.swapaxes(1, 2) for x in qkv)
    same_qkv(read(q=q, kv=np.stack([k, v], 2), out=out.swapaxes(1, 2)), qkv)


def test_a_fused_width_that_nobody_divides(generator):
    with pytest.raises(
        AttnvizError, match="its last axis is not divided into q, k and v"
    ) as caught:
        readings(dump_of(qkv=generator.normal(size=(B, N, 97)), out=np.ones((B, N, 97))))
    assert "--heads" in caught.value.hint


# texts one after another


def texts(generator, lengths, n_head):
    return [generator.normal(size=(n, n_head, D)).astype(np.float32) for n in lengths]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("k_lengths", [LENGTHS, LONGER])
@pytest.mark.parametrize("merge", [False, True])
def test_packed_texts(generator, causal, k_lengths, merge):
    q, k, v = (
        texts(generator, LENGTHS, H),
        texts(generator, k_lengths, G),
        texts(generator, k_lengths, G),
    )
    outs = [
        attnviz.attend(*(x.swapaxes(0, 1) for x in each), causal=causal).context.swapaxes(0, 1)
        for each in zip(q, k, v, strict=True)
    ]
    arrays = {name: np.concatenate(x) for name, x in {"q": q, "k": k, "v": v, "out": outs}.items()}
    if merge:
        arrays = {name: x.reshape(len(x), -1) for name, x in arrays.items()} | {"n_head": H}
    starts = {"cu_seqlens_q": np.cumsum((0, *LENGTHS)), "cu_seqlens_k": np.cumsum((0, *k_lengths))}
    case = read(**arrays, **starts)
    assert case.rank == causal
    read(Request(causal=causal), **arrays, **starts)
    if k_lengths == LENGTHS:
        assert case.wanted.masking.causal == causal
        assert read(**arrays, seqlens=np.array(LENGTHS)).wanted.masking.segments is not None


def test_packed_texts_that_begin_nowhere(generator):
    q = generator.normal(size=(10, H, D))
    with pytest.raises(AttnvizError, match=r"cu_seqlens is \[0, 3, 11\]; expected numbers from"):
        readings(dump_of(q=q, k=q, v=q, out=q, cu_seqlens=np.array([0, 3, 11])))


def test_starts_of_texts_that_are_padded_give_their_lengths(qkv):
    q, k, v = qkv
    seen = np.arange(N) < np.array([N, 3])[:, None, None, None]
    out = attnviz.attend(q, k, v, mask=seen).context
    read(q=q, k=k, v=v, out=out, cu_seqlens=np.array([0, N, N + 3]))


# what is padding


def test_lengths(qkv):
    q, k, v = qkv
    seen = np.arange(N) < np.array([N, 3])[:, None, None, None]
    out = attnviz.attend(q, k, v, mask=seen).context
    case = read(q=q, k=k, v=v, out=out, seq_lens=np.array([N, 3]))
    np.testing.assert_array_equal(case.wanted.masking.keys, seen)


def test_a_cache_that_is_not_full(qkv):
    q, k, v = qkv
    lengths = np.array([5, 4])
    seen = np.arange(N) <= (np.arange(2)[:, None] + lengths[:, None, None, None] - 2)
    out = attnviz.attend(q[:, :, :2], k, v, mask=seen).context
    case = read(q=q[:, :, :2], k=k, v=v, out=out, cache_seqlens=lengths, is_causal=True)
    np.testing.assert_array_equal(case.wanted.masking.offset, lengths - 2)


def test_queries_that_are_padding_may_have_an_output_of_zero(qkv):
    q, k, v = qkv
    padding = np.arange(N) < np.array([N, 3])[:, None]
    out = attnviz.attend(q, k, v, mask=padding[:, None, None]).context
    read(q=q, k=k, v=v, out=out, attention_mask=padding)
    out = np.where(padding[:, None, :, None], out, 0)
    case = read(q=q, k=k, v=v, out=out, attention_mask=padding)
    assert any("see no key" in sentence for sentence in case.reading)
    out[1, 0, 4, 0] = 1e-3
    assert not any(map(is_right, readings(dump_of(q=q, k=k, v=v, out=out, mask=padding))))


def test_a_past_is_put_in_front(qkv, generator):
    q, k, v = qkv
    past = generator.normal(size=(2, B, G, 3, D)).astype(np.float32)
    whole = [np.concatenate([old, new], 2) for old, new in zip(past, (k, v), strict=True)]
    out = attnviz.attend(q, *whole, causal=True).context
    turned = [x.swapaxes(1, 2) for x in qkv]
    for q, k, v in (qkv, turned):
        case = read(q=q, k=k, v=v, out=out, past_key=past[0], past_value=past[1], is_causal=True)
        np.testing.assert_array_equal(case.wanted.k, whole[0])


# positions


def rotated(x, base=10_000.0, style="half", fraction=1.0):
    return rope(x, np.arange(x.shape[2]), base=base, style=style, fraction=fraction)


@pytest.fixture
def even(generator):
    return [generator.normal(size=(B, h, N, 12)).astype(np.float32) for h in (H, G, G)]


def test_queries_before_rope(even):
    q, k, v = even
    out = attnviz.attend(rotated(q), rotated(k), v).context
    case = read(q_pre=q, k_pre=k, v=v, out=out)
    np.testing.assert_array_equal(case.wanted.facts.rotary.q, q)
    turned = {name: x.swapaxes(1, 2) for name, x in {"q_pre": q, "k_pre": k, "v": v}.items()}
    read(**turned, out=out.swapaxes(1, 2), position_ids=np.arange(N))
    out = attnviz.attend(rotated(q, 500.0), rotated(k, 500.0), v).context
    assert not any(map(is_right, readings(dump_of(q_pre=q, k_pre=k, v=v, out=out))))
    assert read(q_pre=q, k_pre=k, v=v, out=out, rope_theta=500).wanted.facts.rotary.base == 500


@pytest.mark.parametrize(
    "how", [{"style": "interleaved"}, {"base": 500_000.0}, {"fraction": 0.5}, {}]
)
def test_the_rotation_is_told_by_its_result(even, how):
    q, k, v = even
    after = {"q": rotated(q, **how), "k": rotated(k, **how)}
    out = attnviz.attend(after["q"], after["k"], v).context
    rotary = read(q_pre=q, k_pre=k, v=v, **after, out=out).wanted.facts.rotary
    assert rotary.style == how.get("style", "half")
    assert rotary.base == how.get("base", 10_000)
    assert (rotary.width or 12) == 12 * how.get("fraction", 1)


def test_a_rotation_that_is_none_is_not_taken_as_wanted(even):
    q, k, v = even
    out = attnviz.attend(q, k, v).context
    cases = readings(dump_of(q_pre=q, k_pre=k, q=q, k=k, v=v, out=out))
    assert not any(map(is_right, cases))
    assert "not what this rotation makes" in "".join(cases[0].reading)


def test_an_odd_width_is_not_rotated(qkv):
    q, k, v = qkv
    with pytest.raises(AttnvizError, match="of d_k = 11, 11 features cannot be rotated in pairs"):
        readings(dump_of(q_pre=q, k_pre=k, v=v, out=q))


def test_slopes_of_alibi(qkv):
    q, k, v = qkv
    slopes = alibi_slopes(H)
    distance = np.abs(np.arange(N)[:, None] - np.arange(N))
    bias = -slopes[:, None, None] * distance
    out = attnviz.attend(q, k, v, bias=bias, causal=True).context
    case = read(q=q, k=k, v=v, out=out, alibi_slopes=slopes, is_causal=True)
    np.testing.assert_allclose(case.wanted.facts.alibi, slopes)
    case = read(q=q, k=k, v=v, out=out, alibi_slopes=slopes, attn_bias=bias, is_causal=True)
    np.testing.assert_allclose(case.wanted.bias[0], bias, rtol=1e-6)


def test_sinks_and_norms(qkv, generator):
    q, k, v = qkv
    sinks = generator.normal(size=H).astype(np.float32)
    out = attnviz.attend(q, k, v, sinks=sinks).context
    case = read(q=q, k=k, v=v, out=out, sinks=sinks, q_pre_norm=2 * q, k_pre_norm=3 * k)
    np.testing.assert_array_equal(case.wanted.facts.normed_from[1], 3 * k)


# what is too large


def test_a_large_dump_is_sampled_and_says_so(qkv, generator, monkeypatch):
    q, k, v = qkv
    mask = generator.random((B, H, N, N)) < 0.7
    mask |= np.eye(N, dtype=bool)
    bias = generator.normal(size=(H, N, N)).astype(np.float32)
    done = attnviz.attend(q, k, v, mask=mask, bias=bias)
    arrays = {"q": q, "k": k, "v": v, "out": done.context, "weights": done.weights, "mask": mask,
              "attn_bias": bias}  # fmt: skip
    monkeypatch.setattr(picked, "MAX_CELLS", 4 * N * N)
    case = read(**arrays)
    assert case.wanted.q.shape == (2, H // G, N, D)
    assert "items 0, 1 of 2 and heads 0, 1 of 6, with all their keys" in case.reading[-1]
    monkeypatch.setattr(picked, "MAX_CELLS", 1)
    assert read(**arrays).wanted.q.shape == (1, H // G, N, D)
    monkeypatch.undo()
    assert read(**arrays).wanted.q.shape == q.shape
