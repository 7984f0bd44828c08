"""`attnviz.run` of texts whose matrices are not to be kept."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.trace.selection import parse_selection

TEXT = " ".join("abcdefg"[i % 7] for i in range(601))
MODEL = "random:layers=3,heads=2,d_model=8,mask=causal"


def test_matrices_are_summarised_where_they_would_take_too_much():
    assert attnviz.run(TEXT, model=MODEL).records[0].weights is not None
    assert attnviz.run("a b", model=MODEL, memory="1GB").records[0].weights is not None
    trace = attnviz.run(TEXT, model=MODEL, memory="5MB", rows="-1,7", keys="0-12")
    whole = attnviz.run(TEXT, model=MODEL)
    for record, dense in zip(trace, whole, strict=True):
        assert record.weights is None
        np.testing.assert_allclose(record.summary.block, dense.weights[:, [7, 600], :13], atol=1e-6)
        assert record.summary.total.sum() == pytest.approx(2 * 601, rel=1e-5)
        assert record.summary.statistics["value/sink_share"].shape == (2,)
    assert trace["L1.H1"].summary.heads == (0,)
    assert trace["L1.H1"]._repr_mimebundle_(include=["text/html"])["text/html"]
    assert "looks" in trace.text(["L1.H1"]) or "spreads" in trace.text(["L1.H1"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "x"}, "memory: expected a size"),
        ({"rows": "0:3"}, "rows: cannot read '0:3'"),
        ({"rows": "601"}, "rows 601: there is no position 601"),
        ({"memory": "5MB", "keys": "700-"}, "keys 700-: there is no position 700"),
        ({"memory": "5MB", "stages": ("weights", "scores")}, "scores are kept as whole matrices"),
    ],
)
def test_what_cannot_be_read(options, message):
    with pytest.raises(AttnvizError) as caught:
        attnviz.run(TEXT, model=MODEL, **options)
    assert message in caught.value.message


def test_a_selected_layer_costs_what_it_costs():
    """No record, no summary and no memory of the others."""
    model = attnviz.load_model(MODEL)
    one = parse_selection(["L2.H1"])

    def peak(select):
        tracemalloc.start()
        trace = attnviz.run(TEXT, model=model, select=select)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return trace, most

    trace, of_one = peak(one)
    assert [record.id for record in trace] == ["encoder.2.self"]
    _, of_all = peak(None)
    matrices = 2 * 601 * 601 * 4
    assert of_all - of_one > 1.8 * matrices
    summarised = attnviz.run(TEXT, model=model, select=one, memory="5MB")
    assert [record.id for record in summarised] == ["encoder.2.self"]
    assert summarised.records[0].summary.heads == (1,)
