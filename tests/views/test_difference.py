"""The views of a difference, whole, on screens of several widths and in every format."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from rich.cells import cell_len

from attnviz.analysis.difference import compare
from attnviz.analysis.pairing import pair_by_place
from attnviz.render import FORMATS
from attnviz.render import render as render_file
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.trace.selection import Selection
from attnviz.views.difference import ROWS, difference_views
from attnviz.views.kinds import Heatmap, Table, Text
from tests.analysis.plain_trace import trace_of
from tests.conftest import HERE
from tests.render.samples import HOSTILE, causal

TEXT_A, TEXT_B = ["I", "saw", "a", "saw"], ["I", "saw", "a", "big", "cat"]


def views_of(a, b, top=2, stage="weights", names=("", "")):
    found = compare(a, b, pair_by_place(a, b, Selection()), stage)
    return difference_views(a, b, found, names, top)


def two_texts():
    """Head 1 looks elsewhere in B; three heads are the same."""
    y = np.stack([causal(5)] * 4)
    y[1, 2] = [0.0, 0.75, 0.25, 0.0, 0.0]
    return trace_of(np.stack([causal(4)] * 4), TEXT_A), trace_of(y, TEXT_B)


def two_masks():
    """Causal and none, and a weight that is not a number."""
    mask = np.tri(4, dtype=bool)
    even = np.full((2, 4, 4), 0.25)
    even[1, 3, 0] = np.nan
    causal_heads = np.stack([causal(4)] * 3)
    a, b = trace_of(causal_heads, TEXT_A, mask), trace_of(even, TEXT_A, np.ones((4, 4), bool))
    return a, b


def rounding():
    x = np.stack([causal(4)] * 2)
    y = x.copy()
    y[1, 3] += [3e-7, -3e-7, 0, 1e-8]
    return trace_of(x, TEXT_A), trace_of(y, TEXT_A)


def equal():
    return trace_of(np.stack([causal(4)] * 2), TEXT_A), trace_of(np.stack([causal(4)] * 2), TEXT_A)


def whole():
    pairs = (two_texts(), two_masks(), rounding(), equal())
    return [view for pair in pairs for view in views_of(*pair, names=("a.npz", ""))]


SCREENS = {
    **{f"width-{width}": Screen(width) for width in (40, 80, 120)},
    "ascii": Screen(80, 0, False),
    "colour-256": Screen(80, 256),
}


@pytest.mark.parametrize("name", SCREENS)
def test_whole_output(name):
    """Compared with tests/render/expected; ATTNVIZ_UPDATE=1 writes it anew, to be read."""
    found = render(whole(), SCREENS[name])
    path = HERE / "render" / "expected" / f"difference-{name}.txt"
    if os.environ.get("ATTNVIZ_UPDATE"):
        path.write_bytes(found)
    assert found.decode() == path.read_text()


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format(suffix):
    content, warnings = render_file(whole(), suffix)
    assert content
    assert warnings == ()
    assert render_file(whole(), suffix)[0] == content


def heatmaps(views):
    return [view for view in views if isinstance(view, Heatmap) and "B - A|" not in view.title]


def test_matrices_are_drawn_around_zero_on_one_scale():
    first, second = heatmaps(views_of(*two_masks()))
    assert first.scale == second.scale
    assert first.scale.kind == "diverging"
    assert first.scale.low == -first.scale.high
    assert {first.title[:17], second.title[:17]} == {"encoder.0.self.H0", "encoder.0.self.H1"}


def test_rounding_errors_are_not_drawn_as_zeros():
    (drawn,) = heatmaps(views_of(*rounding()))
    assert drawn.title.endswith("in units of 1e-07")
    assert drawn.values[3] == pytest.approx([3, -3, 0, 0.1], rel=1e-6)


def test_equal_heads_are_not_drawn():
    assert heatmaps(views_of(*equal())) == []
    (drawn,) = heatmaps(views_of(*two_texts()))
    assert drawn.title == "encoder.0.self.H1 · weights · B - A"


def test_heads_that_are_left_out_of_the_table_are_said(generator):
    n = ROWS + 5
    x, y = generator.random((2, n, 3, 3))
    views = views_of(trace_of(x, list("abc")), trace_of(y, list("abc")))
    (table,) = (view for view in views if isinstance(view, Table))
    sizes = np.sort(np.abs(y - x).max((1, 2)))[::-1]
    assert [row[1] for row in table.rows] == pytest.approx(sizes[:ROWS].tolist())
    assert table.notes[-1] == f"the other 5 heads differ by {sizes[ROWS]:.3g} at most"
    assert len(heatmaps(views_of(trace_of(x, list("abc")), trace_of(y, list("abc")), 17))) == 17


def header(views):
    return next(view for view in views if isinstance(view, Text)).lines


def test_a_long_text_is_shown_around_its_changes():
    n = 300
    tokens = [f"w{i}" for i in range(n)]
    other = [*tokens[:150], "new", *tokens[150:]]
    a = trace_of(np.zeros((1, n, n)), tokens)
    b = trace_of(np.zeros((1, n + 1, n + 1)), other)
    (line,) = (line for line in header(views_of(a, b)) if line.term == "tokens")
    assert line.text.replace("\u00a0", " ") == (
        "…  147 w147  148 w148  149 w149  +150 new  150/151 w150  151/152 w151  152/153 w152  …"
    )


@pytest.mark.parametrize("width", [40, 80, 120])
def test_hostile_tokens(width):
    n = len(HOSTILE)
    a = trace_of(np.zeros((1, n, n)), HOSTILE)
    b = trace_of(np.ones((1, n - 1, n - 1)), HOSTILE[1:])
    text = render(views_of(a, b), Screen(width)).decode()
    assert not re.search("[\x1b\x07\r\t\u202e]", text)
    assert max(map(cell_len, text.splitlines())) <= width


def test_opposite_differences_do_not_cancel_where_cells_are_put_together():
    n = 200
    even = np.full((1, n, n), 1 / n)
    moved = even.copy()
    moved[0, 100, 100:102] += [0.003, -0.003]
    words = [f"w{i}" for i in range(n)]
    views = views_of(trace_of(even, words), trace_of(moved, words), top=1)
    (heatmap,) = (view for view in views if isinstance(view, Heatmap))
    out = render([heatmap], Screen(60)).decode()
    assert "the value farthest from 0" in out
    cells = [line.split()[-1] for line in out.splitlines() if re.match(r" *\d+-\d+ ", line)]
    assert "".join(cells).replace(".", "") == "5"
