"""Heads on Matplotlib's axes: whose they are, what is on them, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402


@pytest.fixture(scope="module")
def trace():
    return attnviz.run(
        "I saw a $x_1$", model="random:layers=2,heads=3,seed=5", stages=("weights", "scores")
    )


@pytest.fixture(autouse=True)
def no_figures():
    yield
    pyplot.close("all")


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def cells(axes):
    return [text.get_text() for text in axes.texts]


def panels(axes):
    """The frames of a grid's panels."""
    return axes.collections[0].get_paths()


def test_one_head_in_a_figure_of_its_own(trace):
    axes = trace.plot("L1.H2")
    assert isinstance(axes, Axes)
    assert axes.figure.number in pyplot.get_fignums()
    assert labels(axes) == [f"{i} {name}" for i, name in enumerate(trace.streams["source"].labels)]
    assert cells(axes)[0] == f"{trace['L1.H2'].weights[0, 0, 0]:.2f}"
    axes.figure.canvas.draw()  # no $ starts mathematics


def test_the_function_and_the_method_are_one(trace):
    with pyplot.rc_context({"figure.max_open_warning": 0}):
        one, other = attnviz.plot(trace, "L0.H1", bare=True), trace.plot("L0.H1", bare=True)
    for axes in (one, other):
        axes.figure.canvas.draw()
    np.testing.assert_array_equal(
        *(np.asarray(a.figure.canvas.buffer_rgba()) for a in (one, other))
    )


def test_axes_that_are_there_keep_their_place_and_figure(trace):
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4))
    place, size = left.get_position().bounds, tuple(figure.get_size_inches())
    assert trace.plot("L0.H0", left, title="mine: $x$", values=False) is left
    assert trace.plot(["L1"], ax=right, grid=(2, 2), bare=True) is right
    assert left.get_position().bounds == place
    assert tuple(figure.get_size_inches()) == size
    assert left.get_title() == "mine: $x$"
    assert cells(left) == []
    names = {"L1.H0", "L1.H1", "L1.H2"}
    assert names <= set(cells(right))
    assert right.get_title() == ""
    assert len(panels(right)) == 3
    figure.canvas.draw()
    assert pyplot.get_fignums() == [figure.number]


def test_what_is_set_for_matplotlib_stays_so(trace):
    before = dict(matplotlib.rcParams)
    trace.plot("L0.H0", font_size=5)
    trace.plot("L0.H0", pyplot.subplots()[1], style="ggplot")
    assert dict(matplotlib.rcParams) == before


def test_labels_are_as_large_as_the_reader_s_font(trace):
    for size in (7, 14):
        with pyplot.rc_context({"font.size": size}):
            axes = trace.plot("L0.H0", pyplot.subplots()[1])
        assert axes.get_yticklabels()[0].get_fontsize() == pytest.approx(size)


def test_size_and_colours(trace):
    axes = trace.plot("L0", size=(3.5, 2.5), cmap="magma", dpi=50)
    assert tuple(axes.figure.get_size_inches()) == pytest.approx((3.5, 2.5))
    assert axes.figure.dpi == 50
    value = trace["L0.H0"].weights[0, 0, 0]
    expected = np.round(np.array(matplotlib.colormaps["magma"](float(value))) * 255)
    assert np.abs(axes.images[0].get_array()[0, 0] - expected).max() <= 1


def test_a_script_without_a_font_is_a_warning(trace):
    strange = attnviz.run("\U00012000 \U00012001", model="random")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        strange.plot("L0.H0")
    assert all("no installed font has" in str(each.message) for each in heard)
    assert len(heard) <= 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"select": "L9"}, "L9"),
        ({"select": "L0.H0", "stage": "context"}, "cannot draw 'context'"),
        ({"select": "L0.H0", "scale": "rows"}, "unknown value 'rows'"),
        ({"select": "L0.H0", "cmap": "viridi"}, "unknown colour map"),
        ({"select": "L0", "grid": (1, 2)}, "no room for 3 panels"),
        ({"select": "L0.H0", "size": (1, 0.2)}, "no room for the cells"),
    ],
)
def test_what_cannot_be_drawn(trace, given, message):
    with pytest.raises(AttnvizError, match=message):
        trace.plot(**given)


def test_kinds_of_attention_are_apart():
    trace = attnviz.run("早上", model="phrases")
    with pytest.raises(AttnvizError, match="3 kinds of attention") as error:
        trace.plot()
    assert '"decoder.0-1.cross"' in error.value.hint
    assert len(panels(trace.plot("decoder.0-1.cross"))) == 8
