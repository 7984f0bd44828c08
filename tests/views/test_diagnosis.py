"""What is shown of a diagnosis."""

from __future__ import annotations

import functools
import os
import re

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.diagnosis import diagnose
from attnviz.analysis.diagnose.probe import USUAL, probe
from attnviz.analysis.diagnose.registry import MISTAKES, filled
from attnviz.language import speaking
from attnviz.render import render as render_file
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.diagnosis import diagnosis_views
from attnviz.views.kinds import Heatmap, Text
from tests.conftest import HERE

SCREENS = {
    **{f"width-{width}": Screen(width) for width in (40, 80, 120, 200)},
    "ascii": Screen(80, 0, False),
    "colour-256": Screen(80, 256),
}

NUMBER = re.compile(r"\d+(?=\s+tried)|\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+")


def case(out, features=USUAL):
    reading = ("q [3, 6, 11, 20] as [batch, n_head, n_q, d_k]", "mask: True is visible")
    c = probe(features)
    return Case(c, {"context": out(c)}, "float32", layout="bhnd", reading=reading)


def wrong(name):
    return lambda c: compute(next(MISTAKES[name].variants(c)).computation).context


def one_head(c):
    out = compute(c).context.copy()
    out[1, 2, 4:7] += 1
    return out


FOUND = {
    "match": case(lambda c: compute(c).context),
    "scale": case(wrong("scale_of_the_model")),
    "several": case(wrong("scale_twice")),
    "two": case(lambda c: wrong("no_scale")(c.with_masking(causal=False))),
    "nothing known": case(one_head),
    "nan": case(wrong("nan_rows"), ("square", *USUAL)),
}


@functools.cache
def views_of(name):
    return diagnosis_views(diagnose([FOUND[name]]))


def whole():
    return [view for name in FOUND for view in views_of(name)]


@pytest.mark.parametrize("name", SCREENS)
def test_whole_output(name):
    """Numbers, which differ from machine to machine, are #. Compared with tests/render/expected; ATTNVIZ_UPDATE=1 writes it anew, to be read."""
    text = re.sub(r" *#", " #", NUMBER.sub("#", render(whole(), SCREENS[name]).decode()))
    path = HERE / "render" / "expected" / f"diagnosis-{name}.txt"
    if os.environ.get("ATTNVIZ_UPDATE"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("suffix", [".html", ".md", ".csv", ".svg", ".txt"])
def test_formats(suffix):
    content, warnings = render_file(whole(), suffix)
    assert content
    assert warnings == ()


def lines(name):
    (text,) = (view for view in views_of(name) if isinstance(view, Text))
    return {line.term: line.text for line in text.lines if line.term}


def test_the_verdict_and_the_cause_come_first():
    found = views_of("scale")[0]
    assert [line.term for line in found.lines[:2]] == ["differs", "cause"]
    terms = [line.term for line in found.lines if line.term]
    assert terms.index("fix") < terms.index("where") < terms.index("read as")


def test_a_match_is_short():
    views = views_of("match")
    assert len(views) == 1
    assert lines("match").keys() == {"matches", "read as"}


def test_the_map_is_left_out_where_all_is_off():
    assert len(views_of("scale")) == 1
    _, heatmap = views_of("nothing known")
    assert isinstance(heatmap, Heatmap)
    shape = probe(USUAL).q.shape
    assert heatmap.values.shape == (shape[0] * shape[1], shape[2])
    off = heatmap.values > 1
    expected = np.zeros(off.shape, bool)
    expected[1 * shape[1] + 2, 4:7] = True
    np.testing.assert_array_equal(off, expected)
    assert heatmap.rows.labels[1 * shape[1] + 2] == "item 1 H2"


def test_explanations_that_fit_as_well():
    found = lines("several")
    assert "(S4)" in found["cause"]
    assert "(S3)" in found["as well"]
    assert found["to tell"] == "no probe tells them apart: look at the code"


def test_numbers_that_are_none_are_counted():
    found = lines("nan")
    assert "NaN or infinite" in found["differs"]
    assert "(M12)" in found["cause"]


def test_chinese():
    with speaking("zh"):
        (text,) = diagnosis_views(diagnose([FOUND["scale"]]))
    found = {line.term for line in text.lines}
    assert {"不同", "原因", "修正"} <= found


def test_every_mistake_can_be_shown():
    """Titles, formulas and remedies have no field that a variant does not fill."""
    c = probe(USUAL)
    for entry in MISTAKES.values():
        for variant in list(entry.variants(c))[:1]:
            for text in (entry.title, entry.computed, entry.wanted):
                assert not re.search(r"{\w+[^}]*}", filled(text, variant.parameter)), entry.name
