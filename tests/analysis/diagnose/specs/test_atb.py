"""ATB's SelfAttention and PagedAttention: their parameters, and what they compute.

The references are loops over texts, heads, queries and keys, in the order of the documents.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.analysis.diagnose.specs import conventions
from attnviz.analysis.diagnose.specs.atb_params import GROUPS, OPERATORS, checked
from attnviz.errors import AttnvizError
from attnviz.trace.dump import read_dump
from tests.analysis.diagnose.dumps import dump_of

SPELLED = {
    "q": "query", "k": "key", "v": "value", "k_cache": "keyCache", "v_cache": "valueCache",
    "lengths": "seqLen", "k_lengths": "contextLens", "token_offset": "tokenOffset",
    "block_tables": "blockTables", "log_n": "logN", "layer_id": "layerId", "context": "attnOut",
    "batch_status": "batchStatus",
}  # fmt: skip

HEADS, KV_HEADS, WIDTH, V_WIDTH = 6, 2, 5, 7
LENGTHS = (7, 3, 11)
PREFILL = {"headNum": HEADS, "kvHeadNum": KV_HEADS, "qkScale": 0.3, "calcType": "PA_ENCODER"}


def read(params, arrays, *, spec="atb", dtypes=None, **request):
    made = conventions(spec, params)
    dump = dump_of({name: x for name, x in arrays.items() if x is not None}, SPELLED, dtypes)
    (case,) = made.read(dump, Request(conventions=made, **request))
    return case


def refusal(params, arrays):
    with pytest.raises(AttnvizError) as error:
        read(params, arrays)
    return error.value.message


def one_text(q, k, v, score_of):
    """softmax over the keys of score_of(q · k, h, i, j): [n_q, n_head, d_v]; -inf hides a key."""
    out = np.zeros((*q.shape[:2], v.shape[2]))
    for i in range(len(q)):
        for h in range(q.shape[1]):
            g = h * k.shape[1] // q.shape[1]
            scores = [score_of(float(q[i, h] @ k[j, g]), h, i, j) for j in range(len(k))]
            powers = [math.exp(score - max(scores)) for score in scores]
            out[i, h] = sum(p * v[j, g] for j, p in enumerate(powers)) / sum(powers)
    return out


def prefill(rng, dtype=np.float64):
    """New tokens of all texts, one after another: the tutorials' [nTokens, headNum, headSize]."""
    n = sum(LENGTHS)
    return {
        "query": rng.standard_normal((n, HEADS, WIDTH)).astype(dtype),
        "key": rng.standard_normal((n, KV_HEADS, WIDTH)).astype(dtype),
        "value": rng.standard_normal((n, KV_HEADS, V_WIDTH)).astype(dtype),
        "seqLen": np.array(LENGTHS, np.int32),
    }


def by_text(arrays, score_of):
    """The texts of a prefill, each alone."""
    ends = np.cumsum(LENGTHS)
    return np.concatenate(
        [
            one_text(*(arrays[x][end - n : end] for x in ("query", "key", "value")), score_of(text))
            for text, (n, end) in enumerate(zip(LENGTHS, ends, strict=True))
        ]
    )


def check(case, wanted):
    """The case computes [n_token, n_head, d_v]; as it does for some rows only."""
    found = compute(case.wanted).context
    np.testing.assert_allclose(found[0].swapaxes(0, 1), wanted, atol=1e-12)
    some = np.array([0, 5, len(wanted) - 1])
    np.testing.assert_allclose(compute(case.wanted.at(some)).context, found[:, :, some], atol=1e-12)


# what is computed


def test_prefill_without_a_mask():
    arrays = prefill(np.random.default_rng(0))
    wanted = by_text(arrays, lambda text: lambda qk, h, i, j: qk * 0.3)
    case = read(PREFILL, {**arrays, "attnOut": wanted})
    check(case, wanted)
    np.testing.assert_array_equal(case.given["context"][0].swapaxes(0, 1), wanted)
    merged = {x: arrays[x].reshape(len(arrays[x]), -1) for x in ("query", "key", "value")}
    check(read(PREFILL, {**arrays, **merged, "attnOut": wanted.reshape(21, -1)}), wanted)


def triangle(fill, n=13):
    return np.triu(np.full((n, n), fill), 1)


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (triangle(-10000.0), "MASK_TYPE_NORM"),
        (triangle(-np.inf), "MASK_TYPE_NORM"),
        (triangle(1.0), "MASK_TYPE_NORM"),
        (np.broadcast_to(triangle(-10000.0), (3, 13, 13)), 1),
        (np.broadcast_to(triangle(1.0), (3, 1, 13, 13)), 1),
        (triangle(1.0, 128), "MASK_TYPE_NORM_COMPRESS"),
        (None, "MASK_TYPE_NORM"),
    ],
)
def test_prefill_with_a_triangle(mask, kind):
    arrays = prefill(np.random.default_rng(1))
    wanted = by_text(
        arrays, lambda text: lambda qk, h, i, j: qk * 0.3 + (-math.inf if j > i else 0)
    )
    case = read({**PREFILL, "maskType": kind}, {**arrays, "mask": mask})
    check(case, wanted)
    assert case.wanted.masking.causal  # so that mistakes of causal masks are tried
    assert case.wanted.masking.custom is None


def test_masks_that_differ_by_text():
    rng = np.random.default_rng(2)
    arrays = prefill(rng)
    mask = np.where(rng.random((3, 11, 11)) < 0.4, -10000.0, 0)
    mask[..., np.arange(11), np.arange(11)] = 0
    hidden = mask < 0
    wanted = by_text(
        arrays, lambda t: lambda qk, h, i, j: qk * 0.3 + (-math.inf if hidden[t, i, j] else 0)
    )
    check(read({**PREFILL, "maskType": 1}, {**arrays, "mask": mask}), wanted)


def test_clamp_comes_after_the_scale_and_before_the_mask():
    arrays = prefill(np.random.default_rng(3))
    params = {**PREFILL, "maskType": 1, "clampType": 1, "clampMin": -0.5, "clampMax": 0.4}
    wanted = by_text(
        arrays,
        lambda t: lambda qk, h, i, j: min(max(qk * 0.3, -0.5), 0.4) + (-math.inf if j > i else 0),
    )
    check(read(params, {**arrays, "mask": triangle(-10000.0)}), wanted)


@pytest.mark.parametrize("kind", ["MASK_TYPE_ALIBI_COMPRESS", "MASK_TYPE_ALIBI_COMPRESS_SQRT"])
def test_slopes(kind):
    arrays = prefill(np.random.default_rng(4))
    slopes = np.array([0.5, 0.25, 0.1, 0.7, 0.3, 0.9])
    root = 0.5 if "SQRT" in kind else 1

    def score(qk, h, i, j):
        return qk * 0.3 - slopes[h] * (i - j) ** root if j <= i else -math.inf

    params = {**PREFILL, "maskType": kind, "kernelType": 1}
    case = read(params, {**arrays, "mask": np.zeros((256, 256)), "slopes": slopes})
    check(case, by_text(arrays, lambda t: score))
    np.testing.assert_array_equal(case.wanted.facts.alibi, slopes)


def test_an_alibi_mask_is_added():
    arrays = prefill(np.random.default_rng(5))
    bias = np.random.default_rng(6).standard_normal((HEADS, 11, 11)) + triangle(-10000.0, 11)
    wanted = by_text(
        arrays, lambda t: lambda qk, h, i, j: qk * 0.3 + bias[h, i, j] if j <= i else -math.inf
    )
    check(read({**PREFILL, "maskType": "MASK_TYPE_ALIBI"}, {**arrays, "mask": bias}), wanted)


def test_a_window_counts_the_own_key():
    arrays = prefill(np.random.default_rng(7))
    wanted = by_text(
        arrays, lambda t: lambda qk, h, i, j: qk * 0.3 if 0 <= i - j < 4 else -math.inf
    )
    params = {**PREFILL, "maskType": "MASK_TYPE_SLIDING_WINDOW_COMPRESS", "windowSize": 4}
    case = read(params, {**arrays, "mask": np.zeros((512, 512))})
    check(case, wanted)
    assert case.wanted.masking.left == 3
    band = triangle(1.0) + np.tril(np.ones((13, 13)), -4)
    params = {**params, "maskType": "MASK_TYPE_SLIDING_WINDOW_NORM"}
    check(read(params, {**arrays, "mask": band}), wanted)


def test_logn_scales_by_place():
    arrays = prefill(np.random.default_rng(8))
    factors = np.random.default_rng(9).uniform(1, 2, 11)
    wanted = by_text(arrays, lambda t: lambda qk, h, i, j: qk * factors[i] * 0.3)
    check(read({**PREFILL, "scaleType": "SCALE_TYPE_LOGN"}, {**arrays, "logN": factors}), wanted)


def test_mla_keeps_values_within_the_keys():
    arrays = prefill(np.random.default_rng(10))
    wanted = by_text(
        {**arrays, "value": arrays["key"][..., :3]}, lambda t: lambda qk, h, i, j: qk * 0.3
    )
    check(read({**PREFILL, "mlaVHeadSize": 3}, {**arrays, "value": None}), wanted)


def test_queries_and_keys_of_other_lengths():
    rng = np.random.default_rng(11)
    arrays = prefill(rng)
    counts = (2, 3, 5)
    arrays["query"] = rng.standard_normal((10, HEADS, WIDTH))
    arrays["seqLen"] = np.array([counts, LENGTHS])
    pieces = []
    for n, end_q, m, end_k in zip(
        counts, np.cumsum(counts), LENGTHS, np.cumsum(LENGTHS), strict=True
    ):
        q, k, v = (
            arrays["query"][end_q - n : end_q],
            arrays["key"][end_k - m : end_k],
            arrays["value"][end_k - m : end_k],
        )
        pieces.append(one_text(q, k, v, lambda qk, h, i, j: qk * 0.3 if j <= i else -math.inf))
    case = read(
        {**PREFILL, "maskType": "MASK_TYPE_NORM_COMPRESS"}, {**arrays, "mask": triangle(1.0)}
    )
    check(case, np.concatenate(pieces))


def with_cache(rng):
    """A step of texts of which some tokens stand in the cache [layer, batch, maxSeqLen, hidden]."""
    counts, totals = (2, 1, 3), (6, 4, 3)
    n = sum(counts)
    return {
        "query": rng.standard_normal((n, HEADS * WIDTH)),
        "key": rng.standard_normal((n, KV_HEADS * WIDTH)),
        "value": rng.standard_normal((n, KV_HEADS * WIDTH)),
        "keyCache": rng.standard_normal((2, 3, 13, KV_HEADS * WIDTH)),
        "valueCache": rng.standard_normal((2, 3, 13, KV_HEADS * WIDTH)),
        "tokenOffset": np.array(totals),
        "seqLen": np.array(counts),
        "layerId": np.array([1]),
        "mask": np.random.default_rng(0).standard_normal((3, 13, 13)),
    }


def cached(arrays, score_of):
    """Each text alone, with the first tokens of its keys from layer 1 of the cache."""
    pieces = []
    ends = np.cumsum(arrays["seqLen"])
    for t, (n, total, end) in enumerate(
        zip(arrays["seqLen"], arrays["tokenOffset"], ends, strict=True)
    ):
        pair = []
        for new, cache in (("key", "keyCache"), ("value", "valueCache")):
            whole = np.concatenate([arrays[cache][1, t, : total - n], arrays[new][end - n : end]])
            pair.append(whole.reshape(total, KV_HEADS, WIDTH))
        q = arrays["query"][end - n : end].reshape(n, HEADS, WIDTH)
        pieces.append(one_text(q, *pair, lambda qk, h, i, j, t=t: score_of(t, qk, i, j)))
    return np.concatenate(pieces)


CACHED = {"headNum": HEADS, "kvHeadNum": KV_HEADS, "qScale": 0.7, "qkScale": 0.4, "maskType": 2}


def test_without_a_calc_type_the_mask_is_scaled():
    arrays = with_cache(np.random.default_rng(12))
    mask = arrays["mask"]
    case = read(CACHED, arrays)
    check(case, cached(arrays, lambda t, qk, i, j: (0.7 * qk + mask[t, i, j]) * 0.4))
    clamp = {"clampType": 1, "clampMin": -0.5, "clampMax": 0.6}
    case = read({**CACHED, **clamp}, arrays)
    check(
        case,
        cached(arrays, lambda t, qk, i, j: (np.clip(0.7 * qk, -0.5, 0.6) + mask[t, i, j]) * 0.4),
    )


def test_the_order_of_the_kernel_can_be_chosen():
    arrays = with_cache(np.random.default_rng(13))
    case = read(CACHED, arrays, spec="atb:order=kernel")
    check(case, cached(arrays, lambda t, qk, i, j: 0.7 * qk * 0.4 + arrays["mask"][t, i, j]))
    assert "((Q·qScale)Kᵀ + mask)·qkScale" in conventions("atb", CACHED).words[0]
    assert "(Q·qScale)Kᵀ·qkScale + mask" in conventions("atb:order=kernel", CACHED).words[0]
    with pytest.raises(AttnvizError, match="unknown order 'kernels'"):
        conventions("atb:order=kernels", CACHED)


def test_bypass_takes_all_keys_from_the_cache():
    arrays = with_cache(np.random.default_rng(14))
    params = {**CACHED, "kvcacheCfg": "K_BYPASS_V_BYPASS", "qScale": 1}
    pieces, ends = [], np.cumsum(arrays["seqLen"])
    for t, (n, total, end) in enumerate(
        zip(arrays["seqLen"], arrays["tokenOffset"], ends, strict=True)
    ):
        k, v = (
            arrays[x][1, t, :total].reshape(total, KV_HEADS, WIDTH)
            for x in ("keyCache", "valueCache")
        )
        q = arrays["query"][end - n : end].reshape(n, HEADS, WIDTH)
        pieces.append(
            one_text(q, k, v, lambda qk, h, i, j, t=t: qk * 0.4 + arrays["mask"][t, i, j])
        )
    check(read(params, arrays), np.concatenate(pieces))


def test_paged_attention_gathers_what_the_contiguous_cache_holds():
    rng = np.random.default_rng(15)
    keys, values = (
        rng.standard_normal((9, 4, KV_HEADS, WIDTH)),
        rng.standard_normal((9, 4, KV_HEADS, V_WIDTH)),
    )
    arrays = {
        "query": rng.standard_normal((2, HEADS, WIDTH)),
        "keyCache": keys,
        "valueCache": values,
        "blockTables": np.array([[7, 2, 5], [1, -1, -1]]),
        "contextLens": np.array([11, 3]),
    }
    params = {
        "operation": "PagedAttention",
        "headNum": HEADS,
        "kvHeadNum": KV_HEADS,
        "qkScale": 0.3,
    }
    case = read(params, arrays)
    whole = keys[[7, 2, 5]].reshape(12, KV_HEADS, WIDTH)[:11]
    np.testing.assert_array_equal(case.wanted.k[0], whole.swapaxes(0, 1))
    found = compute(case.wanted).context
    for text, (blocks, n) in enumerate((([7, 2, 5], 11), ([1], 3))):
        k, v = (x[blocks].reshape(-1, *x.shape[2:])[:n] for x in (keys, values))
        wanted = one_text(arrays["query"][text : text + 1], k, v, lambda qk, h, i, j: qk * 0.3)
        np.testing.assert_allclose(found[text, :, 0], wanted[0], atol=1e-12)
    # block tables say that it is PagedAttention, where nothing else does
    del params["operation"]
    np.testing.assert_array_equal(compute(read(params, arrays).wanted).context, found)
    arrays["mask"] = rng.standard_normal((2, HEADS, 1, 11))
    masked = compute(read({**params, "maskType": 2, "compressType": 0}, arrays).wanted).context
    wanted = one_text(arrays["query"][:1], whole, values[[7, 2, 5]].reshape(12, KV_HEADS, V_WIDTH)[:11],
                      lambda qk, h, i, j: qk * 0.3 + arrays["mask"][0, h, 0, j])  # fmt: skip
    np.testing.assert_allclose(masked[0, :, 0], wanted[0], atol=1e-12)


def test_a_prefix_in_blocks():
    rng = np.random.default_rng(16)
    keys, values = rng.standard_normal((2, 9, 4, KV_HEADS, WIDTH))
    arrays = {
        "query": rng.standard_normal((7, HEADS, WIDTH)), "key": keys, "value": values,
        "blockTables": np.array([[7, 2, 5], [1, 3, -1]]),
        "seqLen": np.array([4, 3]), "contextLens": np.array([11, 5]),
    }  # fmt: skip
    params = {
        **PREFILL,
        "calcType": "PREFIX_ENCODER",
        "maskType": 9,
        "isTriuMask": 1,
        "kernelType": 1,
    }
    pieces = []
    for blocks, rows, past in (([7, 2, 5], slice(0, 4), 7), ([1, 3], slice(4, 7), 2)):
        q = arrays["query"][rows]
        k, v = (x[blocks].reshape(-1, KV_HEADS, WIDTH)[: past + len(q)] for x in (keys, values))

        def score(qk, h, i, j, past=past):
            return qk * 0.3 if j <= i + past else -math.inf

        pieces.append(one_text(q, k, v, score))
    check(read(params, arrays), np.concatenate(pieces))


def test_texts_that_did_not_run_are_left_out():
    arrays = prefill(np.random.default_rng(17))
    params = {**PREFILL, "batchRunStatusEnable": True}
    case = read(params, {**arrays, "batchStatus": np.array([1, 0, 1])})
    kept = np.r_[0:7, 10:21]
    wanted = by_text(arrays, lambda text: lambda qk, h, i, j: qk * 0.3)[kept]
    check(case, wanted)


# what is said


def test_a_scale_left_at_its_default_is_said():
    arrays = prefill(np.random.default_rng(18))
    params = {name: value for name, value in PREFILL.items() if name != "qkScale"}
    case = read(params, arrays)
    assert case.wanted.scale == 1
    said = "qkScale is not given, and 1 by default: nothing divides QKᵀ by √d_k = 2.23607; set it to 1/√d_k = 0.447214 if that is meant"
    assert said in case.reading
    assert not any("default" in each for each in read({**params, "qkScale": 1}, arrays).reading)


@pytest.mark.parametrize(
    ("dtype", "fill", "said"),
    [
        ("float16", 1.0, "mask holds 1 where a key is hidden; in float16 ATB adds the mask as it is: write -10000 or -inf"),
        ("float16", -10000.0, "mask: -10000 or less hides a key"),
        ("bfloat16", 1.0, "mask: 1 hides a key"),
        ("bfloat16", -10000.0, "mask holds large negative numbers where a key is hidden; in bfloat16 ATB multiplies the mask by -3e38: write 1"),
    ],
)  # fmt: skip
def test_the_trap_of_the_mask_is_said(dtype, fill, said):
    arrays = {**prefill(np.random.default_rng(19)), "mask": triangle(fill)}
    case = read({**PREFILL, "maskType": 1}, arrays, dtypes={"q": dtype, "k": dtype})
    assert said in case.reading
    assert case.dtype == dtype
    # mistakes have the mask as it stands, at the places of its texts
    assert case.wanted.facts.mask[0, 0, 0, 1] == fill


def test_qscale_that_is_not_used_is_said():
    case = read({**PREFILL, "qScale": 3}, prefill(np.random.default_rng(20)))
    assert "qScale = 3 is not used with calcType 3 (PA_ENCODER)" in case.reading


# what is refused


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"headSize": 64}, "SelfAttention has no parameter 'headSize'"),
        ({}, "SelfAttention: headNum has to be at least 1; it is 0"),
        ({"headNum": 8, "kvHeadNum": -1}, "SelfAttention: kvHeadNum has to be 0, which means headNum, or more; it is -1"),
        ({"headNum": 8, "kvHeadNum": 3}, "SelfAttention: headNum has to be a multiple of kvHeadNum; it is 8, and kvHeadNum 3"),
        ({"headNum": 8.5}, "SelfAttention: headNum is 8.5; expected a whole number"),
        ({"headNum": 8, "maskType": "MASK_TYPE_CAUSAL"}, 'SelfAttention: maskType is "MASK_TYPE_CAUSAL"; expected one of 0 or MASK_TYPE_UNDEFINED, '),
        ({"headNum": 8, "quantType": 1}, "quantType has to be another one: TYPE_DEQUANT_FUSION is reserved; it is 1 (TYPE_DEQUANT_FUSION)"),
        ({"headNum": 8, "isTriuMask": 1}, "with no mask (maskType), isTriuMask has to be 0; it is 1"),
        ({"headNum": 8, "maskType": 4}, "with an ALIBI_COMPRESS mask, calcType has to be 3 (PA_ENCODER) or 4 (PREFIX_ENCODER); it is 0 (UNDEFINED)"),
        ({"headNum": 8, "calcType": 3, "kvcacheCfg": 1}, "with calcType PA_ENCODER, kvcacheCfg has to be 0 (K_CACHE_V_CACHE); it is 1 (K_BYPASS_V_BYPASS)"),
        ({"headNum": 8, "windowSize": 4}, "with windowSize above 0, maskType has to be 7 (MASK_TYPE_SLIDING_WINDOW_NORM) or 8"),
        ({"headNum": 8, "maskType": 7}, "windowSize has to be above 0 where maskType is one of SLIDING_WINDOW; it is 0"),
        ({"headNum": 8, "cacheType": 1}, "with windowSize 0, cacheType has to be 0 (CACHE_TYPE_NORM); it is 1 (CACHE_TYPE_SWA)"),
        ({"headNum": 8, "maskType": 8, "windowSize": 4, "calcType": 2}, "with maskType SLIDING_WINDOW_COMPRESS, calcType has to be 0"),
        ({"headNum": 8, "maskType": 7, "windowSize": 4, "clampType": 1}, "with windowSize above 0, clampType has to be 0"),
        ({"headNum": 8, "clampType": 1, "clampMin": 2}, "clampMin has to be at most clampMax; it is 2, and clampMax 0"),
        ({"headNum": 8, "mlaVHeadSize": 600, "calcType": 3}, "mlaVHeadSize has to be from 0 to 576; it is 600"),
        ({"headNum": 8, "mlaVHeadSize": 512}, "with mlaVHeadSize above 0, calcType has to be 3 (PA_ENCODER); it is 0 (UNDEFINED)"),
        ({"headNum": 8, "inputLayout": 1}, "with inputLayout TYPE_BNSD without PA_ENCODER, kvcacheCfg has to be 1"),
        ({"headNum": 8, "inputLayout": 1, "calcType": 3, "maskType": 1}, "with inputLayout TYPE_BNSD and calcType PA_ENCODER, maskType has to be 0"),
        ({"headNum": 8, "inputLayout": 1, "calcType": 3, "scaleType": 1}, "with inputLayout TYPE_BNSD, scaleType has to be 0"),
        ({"headNum": 8, "calcType": 4, "maskType": 9}, "with calcType PREFIX_ENCODER, isTriuMask has to be 1; it is 0"),
        ({"headNum": 8, "calcType": 4, "qScale": 2}, "with calcType PREFIX_ENCODER, qScale has to be 1; it is 2"),
        ({"headNum": 8, "kernelType": 2}, "with kernelType KERNELTYPE_EXP_M8V2, calcType has to be 3"),
        ({"headNum": 8, "quantType": 2, "calcType": 3}, "with int8 q, k and v (quantType), outDataType has to be 1 (ACL_FLOAT16) or 27 (ACL_BF16); it is -1 (ACL_DT_UNDEFINED)"),
        ({"headNum": 8, "rsv": [0, 1]}, "rsv is [0, 1]; expected zeros"),
        ({"operation": "PagedAttention", "headNum": 8, "calcType": "PA_ENCODER"}, 'PagedAttention: calcType is "PA_ENCODER"; expected one of 0 or CALC_TYPE_UNDEFINED, 1 or CALC_TYPE_SPEC'),
        ({"operation": "PagedAttention", "headNum": 8, "windowSize": 4}, "PagedAttention has no parameter 'windowSize'"),
        ({"headNum": 8, "compressType": 2, "maskType": 1}, "PagedAttention: with compressType COMPRESS_TYPE_KVHEAD_ROPE, maskType has to be 0 (UNDEFINED); it is 1 (MASK_TYPE_NORM)"),
        ({"operation": "PagedAttention", "headNum": 8, "mlaVHeadSize": 512}, "with mlaVHeadSize above 0, kvHeadNum has to be 1; it is 0"),
        ({"operation": "PagedAttention", "headNum": 8, "scaleType": 1, "calcType": 1}, "with scaleType SCALE_TYPE_LOGN, calcType has to be 0"),
        ({"operation": "SelfAttn", "headNum": 8}, "atb: unknown operation 'SelfAttn'"),
    ],
)  # fmt: skip
def test_parameters_that_atb_refuses(params, message):
    with pytest.raises(AttnvizError) as error:
        conventions("atb", params or {"headNum": 0})
    assert message in error.value.message


@pytest.mark.parametrize("operator", OPERATORS)
def test_demands_speak_of_values_that_there_are(operator):
    for group in GROUPS[operator]:
        for field, allowed in group.allowed.items():
            kind = OPERATORS[operator][field].kind
            known = allowed if isinstance(kind, type) else set(kind.values())
            assert set(allowed) <= set(known), (group.name, field)
        assert checked(operator, {"headNum": 8})[field] is not None


@pytest.mark.parametrize(
    "params",
    [
        {"op_name": "SelfAttentionOperation", "op_param": PREFILL},
        {"SelfAttentionParam": PREFILL},
        {"operation": "SelfAttention", **PREFILL},
        {**PREFILL, "calcType": "SelfAttentionParam::PA_ENCODER", "outDataType": "ACL_DT_UNDEFINED"},
    ],
)  # fmt: skip
def test_parameters_may_stand_in_what_calls_the_operator(params):
    assert conventions("atb", params).words == conventions("atb", PREFILL).words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seqLen": None}, "needs seqLen [batch] or [2, batch]; there are query, key, value"),
        ({"seqLen": np.array([7, 3])}, "seqLen is [7, 3], which are 10 queries; there are 21"),
        ({"query": np.zeros((21, 4, WIDTH))}, "headNum is 6, but query has 4 heads"),
        ({"key": np.zeros((21, 3, WIDTH))}, "kvHeadNum is 2, but key has 3 heads"),
        ({"query": np.zeros((21, HEADS, 257)), "key": np.zeros((21, 2, 257))}, "query has heads of the width 257; headSize has to be at most 256"),
        ({"query": np.zeros((21, 31))}, "query has the shape [21, 31]; expected [nTokens, 6, headSize]"),
        ({"mask": np.zeros((4, 4))}, "mask has the shape [4, 4]; text 0 has 7 queries and 7 keys"),
        ({"mask": np.zeros((2, 11, 11))}, "mask has the shape [2, 11, 11]; text 2 has 11 queries and 11 keys"),
        ({"attnOut": np.zeros((20, HEADS, 5))}, "attnOut has the shape [20, 6, 5]; expected [21, 6, d_v]"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_named(change, message):
    arrays = {**prefill(np.random.default_rng(21)), "mask": triangle(1.0), **change}
    assert message in refusal({**PREFILL, "maskType": 1}, arrays)


def test_what_is_not_computed_is_said():
    arrays = prefill(np.random.default_rng(22))
    params = {**PREFILL, "quantType": 2, "outDataType": 1}
    assert "quantType 2 (TYPE_QUANT_QKV_OFFLINE) is not computed here" in refusal(params, arrays)
    assert "--spec atb needs the parameters of the operator" in refusal({}, arrays)
    arrays = with_cache(np.random.default_rng(23))
    found = refusal(CACHED, {**arrays, "tokenOffset": np.array([1, 4, 3])})
    assert "tokenOffset is [1, 4, 3] and seqLen [2, 1, 3]" in found
    short = {**arrays, "keyCache": arrays["keyCache"][:, :, :3]}
    assert "keyCache has 3 places; text 0 has 4 tokens" in refusal(CACHED, short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": np.zeros((6, 8))}, "value has 2 heads of the width 4, and the cache 2 of 5"),
        ({"key": np.zeros((1, 10))}, "key has 1 tokens, and query 6"),
        ({"mask": np.zeros(507)}, "mask has the shape [507]; text 0 has 2 queries and 6 keys"),
        ({"query": np.zeros((6, 24))}, "SelfAttention of ATB: a head of the queries has the width 4, and one of the keys 5"),
        ({"layerId": np.array([2])}, "keyCache has the shape [2, 3, 13, 10]; expected [layer, batch, maxSeqLen, hiddenSize] with layer 2 and text 0"),
    ],
)  # fmt: skip
def test_a_cache_that_does_not_fit_is_named(change, message):
    arrays = {**with_cache(np.random.default_rng(24)), **change}
    assert message in refusal({**CACHED, "maskType": 1}, arrays)


def test_inputs_are_found_in_a_file_by_atbs_names(tmp_path):
    arrays = {**with_cache(np.random.default_rng(25)), "logN": np.ones(13)}
    np.savez(tmp_path / "dump.npz", **arrays, attnOut=np.zeros((6, HEADS * WIDTH)))
    made = conventions("atb", {**CACHED, "scaleType": 1, "batchRunStatusEnable": False})
    (case,) = readings(read_dump([tmp_path / "dump.npz"]), Request(conventions=made))
    check(case, compute(read({**CACHED, "scaleType": 1}, arrays).wanted).context[0].swapaxes(0, 1))


def test_what_is_too_large_is_looked_at_in_part(monkeypatch):
    """Evenly spaced texts, and heads with their keys' heads; the report says so."""
    arrays = prefill(np.random.default_rng(26))
    bias = np.random.default_rng(27).standard_normal((HEADS, 11, 11))
    wanted = by_text(arrays, lambda text: lambda qk, h, i, j: qk * 0.3 + bias[h, i, j])
    arrays = {**arrays, "mask": bias, "attnOut": wanted}
    monkeypatch.setattr("attnviz.analysis.diagnose.reading.texts.MAX_CELLS", 18 * 18 * 3)
    case = read({**PREFILL, "maskType": "MASK_TYPE_ALIBI"}, arrays)
    assert "too large to be looked at whole: 2 of 3 texts and 3 of 6 heads" in case.reading
    assert case.wanted.q.shape == (1, 3, 18, WIDTH)
    np.testing.assert_allclose(compute(case.wanted).context, case.given["context"], atol=1e-12)
    kept = wanted[np.r_[0:7, 10:21]][:, :3]
    np.testing.assert_array_equal(case.given["context"][0].swapaxes(0, 1), kept)
