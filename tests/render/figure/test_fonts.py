"""Whatever a view says, in whichever place, a font is looked for; if there is none, it is said."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.render import handout, render
from attnviz.render.figure import fonts
from attnviz.views.kinds import (
    Axis,
    Curves,
    Grid,
    Heatmap,
    Line,
    Picture,
    Scale,
    Table,
    Text,
    indices,
)

ONE = np.ones((1, 1))
MAP = Heatmap("m", ONE, indices("row", 1), indices("column", 1))

PLACES = [
    MAP._replace(rows=Axis("词", ("",))),
    MAP._replace(masked=ONE.astype(np.uint8), reasons=("词",)),
    Grid("g", ((MAP,),), ("词",), ("",)),
    Grid("g", ((MAP,),), ("",), ("词",)),
    Curves("c", np.arange(2), "x", (("词", np.arange(2)),), "y"),
    Curves("c", np.arange(2), "词", (("a", np.arange(2)),), "y"),
    Curves("c", np.arange(2), "x", (("a", np.arange(2)),), "y", notes=("词",)),
    Picture("p", ONE, ((ONE,),), ("词",), ("",), Scale(0, 1)),
    Table("词", ("a",), ((1,),)),
    Table("t", ("词",), ((1,),)),
    Table("t", ("a",), ((1,),), ("词",)),
    Text((Line("a", "词"),)),
]


@pytest.fixture
def no_other_font(monkeypatch):
    monkeypatch.setattr(fonts, "_others", list)


@pytest.mark.parametrize("view", PLACES, ids=lambda view: type(view).__name__)
def test_a_missing_character_is_named(no_other_font, view):
    (warning,) = render([view], ".svg")[1]
    assert "CJK UNIFIED (词)" in warning


def test_a_document_of_many_pictures_names_them_once(no_other_font):
    chapters = [("one", [MAP._replace(title="词")]), ("two", [MAP._replace(title="位")])]
    (warning,) = handout.render(chapters, "folder").warnings
    assert "CJK UNIFIED (位词)" in warning


def test_a_document_says_nothing_of_fonts_for_what_is_not_drawn(no_other_font):
    words = [Text((Line("词"),)), Table("词", ("a",), ((1,),))]
    assert handout.render([("one", words)], "folder").warnings == ()


def test_characters_that_no_font_has_are_named(monkeypatch):
    monkeypatch.setattr(fonts, "_others", list)
    _, warnings = fonts.families(["我看见了", "नमस्ते", "abc"])
    (warning,) = warnings
    assert "CJK UNIFIED" in warning
    assert "DEVANAGARI" in warning
    assert "apt install" in warning


def test_another_font_is_found_for_them(monkeypatch):
    monkeypatch.setattr(
        fonts, "_covered", lambda path: {ord("我")} if "other" in path else set(range(128))
    )
    monkeypatch.setattr(fonts, "_others", lambda: ["/other.ttf"])
    monkeypatch.setattr(fonts.font_manager.fontManager, "addfont", lambda path: None)
    monkeypatch.setattr(fonts.font_manager.FontProperties, "get_name", lambda self: "Other")
    assert fonts.families(["我"]) == (["DejaVu Sans", "Other"], ())
