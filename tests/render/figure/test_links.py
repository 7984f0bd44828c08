"""Links in figures."""

from __future__ import annotations

import numpy as np

from attnviz.render import render as render_file
from tests.render import samples


def test_the_figure_draws_lines_by_weight(monkeypatch):
    from matplotlib.axes import Axes

    widths = []
    plot = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda self, *a, **k: (widths.append(k["linewidth"]), plot(self, *a, **k))[1]
    )
    render_file([samples.links()], ".svg")
    assert widths == sorted(widths)
    np.testing.assert_allclose(np.array(widths) / widths[-1], np.array([0.2, 0.3, 0.5, 0.9]) / 0.9)
