"""A cache in blocks: gathered, it is attention like any other."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.specs import conventions
from attnviz.errors import AttnvizError
from tests.analysis.diagnose.dumps import dump_of

SPELLED = {
    "q": "query", "k_cache": "key_cache", "v_cache": "value_cache", "k_lengths": "context_lens",
    "cu_q": "query_start_loc", "context": "out",
}  # fmt: skip

HEADS, KV_HEADS, WIDTH, V_WIDTH, SIZE = 6, 2, 5, 7, 3
LENGTHS = (11, 4, 8)


def contiguous(rng):
    """The keys and values of each text."""
    return [
        (rng.standard_normal((n, KV_HEADS, WIDTH)), rng.standard_normal((n, KV_HEADS, V_WIDTH)))
        for n in LENGTHS
    ]


def in_blocks(rng, texts):
    """The same in a cache whose blocks are shuffled, with noise where no token stands."""
    counts = [-(-n // SIZE) for n in LENGTHS]
    order = rng.permutation(sum(counts) + 2)
    keys = rng.standard_normal((len(order), SIZE, KV_HEADS, WIDTH))
    values = rng.standard_normal((len(order), SIZE, KV_HEADS, V_WIDTH))
    tables = np.full((len(LENGTHS), max(counts) + 1), -1)
    taken = 0
    for text, (count, (k, v)) in enumerate(zip(counts, texts, strict=True)):
        tables[text, :count] = order[taken : taken + count]
        taken += count
        for i in range(len(k)):
            keys[tables[text, i // SIZE], i % SIZE] = k[i]
            values[tables[text, i // SIZE], i % SIZE] = v[i]
    return {
        "key_cache": keys,
        "value_cache": values,
        "block_tables": tables.astype(np.int32),
        "context_lens": np.array(LENGTHS, np.int32),
    }


def attention(q, k, v, scale, window=None):
    """One text [n, head, d], in loops: the last query stands at the last key."""
    out = np.zeros((len(q), HEADS, V_WIDTH))
    for i in range(len(q)):
        for h in range(HEADS):
            g = h // (HEADS // KV_HEADS)
            at = i + len(k) - len(q)
            first = 0 if window is None else max(0, at - window + 1)
            powers = np.exp([scale * q[i, h] @ k[j, g] for j in range(first, at + 1)])
            out[i, h] = (powers / powers.sum()) @ v[first : at + 1, g]
    return out


def read(arrays, params=None):
    made = conventions("vllm", params)
    (case,) = made.read(dump_of(arrays, SPELLED), Request(conventions=made))
    return case


def test_one_new_token_each():
    rng = np.random.default_rng(0)
    texts = contiguous(rng)
    query = rng.standard_normal((3, HEADS, WIDTH))
    case = read({"query": query, **in_blocks(rng, texts)})
    found = compute(case.wanted).context
    for text, (k, v) in enumerate(texts):
        # exactly the keys and values of the contiguous cache
        np.testing.assert_array_equal(case.wanted.k[text, :, : len(k)], k.swapaxes(0, 1))
        np.testing.assert_array_equal(case.wanted.v[text, :, : len(v)], v.swapaxes(0, 1))
        wanted = attention(query[text : text + 1], k, v, WIDTH**-0.5)
        np.testing.assert_allclose(found[text, :, 0], wanted[0], atol=1e-12)
    assert case.wanted.facts.paged is not None


@pytest.mark.parametrize("window", [None, 4])
def test_texts_with_different_numbers_of_queries(window):
    rng = np.random.default_rng(1)
    texts, counts = contiguous(rng), (5, 1, 8)
    query = rng.standard_normal((14, HEADS, WIDTH))
    starts = np.array([0, 5, 6, 14])
    wanted = np.concatenate(
        [
            attention(query[start : start + n], k, v, 0.3, window)
            for start, n, (k, v) in zip(starts, counts, texts, strict=False)
        ]
    )
    arrays = {"query": query, **in_blocks(rng, texts), "query_start_loc": starts, "out": wanted}
    case = read(arrays, {"scale": 0.3, "sliding_window": window})
    found = compute(case.wanted).context
    np.testing.assert_allclose(found, case.given["context"], atol=1e-12)
    np.testing.assert_allclose(found[0].swapaxes(0, 1), wanted, atol=1e-12)
    some = np.array([2, 7, 13])
    np.testing.assert_array_equal(compute(case.wanted.at(some)).context, found[:, :, some])


def test_other_layouts_of_the_cache():
    rng = np.random.default_rng(2)
    arrays = {"query": rng.standard_normal((3, HEADS, 8)), **in_blocks(rng, contiguous(rng))}
    keys = rng.standard_normal((12, SIZE, KV_HEADS, 8))
    values = rng.standard_normal((12, SIZE, KV_HEADS, 8))
    plain = read({**arrays, "key_cache": keys, "value_cache": values})
    heads_first = {"key_cache": keys.swapaxes(1, 2), "value_cache": values.swapaxes(1, 2)}
    split = {
        "key_cache": keys.reshape(12, SIZE, KV_HEADS, 2, 4).transpose(0, 2, 3, 1, 4),
        "value_cache": values.transpose(0, 2, 3, 1),
    }
    for other in (heads_first, split):
        found = read({**arrays, **other}, {"block_size": SIZE})
        np.testing.assert_array_equal(found.wanted.k, plain.wanted.k)
        np.testing.assert_array_equal(found.wanted.v, plain.wanted.v)
    del arrays["key_cache"], arrays["value_cache"]
    for axis in (0, 1):
        found = read({**arrays, "kv_cache": np.stack([keys, values], axis)})
        np.testing.assert_array_equal(found.wanted.v, plain.wanted.v)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_tables": None}, r"needs block_tables \[n_batch, max_blocks\]; there are query, "),
        ({"block_tables": np.full((3, 5), -1)}, "block_tables of text 0 has -1 at 0; the cache has the blocks 0 to 10, and the text's 11 tokens take 4"),
        ({"block_tables": np.full((3, 5), 11)}, "block_tables of text 0 has 11 at 0"),
        ({"block_tables": np.zeros((3, 2), int)}, "block_tables of text 0 has 2 blocks of 3; the text has 11 tokens"),
        ({"block_tables": np.full((3, 5), 0.5)}, "block_tables holds float64; expected whole numbers"),
        ({"context_lens": np.array([11, 4])}, r"block_tables has the shape \[3, 5\] and context_lens \[2\]"),
        ({"context_lens": np.array([11, -4, 8])}, r"context_lens is \[11, -4, 8\]; expected numbers of tokens"),
        ({"context_lens": np.array([0, 0, 0])}, "gives every text 0 tokens"),
        ({"query": np.zeros((4, HEADS, WIDTH))}, "4 queries are not as many for each of 3 texts"),
        ({"query": np.zeros((36, HEADS, WIDTH))}, "says that text 0 has 11 tokens; it has 12 queries"),
        ({"query": np.zeros((3, HEADS, 4))}, r"key_cache and value_cache have the shapes \[11, 3, 2, 5\] and \[11, 3, 2, 7\]"),
        ({"query": np.zeros((3, 30))}, r"query has the shape \[3, 30\]; expected \[n_token, n_head, d\]"),
        ({"out": np.zeros((2, HEADS, V_WIDTH))}, r"out has the shape \[2, 6, 7\]; expected \[3, 6, d_v\]"),
        ({"query_start_loc": np.array([0, 2, 1, 3])}, r"begin at \[0, 2, 1, 3\]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(change, message):
    rng = np.random.default_rng(3)
    arrays = {"query": np.zeros((3, HEADS, WIDTH)), **in_blocks(rng, contiguous(rng)), **change}
    with pytest.raises(AttnvizError, match=message):
        read({name: x for name, x in arrays.items() if x is not None})
