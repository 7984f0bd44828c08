"""What is drawn of a head: the same cells, however they were kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.nn.tile_readers import Block
from attnviz.trace.spans import Zoom, parse_span
from attnviz.trace.summary import SummaryPlan
from attnviz.views.attention import WEIGHTS, head_heatmap, stage_scale
from attnviz.views.kinds import Scale
from attnviz.views.matrices import matrix_of, zoom_notes
from attnviz.views.pooling import pool

TEXT = " ".join("abcdefg"[i % 7] for i in range(53))


def zoom(rows=None, keys=None):
    return Zoom(*(None if t is None else parse_span(t, o) for t, o in
                  ((rows, "--rows"), (keys, "--keys"))))  # fmt: skip


@pytest.fixture(scope="module")
def traces():
    """Of the same run, whole and summarised: two rules of masks, 3 heads."""
    model = attnviz.load_model("random:layers=2,heads=3,d_model=12,mask=causal+window:size=11")
    part = zoom("7-12,-1", "^20-")
    plan = SummaryPlan(
        map_size=8, block=lambda site: part.block(streams["source"], streams["source"])
    )
    whole = attnviz.run(TEXT, model=model)
    streams = whole.streams
    return whole, forward(prepare(model, TEXT, memory=1, summaries=lambda _: plan))


def test_a_map_is_the_pooled_matrix(traces):
    for number, (dense, summarised) in enumerate(zip(*traces, strict=True)):
        step = summarised.summary.row_step
        expected = pool(head_heatmap(traces[0], dense, number, "weights", WEIGHTS), step, step)
        found = head_heatmap(traces[1], summarised, number, "weights", WEIGHTS)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
        assert found.notes == expected.notes
        np.testing.assert_array_equal(found.masked != 0, expected.masked != 0)
        assert found.rows == replace(expected.rows, special=frozenset(), spans=())
        further = pool(found, 3, 2)
        again = pool(head_heatmap(traces[0], dense, number, "weights", WEIGHTS), 3 * step, 2 * step)
        np.testing.assert_allclose(further.values, again.values, atol=1e-6)
        assert further.notes == again.notes
        np.testing.assert_array_equal(further.masked != 0, again.masked != 0)
        assert further.rows.index(len(further.rows) - 1) == again.rows.index(len(again.rows) - 1)


@pytest.mark.parametrize("rows", ["7-12", "8,-1", "-1", "7-12,-1"])
def test_cells_that_are_zoomed_into_are_those_of_the_whole(traces, rows):
    part = zoom(rows, "^20-")
    for dense, summarised in zip(*traces, strict=True):
        expected = matrix_of(traces[0], dense, 2, zoom=part)
        found = matrix_of(traces[1], summarised, 2, zoom=part)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
        np.testing.assert_array_equal(found.masked, expected.masked)
        assert found[1:3] + found[4:] == expected[1:3] + expected[4:]
        places = part.rows.positions(traces[0].streams["source"])
        whole = dense.weights[2]
        for i, row in enumerate(places):
            assert expected.rows.index(i) == str(row)
            for j in range(20):
                assert expected.values[i, j] == whole[row, j]
                assert (expected.masked[i, j] == 0) == dense.mask[row, j]


def test_what_lies_outside_is_said(traces):
    found = matrix_of(*_of(traces[0]), zoom=zoom("1", "1"))
    weight = traces[0].records[0].weights[0, 1, 1]
    assert found.notes == (
        f"shown: queries 1 of 0-52; keys 1 of 0-52, which hold {weight:.0%} of the rows' weight",
    )
    assert matrix_of(*_of(traces[0]), zoom=zoom("0-")).notes == ()


def _of(trace):
    return trace, trace.records[0], 0


@pytest.mark.parametrize(
    ("rows", "keys", "message"),
    [
        ("7,13", None, "--rows: encoder.0.self has no weights of 13"),
        ("7", "5,33", "--keys: encoder.0.self has no weights of 33"),
        ("99", None, "--rows 99: there is no position 99"),
    ],
)
def test_what_was_not_kept(traces, rows, keys, message):
    with pytest.raises(AttnvizError) as caught:
        matrix_of(*_of(traces[1]), zoom=zoom(rows, keys))
    assert message in caught.value.message


def test_the_other_axis_is_what_was_kept(traces):
    found = matrix_of(*_of(traces[1]), zoom=zoom("8"))
    assert len(found.columns) == 20
    assert found.notes[0].startswith("shown: queries 8 of 0-52; keys 0-19 of 0-52, which hold ")
    assert len(matrix_of(*_of(traces[1]), zoom=zoom(None, "3-7")).rows) == 7


def test_stages_of_a_summary_say_that_it_is_one(traces):
    for stage in ("weights", "scores", "mask"):
        with pytest.raises(AttnvizError, match=r"53 × 53 .* there is their summary"):
            traces[1].records[0].stage(stage)


def test_maps_have_a_scale_that_shows_what_is_spread(traces):
    """And what is shown as it is the usual one."""
    whole, summarised = traces
    assert stage_scale(whole.records, "weights").by == "all"
    assert stage_scale(summarised.records, "weights").by == "root"
    assert stage_scale(summarised.records, "weights", "log").by == "log"
    assert stage_scale(summarised.records, "weights", zoom=zoom("7")).by == "all"
    drawn = head_heatmap(summarised, summarised.records[0], 0, "weights", Scale(0, 1, by="root"))
    shades = np.where(drawn.masked == 0, drawn.shades(), np.nan)
    np.testing.assert_allclose(shades, np.where(drawn.masked == 0, drawn.values**0.5, np.nan))


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.0%"), (0.003, "0.3%"), (0.0001, "<0.1%"), (0.87, "87%")]
)
def test_little_weight_is_not_none(share, text):
    block = Block(np.arange(2), np.arange(3))
    (note,) = zoom_notes(block, (2, 5), np.full((2, 3), share / 3))
    assert note == f"shown: keys 0-2 of 0-4, which hold {text} of the rows' weight"
