"""Labels beside matrices: whole, upright and all of them where there is room."""

from __future__ import annotations

import pytest

from attnviz.render.figure.labels import (
    CUT,
    SMALLEST,
    column_labels,
    notes_on,
    row_labels,
    shortened,
    upright_width,
)
from attnviz.render.figure.text_layout import width_of
from attnviz.views.kinds import Axis, indices

WORDS = Axis("key", ("[BOS]", "antidisestablishmentarianism", "a"))
SHORT = Axis("key", ("I", "saw", "it"))


def test_tokens_stand_upright_under_their_positions_where_they_fit():
    wide = column_labels(SHORT, upright_width(SHORT))
    assert (wide.texts, wide.turned) == (("0\nI", "1\nsaw", "2\nit"), False)
    narrow = column_labels(SHORT, upright_width(SHORT) - 0.01)
    assert (narrow.texts, narrow.turned) == (("0 I", "1 saw", "2 it"), True)
    assert narrow.depth == pytest.approx(width_of("1 saw", narrow.points))


def test_bare_labels_have_no_positions_unless_there_is_nothing_else():
    assert row_labels(SHORT, 1.0, bare=True).texts == ("I", "saw", "it")
    assert row_labels(indices("position", 3, 7), 1.0, bare=True).texts == ("7", "8", "9")


def test_long_tokens_are_whole_where_there_is_room():
    assert row_labels(WORDS, 1.0, deepest=4.0).texts[1] == "1 antidisestablishmentarianism"
    cut = row_labels(WORDS, 1.0, deepest=1.0)
    assert cut.texts[1].endswith(CUT)
    assert cut.depth <= 1.0
    assert notes_on(cut) == ("labels that end in … are cut",)


@pytest.mark.parametrize(("cell", "every"), [(0.2, 1), (0.09, 1), (0.05, 2), (0.02, 5)])
def test_labels_grow_smaller_and_then_fewer_and_it_is_said(cell, every):
    labels = row_labels(Axis("query", ("saw",) * 60), cell)
    assert labels.every == every
    assert labels.points >= SMALLEST
    assert labels.points * 1.2 / 72 <= cell * every + 0.001
    assert len(labels.shown()) == len(labels.places) == -(-60 // every)
    assert notes_on(labels) == ((f"1 label in {every} is shown",) if every > 1 else ())


def test_indices_are_never_turned():
    for cell in (0.3, 0.1, 0.02):
        labels = column_labels(indices("dimension", 300), cell)
        assert not labels.turned
        assert labels.every * cell > width_of("299")


def test_what_is_cut_keeps_its_beginning():
    short = shortened("abcdefghij", 0.4, 8)
    assert short.endswith(CUT)
    assert "abcdefghij".startswith(short[:-1])
    assert width_of(short, 8) <= 0.4
    assert shortened("ab", 0.4, 8) == "ab"


@pytest.mark.parametrize("bare", [False, True])
def test_groups_of_tokens_have_their_first_position(bare):
    axis = Axis("key", ("I", "it", "is"), step=256, end=700)
    for labels in (row_labels(axis, 0.02, bare=bare), column_labels(axis, 0.5, bare=bare)):
        assert labels.texts == ("0", "256", "512")
        assert not labels.turned
    assert row_labels(axis, 0.04).every > 1
    assert notes_on(row_labels(axis, 0.04)) == ()
