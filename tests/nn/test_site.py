"""Ids are spelled and parsed in one place, and are strings like any other."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId, Site


def test_an_id_is_a_string_that_knows_its_parts():
    id = RecordId("decoder", 3, "cross")
    assert id == "decoder.3.cross"
    assert {id: 1}["decoder.3.cross"] == 1
    assert json.dumps([id]) == '["decoder.3.cross"]'
    assert (id.block, id.layer, id.kind) == ("decoder", 3, "cross")
    assert (id.place, id.group) == (("decoder", 3), ("decoder", "cross"))


@pytest.mark.parametrize(
    "through", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_an_id_survives_copies_and_other_processes(through):
    id = through(RecordId("encoder", 0, "self"))
    assert id == "encoder.0.self"
    assert (id.block, id.layer, id.kind) == ("encoder", 0, "self")


def test_parsing():
    id = RecordId.parse("array.12.self")
    assert (id.block, id.layer, id.kind) == ("array", 12, "self")


@pytest.mark.parametrize(
    "text", ["", "encoder", "encoder.0", "encoder.00.self", "encoder.-1.self", "encoder.0.both",
             "a b.0.self", "encoder.0.self.H1", "encoder.0.self\n", "encoder.٣.self"]
)  # fmt: skip
def test_what_is_not_an_id(text):
    with pytest.raises(AttnvizError, match="is not the id of a record"):
        RecordId.parse(text)


def test_a_site_names_its_mask():
    site = Site(RecordId("encoder", 0, "self"), "source", "source", 4, 2)
    assert (site.mask_name, site.score_and_scale) == ("none", ("scaled_dot", 1.0))
    masked = Site(site.id, "x", "x", 4, 2, ("causal", "padding"), score="cosine", scale=3.0)
    assert (masked.mask_name, masked.score_and_scale) == ("causal+padding", ("cosine", 3.0))
