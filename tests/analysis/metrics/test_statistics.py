"""What is measured of streamed attention against what is measured of the same weights, kept."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import attnviz
from attnviz.analysis.checks import findings
from attnviz.analysis.informative import information_of_heads
from attnviz.analysis.looks import head_looks
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.statistics import head_statistics
from attnviz.analysis.metrics.values import output_weights
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.nn.streaming import TileSize, streamed_attention
from attnviz.trace.selection import Head, Selection, parse_selection
from attnviz.trace.summary import SummaryPlan

TEXT = "the cat , the dog and the bird saw a cat . " * 3 + "cat"
N = 37
"""Its tokens."""

SIZES = "layers=1,heads=6,kv_heads=3,d_model=24,dtype=float64"


def streamed(model, text, select=None, outputs=None, metrics=None, mask=None):
    def plan(streams):
        return SummaryPlan(7, statistics=head_statistics(streams, outputs, metrics))

    return forward(prepare(model, text, mask=mask, select=select, memory=0, summaries=plan))


@pytest.mark.parametrize(
    "options",
    [
        "",
        "mask=causal",
        "mask=causal+window:size=5",
        "mask=window:size=4",
        "mask=causal+band:left=3",
        "mask=prefix:length=5",
        "mask=documents:lengths=11,13,13",
        "mask=causal+padding:lengths=29",
        "kind=decoder,positions=alibi",
        "kind=encoder-decoder",
    ],
)
def test_tiles_measure_what_matrices_do(options, monkeypatch):
    small = functools.partial(streamed_attention, tile=TileSize(5 * N, 1))
    monkeypatch.setattr("attnviz.nn.multi_head.streamed_attention", small)
    model = attnviz.load_model(f"random:{SIZES}" + (f",{options}" if options else ""))
    outputs = output_weights(model.transformer)
    kept = attnviz.run(TEXT, model=model, stages=("weights", "v"), fingerprint=False)
    summarised = streamed(model, TEXT, outputs=outputs)
    assert all(record.weights is None for record in summarised)
    expected = measure_heads(kept, outputs=outputs)
    found = measure_heads(summarised)
    for kind in ("value", "null", "rows", "positions"):
        assert getattr(expected, kind).keys() == getattr(found, kind).keys()
        for name, values in getattr(expected, kind).items():
            np.testing.assert_allclose(
                getattr(found, kind)[name], values, rtol=1e-9, atol=1e-12, err_msg=f"{kind} {name}"
            )
    both = (
        [h[2:] for h in information_of_heads(trace, Selection())] for trace in (kept, summarised)
    )
    np.testing.assert_allclose(*both, rtol=1e-9, atol=1e-12)
    assert findings(summarised) == findings(kept)
    heads = [Head(record.id, head) for record in kept for head in range(record.n_head)]
    pairs = zip(*(head_looks(trace, heads).values() for trace in (summarised, kept)), strict=True)
    assert all(found.pattern == expected.pattern for found, expected in pairs)


def test_findings_of_streamed_attention():
    """Queries that see nothing; of sinks, what is known of keys."""
    model = attnviz.load_model(f"random:{SIZES}")
    visible = np.ones((N, N), bool)
    visible[[3, 11]] = False
    kept = attnviz.run(TEXT, model=model, mask=visible, fingerprint=False)
    summarised = streamed(model, TEXT, mask=visible)
    assert findings(summarised) == findings(kept)
    assert "see no key, so their weights are zero: 3, 11" in findings(kept)[0].text
    weights = kept["encoder.0.self"].weights
    named = summarised["encoder.0.self"].summary.statistics
    np.testing.assert_allclose(named["received"], weights.mean(1), atol=1e-7)
    even = np.tile(visible.sum(0) / N / N, (6, 1))
    np.testing.assert_allclose(named["even_received"], even, atol=1e-7)


def test_selected_heads_and_metrics_alone_are_measured():
    model = attnviz.load_model(f"random:{SIZES}")
    some = parse_selection(["L0.H1,H4"])
    found = measure_heads(
        streamed(model, TEXT, some, metrics=["entropy"]), some, metrics=["entropy"]
    )
    kept = measure_heads(attnviz.run(TEXT, model=model, fingerprint=False), some)
    assert list(found.value) == ["entropy"]
    assert found.heads.tolist() == [1, 4]
    np.testing.assert_allclose(found.value["entropy"], kept.value["entropy"], rtol=1e-9)
    with pytest.raises(attnviz.AttnvizError, match="induction was not measured"):
        measure_heads(streamed(model, TEXT, metrics=["entropy"]), metrics=["induction"])
