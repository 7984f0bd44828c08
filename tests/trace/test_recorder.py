"""What is kept while a transformer runs, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId, Site
from attnviz.trace.recorder import TraceRecorder
from attnviz.trace.selection import parse_selection


def site(layer):
    return Site(RecordId("encoder", layer, "self"), "source", "source", n_head=2, n_kv_head=2)


def test_only_the_wanted_stages_are_kept_and_cannot_be_written_to():
    recorder = TraceRecorder(["weights"])
    keep = recorder.open(site(0))
    assert keep.wants("weights")
    assert not keep.wants("q")
    weights = np.ones((2, 3, 3))
    keep.keep("weights", weights)
    keep.keep("q", np.ones((2, 3, 5)))
    (record,) = recorder.records()
    assert (record.site, record.q) == (site(0), None)
    with pytest.raises(ValueError, match="read-only"):
        record.weights[...] = 0
    weights[0] = 7  # the array is the transformer's own, not a copy
    assert (record.weights[0] == 7).all()


def test_why_a_cell_is_masked_is_kept_with_the_mask():
    recorder = TraceRecorder(["mask"])
    recorder.open(site(0)).keep("masked_by", np.zeros((3, 3), np.uint8))
    assert recorder.records()[0].masked_by is not None


def test_attentions_that_are_not_selected_leave_no_record():
    recorder = TraceRecorder(["weights"], parse_selection(["L1"]))
    keeps = [recorder.open(site(layer)) for layer in range(3)]
    assert [keep.wants("weights") for keep in keeps] == [False, True, False]
    assert [record.id for record in recorder.records()] == ["encoder.1.self"]


def test_an_unknown_stage():
    with pytest.raises(AttnvizError, match="unknown stage: 'weight'"):
        TraceRecorder(["weight"])
