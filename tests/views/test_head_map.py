"""Numbers of heads laid out by layer and head."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.informative import HeadInformation
from attnviz.nn.site import RecordId
from attnviz.views.head_map import LEFT_OUT, head_maps, information_maps
from attnviz.views.kinds import WEIGHTS

NAN = np.nan


def maps(ids, heads, values, defined=None):
    defined = None if defined is None else np.array(defined)
    ids = [RecordId.parse(id) for id in ids]
    return list(head_maps(ids, np.array(heads), np.array(values), WEIGHTS, defined))


def test_every_value_is_in_its_place():
    ids = ["decoder.5.self", "encoder.2.self", "decoder.4.self", "decoder.5.cross"]
    first, second, third = maps(ids, [0, 1, 2, 0], [0.1, 0.2, 0.3, 0.4])
    own, encoder, cross = first.heatmap, second.heatmap, third.heatmap
    assert first.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(own.values, [[NAN, NAN, 0.3], [0.1, NAN, NAN]])
    np.testing.assert_array_equal(own.masked, [[1, 1, 0], [0, 1, 1]])
    assert own.reasons == (LEFT_OUT,)
    assert first.titled("x", "a note").title == "decoder self · x by layer and head"
    assert first.titled("x", "a note").notes == ("a note",)
    assert (own.rows.index(0), own.rows.index(1)) == ("4", "5")
    np.testing.assert_array_equal(encoder.values, [[NAN, 0.2]])
    assert cross.masked is None


def test_layers_with_gaps_are_named():
    ((_, _, _, heatmap),) = maps(["encoder.0.self", "encoder.7.self"], [0, 0], [0.5, 0.5])
    assert heatmap.rows.labels == ("L0", "L7")
    assert (heatmap.rows.index(0), heatmap.rows.index(1)) == ("0", "1")


def test_what_is_not_defined_looks_left_out_and_what_is_broken_does_not():
    ids = ["encoder.0.self"] * 2
    ((_, _, _, heatmap),) = maps(ids, [0, 1], [NAN, NAN], [False, True])
    assert heatmap.masked.tolist() == [[1, 0]]


def test_heads_that_have_no_choice_tell_nothing():
    facts = [
        HeadInformation(RecordId("encoder", 0, "self"), head, NAN, NAN, NAN) for head in range(3)
    ]
    (heatmap,) = information_maps(facts)
    assert heatmap.masked.all()
