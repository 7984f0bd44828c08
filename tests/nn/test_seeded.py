"""The random numbers that stand in for learned ones."""

from __future__ import annotations

import numpy as np

from attnviz.nn import seeded
from attnviz.nn.seeded import normal


def test_the_same_numbers_for_ever():
    """SplitMix64's own first outputs for the seed 0 (Vigna's reference), and ours that follow."""
    assert [int(z) for z in seeded._splitmix(0, 0, 3)] == [
        0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F,
    ]  # fmt: skip
    expected = [0.61156362, 0.70366955, -1.61407840, 1.77593863]
    np.testing.assert_allclose(normal((4,), 0, "a"), expected, rtol=1e-5)


def test_normal():
    x = normal((200_000,), 7, "x").astype(np.float64)
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1) < 0.01
    assert abs((x**3).mean()) < 0.03
    assert abs((x**4).mean() - 3) < 0.06
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.01


def test_keys_decide_and_shapes_only_cut():
    assert not np.array_equal(normal((9,), 0, "a"), normal((9,), 0, "b"))
    assert not np.array_equal(normal((9,), 0, "a"), normal((9,), 1, "a"))
    np.testing.assert_array_equal(normal((3, 3), 0, "a").reshape(-1), normal((9,), 0, "a"))
    np.testing.assert_array_equal(normal((5,), 0, "a"), normal((9,), 0, "a")[:5])


def test_blocks_change_nothing(monkeypatch):
    whole = normal((1001,), 0)
    monkeypatch.setattr(seeded, "BLOCK", 8)
    np.testing.assert_array_equal(normal((1001,), 0), whole)


def test_always_finite():
    assert np.isfinite(normal((1_000_000,), 3)).all()
