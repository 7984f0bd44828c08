"""Which heads are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.pairing import pair_by_place, pair_in_order
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head, Selection, parse_selection
from tests.analysis.plain_trace import trace_of


def made(n_head, *ids):
    traces = [trace_of(np.ones((n_head, 2, 2)), list("ab"), id=id) for id in ids]
    return replace(traces[0], records=tuple(t.records[0] for t in traces))


EVERY = Selection()


def test_by_id_and_number():
    a = made(3, "encoder.0.self", "encoder.1.self")
    b = made(2, "encoder.1.self", "encoder.2.self")
    found = pair_by_place(a, b, EVERY)
    assert [pair.name for pair in found.pairs] == ["encoder.1.self.H0", "encoder.1.self.H1"]
    assert found.only_a == (
        *(Head(RecordId("encoder", 0, "self"), n) for n in range(3)),
        Head(RecordId("encoder", 1, "self"), 2),
    )
    assert found.only_b == (
        Head(RecordId("encoder", 2, "self"), 0),
        Head(RecordId("encoder", 2, "self"), 1),
    )


def test_the_selection_holds_for_both():
    a = made(3, "encoder.0.self", "encoder.1.self")
    found = pair_by_place(a, made(2, "encoder.0.self"), parse_selection(["L0.H1"]))
    assert [pair.name for pair in found.pairs] == ["encoder.0.self.H1"]
    assert found.only_a == found.only_b == ()
    with pytest.raises(AttnvizError, match="no such layer"):
        pair_by_place(a, a, parse_selection(["L7"]))


def test_a_plain_file_is_paired_by_layer():
    plain = made(2, "array.0.self", "array.1.self")
    model = made(2, "decoder.0.self", "decoder.1.self")
    found = pair_by_place(model, plain, EVERY)
    assert found.pairs[3].name == "decoder.1.self.H1 | array.1.self.H1"
    assert len(found.pairs) == 4
    two = made(2, "encoder.0.self", "decoder.0.self")
    with pytest.raises(AttnvizError, match=r"could be encoder\.0\.self or decoder\.0\.self"):
        pair_by_place(two, plain, EVERY)


def test_in_order():
    a, b = made(3, "encoder.0.self"), made(3, "decoder.4.self")
    found = pair_in_order(a, b, parse_selection(["L0.H1-2"]), parse_selection(["L4.H0,H2"]))
    assert [pair.name for pair in found.pairs] == [
        "encoder.0.self.H1 | decoder.4.self.H0",
        "encoder.0.self.H2 | decoder.4.self.H2",
    ]
    with pytest.raises(AttnvizError, match="A has 1 selected heads, B 3"):
        pair_in_order(a, b, parse_selection(["H1"]), EVERY)


def test_nothing_in_common():
    with pytest.raises(AttnvizError) as caught:
        pair_by_place(made(1, "encoder.0.self"), made(1, "decoder.0.self"), EVERY)
    assert caught.value.hint.endswith("-s encoder.0.self.H0 --with select=decoder.0.self.H0")
