"""What looking costs: the tables are those of layers that ran."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import cost_layers
from attnviz.nn.attention import attend
from attnviz.nn.convolution import Convolution
from attnviz.views.kinds import Curves, Table


@pytest.fixture
def slow_but_sure(monkeypatch):
    """Times that follow the multiplications exactly: for tests that are about something else."""

    def times(function, texts):
        return np.array([1e-6 * len(text) for text in texts])

    monkeypatch.setattr(cost_layers, "least_times", times)


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def holds(take, **options):
    return [claim.holds for claim in take("cost", **options).claims]


@pytest.mark.usefixtures("slow_but_sure")
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    n=st.integers(2, 5000),
    d=st.integers(1, 5000),
    k=st.integers(1, 9).map(lambda x: 2 * x + 1),
    r=st.integers(1, 60).map(lambda x: 2 * x),
)
def test_the_readers_own_sizes(take, n, d, k, r):
    lesson = take("cost", n=n, d=d, k=k, r=r)
    assert [claim.holds for claim in lesson.claims] == [True, False, True, True]
    operations = [row[2] for row in tables(lesson)[0].rows]
    dense = n * d * d
    assert operations == [n * n * d, r * n * d, dense, k * dense, k * dense, k * n * d + dense]
    reach = next(view for view in lesson.views if isinstance(view, Curves) and view.x[-1] == 4)
    by_name = dict(reach.series)
    np.testing.assert_array_equal(
        by_name["convolution"], np.minimum(101, 1 + np.arange(1, 5) * (k - 1))
    )


def test_where_lines_cross(take):
    curves = next(view for view in take("cost", d=64).views if isinstance(view, Curves))
    lines = dict(curves.series)
    cheaper = lines["self-attention"] <= lines["recurrent"]
    np.testing.assert_array_equal(cheaper, curves.x <= 64)
    np.testing.assert_array_equal(lines["self-attention"] <= lines["convolution"], curves.x <= 192)


def test_restricted_attention_is_the_layer_that_is_counted():
    sizes = cost_layers.SMALL
    x = np.random.default_rng(0).normal(size=(sizes.n, sizes.d))
    half = sizes.r // 2
    expected = attend(x[None], x[None], x[None], window=(half, half)).context[0]
    np.testing.assert_allclose(cost_layers.function("restricted", sizes)(x), expected, atol=1e-12)


def test_a_layer_that_does_more_is_found(take, monkeypatch):
    """A convolution that multiplies all pairs of tokens besides, as long as they are few."""

    def wasteful(self, x):
        return right(self, x + 0 * (x @ x.mT @ x)) if x.shape[-2] < 1000 else right(self, x)

    right = Convolution.__call__
    monkeypatch.setattr(Convolution, "__call__", wasteful)
    assert holds(take)[0] is False


def test_attention_that_looks_too_far_is_found(take, monkeypatch):
    right = cost_layers.local_attention
    monkeypatch.setattr(cost_layers, "local_attention", lambda q, k, v, r: right(q, k, v, 2 * r))
    assert holds(take)[2] is False


def test_projections_that_cost_more_are_found(take, monkeypatch):
    right = cost_layers.count_products
    monkeypatch.setattr(
        cost_layers, "count_products", lambda f, *arrays: right(f, *arrays) + (len(arrays) == 2)
    )
    assert holds(take)[3] is False


@pytest.mark.usefixtures("slow_but_sure")
def test_the_command_says_so(capsys):
    """Times that grow as n for all layers: also for self-attention, of which it is false."""
    assert run_cli(["learn", "cost"]) == 1
    out = capsys.readouterr().out
    assert "exponents 1, 1, 1, 1, 1, 1" in " ".join(out.split())
    assert "NO" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1}, "n: expected 2 to"),
        ({"d": 0}, "d: expected 1 to"),
        ({"k": 4}, "k: expected an odd number, got 4"),
        ({"k": 1}, "k: expected 3 to 99"),
        ({"r": 7}, "r: expected an even number"),
    ],
)
def test_sizes_that_do_not_fit(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("cost", **options)
