"""Multi-head attention as a loop over heads, queries and keys."""

from __future__ import annotations

from itertools import count
from math import exp, sqrt

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.gate import Gate
from attnviz.nn.linear import Linear
from attnviz.nn.masks import parse
from attnviz.nn.multi_head import MultiHeadAttention, RecordNothing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.stages import CollectStages

D_MODEL, N_HEAD, N_KV_HEAD, D_K, D_V, N = 11, 6, 3, 5, 7, 13
D_MEMORY, N_MEMORY = 17, 19


class Recorder:
    """Keeps all stages of all attentions."""

    def __init__(self):
        self.kept = {}

    def open(self, site):
        self.site = site
        return self.kept.setdefault(site.id, CollectStages())


@pytest.fixture
def attention(generator):
    """Grouped heads, with biases everywhere."""

    def linear(d_out, d_in):
        return Linear(generator.normal(size=(d_out, d_in)), generator.normal(size=d_out))

    def make(d_keys=D_MODEL, **fields):
        return MultiHeadAttention(
            linear(N_HEAD * D_K, D_MODEL),
            linear(N_KV_HEAD * D_K, d_keys),
            linear(N_KV_HEAD * D_V, d_keys),
            linear(D_MODEL, N_HEAD * D_V),
            N_HEAD,
            N_KV_HEAD,
            **fields,
        )

    return make


def context(x, memory=None, recorder=None, first=0, cache=None):
    stream = Stream("source", x, np.arange(first, first + len(x)))
    if memory is not None:
        memory = Stream("memory", memory, np.arange(len(memory)))
    recorder = recorder or RecordNothing()
    return SublayerContext("encoder", 2, stream, memory, recorder, Scratch(), cache)


def loops(attention, x, keys, visible, bias=None):
    """Vaswani et al. 2017, section 3.2.2, one number after another."""

    def project(linear, row):
        return [sum(w * v for w, v in zip(weights, row, strict=True)) + b
                for weights, b in zip(linear.weight, linear.bias, strict=True)]  # fmt: skip

    q = [project(attention.query, row) for row in x]
    k, v = ([project(linear, row) for row in keys] for linear in (attention.key, attention.value))
    merged = []
    for i in range(len(x)):
        row = []
        for head in range(N_HEAD):
            shared = head // (N_HEAD // N_KV_HEAD)
            mine = q[i][head * D_K : (head + 1) * D_K]
            score = {}
            for j in range(len(keys)):
                if visible(i, j):
                    theirs = k[j][shared * D_K : (shared + 1) * D_K]
                    score[j] = sum(a * b for a, b in zip(mine, theirs, strict=True)) / sqrt(D_K)
                    score[j] += 0 if bias is None else bias[head, i, j]
            total = sum(exp(s) for s in score.values())
            row += [sum(exp(s) / total * v[j][shared * D_V + d] for j, s in score.items())
                    for d in range(D_V)]  # fmt: skip
        merged.append(row)
    return [project(attention.output, row) for row in merged]


def test_self_attention_with_a_mask_and_a_bias(attention, generator):
    x, bias = generator.normal(size=(N, D_MODEL)), generator.normal(size=(N_HEAD, N, N))
    causal = attention(mask=parse("causal"), bias=lambda q_pos, k_pos: bias)
    expected = loops(causal, x, x, lambda i, j: j <= i, bias)
    np.testing.assert_allclose(causal(x, context(x)), expected, rtol=1e-9)


def test_cross_attention_reads_keys_and_values_of_the_memory(attention, generator):
    x = generator.normal(size=(N, D_MODEL))
    memory = generator.normal(size=(N_MEMORY, D_MEMORY))
    cross = attention(d_keys=D_MEMORY, kind="cross")
    expected = loops(cross, x, memory, lambda i, j: True)
    np.testing.assert_allclose(cross(x, context(x, memory)), expected, rtol=1e-9)
    with pytest.raises(AttnvizError, match="needs an encoder's output"):
        cross(x, context(x))


def test_queries_and_keys_are_normed_then_rotated_and_values_are_not(attention, generator):
    """The parts leave marks: a norm doubles, a rotation adds 1."""
    x = generator.normal(size=(N, D_MODEL))
    plain, marked = Recorder(), Recorder()
    part = attention()
    part(x, context(x, recorder=plain))
    doubled = part._replace(
        query_norm=lambda heads: 2 * heads,
        key_norm=lambda heads: 3 * heads,
        rotary=lambda heads, positions: heads + positions[:, None],
    )
    doubled(x, context(x, recorder=marked, first=4))
    (before,), (after,) = plain.kept.values(), marked.kept.values()
    places = np.arange(4, 4 + N)[:, None]
    np.testing.assert_allclose(after.stages["q"], 2 * before.stages["q"] + places)
    np.testing.assert_allclose(after.stages["k"], 3 * before.stages["k"] + places)
    np.testing.assert_array_equal(after.stages["v"], before.stages["v"])
    assert before.stages["k"].shape == (N_KV_HEAD, N, D_K)


def test_a_gate_changes_the_context_before_the_output(attention, generator):
    x = generator.normal(size=(N, D_MODEL))
    keep = np.array([1.0, 0, 1, 0, 1, 0])
    part = attention()
    gated = part._replace(gate=Gate(keep, None))
    weight = np.asarray(part.output.weight).copy()
    weight[:, np.repeat(keep, D_V) == 0] = 0
    cut = part._replace(output=Linear(weight, part.output.bias))
    np.testing.assert_allclose(gated(x, context(x)), cut(x, context(x)), rtol=1e-12)


def test_a_cache_is_asked_once_for_the_memory_and_extended_by_what_is_new(attention, generator):
    x = generator.normal(size=(N, D_MODEL))
    causal = attention(mask=parse("causal+window:size=3"))
    whole = causal(x, context(x))
    cache, start = ContiguousCache(), count()
    parts = [causal(x[i : i + 1], context(x[i : i + 1], first=next(start), cache=cache))
             for i in range(N)]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9)
    cross = attention(d_keys=D_MEMORY, kind="cross")
    memory = generator.normal(size=(N_MEMORY, D_MEMORY))
    cached = ContiguousCache()
    first = cross(x, context(x, memory, cache=cached))
    again = cross(x, context(x, memory * np.nan, cache=cached))
    np.testing.assert_array_equal(first, again)


def test_its_site_says_how_it_computes(attention, generator):
    recorder, x = Recorder(), generator.normal(size=(N, D_MODEL))
    part = attention(mask=parse("causal"), scale=0.3, softcap=2.0, sinks=np.zeros(N_HEAD))
    part(x, context(x, recorder=recorder))
    site = recorder.site
    assert (site.id, site.queries, site.keys) == ("encoder.2.self", "source", "source")
    assert (site.n_head, site.n_kv_head, site.mask) == (N_HEAD, N_KV_HEAD, ("causal",))
    assert (site.scale, site.softcap, site.sinks) == (0.3, 2.0, True)


def test_which_rule_hides_a_cell_is_kept_where_there_are_several(attention, generator):
    x = generator.normal(size=(N, D_MODEL))
    for mask, several in (("causal", False), ("causal+window:size=3", True)):
        recorder = Recorder()
        attention(mask=parse(mask))(x, context(x, recorder=recorder))
        (kept,) = recorder.kept.values()
        assert ("masked_by" in kept.stages) == several
