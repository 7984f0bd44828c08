"""Boxes on a page."""

from __future__ import annotations

from attnviz.render.figure.boxes import MAX_WIDTH, Box, lay_out, left_to_right


def test_layout_flows_and_never_overlaps():
    sizes = [(9, 1, False), (5, 2, True), (5, 3, True), (5, 1, True), (2, 1, False), (1, 1, True)]
    boxes = [Box(width, height, lambda *a: None, flows) for width, height, flows in sizes]
    width, height, placed = lay_out(boxes)
    assert width <= MAX_WIDTH + 0.3
    for i, (a, ax, ay) in enumerate(placed):
        assert ax + a.width <= width
        assert ay + a.height <= height
        for b, bx, by in placed[i + 1 :]:
            assert (
                ax + a.width <= bx
                or bx + b.width <= ax
                or ay + a.height <= by
                or by + b.height <= ay
            )
    assert placed[1][2] == placed[2][2] != placed[3][2]


def test_indices_stay_at_the_left_of_words_that_run_left():
    """Between marks that run left to right, so that each word keeps its own index."""
    assert left_to_right("3 saw") == "3 saw"
    mark = "\u200e"
    assert left_to_right("3 שלום") == f"{mark}3{mark} {mark}שלום"


def test_neighbours_of_one_group_stay_side_by_side():
    sizes = [("a", 4), ("a", 4), ("b", 4), ("b", 4), ("", 4), ("", 4), ("", 4)]
    boxes = [Box(width, 1, lambda *a: None, True, group=group) for group, width in sizes]
    rows = [y for _, _, y in lay_out(boxes)[2]]
    assert rows[0] == rows[1] < rows[2] == rows[3] < rows[4] == rows[5] == rows[6]
    wide = [Box(8, 1, lambda *a: None, True, group="a")] * 2
    assert len({y for _, _, y in lay_out(wide)[2]}) == 2
