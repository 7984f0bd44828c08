"""Curves on a screen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.views.kinds import Curves
from tests.render.terminal.drawing import drawn


@pytest.mark.parametrize(
    ("n", "said"),
    [(50, ""), (100, "every 2nd"), (200, "every 3rd"), (300, "every 4th"), (840, "every 11th"),
     (1600, "every 21st"), (1680, "every 22nd"), (8700, "every 112th")],
)  # fmt: skip
def test_curves_say_which_points_are_shown(n, said):
    out = drawn([Curves("c", np.arange(n), "x", (("y", np.arange(n)),), "y")])
    assert re.findall(r"every \d+\w\w", out) == ([said] if said else [])


def test_flat_and_empty_curves():
    curves = Curves(
        "c", np.arange(3), "x", (("flat", np.ones(3)), ("nan", np.full(3, np.nan))), "y"
    )
    text = drawn([curves])
    assert "flat" in text
    assert "???" in text


def test_bars_are_eighths_of_one_scale():
    """Two series share their lowest and their highest value."""
    up, high = np.arange(10.0, 26), np.full(16, 25.0)
    for unicode, bars in ((True, "▁▂▃▄▅▆▇█"), (False, "_.-=+*%#")):
        curves = Curves("c", np.arange(16), "x", (("up", up), ("high", high)), "y")
        lines = drawn([curves], unicode=unicode).splitlines()
        assert lines[1] == "up   " + "".join(4 * bar for bar in bars)  # two points, two cells each
        assert lines[2] == "high " + 32 * bars[-1]
        assert lines[3].startswith(f"y from 10 ({bars[0]}) to 25 ({bars[-1]}); x 0 to 15")
