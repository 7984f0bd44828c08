"""`-s`, as users write it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId
from attnviz.trace.selection import Head, Selection, parse_selection


class Site(NamedTuple):
    id: RecordId
    n_head: int


SITES = [
    *(Site(RecordId("encoder", layer, "self"), 4) for layer in range(3)),
    *(
        Site(RecordId("decoder", layer, kind), 4)
        for layer in range(3)
        for kind in ("self", "cross")
    ),
]

ALL = (0, 1, 2, 3)

CASES = {
    ("L1",): {"encoder.1.self": ALL, "decoder.1.self": ALL, "decoder.1.cross": ALL},
    ("encoder.1.self.H3",): {"encoder.1.self": (3,)},
    ("decoder.0.cross.H2",): {"decoder.0.cross": (2,)},
    ("decoder.0-1.cross",): {"decoder.0.cross": ALL, "decoder.1.cross": ALL},
    ("encoder.0-2.self.H1,H3",): {f"encoder.{i}.self": (1, 3) for i in range(3)},
    ("encoder.0.self.H0-2",): {"encoder.0.self": (0, 1, 2)},
    ("encoder.0.self.H1", "encoder.0.self.H2"): {"encoder.0.self": (1, 2)},
    ("ENCODER.0.SELF.h1",): {"encoder.0.self": (1,)},
    ("encoder.0.self.H1, encoder.2.self",): {"encoder.0.self": (1,), "encoder.2.self": ALL},
}


@pytest.mark.parametrize("texts", CASES)
def test_selected(texts):
    selection = parse_selection(texts)
    selection.check(SITES)
    found = {site.id: selection.heads(site) for site in SITES if selection.covers(site)}
    assert found == CASES[texts]


def test_a_lone_head_is_that_head_of_every_layer():
    selection = parse_selection(["H2"])
    assert all(selection.heads(site) == (2,) for site in SITES)


def test_layer_ranges_and_lists_of_heads():
    """The example of the contract: `L0-2.H1,H3`."""
    selection = parse_selection(["L0-2.H1,H3"])
    assert {selection.heads(site) for site in SITES} == {(1, 3)}


def test_nothing_selects_everything():
    assert all(Selection().heads(site) == ALL for site in SITES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L9", "-s L9: there is no such layer"),
        ("L0-9", "-s L0-9: there is no such layer"),
        ("decoder.7.cross", "there is no such layer or record"),
        ("array.0.self", "there is no such layer or record"),
        ("L0.H4", "-s L0.H4: there is no head 4"),
        ("L0.H1,H7", "there is no head 7"),
    ],
)
def test_what_is_not_there(text, message):
    with pytest.raises(AttnvizError, match=message):
        parse_selection([text]).check(SITES)


@pytest.mark.parametrize("option", ["--without ", "--with select="])
def test_another_option_is_named(option):
    with pytest.raises(AttnvizError, match=f"^{option}L9: there is no such layer"):
        parse_selection(["L9"], option).check(SITES)


def test_what_selects_the_same_is_the_same():
    assert parse_selection(["l0.h1"]) == parse_selection(["L0-0.H1"], "--with select=")
    assert parse_selection(["L0.H1"]) != parse_selection(["L0.H2"])


@pytest.mark.parametrize("text", ["", "foo", "L", "L1.", "L2-1", "L1.H", "L0.H99999999999", "1.2"])
def test_what_cannot_be_read(text):
    with pytest.raises(AttnvizError, match="cannot read the selection"):
        parse_selection([text])


def test_a_head_spells_its_names():
    head = Head(RecordId("decoder", 1, "cross"), 2)
    assert (str(head), head.short) == ("decoder.1.cross.H2", "L1.H2")
