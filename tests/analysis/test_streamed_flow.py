"""A flow that is carried through tiles, against whole matrices that are multiplied and pooled."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz import AttnvizError
from attnviz.analysis.flow import even_mix, flow, is_causal, relative, rollout_mix
from attnviz.analysis.streamed_flow import FlowRecorder, Pass, last_place, output_flows
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare

WORDS = " ".join("abcdefg"[i * i % 7] for i in range(23))
MODELS = {
    "encoder": {"layers": 3, "heads": 2},
    "decoder": {"kind": "decoder", "layers": 3, "heads": 4, "kv_heads": 2},
    "window": {"kind": "decoder", "layers": 2, "heads": 2, "mask": "causal+window:size=3"},
    "documents": {"layers": 2, "heads": 2, "mask": "documents:lengths=5,20"},
    "padding": {"layers": 2, "heads": 2, "mask": "padding:lengths=19"},
    "both": {"kind": "encoder-decoder", "layers": 2, "heads": 2},
}


def run(name, layer=None, size=5, rows=()):
    """What streaming gives, and the trace that keeps all matrices."""
    model = attnviz.load_model("random", {"d_model": 8, **MODELS[name]})
    more = {"target": WORDS[:22]} if name == "both" else {}
    prepared = prepare(model, WORDS, **more)
    last = last_place(prepared.plan.sites, layer)
    lengths = {stream: len(tokens) for stream, tokens in prepared.streams.items()}
    recorder = FlowRecorder(lengths, last, size)
    trace = forward(prepared, recorder=recorder, hidden_states=True)
    done = Pass(model.transformer, prepared.inputs, trace.hidden_states)
    exact = output_flows(done, rows, last) if rows else None
    return recorder, exact, attnviz.run(WORDS, model=model, **more)


def pooled(array, row_step, key_step):
    """Cell by cell: the mean over rows of the sum over columns."""
    n_row, n_key = array.shape
    return np.array([
        [array[i : i + row_step, j : j + key_step].sum(1).mean() for j in range(0, n_key, key_step)]
        for i in range(0, n_row, row_step)
    ])  # fmt: skip


@pytest.mark.parametrize("layer", [None, 0])
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_whole_flow_pooled(name, layer):
    recorder, _, trace = run(name, layer)
    streamed = recorder.flows()
    for found, mix in zip(streamed, (rollout_mix, even_mix), strict=True):
        whole = flow(trace.records, mix, layer)
        assert found.outputs == whole.outputs
        assert list(found.shares) == sorted(whole.shares)
        for stream, shares in whole.shares.items():
            expected = pooled(shares, found.steps[found.outputs], found.steps[stream])
            np.testing.assert_allclose(found.shares[stream], expected, atol=1e-6)
    assert recorder.is_causal == is_causal(trace.records)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_in_full(name):
    _, exact, trace = run(name, rows=[2, -1])
    for found, mix in zip(exact, (rollout_mix, even_mix), strict=True):
        whole = flow(trace.records, mix)
        assert found.shares.keys() == whole.shares.keys()
        for stream, shares in whole.shares.items():
            np.testing.assert_allclose(found.shares[stream], shares[[2, -1]], atol=1e-6)


def relative_by_group(heads, even, steps):
    """The share of each group over that of even heads, weighted by its inputs within reach."""
    rows = []
    for row in range(len(next(iter(heads.shares.values())))):
        parts = {}
        for stream, shares in heads.shares.items():
            for start in range(0, shares.shape[1], steps[stream]):
                group = slice(start, start + steps[stream])
                null = even.shares[stream][row, group]
                ratio = shares[row, group].sum() / null.sum() if null.sum() else 0.0
                parts[stream, start] = ratio * (null > 0).sum()
        total = sum(parts.values())
        rows.append({key: part / total for key, part in parts.items()})
    return rows


@pytest.mark.parametrize("name", ["decoder", "window", "both"])
def test_relative_to_even_heads_by_group(name):
    recorder, _, trace = run(name)
    found = recorder.relative()
    heads, even = (flow(trace.records, mix) for mix in (rollout_mix, even_mix))
    rows = relative_by_group(heads, even, found.steps)
    step = found.steps[found.outputs]
    for stream, shares in found.shares.items():
        for (i, j), share in np.ndenumerate(shares):
            members = [row[stream, j * found.steps[stream]] for row in rows[i * step :][:step]]
            assert share == pytest.approx(np.mean(members), abs=1e-6)


def test_groups_of_one_are_the_tokens():
    recorder, _, trace = run("window", size=100)
    heads, even = (flow(trace.records, mix) for mix in (rollout_mix, even_mix))
    expected = relative(heads, even).shares["source"]
    np.testing.assert_allclose(recorder.relative().shares["source"], expected, atol=1e-5)


def test_reach_that_is_no_range_is_not_counted():
    n = 23
    visible = np.tril(np.ones((n, n), bool))
    visible[9, 1:7:2] = False
    model = attnviz.load_model("random", {"d_model": 8, **MODELS["encoder"]})
    prepared = prepare(model, WORDS, mask=visible)
    recorder = FlowRecorder({"source": n}, last_place(prepared.plan.sites), 5)
    forward(prepared, recorder=recorder)
    assert recorder.is_causal
    assert recorder.relative() is None


def test_weights_that_are_no_shares():
    model = attnviz.load_model("random", {"d_model": 8, **MODELS["encoder"]})

    def broken(stack, attention):
        return attention._replace(scale=float("nan"))

    model = model._replace(transformer=model.transformer.change_attention(broken))
    prepared = prepare(model, WORDS)
    recorder = FlowRecorder({"source": 23}, last_place(prepared.plan.sites), 5)
    with pytest.raises(AttnvizError, match=r"encoder.0.self: weights are shares .* row 0"):
        forward(prepared, recorder=recorder)
