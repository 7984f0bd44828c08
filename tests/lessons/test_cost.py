"""What looking costs: the tables are those of layers that ran."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from attnviz.analysis import cost
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.nn.convolution import Convolution
from attnviz.views.kinds import Curves, Table


def tables(lesson):
    return [view for view in lesson.views if isinstance(view, Table)]


def holds(take, **options):
    return [claim.holds for claim in take("cost", **options).claims]


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    n=st.integers(2, 5000),
    d=st.integers(1, 5000),
    k=st.integers(1, 9).map(lambda x: 2 * x + 1),
    r=st.integers(1, 60).map(lambda x: 2 * x),
)
def test_the_readers_own_sizes(take, n, d, k, r):
    lesson = take("cost", n=n, d=d, k=k, r=r)
    assert [claim.holds for claim in lesson.claims] == [True, True, True]
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


@pytest.fixture
def wasteful(monkeypatch):
    """A convolution that multiplies all pairs of tokens besides, as long as they are few."""

    def multiply_pairs(self, x, matmul):
        pairs = matmul(matmul(x, x.mT), x) if x.shape[-2] < 1000 else x
        return right(self, x + 0 * pairs, matmul)

    right = Convolution.__call__
    monkeypatch.setattr(Convolution, "__call__", multiply_pairs)


@pytest.mark.usefixtures("wasteful")
def test_a_layer_that_does_more_is_found(take):
    assert holds(take) == [False, True, True]


def test_attention_that_looks_too_far_is_found(take, monkeypatch):
    right = cost.local_attention
    monkeypatch.setattr(
        cost, "local_attention", lambda q, k, v, r, attend: right(q, k, v, 2 * r, attend)
    )
    assert holds(take)[1] is False


def test_projections_that_cost_more_are_found(take, monkeypatch):
    right = cost.Products.attention

    def generous(self, q, k, v, **options):
        self.count += 1
        return right(self, q, k, v, **options)

    monkeypatch.setattr(cost.Products, "attention", generous)
    assert holds(take)[2] is False


@pytest.mark.usefixtures("wasteful")
def test_the_command_says_so(capsys):
    assert run_cli(["learn", "cost"]) == 1
    assert "NO" in capsys.readouterr().out


def test_times_are_shown_as_measured_and_nothing_is_claimed_of_them(take, monkeypatch):
    """Even if a busy machine makes nonsense of them."""
    seconds = iter(range(1, 99))
    monkeypatch.setattr("timeit.repeat", lambda call, repeat, number: [next(seconds)])
    lesson, without = take("cost", times=True), take("cost")
    assert lesson.claims == without.claims
    (times,) = (t for t in tables(lesson) if "milliseconds" in t.title)
    assert [t.title for t in tables(lesson) if t is not times] == [t.title for t in tables(without)]
    assert len(times.rows) == 6
    expected = iter(range(1, 99))
    for _, *milliseconds, _ in times.rows:
        assert milliseconds == [1000 * next(expected) for _ in range(3)]


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


def test_what_to_expect_of_a_long_text(take):
    operations = {row[0]: row[2] for row in tables(take("cost", n=100_000))[0].rows}
    assert round(operations["self-attention"] / operations["recurrent"]) == 195
