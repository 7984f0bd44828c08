"""Text in figures."""

from __future__ import annotations

from attnviz.render.figure.text import HEADING, LINE, TERM, text_box
from attnviz.views.kinds import Line, Text
from tests.render.figure.drawing import written


def test_prose_stands_at_the_margin_below_its_heading():
    text = Text((Line("A title", tone="head"), Line("A paragraph."), Line("Another one.")))
    title, first, second = written(text_box(text))
    assert [each[0] for each in (title, first, second)] == [0, 0, 0]
    assert (title[3]["weight"], title[3]["fontsize"]) == ("bold", HEADING)
    assert second[1] - first[1] > LINE


def test_terms_have_a_column():
    term, words = written(text_box(Text((Line("a model", "model", "head"),))))
    assert (term[0], words[0]) == (0, TERM)
    assert words[3]["fontsize"] < HEADING
