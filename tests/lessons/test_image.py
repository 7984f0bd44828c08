"""Patches as tokens: the maps and the orders are those of the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attnviz
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import image
from attnviz.lessons.kit import DIGIT, read_drawing
from attnviz.views.kinds import Grid, Picture, Table


def written(pixels):
    rows = np.array(pixels).reshape(8, 8)
    return "/".join("".join(map(str, row)) for row in rows)


def blocks(image):
    """The patches, in their order."""
    return [
        tuple(image[i : i + 2, j : j + 2].ravel()) for i in range(0, 8, 2) for j in range(0, 8, 2)
    ]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_order_does_not_matter_for_any_drawing(take, seed):
    pixels = np.random.default_rng(seed).integers(0, 10, 64)
    lesson = take("image", drawing=written(pixels), seed=seed)
    assert [claim.holds for claim in lesson.claims[:2]] == [True, True]
    (grid,) = (view for view in lesson.views if isinstance(view, Grid))
    still, moved = (panel.values for panel in grid.panels[0])
    whole = next(view for view in lesson.views if isinstance(view, Picture)).image
    np.testing.assert_array_equal(still, whole)
    assert sorted(blocks(moved)) == sorted(blocks(whole))
    assert blocks(moved) != blocks(whole)


def test_the_maps_are_those_of_a_run_of_its_own(take):
    looks, slopes = (view for view in take("image").views if isinstance(view, Picture))
    trace = attnviz.run(image=read_drawing(DIGIT), model="digits", dtype="float64", logits=True)
    for head, shown in enumerate(looks.overlays[0]):
        expected = trace["encoder.1.self"].weights[head, 0, 1:].reshape(4, 4)
        np.testing.assert_allclose(shown, expected, atol=1e-12)
    assert slopes.overlays[0][0].shape == (8, 8)


def test_the_patches_by_a_loop(take):
    lesson = take("image")
    looks, slopes = (view for view in lesson.views if isinstance(view, Picture))
    (table,) = (view for view in lesson.views if isinstance(view, Table))
    total = slopes.overlays[0][0].sum()
    mean = np.mean(looks.overlays[0], axis=0)
    for name, look, slope in table.rows:
        row, column = map(int, name.split(","))
        block = slopes.overlays[0][0][2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert slope == pytest.approx(block.sum() / total)
        assert look == pytest.approx(mean[row, column] / mean.sum())


def test_positions_that_stay_behind_are_found(capsys, monkeypatch):
    """Tokens are put in another order before they get their positions."""

    def careless(self, given):
        embed, order = self.embed, self.order
        grid = embed.positions.grid
        moved = embed._replace(positions=None)(given)[..., order, :]
        moved[..., 1:, :] += embed.positions(*grid.shape[:2])
        return moved

    monkeypatch.setattr(image.Permuted, "__call__", careless)
    assert run_cli(["learn", "image"]) == 1
    assert "NO" in capsys.readouterr().out


def test_a_map_that_is_the_slope_itself_is_found(take, monkeypatch):
    def attention(slopes, pixels):
        trace = attnviz.run(image=read_drawing(DIGIT), model="digits", dtype="float64")
        looks = trace[image.LAST].weights[:, 0, 1:].mean(0)
        return looks / looks.sum()

    monkeypatch.setattr(image, "_by_patch", attention)
    assert take("image").claims[2].holds is False


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        ("", "expected 8 rows of 8"),
        ("0" * 64, "expected 8 rows of 8"),
        (DIGIT.replace("9", "x"), "expected 8 rows of 8"),
        (DIGIT + "/00000000", "expected 8 rows of 8"),
        (written([0] * 64), "the same in another order"),
    ],
)
def test_what_is_no_drawing(take, drawing, message):
    with pytest.raises(AttnvizError, match=message):
        take("image", drawing=drawing)


@pytest.mark.parametrize(("seed", "answer"), [(6, "0"), (2, "3")])
def test_what_to_expect_of_other_orders(take, seed, answer):
    (grid,) = (view for view in take("image", seed=seed).views if isinstance(view, Grid))
    assert grid.column_names == ("in place: 3", f"moved: {answer}")
