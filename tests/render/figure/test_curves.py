"""Curves in figures."""

from __future__ import annotations

import numpy as np

from attnviz.render import render
from attnviz.render.figure.curves import curves_box
from attnviz.views.kinds import Curves


def test_notes_of_curves_are_written():
    x = np.arange(3.0)
    curves = Curves("c", x, "x", (("a name " * 12, x),), "y", notes=("what it means",))
    content, _ = render([curves], ".svg")
    assert b"what it means" in content
    assert curves_box(curves).width < 8.5
