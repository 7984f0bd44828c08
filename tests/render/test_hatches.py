"""Every hatch can be told from every other, in each renderer; new masks have one of their own."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from attnviz.nn.masks import MASKS, Hatch, hatch_of
from attnviz.render import render
from attnviz.render.hatches import HATCHES
from attnviz.render.terminal import render as draw
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Heatmap, indices


@pytest.fixture
def new_masks(monkeypatch):
    monkeypatch.setattr(MASKS, "_entries", dict(MASKS._entries))

    @MASKS.add
    def near(q_pos, k_pos):
        return abs(q_pos[:, None] - k_pos) < 2

    @MASKS.add
    def far(q_pos, k_pos):
        return abs(q_pos[:, None] - k_pos) > 2


def test_each_is_drawn_in_its_own_way():
    assert set(HATCHES) == set(get_args(Hatch))
    for signs in zip(*HATCHES.values(), strict=True):
        assert len(set(signs)) == len(HATCHES)
    assert all(signs.ascii.isascii() for signs in HATCHES.values())


def test_masks_that_name_none_have_one_of_their_own(new_masks):
    packaged = {entry.hatch for entry in MASKS.values()}
    own = {hatch_of("near"), hatch_of("far:size=3"), hatch_of("custom")}
    assert len(own) == 3
    assert not own & packaged


def test_they_are_in_every_format_and_its_legend(new_masks):
    rows, columns = indices("query", 1), indices("key", 3)
    heatmap = Heatmap("h", np.full((1, 3), 0.5), rows, columns,
                      masked=np.array([[1, 2, 0]]), reasons=("near", "far"))  # fmt: skip
    text = draw([heatmap], Screen(60)).decode()
    assert "┼ masked (near)" in text
    assert "○ masked (far)" in text
    markdown = render([heatmap], ".md")[0].decode()
    assert "| ┼ | ○ | 0.500 |" in markdown
    assert "┼ masked: near" in markdown
    svg = render([heatmap], ".svg")[0].decode()
    assert svg.count("<pattern") == 2
    assert "masked (┼ near, ○ far)" in svg
    assert "far" in render([heatmap], ".csv")[0].decode()
