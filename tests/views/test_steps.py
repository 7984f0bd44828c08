"""A head stage by stage: each map is its stage, in the order of the formula."""

from __future__ import annotations

import numpy as np

import attnviz
from attnviz.analysis.steps import STAGES
from attnviz.trace.spans import Zoom, parse_span
from attnviz.views.kinds import Heatmap, Table, Text
from attnviz.views.steps import mask_effect_views, step_views
from tests.conftest import GOLDEN

HEAD = 3
GROUPED = "random:heads=4,kv_heads=2,d_model=16"


def maps(views):
    return [view for view in views if isinstance(view, Heatmap)]


def test_every_stage_in_its_place():
    trace = attnviz.run("I saw a saw", model=GROUPED, mask="causal", stages=STAGES)
    record = trace["encoder.0.self"]
    drawn = maps(step_views(trace, record, HEAD))
    d_k = record.q.shape[-1]
    expected = [
        record.q[HEAD], record.k[HEAD // 2], record.v[HEAD // 2],
        record.scores[HEAD] * np.sqrt(d_k), record.scores[HEAD], record.logits[HEAD],
        record.weights[HEAD], record.context[HEAD],
    ]  # fmt: skip
    assert [heatmap.title[0] for heatmap in drawn] == list("12345678")
    for heatmap, values in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(heatmap.values, values, rtol=1e-5, atol=1e-6)
        assert heatmap.title.endswith(str(list(values.shape)))
    assert "key/value head 1" in drawn[1].title
    assert drawn[4].notes == (f"times 0.5 = 1/√{d_k}",)
    assert drawn[6].notes[0].endswith("sum to 1")


def test_terms_of_positions_stand_beside_the_scores():
    """DeBERTa's: the three maps add up to the logits."""
    model = str(GOLDEN / "families" / "deberta-v2")
    trace = attnviz.run([7, 9, 21, 33], model=model, stages=STAGES)
    views = step_views(trace, trace["encoder.0.self"], HEAD)
    drawn = maps(views)
    assert [heatmap.title.split(" · H")[0] for heatmap in drawn[4:8]] == [
        "5 content · content", "5 + content → position", "5 + position → content", "6 logits",
    ]  # fmt: skip
    total = sum(heatmap.values for heatmap in drawn[4:7])
    np.testing.assert_allclose(drawn[7].values, total, atol=1e-5)
    assert len({heatmap.scale for heatmap in drawn[4:8]}) == 1
    (shapes,) = (view for view in views if isinstance(view, Table))
    said = {row[0]: row[1] for row in shapes.rows}
    assert said["logits"] == "scores + content → position + position → content"


def test_the_table_says_every_shape():
    trace = attnviz.run("I saw", model=GROUPED, mask="causal", stages=STAGES)
    record = trace["encoder.0.self"]
    (table,) = (view for view in step_views(trace, record, 0) if isinstance(view, Table))
    shapes = {stage: shape for stage, _, _, shape in table.rows}
    assert shapes == {stage: str(list(record.stage(stage).shape)) for stage in shapes}
    what = {stage: text for stage, text, _, _ in table.rows}
    assert what["logits"] == "scores, masked by causal"


def test_what_a_mask_changes(saw):
    """Without it the row is the softmax of all its scores."""
    record = saw["encoder.0.self"]
    _, text, without, masked, change = mask_effect_views(saw, record, HEAD)
    scores = record.scores[HEAD].astype(float)
    exp = np.exp(scores - scores.max(-1, keepdims=True))
    whole = exp / exp.sum(-1, keepdims=True)
    np.testing.assert_allclose(without.values, whole, rtol=1e-5)
    np.testing.assert_allclose(change.values, record.weights[HEAD] - whole, atol=1e-6)
    np.testing.assert_array_equal(masked.values, record.weights[HEAD])
    assert without.masked is None
    hidden = ~np.tri(len(whole), dtype=bool)
    assert isinstance(text, Text)
    assert f"causal hides {hidden.sum()} of {hidden.size} cells" in text.lines[0].text


def test_what_is_equal_looks_equal():
    """Without a mask the logits are the scores."""
    trace = attnviz.run("I saw a saw", model=GROUPED, stages=STAGES)
    drawn = maps(step_views(trace, trace["encoder.0.self"], HEAD))
    np.testing.assert_array_equal(drawn[4].shades(), drawn[5].shades())
    assert drawn[4].shades().any()


def test_rows_and_keys_of_every_stage():
    trace = attnviz.run(
        "I saw a saw and a man", model=GROUPED, mask="causal", stages=(*STAGES, "bias")
    )
    record = trace["encoder.0.self"]
    zoom = Zoom(parse_span("-2-", "--rows"), parse_span("0,2-4", "--keys"))
    rows, keys = [5, 6], [0, 2, 3, 4]
    *drawn, shown = step_views(trace, record, HEAD, zoom)
    q, k, v, _, scores, _, weights, context = maps(drawn)
    assert np.array_equal(q.values, record.q[HEAD, rows])
    assert np.array_equal(k.values, record.k[HEAD // 2, keys])
    assert np.array_equal(v.values, record.v[HEAD // 2, keys])
    assert np.array_equal(scores.values, record.scores[HEAD][np.ix_(rows, keys)])
    assert np.array_equal(context.values, record.context[HEAD, rows])
    assert [weights.columns.index(i) for i in range(4)] == ["0", "2", "3", "4"]
    assert weights.masked is None
    assert shown.lines[0].text == "shown: queries 5-6 of 0-6; keys 0, 2-4 of 0-6"
    *_, with_mask, _, shown = mask_effect_views(trace, record, HEAD, zoom._replace(rows=None))
    assert np.array_equal(with_mask.values, record.weights[HEAD][:, keys])
    assert np.array_equal(with_mask.masked == 0, record.mask[:, keys])
