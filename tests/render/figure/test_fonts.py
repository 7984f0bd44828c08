"""Whatever a view says, in whichever place, a font is looked for; if there is none, it is said."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.render import figure, handout, render
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
from tests.render.figure.drawing import square

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


def test_fonts_that_cannot_be_embedded_as_true_type(tmp_path):
    compact, collection, plain = (tmp_path / name for name in "abc")
    compact.write_bytes(b"OTTO" + bytes(12))
    collection.write_bytes(b"ttcf" + bytes(8) + (20).to_bytes(4, "big") + bytes(4) + b"OTTO")
    plain.write_bytes(b"\x00\x01\x00\x00" + bytes(12))
    assert [fonts._is_compact(path) for path in (compact, collection, plain)] == [True, True, False]
    assert fonts.without_true_type(["DejaVu Sans", "DejaVu Serif"]) == []


def test_letters_that_are_no_true_type_are_outlines_and_it_is_said(monkeypatch):
    for suffix, kind in ((".pdf", b"/Subtype /Type3"), (".eps", b"/FontType 3 def")):
        assert kind not in render([square()], suffix)[0]
    monkeypatch.setattr(figure, "without_true_type", lambda names: ["Some CJK"])
    for suffix, kind in ((".pdf", b"/Subtype /Type3"), (".eps", b"/FontType 3 def")):
        content, warnings = render([square()], suffix)
        assert kind in content
        assert "Some CJK is no TrueType font" in warnings[0]
    assert render([square()], ".png")[1] == ()


def test_an_eps_is_not_large():
    assert len(render([square(np.random.default_rng(3).random((60, 60)))], ".eps")[0]) < 400_000
