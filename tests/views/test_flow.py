"""What the views of a flow say, against the shares that they are of."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import run
from attnviz.analysis.flow import TraceFlow, even_mix, flow, rollout_mix
from attnviz.views.flow import flow_views
from attnviz.views.kinds import Heatmap, Table, Text


@pytest.fixture(scope="module")
def phrases():
    trace = run("我看见了", model="phrases")
    return trace, flow(trace.records, rollout_mix), flow(trace.records, even_mix)


def views(found, kind, **options):
    trace, heads, even = found
    result = TraceFlow(heads, even, "rollout", None, ("how", "and more"))
    drawn = flow_views(trace, result, **options)
    return [view for view in drawn if isinstance(view, kind)]


def test_it_is_never_called_an_explanation(phrases):
    (text,) = views(phrases, Text)
    said = [line.text for line in text.lines]
    assert any("nor why the model answered" in line for line in said)
    assert "explain" not in " ".join(said)


def test_a_map_for_each_stream(phrases):
    trace, found, _ = phrases
    source, target = views(phrases, Heatmap)
    assert (source.values == found.shares["source"]).all()
    assert (target.values == found.shares["target"]).all()
    assert source.rows.labels == target.rows.labels == trace.streams["target"].labels
    assert source.columns.labels == trace.streams["source"].labels
    assert source.masked is None
    n = len(target.rows)
    assert (target.masked == np.triu(np.ones((n, n)), 1)).all()
    assert f"to {found.shares['source'].sum(-1).mean():.2f} on average" in source.notes[0]


def test_the_inputs_of_one_output(phrases):
    trace, found, _ = phrases
    (table,) = views(phrases, Table, token=1)
    shares = [row[3] for row in table.rows]
    assert shares == sorted(shares, reverse=True)
    stream, place, name, share = table.rows[0]
    assert found.shares[stream][1, place] == share
    assert trace.streams[stream].labels[place] == name
