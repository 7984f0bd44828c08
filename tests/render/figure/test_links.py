"""Links in figures."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex

from attnviz.render import render as render_file
from attnviz.render.palette import category
from attnviz.render.style import FigureStyle
from tests.render import samples


def test_the_figure_draws_lines_by_weight_in_the_colours_of_the_left(monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    monkeypatch.setattr(Axes, "add_patch", lambda self, patch: drawn.append(patch), raising=True)
    render_file([samples.links()], ".svg")
    lines = [patch for patch in drawn if to_hex(patch.get_edgecolor()) != "#ffffff"]
    widths = [patch.get_linewidth() for patch in lines]
    np.testing.assert_allclose(np.array(widths) / widths[-1], np.array([0.2, 0.3, 0.5, 0.9]) / 0.9)
    colours = [to_hex(patch.get_edgecolor()) for patch in lines]
    assert colours == [to_hex(np.array(category(left)) / 255) for left in (1, 3, 2, 0)]
    # each has a white edge, drawn before it and after those below, so that one passes above
    for edge, line in zip(drawn[::2], drawn[1::2], strict=True):
        assert to_hex(edge.get_edgecolor()) == "#ffffff"
        assert edge.get_linewidth() > line.get_linewidth()


def test_bare_links_have_tokens_and_weights_and_nothing_else():
    links = samples.links()
    full, bare = (
        render_file([links], ".svg", FigureStyle(bare=bare))[0].decode() for bare in (False, True)
    )
    assert "the thicker a line" in full
    assert "the thicker a line" not in bare
    label = links.left.labels[0]
    assert f">0 {label}<" in full
    assert f">{label}<" in bare
