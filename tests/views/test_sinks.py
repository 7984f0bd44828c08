"""What a learned sink takes is a column of its own in every picture."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import attnviz
from attnviz.analysis.cell import explain_cell
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_record
from attnviz.analysis.metrics.pattern import MetricContext
from attnviz.render.formats import csv as csv_format
from attnviz.trace.selection import parse_selection
from attnviz.trace.spans import Zoom, parse_span
from attnviz.views.attention import attention_views, head_heatmap
from attnviz.views.cell import cell_views
from attnviz.views.kinds import WEIGHTS, Heatmap, Table, Text
from attnviz.views.pooling import pool
from attnviz.views.sentences import share_text
from attnviz.views.steps import mask_effect_views, step_views
from tests.conftest import GOLDEN

MODEL = str(GOLDEN / "families" / "gpt_oss")
IDS = [7, 9, 21, 33, 12, 40, 8, 15, 30, 11, 19, 23, 5]
HEAD = 2


@pytest.fixture(scope="module")
def trace():
    stages = ("q", "k", "v", "scores", "logits", "weights", "context")
    return attnviz.run(IDS, model=MODEL, stages=stages)


@pytest.fixture(scope="module")
def taken(trace):
    """What the sink takes of each row, from the logits."""
    record = trace["decoder.1.self"]
    powers = np.exp(record.logits[HEAD].astype(np.float64))
    sink = np.exp(float(record.sinks[HEAD]))
    return sink / (powers.sum(-1) + sink)


def test_a_matrix_of_weights(trace, taken):
    record = trace["decoder.1.self"]
    shown = head_heatmap(trace, record, HEAD, "weights", WEIGHTS)
    assert shown.columns.labels[-1] == "sink"
    assert shown.columns.index(len(IDS)) == ""
    np.testing.assert_array_equal(shown.values[:, :-1], record.weights[HEAD])
    np.testing.assert_allclose(shown.values[:, -1], taken, atol=1e-6)
    assert not shown.masked[:, -1].any()
    logits = head_heatmap(trace, record, HEAD, "logits", WEIGHTS)
    assert (logits.values[:, -1] == record.sinks[HEAD]).all()
    scores = head_heatmap(trace, record, HEAD, "scores", WEIGHTS)
    assert scores.values.shape == (len(IDS), len(IDS))


def test_pooled_it_stays_by_itself(trace, taken):
    shown = head_heatmap(trace, trace["decoder.1.self"], HEAD, "weights", WEIGHTS)
    small = pool(shown, 2, 3)
    assert small.columns.labels == (*shown.columns.labels[0:13:3], "sink")
    assert small.columns.index(4) == "12"
    rows = [slice(start, start + 2) for start in range(0, 13, 2)]
    np.testing.assert_allclose(small.values[:, -1], [taken[r].mean() for r in rows], atol=1e-6)
    np.testing.assert_allclose(small.values.sum(-1), 1, atol=1e-5)
    again = pool(pool(shown, 1, 2), 2, 2)
    np.testing.assert_allclose(again.values.sum(-1), 1, atol=1e-5)


def test_cut_to_some_rows_and_keys(trace, taken):
    zoom = Zoom(parse_span("3,7", "--rows"), parse_span("0-2", "--keys"))
    shown = head_heatmap(trace, trace["decoder.1.self"], HEAD, "weights", WEIGHTS, zoom=zoom)
    assert [shown.columns.index(i) for i in range(4)] == ["0", "1", "2", ""]
    np.testing.assert_allclose(shown.values[:, -1], taken[[3, 7]], atol=1e-6)


def test_one_row(trace, taken):
    zoom = Zoom(parse_span("-1", "--rows"))
    views = attention_views(trace, parse_selection([f"L1.H{HEAD}"]), zoom=zoom)
    listed = next(view for view in views if isinstance(view, Heatmap))
    assert listed.rows.labels[-1] == "sink"
    assert listed.values[-1, 0] == pytest.approx(taken[-1], abs=1e-6)
    said = [line.text for view in views if isinstance(view, Text) for line in view.lines]
    assert any(f"the sink takes {share_text(taken[-1])}" in text for text in said)


@pytest.mark.parametrize("keys", [None, "2-4"])
def test_steps_and_the_mask_s_effect(keys, trace, taken):
    record = trace["decoder.1.self"]
    zoom = Zoom(keys=None if keys is None else parse_span(keys, "--keys"))
    for views in (step_views, mask_effect_views):
        drawn = [v for v in views(trace, record, HEAD, zoom) if isinstance(v, Heatmap)]
        with_sink = [v for v in drawn if v.columns.outside]
        assert len(with_sink) == (2 if views is step_views else 3)
        for view in drawn:
            assert view.values.shape == (len(view.rows), len(view.columns))
        assert any(np.allclose(v.values[:, -1], taken, atol=1e-6) for v in with_sink)


def test_the_mask_s_effect_counts_the_sink(trace):
    record = trace["decoder.1.self"]
    powers = np.exp(record.scores[HEAD].astype(np.float64))
    sink = np.exp(float(record.sinks[HEAD]))
    views = mask_effect_views(trace, record, HEAD)
    without = next(view for view in views if isinstance(view, Heatmap))
    total = powers.sum(-1, keepdims=True) + sink
    np.testing.assert_allclose(without.values[:, :-1], powers / total, atol=1e-6)
    np.testing.assert_allclose(without.values[:, -1:], sink / total, atol=1e-6)


def test_every_number_of_a_cell(trace, taken):
    record = trace["decoder.1.self"]
    cell = explain_cell(record, HEAD, 5, 3)
    assert cell.weight == pytest.approx(cell.row_exp[3] / cell.row_sum, rel=1e-6)
    assert cell.sink_weight == pytest.approx(taken[5], rel=1e-5)
    assert cell.row_exp.sum() + cell.sink_exp == pytest.approx(cell.row_sum)
    *_, row = (view for view in cell_views(trace, record, cell) if isinstance(view, Table))
    assert row.rows[-1] == ("", "sink", cell.sink, cell.sink_exp, cell.sink_weight)
    first = explain_cell(record, 0, 0, 0)  # of which the sink takes almost all
    assert first.row_max == max(first.logit, first.sink)


def test_csv_holds_it(trace, taken):
    views = attention_views(trace, parse_selection([f"L1.H{HEAD}"]))
    rows = list(csv.DictReader(io.StringIO(csv_format.render(views)[0].decode())))
    sinks = [float(row["value"]) for row in rows if row["column_label"] == "sink"]
    np.testing.assert_allclose(sinks, taken, atol=1e-6)


def test_saved_and_loaded(trace, tmp_path):
    for suffix in ("npz", "json"):
        trace.save(tmp_path / f"a.{suffix}")
        found = attnviz.load(tmp_path / f"a.{suffix}")["decoder.1.self"]
        np.testing.assert_array_equal(found.sinks, trace["decoder.1.self"].sinks)
        assert found.head(HEAD).sinks.shape == (1,)


def test_how_much_it_takes_is_measured(trace, taken):
    record = trace["decoder.1.self"]
    context = MetricContext(record.mask, partial=True)
    metrics = [METRICS[name] for name in ("learned_sink", "entropy")]
    measured = measure_record(record, [HEAD], context, metrics)
    assert measured.value["learned_sink"][0] == pytest.approx(taken.mean(), abs=1e-6)
    shares = record.weights[HEAD] / record.weights[HEAD].sum(-1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1))
    expected = -(shares * logs).sum(-1)[1:].mean()  # the first query has no choice
    assert measured.value["entropy"][0] == pytest.approx(expected, rel=1e-5)


def test_a_summary_has_it_too(trace):
    long = attnviz.run(IDS, model=MODEL, memory=1)
    record = long["decoder.1.self"]
    assert record.weights is None
    shown = head_heatmap(long, record, HEAD, "weights", WEIGHTS)
    np.testing.assert_allclose(shown.values.sum(-1), 1, atol=1e-5)
    whole = head_heatmap(trace, trace["decoder.1.self"], HEAD, "weights", WEIGHTS)
    assert shown.columns.labels[-1] == "sink"
    np.testing.assert_allclose(shown.values[:, -1], whole.values[:, -1], atol=1e-5)


def test_heads_without_one_have_no_column():
    trace = attnviz.run("I saw a saw")
    shown = head_heatmap(trace, trace.records[0], 0, "weights", WEIGHTS)
    assert shown.columns.outside == 0
    assert trace.records[0].sinks is None
