"""Which numbers share a mean?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.lessons import norms
from attnviz.nn.seeded import normal
from attnviz.nn.transformer import Sublayer
from attnviz.views.kinds import Curves, Grid, Table


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(2, 4),
    length=st.integers(2, 8),
    features=st.integers(3, 16),
    layers=st.integers(2, 12),
    shift=st.floats(-100, 100).filter(lambda x: abs(x) >= 0.01),
    factor=st.floats(0.01, 100).filter(lambda x: x != 1),
    seed=st.integers(0, 99),
)
def test_the_claims_hold_for_other_sizes(take, **options):
    lesson = take("norms", **options)
    assert [claim.holds for claim in lesson.claims] == [True] * 6


def test_which_cells_share_a_mean(take):
    (grid,) = (v for v in take("norms", batch=3, length=5, features=7).views if isinstance(v, Grid))
    rows, columns = np.zeros((3, 5, 7)), np.zeros((3, 5, 7))
    rows[0, 0] = columns[:, :, 0] = 1
    alone = rows * columns
    for panels, expected in zip(grid.panels, (rows, rows, columns, alone), strict=True):
        np.testing.assert_array_equal([panel.values for panel in panels], expected)


def test_ranges_and_changes_by_loops(take):
    moments, changes = (
        v
        for v in take("norms", batch=2, length=3, features=5, shift=4, factor=0.5).views
        if isinstance(v, Table)
    )
    x = normal((2, 3, 5), 0, "texts").astype(float)
    seen = normal((100, 1, 5), 0, "seen").astype(float).reshape(100, 5)

    def layer(x):
        return np.array([[(t - t.mean()) / t.std() for t in text] for text in x])

    def rms(x):
        return np.array([[t / np.sqrt((t @ t) / len(t)) for t in text] for text in x])

    def training(x):
        cells = x.reshape(-1, x.shape[-1])
        return np.stack([(f - f.mean()) / f.std() for f in cells.T], -1).reshape(x.shape)

    def testing(x):
        return (x - seen.mean(0)) / seen.std(0)

    for norm, shown, felt in zip(
        (layer, rms, training, testing), moments.rows, changes.rows, strict=True
    ):
        y = norm(x)
        tokens, features = y.reshape(6, 5), y.reshape(6, 5).T
        for text, values in zip(
            shown[1:],
            (tokens.mean(1), tokens.var(1), features.mean(1), features.var(1)),
            strict=True,
        ):
            ends = [float(end) for end in text.split(" to ")]
            assert (ends[0], ends[-1]) == pytest.approx((values.min(), values.max()), abs=0.0051)
        by_shift, by_factor = np.abs(norm(x + 4) - y).max(), np.abs(norm(x / 2) - y).max()
        assert felt[1:3] == pytest.approx((by_shift, by_factor), abs=1e-6)


def test_the_residual_stream_by_blocks(take):
    (curves,) = (v for v in take("norms", layers=5).views if isinstance(v, Curves))
    (_, post), (_, pre) = curves.series
    assert len(curves.x) == len(post) == len(pre) == 6
    assert post[0] == pre[0]
    np.testing.assert_allclose(post[1:], 1, atol=1e-4)
    assert pre[-1] > 1.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 1}, "batch: expected 2 to 4, got 1"),
        ({"length": 9}, "length: expected 2 to 8, got 9"),
        ({"features": 2}, "features: expected 3 to 16, got 2"),
        ({"layers": 1}, "layers: expected 2 to 32, got 1"),
        ({"shift": float("nan")}, "shift: expected -100 to 100, got nan"),
        ({"shift": 0.0}, "one of them changes nothing"),
        ({"factor": 1.0}, "one of them changes nothing"),
        ({"factor": 0.0}, "factor: expected 0.01 to 100, got 0"),
        ({"text": ""}, "no tokens"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("norms", **options)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_a_mean_over_the_wrong_axis_is_noticed(take, monkeypatch):
    monkeypatch.setattr(norms, "layer_norm", lambda x, eps: (x - x.mean((0, 1))) / x.std((0, 1)))
    assert holds(take("norms")) == [False, True, True, True, False, True]


def test_a_layer_norm_that_leaves_the_mean_is_noticed(take, monkeypatch):
    monkeypatch.setattr(norms, "layer_norm", lambda x, eps: norms.rms_norm(x, eps=eps))
    assert holds(take("norms")) == [False, True, True, False, True, True]


def test_a_batch_norm_of_single_words_is_noticed(take, monkeypatch):
    monkeypatch.setattr(norms, "batch_norm", lambda x, **_: norms.layer_norm(x, eps=0))
    assert holds(take("norms")) == [True, False, True, True, False, True]


def test_an_rms_norm_that_takes_the_mean_away_is_noticed(take, monkeypatch):
    monkeypatch.setattr(norms, "rms_norm", lambda x, eps: norms.layer_norm(x, eps=eps))
    assert holds(take("norms")) == [True, True, False, False, True, True]


def test_a_sublayer_without_its_norm_is_noticed(take, monkeypatch):
    right = Sublayer.__call__
    monkeypatch.setattr(Sublayer, "__call__", lambda self, *a: right(self._replace(after=None), *a))
    assert holds(take("norms")) == [True, True, True, True, True, False]


def test_what_to_expect_of_many_blocks_and_of_a_large_shift(take):
    (curves,) = (v for v in take("norms", layers=32).views if isinstance(v, Curves))
    (_, post), (_, pre) = curves.series
    assert 6.5 < pre[-1] / pre[0] < 7
    assert post[-1] == pytest.approx(1, abs=1e-3)
    _, changes = (v for v in take("norms", shift=100).views if isinstance(v, Table))
    assert [round(row[1]) for row in changes.rows][::3] == [0, 100]
